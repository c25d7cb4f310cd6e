"""The gate: what is asked before a turn is sent, and told when its bill is known."""

from __future__ import annotations

import logging
import sys
from collections.abc import AsyncIterator, Callable, Iterable
from contextlib import asynccontextmanager, suppress
from pathlib import Path

import anyio
import anyio.lowlevel
from msgspec.structs import replace

from hivecost.clock import Clock
from hivecost.errors import LedgerUnavailableError
from hivecost.events import Cost, Event, Usage
from hivecost.ledger import Budget, ClosesInTime, LedgerStore, OpenLedger
from hivecost.loops import Loop, current_loop
from hivecost.plugin import GateCheck, TurnEnd, TurnOutcome, TurnRequest
from hivecost.pricing import PriceBook
from hivecost.runtime.closing import GRACE_S, Closing
from hivecost.runtime.hard_budgets import Admission, HardBudgets
from hivecost.runtime.passes import NOT_SENT, Passes
from hivecost.signals import settled_late

_log = logging.getLogger("hivecost.runtime")


class Gate:
    """Awaits the checks that plugins added, then holds money on the hard budgets."""

    def __init__(self, hard: Iterable[Budget], open_ledger: OpenLedger) -> None:
        self._budgets = tuple(hard)
        self._open_ledger = open_ledger
        self._checks: dict[object, GateCheck] = {}
        self._ledger: LedgerStore | None = None
        self._hard: HardBudgets | None = None
        self._loop: Loop | None = None

    @property
    def budgets(self) -> tuple[Budget, ...]:
        """The hard budgets, as configured last."""
        return self._budgets

    @property
    def ledger(self) -> LedgerStore:
        """The ledger of the hard budgets. Raises LedgerUnavailableError where there are none, or while it is closed."""
        if self._ledger is None:
            raise LedgerUnavailableError("no ledger is open: it is, while a runtime with mode='hard' budgets runs")
        return self._ledger

    @asynccontextmanager
    async def open(
        self, base_path: Path, *, prices: PriceBook, clock: Clock, publish: Callable[[Event], None], closing: Closing
    ) -> AsyncIterator[None]:
        """Open the ledger, if any budget is hard. Raises LedgerUnavailableError: without it nothing may be spent."""
        self._loop = current_loop()
        if not self._budgets:
            yield
            return
        async with _closed_in_time(self._open_ledger(base_path, budgets=self._budgets, clock=clock), closing) as ledger:
            self._ledger = ledger
            self._hard = hard = HardBudgets(ledger, self._budgets, prices, clock, publish)
            try:
                with settled_late.connected_to(hard.on_settled_late, sender=ledger):
                    yield
            finally:
                self._ledger = None

    async def set_limits(self, budgets: Iterable[Budget], *, by: str) -> None:
        """Configure other limits, for all processes and after restarts; while closed, from the next opening on.

        Raises LedgerUnavailableError, and ConfigError for budgets that differ in more.
        """
        changed = {budget.name: budget for budget in budgets}
        if changed and self._ledger is not None:
            await self._ledger.configure(changed.values(), by=by)
        self._budgets = tuple(changed.get(budget.name, budget) for budget in self._budgets)

    def add_check(self, check: GateCheck) -> Callable[[], None]:
        """Await `check(request)` before each turn; call the result to remove it, once or more often."""
        addition = object()  # one check may be added twice, and is asked as often as it was not removed
        self._checks[addition] = check

        def remove() -> None:
            self._checks.pop(addition, None)

        return remove

    async def admit(self, request: TurnRequest) -> Admission:
        """Return when the turn may be sent, as it may be sent; raise when it may not."""
        await anyio.lowlevel.checkpoint()  # an agent that never waits would keep handlers from stopping it
        passes = Passes(self._checks.values(), self._end)
        try:
            request = await passes.take(request)
            admission = Admission(request) if self._hard is None else await self._hard.admit(request, passes)
        except BaseException:
            passes.give_back()
            raise
        return replace(admission, ends=tuple(passes.ends)) if passes.ends else admission

    async def extend(self, admission: Admission, input_tokens: int, output_tokens: int) -> None:
        """Hold what so many tokens can cost, where less is held. Raises as `admit` does."""
        if self._hard is not None:
            await self._hard.extend(admission, input_tokens, output_tokens)

    def settle(
        self, admission: Admission, usage: Usage, cost: Cost, *, is_final: bool, retry_after_s: float | None = None
    ) -> None:
        """Tell what the turn used; `is_final` False keeps what is held in doubt. Synchronous, from any thread."""
        if self._hard is not None:
            self._hard.settle(admission, usage, cost, is_final=is_final)
        tokens = usage.total_tokens if is_final else None
        self._end(admission.ends, TurnOutcome(total_tokens=tokens, retry_after_s=retry_after_s))

    def settle_another(self, admission: Admission, usage: Usage, cost: Cost, *, is_final: bool) -> None:
        """The same of one more answer: its checks have been told of its end. Synchronous, from any thread."""
        if self._hard is not None:
            self._hard.settle_another(admission, usage, cost, is_final=is_final)

    def release(self, admission: Admission) -> None:
        """Nothing was sent."""
        if self._hard is not None:
            self._hard.release(admission)
        self._end(admission.ends, NOT_SENT)

    def _end(self, ends: tuple[TurnEnd, ...], outcome: TurnOutcome) -> None:
        if not ends:
            return
        if self._loop is None or self._loop.is_here():
            _call_each(ends, outcome)
        else:
            with suppress(RuntimeError):  # the loop has ended, and with it whoever waits for a place
                self._loop.call_threadsafe(lambda: _call_each(ends, outcome))

    def forget_execution(self, execution_id: str) -> None:
        """It is over: its own accounts are not asked for again."""
        if self._hard is not None:
            self._hard.forget_execution(execution_id)
        if self._ledger is not None:
            self._ledger.forget_execution(execution_id)


@asynccontextmanager
async def _closed_in_time(ledger: LedgerStore, closing: Closing) -> AsyncIterator[LedgerStore]:
    """The ledger, open; closing it is cancelled when it takes longer than is left."""
    error: BaseException | None = None
    with anyio.CancelScope() as scope:
        async with ledger as opened:
            try:
                yield opened
            finally:
                error, left_s = sys.exc_info()[1], closing.left_s()
                if isinstance(opened, ClosesInTime):
                    opened.close_timeout_s = left_s
                    left_s += GRACE_S
                scope.shield, scope.deadline = True, anyio.current_time() + left_s
    if scope.cancelled_caught:
        _log.error("the ledger took too long to close and was given up")
        if error is not None:
            raise error


def _call_each(ends: tuple[TurnEnd, ...], outcome: TurnOutcome) -> None:
    for end in ends:
        try:
            end(outcome)
        except Exception:  # the edge: a plugin's fault is its own
            _log.exception("%r failed at the end of a turn", end)
