"""A runtime in a thread of its own, for whoever has no event loop to give it, or one that is not theirs."""

from __future__ import annotations

import logging
import threading
from collections.abc import Awaitable, Callable
from concurrent.futures import CancelledError, Future
from contextlib import ExitStack, suppress
from functools import partial, wraps
from types import TracebackType
from typing import Any, Concatenate, Final, Generic, ParamSpec, Self, TypeVar

import anyio
from anyio.from_thread import BlockingPortal, start_blocking_portal

from hivecost.bus import EventBus
from hivecost.errors import HiveCostError, ReentrancyError
from hivecost.forking import leave_child, tell_children
from hivecost.loops import Loop, current_loop
from hivecost.runtime.budgets import RuntimeBudgets
from hivecost.runtime.closing import GRACE_S
from hivecost.runtime.plugins import AttachedPlugin
from hivecost.runtime.running_execution import PARENTS
from hivecost.runtime.runtime import AgentRuntime, executions_of

P = ParamSpec("P")
R = TypeVar("R")
T = TypeVar("T")

_log = logging.getLogger("hivecost.runtime")


class _LoopThread:
    """The thread in which the event loop runs, until it is stopped."""

    def __init__(self, name: str) -> None:
        self._stack = ExitStack()
        self._portal: BlockingPortal = self._stack.enter_context(start_blocking_portal("asyncio", name=name))
        self.loop: Loop = self._portal.call(current_loop)
        self.is_forked = False
        tell_children(self)

    def _forked(self) -> None:
        self.is_forked = True

    def begin(self, function: Callable[[], Awaitable[R]]) -> Future[R]:
        """Call an async function on the loop. Raise HiveCostError on the loop itself, and when there is none."""
        if self.is_forked:
            raise HiveCostError(PARENTS)
        if self.loop.is_here():
            raise HiveCostError("this code runs on the runtime's own event loop: await methods of `agent_runtime` here")
        try:
            return self._portal.start_task_soon(function)
        except RuntimeError as error:
            raise HiveCostError("this runtime is closed; open another with hc.run_in_background(...)") from error

    def call(self, function: Callable[P, Awaitable[R]], /, *args: P.args, **kwargs: P.kwargs) -> R:
        """Do the same, and wait for its result. What interrupts this thread, as Ctrl-C does, cancels it."""
        result = self.begin(partial(function, *args, **kwargs))
        try:
            return result.result()
        except CancelledError as error:
            raise HiveCostError("the runtime was closed meanwhile") from error
        finally:
            result.cancel()

    def stop(self) -> None:
        """Return when the loop has ended."""
        self._stack.close()


class _Face(Generic[T]):
    """What a runtime has, for threads: an async method of it waits here."""

    def __init__(self, target: T, thread: _LoopThread) -> None:
        self._target = target
        self._thread = thread


def _waiting(method: Callable[Concatenate[T, P], Awaitable[R]]) -> Callable[Concatenate[_Face[T], P], R]:
    @wraps(method)
    def wait(face: _Face[T], /, *args: P.args, **kwargs: P.kwargs) -> R:
        return face._thread.call(method, face._target, *args, **kwargs)  # noqa: SLF001  # it is a method of the face

    return wait


def _direct(method: Callable[Concatenate[T, P], R]) -> Callable[Concatenate[_Face[T], P], R]:
    """Return a method that calls the target's from whichever thread it is called in."""

    @wraps(method)
    def call(face: _Face[T], /, *args: P.args, **kwargs: P.kwargs) -> R:
        return method(face._target, *args, **kwargs)  # noqa: SLF001  # the same

    return call


class BackgroundBudgets(_Face[RuntimeBudgets]):
    """`runtime.budgets` for threads."""

    status = _waiting(RuntimeBudgets.status)
    set_limit = _waiting(RuntimeBudgets.set_limit)
    raise_limit = _waiting(RuntimeBudgets.raise_limit)
    unset_limit = _waiting(RuntimeBudgets.unset_limit)
    freeze = _waiting(RuntimeBudgets.freeze)
    unfreeze = _waiting(RuntimeBudgets.unfreeze)
    in_doubt = _waiting(RuntimeBudgets.in_doubt)
    resolve = _waiting(RuntimeBudgets.resolve)
    configure = _waiting(RuntimeBudgets.configure)
    has = _direct(RuntimeBudgets.has)


class BackgroundRuntime(_Face[AgentRuntime]):
    """An AgentRuntime that runs in a thread of its own, from when it is made until `close()`.

    Its methods are those of AgentRuntime and wait for their result, in any thread. `execution(...)` works with `with`,
    and with `async with` on an event loop of yours. What is async, such as entry points, plugins and handlers, runs on
    the loop of that thread; there `agent_runtime` is to be awaited.
    """

    def __init__(self, make: Callable[[], AgentRuntime]) -> None:
        self._thread = _LoopThread("hivecost runtime")
        self._opened: Future[AgentRuntime] = Future()
        self._life = self._thread.begin(partial(self._live, make))
        try:
            super().__init__(self._opened.result(), self._thread)
        except BaseException:  # it could not be opened, or nobody waits for that any more
            self._life.cancel()
            self._thread.stop()
            raise
        #: The runtime itself, for code on its own loop.
        self.agent_runtime = self._target
        #: How the budgets stand, and changing them while agents run.
        self.budgets = BackgroundBudgets(self._target.budgets, self._thread)
        _at_exit.add(self)

    async def _live(self, make: Callable[[], AgentRuntime]) -> None:
        """Make it here, too: the caller may have a loop of another kind."""
        self._over = anyio.Event()
        try:
            async with make() as runtime:
                self._opened.set_result(runtime)
                await self._over.wait()
        except BaseException as error:
            if not self._opened.done():
                self._opened.set_exception(error)
                return
            raise

    execution = _direct(AgentRuntime.execution)
    entry_point = _direct(AgentRuntime.entry_point)
    summarizer = _direct(AgentRuntime.summarizer)
    trigger = _waiting(AgentRuntime.trigger)
    trigger_and_wait = _waiting(AgentRuntime.trigger_and_wait)
    wait = _waiting(AgentRuntime.wait)
    cancel_execution = _direct(AgentRuntime.cancel_execution_nowait)
    flush = _waiting(AgentRuntime.flush)
    reload_config = _waiting(AgentRuntime.reload_config)
    add_gate_check = _direct(AgentRuntime.add_gate_check)
    statistics = _direct(AgentRuntime.statistics)

    @property
    def bus(self) -> EventBus:
        """Subscribe to it and publish on it from any thread; handlers run on the runtime's own loop."""
        return self.agent_runtime.bus

    def register_plugin(self, plugin: Any) -> AttachedPlugin:
        """Attach a plugin, and return when it runs. Raise PluginError when it cannot."""

        async def attach() -> AttachedPlugin:
            attached = self.agent_runtime.register_plugin(plugin)
            await attached.wait_ready()
            return attached

        return self._thread.call(attach)

    def call(self, function: Callable[P, Awaitable[R]], /, *args: P.args, **kwargs: P.kwargs) -> R:
        """Await any other async function on the runtime's loop, such as `bus.drain`, and return its result."""
        return self._thread.call(function, *args, **kwargs)

    # -- closing -----------------------------------------------------------------------------------------------

    def __enter__(self) -> Self:
        return self

    def __exit__(
        self, kind: type[BaseException] | None, error: BaseException | None, trace: TracebackType | None
    ) -> None:
        if self._thread.is_forked:
            leave_child(error)
            return
        self._close("" if error is None else "the block of the runtime raised")

    def close(self) -> None:
        """Wait for what runs, write what was published and end the thread; closed again, it does nothing.

        Left by an exception, `with` cancels what runs first. So does the end of the program, which waits no longer than
        closing may take. Raise ReentrancyError in an execution, which would wait for itself.
        """
        self._close()

    def _close(self, why: str = "", *, timeout_s: float | None = None) -> None:
        """Close the runtime; with a reason what runs is cancelled, also when it was being waited for."""
        if self._thread.is_forked:
            return
        self._refuse_inside()
        with suppress(HiveCostError):  # its thread has ended
            self._thread.begin(partial(self._end, why))
        self._life.exception(timeout_s)
        self._thread.stop()
        if _at_exit.remove(self):
            self._life.result()

    async def _end(self, why: str) -> None:
        if why:
            executions_of(self._target).end(why)
        self._over.set()

    def _refuse_inside(self) -> None:
        executions_of(self._target).refuse_inside("closing the runtime")
        if self._thread.loop.is_here():
            raise ReentrancyError("closing the runtime on its own event loop would wait for that loop itself")

    def _close_at_exit(self) -> None:
        """Cancel what runs, and give up what does not end in time: the program ends."""
        timeout_s = self.agent_runtime.config.close_timeout_s + 2 * GRACE_S
        try:
            self._close("the program has ended", timeout_s=timeout_s)
        except BaseException as error:  # nobody is left to hear of it
            running = self.agent_runtime.statistics().running
            _log.error("the program has ended before its runtime did, %d executions ran on: %r", running, error)


class _AtExit:
    """Closes the runtimes that are open when the main thread has ended, and all threads that keep the program alive.

    A thread of its own waits for that. The `atexit` module would be too late: no thread can be started any more.
    """

    def __init__(self) -> None:
        self._lock = threading.Lock()
        self._open: set[BackgroundRuntime] = set()
        self._thread: threading.Thread | None = None
        tell_children(self)

    def _forked(self) -> None:
        self._lock, self._open, self._thread = threading.Lock(), set(), None

    def add(self, runtime: BackgroundRuntime) -> None:
        with self._lock:
            self._open.add(runtime)
            if self._thread is None:
                self._thread = threading.Thread(target=self._wait, name="hivecost at exit", daemon=False)
                self._thread.start()

    def remove(self, runtime: BackgroundRuntime) -> bool:
        """Remove the runtime; return False when it was removed before."""
        with self._lock:
            was_open = runtime in self._open
            self._open.discard(runtime)
            return was_open

    def _wait(self) -> None:
        threading.main_thread().join()
        while others := [thread for thread in threading.enumerate() if self._keeps_alive(thread)]:
            others[0].join()
        for runtime in list(self._open):
            runtime._close_at_exit()  # noqa: SLF001  # nobody else is to call it

    def _keeps_alive(self, thread: threading.Thread) -> bool:
        """Tell whether the program goes on while this thread lives; the main thread is listed also after its end."""
        return thread.is_alive() and not thread.daemon and thread is not self._thread


_at_exit: Final = _AtExit()


def _with_arguments_of(make: Callable[P, object]) -> Callable[[Callable[..., R]], Callable[P, R]]:
    return lambda function: function


@_with_arguments_of(AgentRuntime)
def run_in_background(*args: Any, **settings: Any) -> BackgroundRuntime:
    """Run an AgentRuntime in a thread of its own, for scripts, notebooks and programs with an event loop of their own.

    Takes what AgentRuntime takes. Opened at once, and closed by `close()`, by `with run_in_background(...) as runtime:`
    or when the program ends. Raise as `async with AgentRuntime(...)` does.
    """
    return BackgroundRuntime(partial(AgentRuntime, *args, **settings))
