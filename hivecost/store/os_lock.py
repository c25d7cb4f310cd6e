"""The one OS lock under which a base path's database is written, checkpointed, migrated and closed.

The wait is the kernel's, without polling, and the kernel frees the lock when its holder dies.
"""

from __future__ import annotations

import math
import os
import sys
import threading
from collections.abc import Callable, Iterator
from concurrent.futures import Future, InvalidStateError
from contextlib import contextmanager, suppress
from functools import partial
from pathlib import Path
from typing import Final, TypeVar

import anyio
import anyio.from_thread
import anyio.lowlevel

from hivecost.loops import Loop
from hivecost.store.interpreter import shared_interpreter
from hivecost.store.threads import run_in_thread, start_in_thread, start_thread

T = TypeVar("T")

LOCK_NAME: Final = "hivecost.lock"


if sys.platform == "win32":
    import msvcrt

    def _acquire(descriptor: int, *, wait: bool) -> None:
        msvcrt.locking(descriptor, msvcrt.LK_LOCK if wait else msvcrt.LK_NBLCK, 1)

    def _release(descriptor: int) -> None:
        msvcrt.locking(descriptor, msvcrt.LK_UNLCK, 1)

else:
    import fcntl

    def _acquire(descriptor: int, *, wait: bool) -> None:
        fcntl.flock(descriptor, fcntl.LOCK_EX if wait else fcntl.LOCK_EX | fcntl.LOCK_NB)

    def _release(descriptor: int) -> None:
        fcntl.flock(descriptor, fcntl.LOCK_UN)


@contextmanager
def exclusive(base_path: Path, *, wait: bool = True) -> Iterator[bool]:
    """Hold the lock; gives False, and holds nothing, when somebody else has it and `wait` is False.

    The file is opened anew each time: a lock that is kept open would live on in forked children.
    """
    try:
        descriptor = _open(base_path / LOCK_NAME)
    except FileNotFoundError:
        base_path.mkdir(parents=True, exist_ok=True)
        descriptor = _open(base_path / LOCK_NAME)
    try:
        held = _try_acquire(descriptor, wait=wait)
        try:
            yield held
        finally:
            if held:
                # Said aloud, because a child forked meanwhile holds the file open too.
                _release(descriptor)
    finally:
        os.close(descriptor)


def _open(path: Path) -> int:
    return os.open(path, os.O_RDWR | os.O_CREAT | getattr(os, "O_CLOEXEC", 0), 0o666)


def _try_acquire(descriptor: int, *, wait: bool) -> bool:
    try:
        _acquire(descriptor, wait=wait)
    except (BlockingIOError, PermissionError):  # the second is how Windows says it
        if wait:
            raise
        return False
    return True


def try_lock_for_life(path: Path) -> int | None:
    """A descriptor that holds a lock of its own on the file until it is closed; None when somebody else has it.

    Close it in forked children, or they hold the lock too.
    """
    descriptor = _open(path)
    try:
        if _try_acquire(descriptor, wait=False):
            return descriptor
    except BaseException:
        os.close(descriptor)
        raise
    os.close(descriptor)
    return None


async def run_locked(base_path: Path, work: Callable[[], T], *, give_up: bool = True) -> T:
    """Do `work` in a worker thread that holds the lock, and give its result.

    Cancelling never interrupts the work. While another process holds the lock, cancelling ends the wait: the
    work is then not done, or with `give_up=False` done without us as soon as the lock is free.
    """
    outcome: Future[T] = Future()
    if not await run_in_thread(partial(_attempt, base_path, work, outcome, False)):
        await _run_when_free(base_path, work, outcome, give_up)
    return outcome.result()


def start_locked(loop: Loop, base_path: Path, work: Callable[[], T], then: Callable[[], object]) -> Future[T]:
    """Begin the work now, unless the lock is taken. When the loop is told, by `then`, the future is done if it was not.

    Loop thread only.
    """
    outcome: Future[T] = Future()

    def carry(ended: Future[bool]) -> None:
        error = ended.exception()
        if error is not None:  # the lock's own, or there is no thread
            outcome.set_exception(error)

    ended = start_in_thread(loop, partial(_attempt, base_path, work, outcome, False), then)
    ended.add_done_callback(carry)
    return outcome


def _attempt(base_path: Path, work: Callable[[], T], outcome: Future[T], wait: bool) -> bool:
    """Fill `outcome`, unless the lock cannot be had without waiting (False) or nobody wants it any more."""
    with exclusive(base_path, wait=wait) as held:
        if held and outcome.set_running_or_notify_cancel():
            try:
                outcome.set_result(work())
            except BaseException as error:  # carried to the awaiting task, nothing is swallowed
                outcome.set_exception(error)
        return held


async def _run_when_free(base_path: Path, work: Callable[[], T], outcome: Future[T], give_up: bool) -> None:
    """Wait in a daemon thread, because those of a pool would keep the process alive while they wait."""
    done, token = anyio.Event(), anyio.lowlevel.current_token()

    def work_shared() -> T:
        with shared_interpreter():
            return work()

    def wait_and_run() -> None:
        try:
            _attempt(base_path, work_shared, outcome, True)
        except OSError as error:
            with suppress(InvalidStateError):  # cancelled meanwhile: nobody asks
                outcome.set_exception(error)
        with suppress(anyio.RunFinishedError):
            anyio.from_thread.run_sync(done.set, token=token)

    start_thread(threading.Thread(target=wait_and_run, name="hivecost waits for its lock", daemon=True))
    try:
        await done.wait()
    except anyio.get_cancelled_exc_class():
        if give_up and not outcome.cancel():
            with anyio.CancelScope(shield=True):
                await done.wait()
            if anyio.current_effective_deadline() == -math.inf:
                return  # what was done counts; a scope's cancellation comes again with the next wait
        raise
