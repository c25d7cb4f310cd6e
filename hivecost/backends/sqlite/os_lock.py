"""The one OS lock under which a base path's database is written, checkpointed, migrated and closed.

The wait is the kernel's, without polling, and the kernel frees the lock when its holder dies. Nobody waits for a holder
that lives and does not move longer than `LOCK_TIMEOUT_S`.
"""

from __future__ import annotations

import math
import os
import threading
from collections import OrderedDict
from collections.abc import Callable, Iterator
from concurrent.futures import Future
from contextlib import closing, contextmanager, suppress
from functools import partial
from pathlib import Path
from typing import Any, Final, TypeVar
from weakref import WeakValueDictionary

import anyio

from hivecost.backends.sqlite.file_locks import holder_of, locked, release
from hivecost.errors import StoreLockedError, StoreMovedError
from hivecost.loops import Loop, current_loop
from hivecost.private_files import make_private_folder
from hivecost.threads import Pauses, run_in_thread, start_in_thread, start_thread

T = TypeVar("T")

LOCK_NAME: Final = "hivecost.lock"
#: How long anybody waits for the lock before the wait ends in a StoreLockedError.
LOCK_TIMEOUT_S: Final = 10.0


@contextmanager
def exclusive(base_path: Path, *, wait: bool = True, make: bool = True) -> Iterator[bool]:
    """Hold the lock; give False, and hold nothing, when somebody else has it and `wait` is False.

    The file is opened anew each time: a lock that is kept open would live on in forked children. With `make` the folder
    is made where there is none. Raise OSError where it cannot be, and StoreMovedError for one that should be there.
    """
    if make:
        make_private_folder(base_path)
    try:
        descriptor = locked(base_path / LOCK_NAME, wait=wait)
    except FileNotFoundError as error:
        raise StoreMovedError(f"{base_path}: is gone; put it back where it was, or start what uses it anew") from error
    try:
        yield descriptor is not None
    finally:
        if descriptor is not None:
            # Said aloud, because a child forked meanwhile holds the file open too.
            release(descriptor)
            os.close(descriptor)


def lock_error(base_path: Path, waited_s: float) -> StoreLockedError:
    """Return what to raise after waiting in vain, naming the process that holds the lock."""
    path = base_path / LOCK_NAME
    return StoreLockedError(
        f"{path}: {holder_of(path)} has held the lock for {waited_s:.0f} s or more; continue it if it was stopped, "
        "or end it"
    )


async def run_locked(
    base_path: Path,
    work: Callable[[], T],
    *,
    make: bool = True,
    give_up: bool = True,
    timeout_s: float = LOCK_TIMEOUT_S,
) -> T:
    """Do `work` in a worker thread that holds the lock, and return its result.

    Cancelling never interrupts the work. While another process holds the lock, cancelling ends the wait, and after
    `timeout_s` a StoreLockedError does: the work is then not done, or with `give_up=False` done without us as soon as
    the lock is free.
    """
    outcome: Future[T] = Future()
    if not await run_in_thread(partial(_attempt, base_path, work, outcome, make=make)):
        await _run_when_free(base_path, work, outcome, give_up=give_up, timeout_s=timeout_s)
    return outcome.result()


def do_locked(base_path: Path, work: Callable[[], T], *, timeout_s: float = LOCK_TIMEOUT_S) -> T:
    """Do the work under the lock as `run_locked` does, in this thread, or in another if it has to wait for the lock."""
    outcome: Future[T] = Future()
    if not _attempt(base_path, work, outcome, make=True):
        waiting, done = _LockQueue.of(base_path), threading.Event()
        waiting.put(outcome, work, done.set)
        if not done.wait(timeout_s) and waiting.withdraw(outcome):
            raise lock_error(base_path, timeout_s)
    return outcome.result()


def start_locked(
    loop: Loop, base_path: Path, work: Callable[[], T], then: Callable[[], object], *, make: bool = True
) -> Future[T]:
    """Begin the work now, unless the lock is taken. When the loop is told, by `then`, the future is done if it was not.

    Loop thread only.
    """
    outcome: Future[T] = Future()

    def carry(ended: Future[bool]) -> None:
        error = ended.exception()
        if error is not None:  # the lock's own, or there is no thread
            outcome.set_exception(error)

    ended = start_in_thread(loop, partial(_attempt, base_path, work, outcome, make=make), then)
    ended.add_done_callback(carry)
    return outcome


def _attempt(base_path: Path, work: Callable[[], T], outcome: Future[T], *, make: bool) -> bool:
    """Fill `outcome`; False when the lock cannot be had without waiting."""
    with exclusive(base_path, wait=False, make=make) as held:
        if held:
            _fill(outcome, work)
        return held


def _fill(outcome: Future[T], work: Callable[[], T]) -> None:
    """Do the work, unless nobody wants it any more."""
    if outcome.set_running_or_notify_cancel():
        try:
            outcome.set_result(work())
        except BaseException as error:  # carried to the awaiting task, nothing is swallowed
            outcome.set_exception(error)


async def _run_when_free(
    base_path: Path, work: Callable[[], T], outcome: Future[T], *, give_up: bool, timeout_s: float
) -> None:
    loop, done = current_loop(), anyio.Event()

    def tell() -> None:
        with suppress(RuntimeError):  # how both kinds of loop say that they are closed
            loop.call_threadsafe(done.set)

    waiting = _LockQueue.of(base_path)
    waiting.put(outcome, work, tell)
    with closing(Pauses(loop)):
        try:
            with anyio.move_on_after(timeout_s):
                await done.wait()
        except anyio.get_cancelled_exc_class():
            if give_up and not waiting.withdraw(outcome):
                with anyio.CancelScope(shield=True):
                    await done.wait()
                if anyio.current_effective_deadline() == -math.inf:
                    return  # what was done counts; a scope's cancellation comes again with the next wait
            raise
        if not outcome.done():
            if not give_up or waiting.withdraw(outcome):
                raise lock_error(base_path, timeout_s)
            with anyio.CancelScope(shield=True):
                await done.wait()


class _LockQueue:
    """The work of this process that waits for one base path's lock, and the one thread that waits for it.

    It is a daemon thread, because those of a pool would keep the process alive while they wait.
    """

    def __init__(self, base_path: Path) -> None:
        self._base_path = base_path
        self._lock = threading.Lock()
        self._works: OrderedDict[Future[Any], tuple[Callable[[], Any], Callable[[], None]]] = OrderedDict()
        self._is_waiting = False

    @classmethod
    def of(cls, base_path: Path) -> _LockQueue:
        return _queues.setdefault(base_path, cls(base_path))

    def put(self, outcome: Future[Any], work: Callable[[], Any], tell: Callable[[], None]) -> None:
        """Do the work once the lock is free, and tell when it is free again.

        Raise OSError when no thread can be started.
        """
        with self._lock:
            self._works[outcome] = work, tell
            if self._is_waiting:
                return
            try:
                start_thread(threading.Thread(target=self._run, name="hivecost waits for its lock", daemon=True))
            except OSError:
                del self._works[outcome]
                raise
            self._is_waiting = True

    def withdraw(self, outcome: Future[Any]) -> bool:
        """Take back the work of this outcome; return False when it has begun."""
        with self._lock:
            self._works.pop(outcome, None)
        return outcome.cancel()

    def _run(self) -> None:
        while self._has_works():
            told = []
            try:
                with exclusive(self._base_path, make=False):
                    for outcome, work, tell in iter(self._next, None):
                        told.append(tell)
                        _fill(outcome, work)
            except (OSError, StoreMovedError) as error:
                for outcome, _, tell in iter(self._next, None):
                    told.append(tell)
                    _fill(outcome, partial(_raise, error))
            for tell in told:
                tell()

    def _has_works(self) -> bool:
        with self._lock:
            self._is_waiting = bool(self._works)
            return self._is_waiting

    def _next(self) -> tuple[Future[Any], Callable[[], Any], Callable[[], None]] | None:
        with self._lock:
            if not self._works:
                return None
            outcome, (work, tell) = self._works.popitem(last=False)
        return outcome, work, tell


def _raise(error: Exception) -> None:
    raise error


#: Those that somebody waits in.
_queues: Final[WeakValueDictionary[Path, _LockQueue]] = WeakValueDictionary()
if hasattr(os, "register_at_fork"):
    os.register_at_fork(after_in_child=_queues.clear)  # their threads are the parent's
