"""The parts of a runtime, wired together, and how they are opened and closed."""

from __future__ import annotations

import logging
from collections.abc import AsyncIterator, Collection, Iterator
from contextlib import asynccontextmanager, contextmanager
from typing import Any, Final

import anyio
import anyio.abc

from hivecost.backends import open_backend
from hivecost.clock import Clock
from hivecost.errors import BudgetExceededError
from hivecost.events import Event
from hivecost.ledger import Budget, OpenLedger
from hivecost.plugin import PluginHost
from hivecost.pricing import PriceBook
from hivecost.runtime.budgets import RuntimeBudgets
from hivecost.runtime.closing import Closing
from hivecost.runtime.config import RuntimeConfig
from hivecost.runtime.disabled import IDLE_PLUGINS, PassThroughGate, is_disabled, tell_disabled
from hivecost.runtime.executions import Executions
from hivecost.runtime.gate import Gate
from hivecost.runtime.intake import Intake
from hivecost.runtime.own_plugins import OwnPlugins
from hivecost.runtime.plugins import PluginRack
from hivecost.runtime.registry import Registry
from hivecost.runtime.switch_interval import switch_interval
from hivecost.runtime.termination import Termination, ending_on_sigterm, pass_on
from hivecost.signals import subscriber_failed

#: What plugins and the ledger say last is handed on for so long, however late it is.
_LAST_EVENTS_S: Final = 0.1

_log = logging.getLogger("hivecost.runtime")


class Wiring:
    """What is behind an AgentRuntime: gate, bus, executions and plugins, each of which knows only what it needs."""

    def __init__(
        self,
        runtime: PluginHost,
        config: RuntimeConfig,
        budgets: Collection[Budget],
        prices: PriceBook,
        open_ledger: OpenLedger,
    ) -> None:
        """`runtime` is what plugins are given, and who signals come from."""
        self._is_disabled = is_disabled()
        self._base_path = runtime.base_path
        self._backend = open_backend(self._base_path)
        self._clock: Clock = runtime.clock
        self._config = config
        self._is_open = False
        hard = (budget for budget in budgets if budget.mode == "hard")
        self.gate = (PassThroughGate if self._is_disabled else Gate)(
            hard, open_ledger, prices=prices, clock=self._clock
        )
        self.registry = Registry()
        self.intake = Intake(self.registry, prices, self.gate.tell_unasked, close_timeout_s=config.close_timeout_s)
        self.bus = self.intake.bus
        self.executions = Executions(
            self.registry,
            self.intake,
            self.gate,
            prices,
            self._clock,
            sender=runtime,
            cancel_grace_s=config.cancel_grace_s,
            graph=config.graph,
        )
        self.rack = PluginRack(runtime, idle=IDLE_PLUGINS if self._is_disabled else ())
        watched = (budget for budget in budgets if budget.mode != "hard")
        self.own = OwnPlugins(self.rack, self._base_path, self._backend, config, watched=watched, prices=prices)
        self.budgets = RuntimeBudgets(
            self.gate,
            self.own.watcher,
            clock=self._clock,
            prices=prices,
            watch=self._watch,
            record=self._record_budgets_again,
        )

    @asynccontextmanager
    async def run(self) -> AsyncIterator[None]:
        """Open until the block ends; then wait for running executions, drain the bus and stop the plugins."""
        if self._is_disabled:
            tell_disabled()
        failure: BaseException | None = None
        closing = Closing(self._config.close_timeout_s)
        with self._outside() as termination:
            async with (
                self._living(),
                self._open_bus(closing),
                self.gate.open(self._base_path, publish=self.intake.publish, closing=closing),
                anyio.create_task_group() as plugin_tasks,
            ):
                self._is_open = True
                try:
                    await self.rack.start(plugin_tasks)
                    await self._record_budgets()
                    await self.own.name_tags(self._clock)
                    failure = self.own.unwatched_budgets()
                    if failure is None:
                        async with self.executions.hosted():
                            if termination.received:
                                self.executions.terminate()
                            yield
                finally:
                    self._is_open = False
                    with anyio.CancelScope(shield=True):
                        await self._wind_down(plugin_tasks, closing)
        if failure is None:
            failure, self.executions.failure = self.executions.failure, None
        if failure is not None:
            raise failure
        if termination.received:
            pass_on()

    @asynccontextmanager
    async def _living(self) -> AsyncIterator[None]:
        """Show to those who read the log that the runtime runs, until this ends."""
        if self._is_disabled or not self._config.log:
            yield
            return
        async with self._backend.living() as self.executions.runtime_id:
            yield

    @contextmanager
    def _outside(self) -> Iterator[Termination]:
        """Set what differs outside of the runtime while it runs: signals, and the switch interval."""
        subscriber_failed.connect(self._on_subscriber_failed, sender=self.bus)
        try:
            with (
                switch_interval(self._config.switch_interval_s),
                ending_on_sigterm(self._config.handle_signals, self.executions.terminate) as termination,
            ):
                yield termination
        finally:
            # From this sender alone, blinker would keep the receiver, and with it the runtime, for ever.
            subscriber_failed.disconnect(self._on_subscriber_failed)

    async def _wind_down(self, plugin_tasks: anyio.abc.TaskGroup, closing: Closing) -> None:
        with anyio.move_on_after(closing.left_s(at_least_s=0)):
            await self.bus.drain()
        await self.rack.stop(closing)
        plugin_tasks.cancel_scope.cancel()

    @asynccontextmanager
    async def _open_bus(self, closing: Closing) -> AsyncIterator[None]:
        async with self.bus:
            try:
                yield
            finally:
                await self.bus.aclose(timeout_s=closing.left_s(at_least_s=_LAST_EVENTS_S))

    def _on_subscriber_failed(self, sender: Any, *, event: Event | list[Event], error: Exception, **_: Any) -> None:
        """Cancel the execution that a handler's BudgetExceededError is about."""
        if self._is_disabled or not isinstance(error, BudgetExceededError):
            return
        events = event if isinstance(event, list) else [event]
        ids = {error.execution_id} if error.execution_id else {one.execution_id for one in events}
        if len(ids) == 1:
            self.executions.cancel(ids.pop(), error)
        else:
            _log.error(
                "%r names no execution_id, and its batch is of %d executions: none is cancelled", error, len(ids)
            )

    async def _watch(self) -> None:
        await self.own.watch(is_running=self._is_open)

    async def _record_budgets_again(self) -> None:
        """Record the budgets after a change; while the runtime does not run, its next start does so."""
        if self._is_open:
            await self._record_budgets()

    async def _record_budgets(self) -> None:
        await self.own.record_budgets(self.gate.budgets, self._clock)
