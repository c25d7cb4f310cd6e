"""Hard budgets at the gate: money for a turn is held before it is sent, and settled when its bill is known."""

from __future__ import annotations

import logging
from collections.abc import Callable, Collection
from typing import Final

import msgspec
from msgspec.structs import replace

from hivecost.clock import Clock
from hivecost.errors import (
    BudgetBusyError,
    BudgetExceededError,
    BudgetExhaustedError,
    ConfigError,
    LedgerUnavailableError,
    PriceUnknownError,
)
from hivecost.events import AlertRaised, BudgetExceeded, Cost, Event, Usage, attribution_fields
from hivecost.ledger import Budget, Unit, attribution, warning_of
from hivecost.plugin import TurnEnd, TurnRequest
from hivecost.pricing import PriceBook
from hivecost.signals import budget_exhausted
from hivecost.store import Ledger, LedgerHold

#: A turn that is clamped below this answers nothing worth its prompt.
CLAMP_TOKENS_MIN: Final = 16
#: How often a paused turn asks whether the budget was raised.
PAUSE_POLL_S: Final = 0.25

_log = logging.getLogger("hivecost.budgets")
_DOWNGRADE: Final = "downgrade:"


class Admission(msgspec.Struct, frozen=True):
    """What the gate lets pass: the request as it may be sent, and what is held for it."""

    request: TurnRequest
    hold: LedgerHold | None = None
    #: What gate checks want to be told at its end.
    ends: tuple[TurnEnd, ...] = ()


class HardBudgets:
    """The gate's side of the ledger."""

    def __init__(
        self,
        ledger: Ledger,
        budgets: tuple[Budget, ...],
        prices: PriceBook,
        clock: Clock,
        publish: Callable[[Event], None],
    ) -> None:
        self._ledger = ledger
        self._budgets = {budget.name: budget for budget in budgets}
        self._prices = prices
        self._clock = clock
        self._publish = publish

    async def admit(self, request: TurnRequest) -> Admission:
        """Hold an upper bound of what the turn can cost on every budget that it counts on.

        Too little left: the request comes back with a smaller `max_tokens` or another model, or waits, as the budget
        says. Raises BudgetExhaustedError, BudgetBusyError, PriceUnknownError for a model whose cost nobody can bound,
        and LedgerUnavailableError.
        """
        paused = False
        while True:
            who = attribution(request)
            units = {budget.counted_unit for budget in self._budgets.values() if budget.applies_to(who)}
            if not units:
                return Admission(request)
            bound = self._bound(request, units)
            try:
                return Admission(request, await self._hold(who, bound))
            except BudgetExceededError as refusal:
                if self._pauses(refusal):
                    if not paused:
                        self._report(request, refusal, "paused")
                        paused = True
                    await self._clock.sleep(PAUSE_POLL_S)
                else:
                    request = await self._alternative(request, refusal)

    async def _hold(self, who: dict[str, str], bound: dict[Unit, int]) -> LedgerHold:
        nanousd, tokens, calls = bound.get("usd"), bound.get("tokens"), bound["calls"]
        hold = self._ledger.reserve_nowait(who, nanousd=nanousd, tokens=tokens, calls=calls)
        return hold or await self._ledger.reserve(who, nanousd=nanousd, tokens=tokens, calls=calls)

    def settle(self, admission: Admission, usage: Usage, cost: Cost, *, is_final: bool) -> None:
        """Charge the bill; what nobody knows for sure stays in doubt, at the whole hold. From any thread."""
        hold = admission.hold
        if hold is None:
            return
        try:
            if not is_final or cost.nanousd is None:
                hold.doubt()
                return
            settlement = hold.settle(nanousd=cost.nanousd, tokens=usage.total_tokens, calls=1)
        except LedgerUnavailableError as error:
            _log.error("the bill of a turn came after its ledger was closed, it stays in doubt: %s", error)
            return
        if settlement is None:
            return
        for incident in settlement.incidents:
            self._publish(
                AlertRaised(
                    timestamp_ns=self._clock.now_ns(),
                    **attribution_fields(admission.request),
                    rule="budget.overrun",
                    severity="P1",
                    message=f"a bill of {incident.billed:,} {incident.unit} was above its hold of {incident.held:,}: "
                    f"budget {incident.budget!r} is frozen until someone looks",
                )
            )
        for crossing in settlement.crossings:
            self._publish(warning_of(crossing, admission.request, self._clock.now_ns()))

    def release(self, admission: Admission) -> None:
        """Give all of it back: nothing was sent."""
        if admission.hold is not None:
            admission.hold.release()

    def _bound(self, request: TurnRequest, counted: Collection[Unit]) -> dict[Unit, int]:
        """The most that all attempts of the turn can cost, in each unit that is counted."""
        if "usd" in counted or "tokens" in counted:
            for name in ("input_tokens", "max_tokens"):
                if not getattr(request, name):
                    raise ConfigError(f"ctx.turn({name}=…)", "the most it can be: a hard budget holds money for it")
        bound: dict[Unit, int] = {"calls": request.attempts}
        if "tokens" in counted:
            bound["tokens"] = request.attempts * (request.input_tokens + request.max_tokens)
        if "usd" in counted:
            nanousd = self._prices.upper_bound_nanousd(
                request.model,
                input_tokens=request.input_tokens,
                output_tokens=request.max_tokens,
                provider=request.provider,
                at_ns=self._clock.now_ns(),
            )
            if nanousd is None:
                raise PriceUnknownError(request.model, suggestions=self._prices.suggestions(request.model))
            bound["usd"] = request.attempts * nanousd
        return bound

    async def _alternative(self, request: TurnRequest, refusal: BudgetExceededError) -> TurnRequest:
        """The request as it may be tried again; raises the refusal when there is none."""
        on_short = self._budgets[refusal.budget].on_short
        if on_short == "clamp":
            clamped = await self._clamped(request)
            if clamped is not None:
                return clamped
        elif on_short == "wait" and isinstance(refusal, BudgetBusyError):
            await self._clock.sleep(refusal.retry_after_s)
            return request
        elif on_short.startswith(_DOWNGRADE) and request.model != on_short.removeprefix(_DOWNGRADE):
            return replace(request, model=on_short.removeprefix(_DOWNGRADE), provider="")
        self._report(request, refusal, "refused")
        raise refusal

    async def _clamped(self, request: TurnRequest) -> TurnRequest | None:
        """The request with the largest `max_tokens` that what is left can pay; None when that is too small."""
        counted = await self._ledger.remaining(attribution(request))
        low, high = 0, request.max_tokens - 1
        while low < high:
            middle = (low + high + 1) // 2
            bound = self._bound(replace(request, max_tokens=middle), counted)
            if all(bound[unit] <= left for unit, left in counted.items()):
                low = middle
            else:
                high = middle - 1
        return replace(request, max_tokens=low) if low >= CLAMP_TOKENS_MIN else None

    def _pauses(self, refusal: BudgetExceededError) -> bool:
        return isinstance(refusal, BudgetExhaustedError) and self._budgets[refusal.budget].on_exceed == "pause"

    def _report(self, request: TurnRequest, refusal: BudgetExceededError, action: str) -> None:
        budget = self._budgets[refusal.budget]
        budget_exhausted.announce(
            self,
            budget=budget.name,
            scope=refusal.scope,
            execution_id=request.execution_id,
            used=refusal.used,
            limit=refusal.limit,
            unit=budget.counted_unit,
        )
        self._publish(
            BudgetExceeded(
                timestamp_ns=self._clock.now_ns(),
                **attribution_fields(request),
                budget=budget.name,
                scope=refusal.scope,
                period=refusal.period,
                unit=budget.counted_unit,
                used=refusal.used,
                limit=refusal.limit,
                action=action,
            )
        )
