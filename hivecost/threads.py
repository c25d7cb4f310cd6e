"""Blocking work in threads of our own: agents' tools may keep all of anyio's busy, and those start turns later."""

from __future__ import annotations

import errno
import threading
import time
from collections.abc import Callable, Iterator
from concurrent.futures import Future, ThreadPoolExecutor
from contextlib import contextmanager, suppress
from typing import Final, TypeVar

import anyio
import anyio.lowlevel

from hivecost.forking import tell_children
from hivecost.loops import Loop, current_loop

T = TypeVar("T")

#: What the names of these threads begin with.
THREAD_NAME: Final = "hivecost worker"
#: More than ever work at once, unless disks hang.
_THREADS_MAX: Final = 256
#: While a thread works, the loop pauses this often.
_PAUSE_EVERY_S: Final = 0.002
#: For so long, of which the system makes some 0.05 ms.
_PAUSE_S: Final = 1e-6


class _Threads:
    """The standard library's pool, while somebody keeps it: its threads end their work before the program ends.

    Nothing here takes a lock: the garbage collector may let go anywhere.
    """

    def __init__(self) -> None:
        self._keepers: set[object] = set()
        self._pool: ThreadPoolExecutor | None = None
        tell_children(self)

    def _forked(self) -> None:
        self._keepers.clear()
        self._pool = None  # its threads are the parent's

    def keep(self) -> Callable[[], None]:
        """Call the result to let them go."""
        keeper = object()
        self._keepers.add(keeper)
        return lambda: self._let_go(keeper)

    def _let_go(self, keeper: object) -> None:
        self._keepers.discard(keeper)
        if not self._keepers and self._pool is not None:
            pool, self._pool = self._pool, None
            pool.shutdown(wait=False)

    def begin(self, work: Callable[[], None]) -> None:
        """Let a thread do it now; the work may be begun twice. Raise OSError when no thread can be started."""
        pool = self._pool
        if pool is None:
            pool = self._pool = ThreadPoolExecutor(_THREADS_MAX, THREAD_NAME)
        try:
            pool.submit(work)
        except RuntimeError:
            # It was let go meanwhile, or the main thread has ended, after which no pool takes anything; a loop in
            # another thread goes on. Or there is no thread for it: then it may have kept the work all the same.
            start_thread(threading.Thread(target=work, name=THREAD_NAME))


def start_thread(thread: threading.Thread) -> None:
    """Start it. Raise OSError, as for everything else that a system can run out of."""
    try:
        thread.start()
    except RuntimeError as error:
        raise no_thread(error) from error


def no_thread(error: RuntimeError) -> OSError:
    """Return the error to raise where a thread could not be started."""
    return OSError(errno.EAGAIN, f"no thread can be started ({error})")


_threads: Final = _Threads()


@contextmanager
def kept_threads() -> Iterator[None]:
    """Keep idle threads waiting for more work until this ends."""
    let_go = _threads.keep()
    try:
        yield
    finally:
        let_go()


def start_in_thread(loop: Loop, work: Callable[[], T], then: Callable[[], object]) -> Future[T]:
    """Begin the work now; gives its end to come, of which `then` tells the loop, if that is there still.

    It ends in an OSError when no thread can be started. Loop thread only.
    """
    ended: Future[T] = Future()
    let_go, claim, pauses = _threads.keep(), threading.Lock(), Pauses(loop)

    def tell() -> None:
        pauses.close()
        then()

    def work_once() -> None:
        if not claim.acquire(blocking=False):
            return
        try:
            result = work()
        except BaseException as error:  # carried to whoever asks, nothing is swallowed
            ended.set_exception(error)
        else:
            ended.set_result(result)
        let_go()
        with suppress(RuntimeError):  # how both kinds of loop say that they are closed
            loop.call_threadsafe(tell)

    try:
        _threads.begin(work_once)
    except OSError as error:
        if claim.acquire(blocking=False):
            let_go()
            ended.set_exception(error)
            loop.call_soon(tell)
    return ended


class Pauses:
    """Until it is closed, the loop lets a thread have the interpreter now and then. Loop thread only.

    A loop that never rests lets it go in each of its turns, but for too short a moment to be taken: a commit beside it
    would take seconds, or for ever.
    """

    def __init__(self, loop: Loop) -> None:
        self._loop = loop
        self._next = loop.call_later(_PAUSE_EVERY_S, self._pause)

    def _pause(self) -> None:
        time.sleep(_PAUSE_S)
        self._next = self._loop.call_later(_PAUSE_EVERY_S, self._pause)

    def close(self) -> None:
        """End the pauses."""
        self._next.cancel()


async def run_in_thread(work: Callable[[], T]) -> T:
    """Return what the work gives, from a thread. Nothing interrupts the work.

    Cancelling waits for its end; a native cancellation leaves it to itself.
    """
    await anyio.lowlevel.checkpoint_if_cancelled()
    done = anyio.Event()
    ended = start_in_thread(current_loop(), work, done.set)
    with anyio.CancelScope(shield=True):
        await done.wait()
    return ended.result()
