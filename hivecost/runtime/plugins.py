"""Where a runtime's plugins live: started in order, stopped in reverse, each in a task of its own."""

from __future__ import annotations

import logging
import math
from collections.abc import Iterator, Mapping
from contextlib import nullcontext
from enum import StrEnum
from typing import Final

import anyio
import anyio.abc

from hivecost.errors import PluginError
from hivecost.plugin import Plugin, PluginHost
from hivecost.runtime.closing import GRACE_S, Closing

_log = logging.getLogger("hivecost.plugins")

#: What a plugin may take to start, and at most to stop, before it is given up.
START_TIMEOUT_S: Final = 30.0
STOP_TIMEOUT_S: Final = 30.0


class PluginStatus(StrEnum):
    """How a plugin fares."""

    REGISTERED = "registered"
    RUNNING = "running"
    STOPPED = "stopped"
    FAILED = "failed"


class AttachedPlugin:
    """One plugin and how it fares. A failure stays here, named; it never reaches the agents or other plugins."""

    def __init__(self, plugin: Plugin, ready: anyio.Event) -> None:
        self.plugin = plugin
        self.status = PluginStatus.REGISTERED
        #: Why it does not run; None unless its status is `failed`.
        self.error: PluginError | None = None
        self._ready = ready

    async def wait_ready(self) -> None:
        """Return once it runs. Raise PluginError when it could not be started."""
        await self._ready.wait()
        if self.error is not None:
            raise self.error


class PluginRun:
    """One run of a plugin: a task of its own, from start to stop."""

    def __init__(self, plugin: Plugin, *, is_idle: bool = False) -> None:
        self._ready = anyio.Event()
        #: What users see of it.
        self.attached = AttachedPlugin(plugin, self._ready)
        #: It is started and stopped as others are, and does nothing.
        self.is_idle = is_idle
        self._stop = anyio.Event()
        self._finished = anyio.Event()
        self._scope: anyio.CancelScope | None = None
        self._deadline = math.inf

    @property
    def plugin(self) -> Plugin:
        """The plugin that runs."""
        return self.attached.plugin

    def fresh(self) -> PluginRun:
        """Return this run if it has not begun yet, else another run of the same plugin."""
        is_new = self.attached.status is PluginStatus.REGISTERED
        return self if is_new else PluginRun(self.plugin, is_idle=self.is_idle)

    async def run(self, host: PluginHost) -> None:
        """Run the plugin's whole life in one task, as its cancel scopes need it.

        It ends when it is asked to: a cancelled runtime stops its plugins as any other does, when all else has ended.
        While it stops, `anyio.current_effective_deadline()` is when it is given up.
        """
        self._scope = anyio.CancelScope(shield=True)
        try:
            with self._scope:
                async with nullcontext() if self.is_idle else self.plugin.attached(host):
                    self.attached.status = PluginStatus.RUNNING
                    self._ready.set()
                    await self._stop.wait()
            self.attached.status = PluginStatus.STOPPED
        except Exception as error:  # the edge: a plugin's fault is its own
            self._fail_at_work(error)
        except anyio.get_cancelled_exc_class() as error:
            if anyio.current_effective_deadline() == -math.inf:
                raise
            self._fail_at_work(error)  # it awaited something that was cancelled
        finally:
            if self._scope.cancelled_caught:
                self._fail(f"took too long to {self._moment} and was given up")
            self._ready.set()
            self._finished.set()

    def _fail_at_work(self, error: BaseException) -> None:
        self._fail(f"failed to {self._moment}: {error!r}", error)

    @property
    def _moment(self) -> str:
        return "start" if not self._ready.is_set() else "stop" if self._stop.is_set() else "run on"

    def _fail(self, problem: str, cause: BaseException | None = None) -> None:
        self.attached.status = PluginStatus.FAILED
        error = self.attached.error = PluginError(self.plugin.name, problem)
        error.__cause__ = cause
        _log.error("%s", error, exc_info=cause)

    async def start(self, group: anyio.abc.TaskGroup, host: PluginHost) -> None:
        """Start the plugin as a task of the group. Return once it runs or has failed, after START_TIMEOUT_S at most."""
        group.start_soon(self.run, host, name=f"hivecost plugin {self.plugin.name}")
        try:
            with anyio.move_on_after(START_TIMEOUT_S):
                await self._ready.wait()
        finally:
            if not self._ready.is_set() and self._scope is not None:
                self._scope.cancel()

    def ask_to_stop(self, timeout_s: float) -> None:
        """Ask the plugin to stop, once; it is cancelled after so long, and at once if it has not even started."""
        if self._stop.is_set():
            return
        self._stop.set()
        self._deadline = anyio.current_time() + min(timeout_s, STOP_TIMEOUT_S)
        if self._scope is None:
            self._finished.set()  # registered while closing: it was never started
        elif self._ready.is_set():
            self._scope.deadline = self._deadline
        else:
            self._scope.cancel()

    async def wait_stopped(self) -> None:
        """Wait until the plugin has ended, or was cancelled."""
        with anyio.CancelScope(deadline=self._deadline, shield=True):
            await self._finished.wait()


class AttachedPlugins:
    """`runtime.plugins`: how each plugin fares, by name, in the order they were registered."""

    def __init__(self, runs: Mapping[str, PluginRun]) -> None:
        self._runs = runs

    def __iter__(self) -> Iterator[AttachedPlugin]:
        return (run.attached for run in self._runs.values())

    def __len__(self) -> int:
        return len(self._runs)

    def __getitem__(self, name: str) -> AttachedPlugin:
        """Return the plugin of this name. Raise PluginError when nothing is registered under it."""
        try:
            return self._runs[name].attached
        except KeyError:
            raise PluginError(name, f"is not registered (registered: {', '.join(self._runs) or 'none'})") from None


class PluginRack:
    """The plugins of one runtime, by name, in the order they were registered; those of the types `idle` do nothing."""

    def __init__(self, host: PluginHost, *, idle: tuple[type, ...] = ()) -> None:
        self._host = host
        self._idle = idle
        self._runs: dict[str, PluginRun] = {}
        self._group: anyio.abc.TaskGroup | None = None
        self.attached = AttachedPlugins(self._runs)

    def has_active(self, kind: type) -> bool:
        """Tell whether a plugin of this type is registered, and not idle."""
        return any(isinstance(run.plugin, kind) and not run.is_idle for run in self._runs.values())

    def register(self, plugin: Plugin) -> AttachedPlugin:
        """Attach it when the runtime starts, or now if it runs. Raise PluginError when its name is taken."""
        if plugin.name in self._runs:
            raise PluginError(plugin.name, "is registered already; give the second one another name")
        run = self._runs[plugin.name] = PluginRun(plugin, is_idle=isinstance(plugin, self._idle))
        if self._group is not None:
            self._group.start_soon(run.start, self._group, self._host)
        return run.attached

    async def start(self, group: anyio.abc.TaskGroup) -> None:
        """Start all in order; one that fails is logged and leaves the others alone."""
        self._runs.update({name: run.fresh() for name, run in self._runs.items()})
        in_order = list(self._runs.values())
        self._group = group  # so that a plugin which registers another one finds it started
        for run in in_order:
            await run.start(group, self._host)

    async def stop(self, closing: Closing) -> None:
        """Stop all in reverse order, one after the other; those that are left when time is up all at once."""
        self._group = None
        in_reverse = list(reversed(self._runs.values()))
        deadline = anyio.current_time() + closing.left_s()
        for run in in_reverse:
            left_s = deadline - anyio.current_time()
            if left_s <= 0:
                for other in in_reverse:
                    other.ask_to_stop(GRACE_S)
            run.ask_to_stop(left_s)
            await run.wait_stopped()
