"""Hard budgets at the gate: money for a turn is held before it is sent, and settled when its bill is known."""

from __future__ import annotations

import logging
from collections import OrderedDict
from collections.abc import Callable, Collection
from typing import Final

import msgspec
from msgspec.structs import replace

from hivecost.clock import Clock
from hivecost.errors import (
    BudgetBusyError,
    BudgetExceededError,
    BudgetExhaustedError,
    LedgerUnavailableError,
)
from hivecost.events import Cost, CostStatus, Event, Usage
from hivecost.ledger import (
    Budget,
    LedgerStore,
    LedgerStoreHold,
    Settlement,
    SoftLimits,
    Unit,
    attribution,
    exceeded_of,
    overrun_of,
    soft_refusal,
    warning_of,
)
from hivecost.plugin import TurnEnd, TurnRequest
from hivecost.pricing import PriceBook
from hivecost.runtime.passes import Passes
from hivecost.runtime.turn_bound import TurnBounds
from hivecost.runtime.turn_hold import is_above, lacking, refusal_to_extend
from hivecost.signals import budget_exhausted
from hivecost.subscribers.turn_throttle import TurnThrottle

#: A turn that is clamped below this answers nothing worth its prompt.
CLAMP_TOKENS_MIN: Final = 16
#: How many turns are remembered of whose bills the ledger may have something to tell later.
EXPECTED_MAX: Final = 1_000
#: How often a paused turn asks whether the budget was raised.
PAUSE_POLL_S: Final = 0.25

_log = logging.getLogger("hivecost.budgets")


class Admission(msgspec.Struct, frozen=True):
    """What the gate lets pass: the request as it may be sent, and what is held for it."""

    request: TurnRequest
    hold: LedgerStoreHold | None = None
    #: What gate checks want to be told at its end.
    ends: tuple[TurnEnd, ...] = ()


class HardBudgets:
    """The gate's side of the ledger."""

    def __init__(
        self,
        ledger: LedgerStore,
        budgets: tuple[Budget, ...],
        prices: PriceBook,
        clock: Clock,
        publish: Callable[[Event], None],
    ) -> None:
        self._ledger = ledger
        self._budgets = {budget.name: budget for budget in budgets}
        self._bounds = TurnBounds(prices, clock)
        self._soft = SoftLimits()
        self._throttle = TurnThrottle(clock, publish)
        self._clock = clock
        self._publish = publish
        #: Turns of whose bills the ledger may tell later what they brought about, by hold.
        self._settling: OrderedDict[str, TurnRequest] = OrderedDict()

    async def admit(self, request: TurnRequest, passes: Passes) -> Admission:
        """Hold an upper bound of what the turn can cost on every budget that it counts on.

        Too little left, or past a soft limit: the request comes back with a smaller `max_tokens` or another model, or
        waits, as the budget says. Whoever waits gives its passes back meanwhile, and takes them again before it holds
        anything. Raises BudgetExhaustedError, BudgetBusyError, PriceUnknownError for a model whose cost nobody can
        bound, and LedgerUnavailableError.
        """
        softened: set[str] = set()
        downgraded: set[str] = set()
        paused: set[str] = set()
        while True:
            who = attribution(request)
            units = {budget.counted_unit for budget in self._budgets.values() if budget.applies_to(who)}
            if not units:
                return Admission(request)
            try:
                hold = await self._hold(who, self._bounds.of(request, units))
            except BudgetExceededError as refusal:
                if self._waits(refusal):
                    passes.give_back()
                    await self._wait_for_money(request, units, refusal, paused)
                    request = await passes.take(request)
                else:
                    request = await self._alternative(request, refusal, downgraded)
                continue
            again = await self._soften(request, hold, softened, passes)
            if again is None:
                return Admission(request, hold)
            request = again

    async def _wait_for_money(
        self, request: TurnRequest, units: Collection[Unit], refusal: BudgetExceededError, paused: set[str]
    ) -> None:
        """Return once it could be held, for which it is tried and given back, or once waiting is no use any more.

        Each of the budgets that pause it says so once.
        """
        while self._waits(refusal):
            if self._pauses(refusal) and refusal.budget not in paused:
                paused.add(refusal.budget)
                self._report(request, refusal, "paused")
            await self._clock.sleep(refusal.retry_after_s if isinstance(refusal, BudgetBusyError) else PAUSE_POLL_S)
            try:
                hold = await self._hold(attribution(request), self._bounds.of(request, units))
            except BudgetExceededError as error:
                refusal = error
            else:
                hold.release()
                return

    async def _hold(self, who: dict[str, str], bound: dict[Unit, int]) -> LedgerStoreHold:
        nanousd, tokens, calls = bound.get("usd"), bound.get("tokens"), bound["calls"]
        hold = self._ledger.reserve_nowait(who, nanousd=nanousd, tokens=tokens, calls=calls)
        return hold or await self._ledger.reserve(who, nanousd=nanousd, tokens=tokens, calls=calls)

    async def _soften(
        self, request: TurnRequest, hold: LedgerStoreHold, done: set[str], passes: Passes
    ) -> TurnRequest | None:
        """The request to try again because an account is past its soft limit; None when it may be sent.

        A turn that waits, or is tried with another model, holds nothing meanwhile. Each of the `done` budgets has had
        its say.
        """
        step = self._soft.next_step(hold.accounts, request.execution_id, request.model, done)
        if step is None:
            self._soft.passed(hold.accounts, request.execution_id)
            return None
        hold.release()
        account, budget = step.account, step.account.budget
        done.add(budget.name)
        if step.action == "downgrade":
            return replace(request, model=budget.soft_model, provider="")
        if step.action == "refuse":
            refusal = soft_refusal(account, request.execution_id)
            self._report(request, refusal, "refused")
            raise refusal
        passes.give_back()
        await self._throttle.wait(request, account.key, budget.throttle_s, limiter=budget.name)
        return await passes.take(request)

    async def extend(self, admission: Admission, input_tokens: int, output_tokens: int) -> None:
        """Hold what a turn under way costs with so many tokens, where that is more than is held for it.

        Nothing waits here, because its provider would not. Raises BudgetExceededError and LedgerUnavailableError.
        """
        hold, request = admission.hold, admission.request
        if hold is None or hold.state in ("settled", "released"):
            return
        output_max = max(request.max_tokens, output_tokens)
        grown = replace(request, input_tokens=input_tokens, max_tokens=output_max, stream_tokens=output_tokens)
        bound = self._bounds.of(grown, {account.unit for account in hold.accounts})
        more = lacking(hold, bound)
        if not more:
            return
        try:
            await hold.extend(nanousd=more.get("usd"), tokens=more.get("tokens"))
        except BudgetExceededError as error:
            refusal = refusal_to_extend(error, hold, more, request.execution_id)
            self._report(request, refusal, "stopped")
            raise refusal from None

    def settle(self, admission: Admission, usage: Usage, cost: Cost, *, is_final: bool) -> None:
        """Charge the bill; what nobody knows for sure stays in doubt, at the whole hold. From any thread.

        What was used for sure, and is more than the hold already, is charged as a bill.
        """
        hold = admission.hold
        if hold is None:
            return
        try:
            if cost.nanousd is None or not (is_final or is_above(hold, cost.nanousd, usage.total_tokens)):
                hold.doubt()
                return
            settlement = hold.settle(nanousd=cost.nanousd, tokens=usage.total_tokens, calls=1)
        except LedgerUnavailableError as error:
            _log.error("the bill of a turn came after its ledger was closed, it stays in doubt: %s", error)
            return
        if settlement is not None:
            self._tell(settlement, admission.request)
        elif hold.state not in ("settled", "released"):
            self._expect_news(hold, admission.request)

    def settle_another(self, admission: Admission, usage: Usage, cost: Cost, *, is_final: bool) -> None:
        """Charge the bill of one more answer; where nobody knows it for sure, what the hold has left is in doubt."""
        hold, request = admission.hold, admission.request
        if hold is None:
            return
        tokens = 0 if cost.status is CostStatus.INVALID else usage.total_tokens
        self._expect_news(hold, request)
        try:
            settlement = hold.settle_another(nanousd=cost.nanousd or 0, tokens=tokens, calls=1)
            if cost.nanousd is None or not is_final:
                hold.doubt_another()
        except LedgerUnavailableError as error:
            _log.error("the bill of a turn's further answer came after its ledger was closed, and is lost: %s", error)
            return
        if settlement is not None:
            self._tell(settlement, request)

    def _expect_news(self, hold: LedgerStoreHold, request: TurnRequest) -> None:
        self._settling[hold.hold_id] = request
        if len(self._settling) > EXPECTED_MAX:
            self._settling.popitem(last=False)

    def on_settled_late(self, _: LedgerStore, *, hold: LedgerStoreHold, settlement: Settlement) -> None:
        """Publish what a settlement brought about that the ledger had put off."""
        request = self._settling.get(hold.hold_id)
        if request is not None:
            self._tell(settlement, request)

    def _tell(self, settlement: Settlement, request: TurnRequest) -> None:
        for incident in settlement.incidents:
            self._publish(overrun_of(incident, request, self._clock.now_ns()))
        for crossing in settlement.crossings:
            self._publish(warning_of(crossing, request, self._clock.now_ns()))

    def release(self, admission: Admission) -> None:
        """Give all of it back: nothing was sent."""
        if admission.hold is not None:
            admission.hold.release()

    def forget_execution(self, execution_id: str) -> None:
        """It is over."""
        self._soft.forget_execution(execution_id)

    async def _alternative(
        self, request: TurnRequest, refusal: BudgetExceededError, downgraded: set[str]
    ) -> TurnRequest:
        """The request as it may be tried again; raises the refusal when there is none.

        Each budget downgrades a turn once, or two of them would send it to and fro.
        """
        budget = self._budgets[refusal.budget]
        on_short = budget.on_short
        if on_short == "clamp":
            clamped = await self._clamped(request)
            if clamped is not None:
                return clamped
        elif budget.short_model not in ("", request.model) and budget.name not in downgraded:
            downgraded.add(budget.name)
            return replace(request, model=budget.short_model, provider="")
        self._report(request, refusal, "refused")
        raise refusal

    async def _clamped(self, request: TurnRequest) -> TurnRequest | None:
        """The request with the largest `max_tokens` that what is left can pay; None when that is too small."""
        counted = await self._ledger.remaining(attribution(request))
        low, high = 0, request.max_tokens - 1
        while low < high:
            middle = (low + high + 1) // 2
            bound = self._bounds.of(replace(request, max_tokens=middle), counted)
            if all(bound[unit] <= left for unit, left in counted.items()):
                low = middle
            else:
                high = middle - 1
        return replace(request, max_tokens=low) if low >= CLAMP_TOKENS_MIN else None

    def _waits(self, refusal: BudgetExceededError) -> bool:
        """Whether its budget wants the turn to wait: until others settle, or until somebody raises the limit."""
        waits_for_others = isinstance(refusal, BudgetBusyError) and self._budgets[refusal.budget].on_short == "wait"
        return waits_for_others or self._pauses(refusal)

    def _pauses(self, refusal: BudgetExceededError) -> bool:
        return isinstance(refusal, BudgetExhaustedError) and self._budgets[refusal.budget].on_exceed == "pause"

    def _report(self, request: TurnRequest, refusal: BudgetExceededError, action: str) -> None:
        unit = self._budgets[refusal.budget].counted_unit
        exceeded = exceeded_of(refusal, unit, request, action, self._clock.now_ns())
        budget_exhausted.announce(
            self,
            budget=exceeded.budget,
            scope=exceeded.scope,
            execution_id=exceeded.execution_id,
            used=exceeded.used,
            limit=exceeded.limit,
            unit=exceeded.unit,
        )
        self._publish(exceeded)
