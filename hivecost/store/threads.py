"""Blocking work in threads of our own: agents' tools may keep all of anyio's busy, and those start turns later."""

from __future__ import annotations

import errno
import os
import threading
from collections.abc import Callable, Iterator
from concurrent.futures import Future
from contextlib import ExitStack, contextmanager, suppress
from queue import Empty, SimpleQueue
from typing import Final, TypeVar

import anyio
import anyio.lowlevel

from hivecost.loops import Loop, current_loop
from hivecost.store.interpreter import shared_interpreter

T = TypeVar("T")

#: How often a thread without work looks whether the program has ended, which waits for it.
_LOOK_S: Final = 0.5


class _Threads:
    """Threads that wait for more work while somebody keeps them; the last who lets them go ends them."""

    def __init__(self) -> None:
        self._lock = threading.RLock()  # the garbage collector may let go anywhere
        self._keepers = 0
        self._idle: list[_Worker] = []

    def keep(self) -> None:
        with self._lock:
            self._keepers += 1

    def let_go(self) -> None:
        with self._lock:
            self._keepers -= 1
            idle: list[_Worker] = []
            if not self._keepers:
                idle, self._idle = self._idle, idle
        for worker in idle:
            worker.inbox.put(None)

    def begin(self, work: Callable[[], None]) -> None:
        """Let a thread do it now. Raises OSError when none can be started."""
        try:
            worker = self._idle.pop()
        except IndexError:
            worker = _Worker(self)
            start_thread(worker)
        worker.inbox.put(work)

    def rest(self, worker: _Worker) -> bool:
        """It waits for more work; False: it is to end."""
        with self._lock:
            if self._keepers:
                self._idle.append(worker)
            return self._keepers > 0

    def may_leave(self, worker: _Worker) -> bool:
        """False when work is on its way to it already."""
        try:
            self._idle.remove(worker)
        except ValueError:
            return False
        return True


class _Worker(threading.Thread):
    """No daemon, so that what it commits is committed when the program ends."""

    def __init__(self, threads: _Threads) -> None:
        super().__init__(name="hivecost", daemon=False)
        self.inbox: SimpleQueue[Callable[[], None] | None] = SimpleQueue()
        self._threads = threads

    def run(self) -> None:
        while (work := self._next()) is not None:
            work()
            del work  # and what it holds
            if not self._threads.rest(self):
                break

    def _next(self) -> Callable[[], None] | None:
        while True:
            try:
                return self.inbox.get(timeout=_LOOK_S)
            except Empty:
                if not threading.main_thread().is_alive() and self._threads.may_leave(self):
                    return None


def start_thread(thread: threading.Thread) -> None:
    """Start it. Raises OSError, as for everything else that a system can run out of."""
    try:
        thread.start()
    except RuntimeError as error:
        raise OSError(errno.EAGAIN, f"no thread can be started ({error})") from error


@contextmanager
def kept_threads() -> Iterator[None]:
    """Until it ends, threads that have nothing to do wait for more."""
    threads = _threads
    threads.keep()
    try:
        yield
    finally:
        threads.let_go()


def start_in_thread(loop: Loop, work: Callable[[], T], then: Callable[[], object]) -> Future[T]:
    """Begin the work now; gives its end to come, of which `then` tells the loop, if that is there still.

    It ends in an OSError when no thread can be started. Loop thread only.
    """
    ended: Future[T] = Future()
    around = ExitStack()
    around.enter_context(kept_threads())
    around.enter_context(shared_interpreter())  # before the thread waits for the interpreter for the first time

    def work_inside() -> None:
        try:
            with around:
                result = work()
        except BaseException as error:  # carried to whoever asks, nothing is swallowed
            ended.set_exception(error)
        else:
            ended.set_result(result)
        with suppress(RuntimeError):  # how both kinds of loop say that they are closed
            loop.call_threadsafe(then)

    try:
        _threads.begin(work_inside)
    except OSError as error:
        around.close()
        ended.set_exception(error)
        loop.call_soon(then)
    return ended


async def run_in_thread(work: Callable[[], T]) -> T:
    """What the work gives. Nothing interrupts it: cancelling waits for its end, or natively leaves it to itself."""
    await anyio.lowlevel.checkpoint_if_cancelled()
    done = anyio.Event()
    ended = start_in_thread(current_loop(), work, done.set)
    with anyio.CancelScope(shield=True):
        await done.wait()
    return ended.result()


def _renew_after_fork() -> None:
    global _threads  # noqa: PLW0603  # one for the process, and a forked child has none of its threads
    _threads = _Threads()


_threads = _Threads()
if hasattr(os, "register_at_fork"):
    os.register_at_fork(after_in_child=_renew_after_fork)
