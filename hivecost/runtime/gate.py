"""The gate: what is asked before a turn is sent, and told when its bill is known."""

from __future__ import annotations

import logging
from collections.abc import AsyncIterator, Callable, Iterable
from contextlib import asynccontextmanager
from pathlib import Path
from typing import Final

import anyio.lowlevel
from msgspec.structs import replace

from hivecost.bus import Loop, current_loop
from hivecost.clock import Clock
from hivecost.errors import LedgerUnavailableError
from hivecost.events import Cost, Event, Usage
from hivecost.ledger import Budget
from hivecost.plugin import GateCheck, TurnEnd, TurnOutcome, TurnRequest
from hivecost.pricing import PriceBook
from hivecost.runtime.hard_budgets import Admission, HardBudgets
from hivecost.store import Ledger

_log = logging.getLogger("hivecost.runtime")
_NOT_SENT: Final = TurnOutcome(total_tokens=0)


class Gate:
    """Awaits the checks that plugins added, then holds money on the hard budgets."""

    def __init__(self, hard: Iterable[Budget]) -> None:
        self._budgets = tuple(hard)
        self._checks: list[GateCheck] = []
        self._ledger: Ledger | None = None
        self._hard: HardBudgets | None = None
        self._loop: Loop | None = None

    @property
    def ledger(self) -> Ledger:
        """The ledger of the hard budgets. Raises LedgerUnavailableError where there are none, or while it is closed."""
        if self._ledger is None:
            raise LedgerUnavailableError("no ledger is open: it is, while a runtime with mode='hard' budgets runs")
        return self._ledger

    @asynccontextmanager
    async def open(
        self, base_path: Path, *, prices: PriceBook, clock: Clock, publish: Callable[[Event], None]
    ) -> AsyncIterator[None]:
        """Open the ledger, if any budget is hard. Raises LedgerUnavailableError: without it nothing may be spent."""
        self._loop = current_loop()
        if not self._budgets:
            yield
            return
        async with Ledger.open(base_path, budgets=self._budgets, clock=clock) as ledger:
            self._ledger = ledger
            self._hard = HardBudgets(ledger, self._budgets, prices, clock, publish)
            try:
                yield
            finally:
                self._ledger = None

    async def set_limits(self, base_path: Path, budgets: Iterable[Budget], *, clock: Clock, by: str) -> None:
        """Give budgets other limits, for all processes and after restarts; while closed, from the next opening on.

        Raises LedgerUnavailableError.
        """
        changed = {budget.name: budget for budget in budgets}
        if changed and self._ledger is not None:
            for budget in changed.values():
                await self._ledger.set_limit(budget.name, budget.limit, by=by)
            # Opening one configures it: a restart then knows the limit as the configured one, not as an operator's.
            async with Ledger.open(base_path, budgets=tuple(changed.values()), clock=clock):
                pass
        self._budgets = tuple(changed.get(budget.name, budget) for budget in self._budgets)

    def add_check(self, check: GateCheck) -> Callable[[], None]:
        """Await `check(request)` before each turn; call the result to remove it."""
        self._checks.append(check)
        return lambda: self._checks.remove(check)

    async def admit(self, request: TurnRequest) -> Admission:
        """Return when the turn may be sent, as it may be sent; raise when it may not."""
        await anyio.lowlevel.checkpoint()  # an agent that never waits would keep handlers from stopping it
        ends: list[TurnEnd] = []
        try:
            for check in list(self._checks):
                end = await check(request)
                if end is not None:
                    ends.append(end)
            admission = Admission(request) if self._hard is None else await self._hard.admit(request)
        except BaseException:
            self._end(tuple(ends), _NOT_SENT)
            raise
        return replace(admission, ends=tuple(ends))

    def settle(
        self, admission: Admission, usage: Usage, cost: Cost, *, is_final: bool, retry_after_s: float | None = None
    ) -> None:
        """Tell what the turn used; `is_final` False keeps what is held in doubt. Synchronous, from any thread."""
        if self._hard is not None:
            self._hard.settle(admission, usage, cost, is_final=is_final)
        tokens = usage.total_tokens if is_final else None
        self._end(admission.ends, TurnOutcome(total_tokens=tokens, retry_after_s=retry_after_s))

    def release(self, admission: Admission) -> None:
        """Nothing was sent."""
        if self._hard is not None:
            self._hard.release(admission)
        self._end(admission.ends, _NOT_SENT)

    def _end(self, ends: tuple[TurnEnd, ...], outcome: TurnOutcome) -> None:
        if not ends:
            return
        if self._loop is None or self._loop.is_here():
            _call_each(ends, outcome)
        else:
            self._loop.call_threadsafe(lambda: _call_each(ends, outcome))

    def forget_execution(self, execution_id: str) -> None:
        """It is over: its own accounts are not asked for again."""
        if self._ledger is not None:
            self._ledger.forget_execution(execution_id)


def _call_each(ends: tuple[TurnEnd, ...], outcome: TurnOutcome) -> None:
    for end in ends:
        try:
            end(outcome)
        except Exception:  # the edge: a plugin's fault is its own
            _log.exception("%r failed at the end of a turn", end)
