"""What hivecost needs of an event loop, for asyncio and for trio.

anyio covers waiting; tasks and wakeups go straight to the loop: a task outside any task group can be abandoned
when it ignores its cancellation (so that closing always ends), and a bare future wakes a task fastest.
"""

from __future__ import annotations

import asyncio
import contextvars
import threading
from collections.abc import Awaitable, Callable, Coroutine
from concurrent.futures import Future
from contextlib import suppress
from typing import Any, Final, Generic, Protocol, TypeVar

import anyio
import anyio.lowlevel

from hivecost.errors import HiveCostError

T = TypeVar("T")

#: How long another loop may take to begin what it is asked for; past that it is taken to be blocked.
ANSWER_TIMEOUT_S: Final = 30.0


class Task(Protocol):
    """A running coroutine."""

    def cancel(self) -> object:
        """Cancel the task."""
        ...

    def was_cancelled(self) -> bool:
        """Tell whether a cancellation seen inside the task was meant for it, not raised by what it called."""
        ...


class Timer(Protocol):
    """A call to come."""

    def cancel(self) -> object:
        """Cancel the call."""
        ...


class Wakeup(Protocol):
    """One sleeper: `set()` ends its `wait()`, and does nothing when it does not wait. Loop thread only."""

    def set(self) -> None:
        """End the `wait` of the sleeper; without one, do nothing."""
        ...

    def wait(self) -> Awaitable[None]:
        """Sleep until `set` is called."""
        ...


class Here(Protocol):
    """A thread. `_is_owned()` is True on it, and takes a third of what comparing thread ids does: it is C all the way.

    Called by this name, on the lock itself, the interpreter goes there without looking for anything.
    """

    def _is_owned(self) -> bool: ...


class Loop(Protocol):
    """The event loop a bus lives on."""

    #: The loop's own thread.
    here: Here

    def spawn(self, function: Callable[[], Coroutine[Any, Any, None]], name: str) -> Task:
        """Start the function as a task of this name. Loop thread only."""
        ...

    def new_wakeup(self) -> Wakeup:
        """Return a wakeup for one sleeper."""
        ...

    def turn(self) -> Awaitable[None]:
        """Let all others have their turn: what they asked the loop to call before is called. Loop thread only."""
        ...

    def call_soon(self, function: Callable[[], object]) -> None:
        """Call it when the loop turns next. Loop thread only."""
        ...

    def call_later(self, seconds: float, function: Callable[[], object]) -> Timer:
        """Call it after so long, if the loop still runs then and nobody cancels that. Loop thread only."""
        ...

    def call_threadsafe(self, function: Callable[[], object]) -> None:
        """Call the function on the loop's thread, soon. From any thread."""
        ...

    def is_here(self) -> bool:
        """Tell whether this is the loop's own thread."""
        ...


class _AsyncioTask:
    def __init__(self, task: asyncio.Task[None]) -> None:
        self._task = task
        self.cancel = task.cancel

    def was_cancelled(self) -> bool:
        return self._task.cancelling() > 0


class _AsyncioWakeup:
    def __init__(self, loop: asyncio.AbstractEventLoop) -> None:
        self._loop = loop
        self._future: asyncio.Future[None] | None = None

    def set(self) -> None:
        future = self._future
        if future is not None and not future.done():
            future.set_result(None)

    def wait(self) -> Awaitable[None]:
        self._future = self._loop.create_future()
        return self._future


def here() -> Here:
    """Return a mark of this thread."""
    lock = nowhere()
    lock.acquire()  # type: ignore[attr-defined]
    return lock


def nowhere() -> Here:
    """Return a mark of no thread."""
    return threading.RLock()  # type: ignore[return-value]  # Condition lives on its _is_owned() too


class _AsyncioLoop:
    def __init__(self) -> None:
        self._loop = asyncio.get_running_loop()
        self.here = here()
        self._context = contextvars.copy_context()

    def spawn(self, function: Callable[[], Coroutine[Any, Any, None]], name: str) -> Task:
        return _AsyncioTask(self._loop.create_task(function(), name=name, context=self._context.copy()))

    def new_wakeup(self) -> Wakeup:
        return _AsyncioWakeup(self._loop)

    def turn(self) -> Awaitable[None]:
        return asyncio.sleep(0)

    def call_soon(self, function: Callable[[], object]) -> None:
        self._loop.call_soon(function, context=self._context)

    def call_later(self, seconds: float, function: Callable[[], object]) -> Timer:
        return self._loop.call_later(seconds, function, context=self._context)

    def call_threadsafe(self, function: Callable[[], object]) -> None:
        self._loop.call_soon_threadsafe(function)

    def is_here(self) -> bool:
        return self.here._is_owned()


class _TrioTask:
    def __init__(self, scope: Any) -> None:
        self._scope = scope
        self.cancel = scope.cancel

    def was_cancelled(self) -> bool:
        return True  # in trio a Cancelled always belongs to a scope around the code that sees it


class _TrioWakeup:
    def __init__(self) -> None:
        self._event: anyio.Event | None = None

    def set(self) -> None:
        if self._event is not None:
            self._event.set()

    async def wait(self) -> None:
        self._event = anyio.Event()
        try:
            await self._event.wait()
        finally:
            self._event = None


class _TrioLoop:
    def __init__(self) -> None:
        import trio  # noqa: PLC0415  # only where trio runs

        self._trio = trio
        self._token = trio.lowlevel.current_trio_token()
        self.here = here()
        self._context = contextvars.copy_context()

    def spawn(self, function: Callable[[], Coroutine[Any, Any, None]], name: str) -> Task:
        scope = self._trio.CancelScope()

        async def run() -> None:
            with scope:
                await function()

        self._trio.lowlevel.spawn_system_task(run, name=name, context=self._context.copy())
        return _TrioTask(scope)

    def new_wakeup(self) -> Wakeup:
        return _TrioWakeup()

    async def turn(self) -> None:
        called = anyio.Event()
        self._token.run_sync_soon(called.set)  # a checkpoint alone may come before what was asked for earlier
        await called.wait()

    def call_soon(self, function: Callable[[], object]) -> None:
        self._token.run_sync_soon(function)

    def call_later(self, seconds: float, function: Callable[[], object]) -> Timer:
        scope = self._trio.CancelScope()

        async def run() -> None:
            with scope:
                await self._trio.sleep(seconds)
                function()

        self._trio.lowlevel.spawn_system_task(run, context=self._context.copy())
        return _TrioTask(scope)

    def call_threadsafe(self, function: Callable[[], object]) -> None:
        self._token.run_sync_soon(function)

    def is_here(self) -> bool:
        return self.here._is_owned()


def is_asyncio() -> bool:
    """Tell whether asyncio's loop runs now, and not trio's. Raise anyio.NoEventLoopError outside of both."""
    return not anyio.lowlevel.current_token().backend_class.__module__.endswith("_trio")


def current_loop() -> Loop:
    """Return the loop that runs now. Raise anyio.NoEventLoopError outside of one."""
    return _AsyncioLoop() if is_asyncio() else _TrioLoop()


async def run_on(loop: Loop, function: Callable[[], Coroutine[Any, Any, T]], *, withdraws: bool = True) -> T:
    """Await the function on another loop than the one that runs here, and return its result.

    Cancelling here cancels it there, and waits for its end. Raise HiveCostError when that loop has ended, or does not
    begin within `ANSWER_TIMEOUT_S`: it may be blocked by code that waits for this very call. Without `withdraws` its
    turn comes, however long that takes.
    """
    here, begun, done = current_loop(), anyio.Event(), anyio.Event()
    bridge = _Bridge(function, begun=lambda: _tell(here, begun.set), done=lambda: _tell(here, done.set))
    bridge.send(loop)
    try:
        with anyio.move_on_after(ANSWER_TIMEOUT_S if withdraws else None):
            await begun.wait()
        if not begun.is_set() and bridge.withdraw():
            raise _blocked()
        await done.wait()
    except anyio.get_cancelled_exc_class():
        with suppress(RuntimeError), anyio.CancelScope(shield=True):  # a loop that has ended will not answer
            loop.call_threadsafe(bridge.cancel)
            await done.wait()
        raise
    return bridge.outcome.result()


def wait_on(loop: Loop, function: Callable[[], Coroutine[Any, Any, T]], *, withdraws: bool = True) -> T:
    """Do the same from a thread that runs no loop, or may block its own.

    What interrupts the thread, as Ctrl-C does the main one, cancels the function.
    """
    begun, done = threading.Event(), threading.Event()
    bridge = _Bridge(function, begun=begun.set, done=done.set)
    try:
        bridge.send(loop)
        is_withdrawn = not begun.wait(ANSWER_TIMEOUT_S if withdraws else None) and bridge.withdraw()
        if not is_withdrawn:
            done.wait()
    except BaseException:
        with suppress(RuntimeError):  # a loop that has ended will not answer
            loop.call_threadsafe(bridge.cancel)
            done.wait()
        raise
    if is_withdrawn:
        raise _blocked()
    return bridge.outcome.result()


def _blocked() -> HiveCostError:
    return HiveCostError(
        f"the event loop of the runtime did not answer for {ANSWER_TIMEOUT_S:.0f} s: some code blocks it, and may "
        "wait for the thread that asked; await there, or run the blocking call in a thread"
    )


def _tell(loop: Loop, tell: Callable[[], object]) -> None:
    with suppress(RuntimeError):  # nobody is left to be told
        loop.call_threadsafe(tell)


class _Bridge(Generic[T]):
    """A coroutine function on its way to another loop, and its result on the way back."""

    def __init__(
        self,
        function: Callable[[], Coroutine[Any, Any, T]],
        *,
        begun: Callable[[], object],
        done: Callable[[], object],
    ) -> None:
        self.outcome: Future[T] = Future()
        self._function = function
        #: Called on the other loop's thread.
        self._begun, self._done = begun, done
        self._scope: anyio.CancelScope | None = None
        self._is_cancelled = False
        self._task: Task | None = None

    def send(self, loop: Loop) -> None:
        try:
            loop.call_threadsafe(lambda: self._begin(loop))
        except RuntimeError as error:  # how both kinds of loop say that they are closed
            raise HiveCostError("the event loop of the runtime, or of the ledger, has ended") from error

    def _begin(self, loop: Loop) -> None:
        if self.outcome.set_running_or_notify_cancel():
            self._begun()
            self._task = loop.spawn(self._run, "hivecost for another loop")
        else:
            self._done()

    def withdraw(self) -> bool:
        """Take the work back before it begins; return False when it has begun."""
        return self.outcome.cancel()

    def cancel(self) -> None:
        """Cancel the work on the other loop's thread, after it was sent."""
        self._is_cancelled = True
        if self._scope is not None:
            self._scope.cancel()

    async def _run(self) -> None:
        try:
            with anyio.CancelScope() as self._scope:
                if self._is_cancelled:
                    self._scope.cancel()
                self.outcome.set_result(await self._function())
            if not self.outcome.done():  # whoever awaited it is cancelled
                self.outcome.set_exception(HiveCostError("cancelled"))
        except anyio.get_cancelled_exc_class():
            self.outcome.set_exception(HiveCostError("the event loop that it ran on has ended"))
            raise
        except BaseException as error:  # carried to whoever awaits it, nothing is swallowed
            self.outcome.set_exception(error)
        finally:
            self._done()
