"""What the bus needs of an event loop, for asyncio and for trio.

anyio covers waiting; tasks and wakeups go straight to the loop: a task outside any task group can be abandoned
when it ignores its cancellation (so that closing always ends), and a bare future wakes a task fastest.
"""

from __future__ import annotations

import asyncio
import contextvars
import threading
from collections.abc import Callable, Coroutine
from typing import Any, Protocol

import anyio.lowlevel


class Task(Protocol):
    """A running coroutine."""

    def cancel(self) -> object: ...

    def was_cancelled(self) -> bool:
        """True when a cancellation seen inside the task was meant for it, not raised by what it called."""
        ...


class Loop(Protocol):
    """The event loop a bus lives on."""

    def spawn(self, function: Callable[[], Coroutine[Any, Any, None]], name: str) -> Task: ...

    def call_threadsafe(self, function: Callable[[], object]) -> None: ...

    def is_here(self) -> bool:
        """True on the loop's own thread."""
        ...


class _AsyncioTask:
    def __init__(self, task: asyncio.Task[None]) -> None:
        self._task = task
        self.cancel = task.cancel

    def was_cancelled(self) -> bool:
        return self._task.cancelling() > 0


class _AsyncioLoop:
    def __init__(self) -> None:
        self._loop = asyncio.get_running_loop()
        self._thread_id = threading.get_ident()
        self._context = contextvars.copy_context()

    def spawn(self, function: Callable[[], Coroutine[Any, Any, None]], name: str) -> Task:
        return _AsyncioTask(self._loop.create_task(function(), name=name, context=self._context.copy()))

    def call_threadsafe(self, function: Callable[[], object]) -> None:
        self._loop.call_soon_threadsafe(function)

    def is_here(self) -> bool:
        return threading.get_ident() == self._thread_id


class _TrioTask:
    def __init__(self, scope: Any) -> None:
        self._scope = scope
        self.cancel = scope.cancel

    def was_cancelled(self) -> bool:
        return True  # in trio a Cancelled always belongs to a scope around the code that sees it


class _TrioLoop:
    def __init__(self) -> None:
        import trio  # noqa: PLC0415  # only where trio runs

        self._trio = trio
        self._token = trio.lowlevel.current_trio_token()
        self._thread_id = threading.get_ident()
        self._context = contextvars.copy_context()

    def spawn(self, function: Callable[[], Coroutine[Any, Any, None]], name: str) -> Task:
        scope = self._trio.CancelScope()

        async def run() -> None:
            with scope:
                await function()

        self._trio.lowlevel.spawn_system_task(run, name=name, context=self._context.copy())
        return _TrioTask(scope)

    def call_threadsafe(self, function: Callable[[], object]) -> None:
        self._token.run_sync_soon(function)

    def is_here(self) -> bool:
        return threading.get_ident() == self._thread_id


def current_loop() -> Loop:
    """The loop that runs now. Raises anyio.NoEventLoopError outside of one."""
    backend = anyio.lowlevel.current_token().backend_class.__module__
    return _TrioLoop() if backend.endswith("_trio") else _AsyncioLoop()


class Wakeup:
    """One sleeper, many callers: `set()` is cheap when nobody sleeps. Loop thread only."""

    def __init__(self) -> None:
        self._event: anyio.Event | None = None

    def set(self) -> None:
        event = self._event
        if event is not None:
            self._event = None
            event.set()

    async def wait(self) -> None:
        self._event = event = anyio.Event()
        try:
            await event.wait()
        finally:
            if self._event is event:
                self._event = None
