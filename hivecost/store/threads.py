"""Blocking work in threads of our own: agents' tools may keep all of anyio's busy, and those start turns later."""

from __future__ import annotations

import os
import threading
from collections.abc import Callable, Iterator
from concurrent.futures import Future, ThreadPoolExecutor
from contextlib import ExitStack, contextmanager, suppress
from typing import Final, TypeVar

import anyio
import anyio.lowlevel

from hivecost.loops import Loop, current_loop
from hivecost.store.interpreter import shared_interpreter

T = TypeVar("T")

#: Threads at work at once, one for each database that is written or visited; past it, work waits in line.
_THREADS_MAX: Final = 64


class _Threads:
    """A pool that is there while somebody keeps it; the last who lets it go ends its threads."""

    def __init__(self) -> None:
        self._lock = threading.Lock()
        self._keepers = 0
        self._pool: ThreadPoolExecutor | None = None

    def keep(self) -> None:
        with self._lock:
            self._keepers += 1

    def let_go(self) -> None:
        with self._lock:
            self._keepers -= 1
            if not self._keepers and self._pool is not None:
                self._pool.shutdown(wait=False)
                self._pool = None

    def submit(self, work: Callable[[], T]) -> Future[T]:
        """From who keeps it."""
        with self._lock:
            if self._pool is None:
                self._pool = ThreadPoolExecutor(_THREADS_MAX, thread_name_prefix="hivecost")
            return self._pool.submit(work)


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
    """Begin the work now; gives its end to come, of which `then` tells the loop, if that is there still."""
    around = ExitStack()
    around.enter_context(kept_threads())
    around.enter_context(shared_interpreter())  # before the thread waits for the interpreter for the first time

    def work_inside() -> T:
        with around:
            return work()

    def tell(_: Future[T]) -> None:
        with suppress(RuntimeError):  # how both kinds of loop say that they are closed
            loop.call_threadsafe(then)

    try:
        ended = _threads.submit(work_inside)
    except BaseException:
        around.close()
        raise
    ended.add_done_callback(tell)
    return ended


async def run_in_thread(work: Callable[[], T]) -> T:
    """What the work gives. Cancelling never interrupts it: whoever is cancelled meanwhile waits for its end."""
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
