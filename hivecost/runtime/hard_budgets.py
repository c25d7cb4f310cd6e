"""Hard budgets at the gate: money for a turn is held before it is sent, and settled when its bill is known."""

from __future__ import annotations

import logging
from collections import OrderedDict
from collections.abc import Callable, Iterable, Mapping
from typing import Final, NamedTuple

import msgspec
from msgspec.structs import replace

from hivecost.clock import Clock
from hivecost.errors import (
    BudgetBusyError,
    BudgetExceededError,
    BudgetExhaustedError,
    ConfigError,
    LedgerUnavailableError,
)
from hivecost.events import Cost, CostStatus, Event, Usage
from hivecost.gate_contract import TurnEnd, TurnRequest
from hivecost.ledger import (
    UNITS,
    Account,
    Ancestors,
    Budget,
    LedgerStore,
    LedgerStoreHold,
    Matches,
    Settlement,
    SoftLimits,
    SoftStep,
    Unit,
    ancestry,
    attributes_of,
    exceeded_of,
    matcher,
    overrun_of,
    soft_refusal,
    warning_of,
)
from hivecost.ledger.caps import CapHold
from hivecost.ledger.hold import refusal_of
from hivecost.loops import Loop
from hivecost.pricing import PriceBook
from hivecost.runtime.answered_models import AnsweredModels
from hivecost.runtime.match_values import NamedBudgets
from hivecost.runtime.money_line import AccountName, MoneyLine, Waiter
from hivecost.runtime.passes import Passes
from hivecost.runtime.turn_bound import TurnBounds
from hivecost.runtime.turn_hold import known_bill, lacking, refusal_to_extend, unknown_units
from hivecost.subscribers.budget_signals import announce_exhausted, announce_warning
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
    #: What is held for it on the caps of its blocks.
    cap_hold: CapHold | None = None
    #: What gate checks want to be told at its end.
    ends: tuple[TurnEnd, ...] = ()


class _Binding(NamedTuple):
    """What a budget needs to be asked."""

    unit: Unit
    matches: Matches
    is_of_executions: bool
    is_shadow: bool


class _Asked(msgspec.Struct, frozen=True):
    """Whose request it is, and what the budgets count that bind it."""

    who: Mapping[str, str]
    ancestors: Ancestors
    units: frozenset[Unit]
    #: Those of them that not only shadow budgets count.
    enforced: frozenset[Unit]


class HardBudgets:
    """The gate's side of the ledger."""

    def __init__(
        self,
        ledger: LedgerStore,
        budgets: tuple[Budget, ...],
        *,
        prices: PriceBook,
        clock: Clock,
        publish: Callable[[Event], None],
        for_model: Callable[[TurnRequest, str], TurnRequest],
        loop: Loop,
    ) -> None:
        self._ledger = ledger
        #: By name: all that the ledger may refuse by, which the gate changes while turns run.
        self.budgets: dict[str, Budget] = {}
        self._answers = AnsweredModels(ledger, loop, self._charged)
        self._for_model = for_model
        self.set_budgets(budgets)
        self._bounds = TurnBounds(prices, clock)
        self._soft = SoftLimits()
        self._throttle = TurnThrottle(clock, publish)
        self._line = MoneyLine(clock)
        self._clock = clock
        self._publish = publish
        #: Turns of whose bills the ledger may tell later what they brought about, by hold.
        self._settling: OrderedDict[str, TurnRequest] = OrderedDict()

    def set_budgets(self, budgets: Iterable[Budget]) -> None:
        """Bind turns by these budgets from now on."""
        listed = tuple(budgets)
        self.budgets = {budget.name: budget for budget in listed}
        #: What those count that bind every turn.
        self._units_of_all = frozenset(budget.counted_unit for budget in listed if not budget.match)
        self._enforced_of_all = frozenset(
            budget.counted_unit for budget in listed if not (budget.match or budget.shadow)
        )
        self._binding = [
            _Binding(
                budget.counted_unit, matcher(budget.match), "execution" in budget.account_attributes, budget.shadow
            )
            for budget in listed
            if budget.match
        ]
        self._named = NamedBudgets(listed)
        self._answers.set_budgets(listed)

    async def admit(self, request: TurnRequest, passes: Passes) -> Admission:
        """Hold an upper bound of what the turn can cost on every budget that it counts on.

        Too little left, or past a soft limit: the request comes back with a smaller `max_tokens` or another model, or
        waits, as the budget says. Whoever waits gives its passes back meanwhile, and takes them again before it holds
        anything. Raises BudgetExhaustedError, BudgetBusyError, PriceUnknownError for a model whose cost nobody can
        bound, and LedgerUnavailableError.
        """
        waiter = Waiter()
        try:
            return await self._admit(request, passes, waiter)
        except BudgetExceededError as refusal:
            if (budget := self.budgets.get(refusal.budget)) is not None:
                self._bounds.explained(refusal, budget.counted_unit, request)
            raise
        finally:
            self._line.leave(waiter)

    async def _admit(self, request: TurnRequest, passes: Passes, waiter: Waiter) -> Admission:
        softened: set[str] = set()
        downgraded: set[str] = set()
        paused: set[str] = set()
        while True:
            asked = self._asked(request)
            if not asked.units:
                return Admission(request)
            waiter.seen = self._line.times_freed
            try:
                bound = self._bounds.of(request, asked.units, asked.enforced)
                hold = await self._hold(request, asked, bound)
            except ConfigError:
                if self._asked(request).units == asked.units:
                    raise
                continue  # a budget that counts in another unit was added meanwhile
            except BudgetExceededError as error:
                refusal = error
            else:
                passed = self._passed_by(hold, waiter)
                if passed is None:
                    step = self._soft_step(request, hold, softened)
                    if step is None:
                        return Admission(self._bounds.fitted(request), hold)
                    request = await self._soften(request, hold, step, passes)
                    continue
                refusal = passed
            if refusal.budget not in self.budgets:
                continue  # it was retired meanwhile
            softer = await self._softer(request, asked, softened)
            if softer is not None:
                request = softer
            elif self._waits(refusal):
                passes.give_back()
                await self._wait_for_money(request, refusal, waiter, paused)
                request = await passes.take(request)
            else:
                request = await self._alternative(request, refusal, downgraded)

    def _passed_by(self, hold: LedgerStoreHold, waiter: Waiter) -> BudgetExceededError | None:
        """Why the turn may not have its hold yet, and has it no more: it came later than others that wait for it."""
        if not self._line or waiter.state != "new":
            return None
        account = self._line.stands_before(hold.accounts, hold.amounts)
        if account is None:
            return None
        hold.release()
        self._line.freed()
        return replace(refusal_of(account, hold.amounts[account.unit]), kind="busy").error()

    async def _wait_for_money(
        self,
        request: TurnRequest,
        refusal: BudgetExceededError,
        waiter: Waiter,
        paused: set[str],
    ) -> None:
        """Return once it could be held, for which it is tried and given back, or once waiting is no use any more.

        Each of the budgets that pause it says so once. Raises BudgetBusyError once its budget's `wait_s` are over.
        """
        while self._waits(refusal):
            asked = self._asked(request)
            bound = self._bounds.of(request, asked.units, asked.enforced)
            if isinstance(refusal, BudgetBusyError):
                await self._stand_in_line(request, bound, refusal, waiter)
            else:
                await self._pause(request, refusal, waiter, paused)
            waiter.seen = self._line.times_freed
            try:
                hold = await self._hold(request, asked, bound)
            except BudgetExceededError as error:
                refusal = error
            except ConfigError:
                return  # as where it is tried again
            else:
                hold.release()
                self._line.called(waiter)
                return

    async def _stand_in_line(
        self, request: TurnRequest, bound: dict[Unit, int], refusal: BudgetBusyError, waiter: Waiter
    ) -> None:
        """Return when the turn should try again. Raises the refusal when it has waited for long enough."""
        budget = self.budgets[refusal.budget]
        account: AccountName = (refusal.budget, refusal.scope, refusal.period)
        may_try = await self._line.wait(
            waiter,
            account,
            bound[budget.counted_unit],
            wait_s=budget.wait_s,
            poll_s=refusal.retry_after_s,
        )
        if not may_try:
            refusal.args = (f"{refusal}; it was waited for {budget.wait_s:g} s",)
            self._report(request, refusal, "refused", budget.counted_unit)
            raise refusal

    async def _pause(
        self, request: TurnRequest, refusal: BudgetExceededError, waiter: Waiter, paused: set[str]
    ) -> None:
        waiter.needs.clear()  # what is spent is nobody's turn
        if refusal.budget not in paused:
            paused.add(refusal.budget)
            self._report(request, refusal, "paused", self.budgets[refusal.budget].counted_unit)
            self._line.spent()
        await self._clock.sleep(PAUSE_POLL_S)

    def _asked(self, request: TurnRequest) -> _Asked:
        """Who asks, and by what they are bound. Raises ConfigError where nobody knows whether a budget binds them."""
        answered = self._answers.of(request)
        who, ancestors = attributes_of(request, answered), ancestry(request, answered)
        if not request.is_charge and not (request.resolved_model and request.resolved_provider):
            self._named.refuse_unknown(request, (who, *ancestors))
        units, enforced = self._units_of_all, self._enforced_of_all
        for unit, matches, is_of_executions, is_shadow in self._binding:
            if unit not in enforced and (matches(who) or (is_of_executions and any(map(matches, ancestors)))):
                units |= {unit}
                if not is_shadow:
                    enforced |= {unit}
        return _Asked(who, ancestors, units, enforced)

    async def _hold(self, request: TurnRequest, asked: _Asked, bound: Mapping[Unit, int]) -> LedgerStoreHold:
        """The hold, from memory if it can be had there."""
        nanousd, tokens, calls = bound.get("usd"), bound.get("tokens"), bound["calls"]
        ledger, who, ancestors = self._ledger, asked.who, asked.ancestors
        is_partial = self._bounds.is_partial(request)
        return ledger.reserve_nowait(
            who, nanousd=nanousd, tokens=tokens, calls=calls, ancestors=ancestors, is_partial=is_partial
        ) or await ledger.reserve(
            who, nanousd=nanousd, tokens=tokens, calls=calls, ancestors=ancestors, is_partial=is_partial
        )

    def _soft_step(self, request: TurnRequest, hold: LedgerStoreHold, done: set[str]) -> SoftStep | None:
        """What is to be done because an account is past its soft limit; None when the turn may be sent.

        Each of the `done` budgets has had its say.
        """
        model = "" if request.is_charge else request.model
        step = self._soft.next_step(hold.accounts, request.executions, model, done)
        if step is None:
            self._soft.passed(hold.accounts, request.executions)
        else:
            done.add(step.account.budget.name)
        return step

    async def _softer(self, request: TurnRequest, asked: _Asked, done: set[str]) -> TurnRequest | None:
        """The request, which is too much as it is, with the model that a soft limit takes; None where none does."""
        if request.is_charge or all(not budget.soft_model or name in done for name, budget in self.budgets.items()):
            return None
        accounts = await self._accounts(request, asked)
        step = self._soft.next_step(accounts, request.executions, request.model, done)
        if step is None or step.action != "downgrade":
            return None
        done.add(step.account.budget.name)
        return self._for_model(request, step.account.budget.soft_model)

    async def _accounts(self, request: TurnRequest, asked: _Asked) -> tuple[Account, ...]:
        """All that a turn counts on, as they stand; none where one of them is frozen."""
        try:
            hold = await self._hold(request, asked, dict.fromkeys(UNITS, 0))
        except BudgetExceededError:
            return ()
        hold.release()
        return hold.accounts

    async def _soften(self, request: TurnRequest, hold: LedgerStoreHold, step: SoftStep, passes: Passes) -> TurnRequest:
        """The request to try again: a turn that waits, or is tried with another model, holds nothing meanwhile."""
        hold.release()
        self._line.freed()
        account, budget = step.account, step.account.budget
        if step.action == "downgrade":
            return self._for_model(request, budget.soft_model)
        if step.action == "refuse":
            refusal = soft_refusal(account, request.execution_id)
            self._report(request, refusal, "refused", account.unit)
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
        counted = {account.unit for account in hold.accounts}
        enforced = {account.unit for account in hold.accounts if not account.budget.shadow}
        bound = self._bounds.of(request, counted, enforced, (input_tokens, output_tokens))
        more = lacking(hold, bound)
        if not more:
            return
        try:
            await hold.extend(nanousd=more.get("usd"), tokens=more.get("tokens"))
        except BudgetExceededError as error:
            refusal = refusal_to_extend(error, hold, more, request.execution_id)
            unit = next(account.unit for account in hold.accounts if account.budget.name == refusal.budget)
            self._report(request, refusal, "stopped", unit)
            raise refusal from None

    async def charged(self) -> None:
        """Return when the budgets that bound a turn only by the model that answered have its bill."""
        await self._answers.charged()

    def settle(self, admission: Admission, usage: Usage, cost: Cost, *, is_final: bool, answered: str = "") -> None:
        """Charge the bill, in the units in which it is known; in the others the hold stays in doubt. From any thread.

        What was used for sure, and is more than the hold already, is charged as a bill. `answered` is the model that
        did.
        """
        self._learn(admission, answered, usage, cost)
        hold = admission.hold
        if hold is None:
            return
        known = known_bill(admission.request, hold, usage, cost, is_final=is_final)
        is_all_known = len(known) == len(UNITS) or all(account.unit in known for account in hold.accounts)
        settle = hold.settle if is_all_known else hold.settle_known
        try:
            settlement = settle(nanousd=known.get("usd"), tokens=known.get("tokens"), calls=known.get("calls"))
        except LedgerUnavailableError as error:
            _log.error("the bill of a turn came after its ledger was closed, it stays in doubt: %s", error)
            return
        self._line.freed()
        if settlement is not None:
            self._tell(settlement, admission.request)
        elif hold.state not in ("settled", "released"):
            self._expect_news(hold, admission.request)

    def _learn(self, admission: Admission, answered: str, usage: Usage, cost: Cost) -> None:
        if not answered or not self._answers.has_budgets:
            return
        hold = admission.hold
        held_by = () if hold is None else {account.budget.name for account in hold.accounts}
        self._answers.learn(admission.request, held_by, answered, usage, cost)

    def settle_another(
        self, admission: Admission, usage: Usage, cost: Cost, *, is_final: bool, answered: str = ""
    ) -> None:
        """Charge the bill of one more answer; in units in which nobody knows it for sure, what is left is in doubt."""
        self._learn(admission, answered, usage, cost)
        hold, request = admission.hold, admission.request
        if hold is None:
            return
        tokens = 0 if cost.status is CostStatus.INVALID else usage.total_tokens
        unknown = unknown_units(cost, is_final=is_final)
        self._expect_news(hold, request)
        try:
            settlement = hold.settle_another(nanousd=cost.nanousd or 0, tokens=tokens, calls=1)
            if any(account.unit in unknown for account in hold.accounts):
                hold.doubt_another(unknown)
        except LedgerUnavailableError as error:
            _log.error("the bill of a turn's further answer came after its ledger was closed, and is lost: %s", error)
            return
        if settlement is not None:
            self._tell(settlement, request)

    def _expect_news(self, hold: LedgerStoreHold, request: TurnRequest) -> None:
        self._settling[hold.hold_id] = request
        if len(self._settling) > EXPECTED_MAX:
            self._settling.popitem(last=False)

    def _charged(self, hold: LedgerStoreHold, settlement: Settlement, request: TurnRequest) -> None:
        self._expect_news(hold, request)
        self._tell(settlement, request)

    def on_settled_late(self, _: LedgerStore, *, hold: LedgerStoreHold, settlement: Settlement) -> None:
        """Publish what a settlement brought about that the ledger had put off."""
        request = self._settling.get(hold.hold_id)
        if request is not None:
            self._tell(settlement, request)
        self._line.freed()

    def _tell(self, settlement: Settlement, request: TurnRequest) -> None:
        for incident in settlement.incidents:
            budget = self.budgets.get(incident.budget)
            is_shadow = budget is not None and budget.shadow
            self._publish(overrun_of(incident, request, self._clock.now_ns(), is_shadow=is_shadow))
        for crossing in settlement.crossings:
            warning = warning_of(crossing, request, self._clock.now_ns())
            announce_warning(self, warning)
            self._publish(warning)

    def release(self, admission: Admission) -> None:
        """Give all of it back: nothing was sent."""
        if admission.hold is not None:
            admission.hold.release()
            self._line.freed()

    def forget_execution(self, execution_id: str) -> None:
        """It is over."""
        self._soft.forget_execution(execution_id)

    async def _alternative(
        self, request: TurnRequest, refusal: BudgetExceededError, downgraded: set[str]
    ) -> TurnRequest:
        """The request as it may be tried again; raises the refusal when there is none.

        Of several budgets that are short, one has to offer something. Each downgrades a turn once, or two of them would
        send it to and fro.
        """
        budget = self.budgets[refusal.budget]
        if not request.is_charge:
            for short in (budget, *await self._others_short(request, budget)):
                offered = await self._offered(request, short, downgraded)
                if offered is not None:
                    return offered
        self._report(request, refusal, "refused", budget.counted_unit)
        raise refusal

    async def _others_short(self, request: TurnRequest, refusing: Budget) -> list[Budget]:
        """The other budgets that have too little left for it."""
        if len(self.budgets) == 1:
            return []
        asked = self._asked(request)
        bound = self._bounds.of(request, asked.units, asked.enforced)
        short = [one.budget for one in await self._accounts(request, asked) if one.room < bound.get(one.unit, 0)]
        return [budget for budget in short if budget.name != refusing.name and not budget.shadow]

    async def _offered(self, request: TurnRequest, budget: Budget, downgraded: set[str]) -> TurnRequest | None:
        """What a budget that is short makes of a request; None: nothing."""
        if budget.on_short == "clamp" and budget.counted_unit != "calls":
            return await self._clamped(request)
        if budget.short_model in ("", request.model) or budget.name in downgraded:
            return None
        downgraded.add(budget.name)
        return self._for_model(request, budget.short_model)

    async def _clamped(self, request: TurnRequest) -> TurnRequest | None:
        """The request with the largest `max_tokens` that what is left can pay; None when that is too small."""
        asked = self._asked(request)
        counted = await self._ledger.remaining(asked.who, asked.ancestors)
        low, high = 0, self._bounds.tokens(request).output_max // request.answers - 1
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
        budget = self.budgets.get(refusal.budget)  # None: it was retired meanwhile
        waits_for_others = isinstance(refusal, BudgetBusyError) and budget is not None and budget.on_short == "wait"
        return waits_for_others or self._pauses(refusal)

    def _pauses(self, refusal: BudgetExceededError) -> bool:
        budget = self.budgets.get(refusal.budget)
        return isinstance(refusal, BudgetExhaustedError) and budget is not None and budget.on_exceed == "pause"

    def _report(self, request: TurnRequest, refusal: BudgetExceededError, action: str, unit: Unit) -> None:
        exceeded = exceeded_of(refusal, unit, request, action, self._clock.now_ns())
        announce_exhausted(self, exceeded)
        self._publish(exceeded)
