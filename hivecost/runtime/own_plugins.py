"""The plugins that a runtime brings along: its log, its sums, and what watches budgets and runaway agents."""

from __future__ import annotations

import logging
from collections.abc import Iterable
from pathlib import Path

from hivecost.backends import Backend
from hivecost.clock import Clock
from hivecost.errors import PluginError, StoreError
from hivecost.ledger import Budget
from hivecost.pricing import PriceBook
from hivecost.runtime.config import RuntimeConfig
from hivecost.runtime.log import ReadableLog
from hivecost.runtime.plugins import PluginRack
from hivecost.subscribers import BudgetWatcher, LogWriter, RunawayBreaker, UsageAggregator

_log = logging.getLogger("hivecost.runtime")


class OwnPlugins:
    """Registered before all others, so that they start first and stop last."""

    def __init__(
        self,
        rack: PluginRack,
        base_path: str | Path,
        backend: Backend,
        config: RuntimeConfig,
        *,
        watched: Iterable[Budget],
        prices: PriceBook,
    ) -> None:
        self.log = ReadableLog(base_path)
        self.usage = UsageAggregator()
        self.watcher = BudgetWatcher(watched, is_logged=self.writes_a_log, prices=prices)
        self._rack = rack
        self._backend = backend
        self._summed_tags = config.summed_tags
        if config.log:
            rack.register(self.log)
        rack.register(self.usage)
        if config.runaway != "off":
            rack.register(
                RunawayBreaker(config.runaway_rules, action=config.runaway, throttle_s=config.runaway_throttle_s)
            )
        if self.watcher.accounts.budgets:
            rack.register(self.watcher)

    def writes_a_log(self) -> bool:
        """Tell whether what is published is logged, by this LogWriter or another."""
        return self._rack.has_active(LogWriter)

    async def watch(self, *, is_running: bool) -> None:
        """Attach the watcher of budgets that are not hard, where there were none. Raise PluginError."""
        attached = next((attached for attached in self._rack.attached if attached.plugin is self.watcher), None)
        if attached is None:
            attached = self._rack.register(self.watcher)
            if is_running:
                await attached.wait_ready()
        elif attached.error is not None:
            raise attached.error

    def unwatched_budgets(self) -> PluginError | None:
        """Return why no budget is watched: unwatched they would be none, so that this one plugin must start."""
        attached = next(
            (attached for attached in self._rack.attached if attached.plugin.name == BudgetWatcher.name), None
        )
        return None if attached is None else attached.error

    async def record_budgets(self, hard: Iterable[Budget], clock: Clock) -> None:
        """Keep what the budgets are beside what is spent on them, for those who only look at the log."""
        budgets = (*hard, *self.watcher.accounts.budgets.values())
        if not budgets or not self._has_log():
            return
        try:
            await self._backend.writer(clock=clock).define(budgets, clock.now_ns())
        except StoreError as error:
            _log.error("`hivecost budget status` will not know these budgets: %s", error)

    async def name_tags(self, clock: Clock) -> None:
        """Have sums kept by the tags of the configuration."""
        if not self._summed_tags or not self._has_log():
            return
        try:
            await self._backend.writer(clock=clock).sum_tags(self._summed_tags)
        except StoreError as error:
            _log.error("what is asked by tags %s is read turn by turn: %s", ", ".join(self._summed_tags), error)

    def _has_log(self) -> bool:
        return self.writes_a_log() and self.log.error is None
