"""Hard budgets at the gate: money for a turn is held before it is sent, and settled when its bill is known."""

from __future__ import annotations

from collections.abc import Callable, Iterable, Mapping, Sequence
from typing import Final

from msgspec.structs import replace

from hivecost.clock import Clock
from hivecost.errors import BudgetBusyError, BudgetExceededError, BudgetExhaustedError, ConfigError
from hivecost.events import Event
from hivecost.gate_contract import TurnRequest
from hivecost.ledger import (
    UNITS,
    AccountDetails,
    Budget,
    LedgerStore,
    LedgerStoreHold,
    Unit,
)
from hivecost.ledger.hold import refusal_of
from hivecost.loops import Loop
from hivecost.pricing import PriceBook
from hivecost.runtime.admission import Admission, Passes
from hivecost.runtime.binding import Asked, BindingBudgets
from hivecost.runtime.hard_bills import HardBills
from hivecost.runtime.money_line import AccountName, MoneyLine, Waiter
from hivecost.runtime.turn_bound import TurnBounds
from hivecost.subscribers.budget_policy import BudgetPolicy, ForModel

#: A turn that is clamped below this answers nothing worth its prompt.
CLAMP_TOKENS_MIN: Final = 16
#: How often a paused turn asks whether the budget was raised.
PAUSE_POLL_S: Final = 0.25


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
        for_model: ForModel,
        loop: Loop,
    ) -> None:
        self._ledger = ledger
        self._for_model = for_model
        self._clock = clock
        self._bounds = TurnBounds(prices, clock)
        self._line = MoneyLine(clock)
        self._policy = BudgetPolicy(self, clock, publish)
        #: What is told to it when turns are over.
        self.bills = HardBills(ledger, loop, self._line, self._policy)
        #: By name: all that the ledger may refuse by, which the gate changes while turns run.
        self.budgets: dict[str, Budget] = {}
        self.set_budgets(budgets)

    def set_budgets(self, budgets: Iterable[Budget]) -> None:
        """Bind turns by these budgets from now on."""
        listed = tuple(budgets)
        self.budgets = {budget.name: budget for budget in listed}
        self._binding = BindingBudgets(listed)
        self._policy.soft.set_budgets(listed)
        self.bills.set_budgets(listed)

    def admit_nowait(self, request: TurnRequest) -> Admission | None:
        """Do as `admit` does where nobody waits and no budget is short or soft, from memory alone; None elsewhere."""
        if self._line.waiters or self._policy.soft.budgets:
            return None
        try:
            asked = self._asked(request)
            if not asked.units:
                return Admission(request)
            hold = self._hold_nowait(request, asked, self._bounds.of(request, asked.units, asked.enforced))
        except (BudgetExceededError, ConfigError):
            return None  # `admit` says so
        return None if hold is None else Admission(self._bounds.fitted(request), hold)

    async def admit(self, request: TurnRequest, passes: Passes) -> Admission:
        """Hold an upper bound of what the turn can cost on every budget that it counts on.

        Too little left, or past a soft limit: the request comes back with a smaller `max_tokens` or another model, or
        waits, as the budget says. Whoever waits gives its passes back meanwhile, and takes them again before it holds
        anything. Raise BudgetExhaustedError, BudgetBusyError, PriceUnknownError for a model whose cost nobody can
        bound, and LedgerUnavailableError.
        """
        waiter = Waiter()
        try:
            return await self._admit(request, passes, waiter)
        except BudgetExceededError as refusal:
            if (budget := self.budgets.get(refusal.budget)) is not None:
                self._policy.exceed(refusal, budget.counted_unit, request, "refused")
                self._bounds.explained(refusal, budget.counted_unit, request)
            raise
        finally:
            if waiter.state != "new":
                self._line.leave(waiter)

    async def _admit(self, request: TurnRequest, passes: Passes, waiter: Waiter) -> Admission:
        soft = self._policy.soft
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
                passed = self._passed_by(hold, waiter) if self._line.waiters else None
                if passed is None:
                    softer = await self._softened(request, hold, softened, passes) if soft.budgets else None
                    if softer is None:
                        return Admission(self._bounds.fitted(request), hold)
                    request = softer
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
        """Give the hold back, and return the refusal, if the turn came later than others that wait for the same money.

        Return None if it may keep the hold.
        """
        if waiter.state != "new":
            return None
        account = self._line.stands_before(hold.status(), hold.amounts)
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

        Each of the budgets that pause it says so once. Raise BudgetBusyError once its budget's `wait_s` are over.
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
        """Return when the turn should try again. Raise the refusal when it has waited for long enough."""
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
            raise refusal

    async def _pause(
        self, request: TurnRequest, refusal: BudgetExceededError, waiter: Waiter, paused: set[str]
    ) -> None:
        waiter.needs.clear()  # what is spent is nobody's turn
        if refusal.budget not in paused:
            paused.add(refusal.budget)
            self._policy.exceed(refusal, self.budgets[refusal.budget].counted_unit, request, "paused")
            self._line.spent()
        await self._clock.sleep(PAUSE_POLL_S)

    def _asked(self, request: TurnRequest) -> Asked:
        return self._binding.asked(request, self.bills.answers.of(request))

    def _hold_nowait(self, request: TurnRequest, asked: Asked, bound: Mapping[Unit, int]) -> LedgerStoreHold | None:
        return self._ledger.reserve_nowait(
            asked.who,
            nanousd=bound.get("usd"),
            tokens=bound.get("tokens"),
            calls=bound["calls"],
            ancestors=asked.ancestors,
            is_partial=request.stream_tokens > 0 and self._bounds.is_partial(request),
        )

    async def _hold(self, request: TurnRequest, asked: Asked, bound: Mapping[Unit, int]) -> LedgerStoreHold:
        """Return the hold, from memory if it can be had there."""
        return self._hold_nowait(request, asked, bound) or await self._ledger.reserve(
            asked.who,
            nanousd=bound.get("usd"),
            tokens=bound.get("tokens"),
            calls=bound["calls"],
            ancestors=asked.ancestors,
            is_partial=self._bounds.is_partial(request),
        )

    async def _softened(
        self, request: TurnRequest, hold: LedgerStoreHold, done: set[str], passes: Passes
    ) -> TurnRequest | None:
        """Return the request to try again because of a soft limit, whose hold is released; None where it may be sent.

        A turn that waits, or is tried with another model, holds nothing meanwhile.
        """
        step = self._policy.next_step(hold.status(self._policy.soft.budgets), request, done)
        if step is None:
            return None
        hold.release()
        self._line.freed()
        if step.action != "throttle":
            return await self._policy.soften(request, step, self._for_model)
        passes.give_back()
        return await passes.take(await self._policy.soften(request, step, self._for_model))

    async def _softer(self, request: TurnRequest, asked: Asked, done: set[str]) -> TurnRequest | None:
        """Return the request, which does not fit as it is, with the model of a soft limit; None where none has one."""
        if request.is_charge or all(not budget.soft_model or name in done for name, budget in self.budgets.items()):
            return None
        accounts = await self._accounts(request, asked)
        step = self._policy.soft.next_step(accounts, request.executions, request.model, done)
        if step is None or step.action != "downgrade":
            return None
        done.add(step.budget.name)
        return self._for_model(request, step.budget.soft_model)

    async def _accounts(self, request: TurnRequest, asked: Asked) -> Sequence[AccountDetails]:
        """Return all accounts that a turn counts on, as they stand; none where one of them is frozen."""
        try:
            hold = await self._hold(request, asked, dict.fromkeys(UNITS, 0))
        except BudgetExceededError:
            return ()
        hold.release()
        return hold.status()

    async def extend(self, admission: Admission, input_tokens: int, output_tokens: int) -> None:
        """Hold what a turn under way costs with so many tokens, where that is more than is held for it.

        Nothing waits here, because its provider would not. Raise BudgetExceededError and LedgerUnavailableError.
        """
        hold, request = admission.hold, admission.request
        if hold is None or hold.state in ("settled", "released"):
            return
        enforcing = (budget for name in hold.budgets if (budget := self.budgets.get(name)) and not budget.shadow)
        enforced = {budget.counted_unit for budget in enforcing}
        bound = self._bounds.of(request, hold.units, enforced, (input_tokens, output_tokens))
        more = {unit: amount - hold.amounts[unit] for unit, amount in bound.items() if amount > hold.amounts[unit]}
        if not more:
            return
        try:
            await hold.extend(nanousd=more.get("usd"), tokens=more.get("tokens"))
        except BudgetExceededError as error:
            account = hold.status([error.budget])[0]
            refusal = _refusal_to_extend(error, account, more, hold.amounts, request.execution_id)
            self._policy.exceed(refusal, account.unit, request, "stopped")
            raise refusal from None

    def forget_execution(self, execution_id: str) -> None:
        """Forget an execution that is over."""
        self._policy.soft.forget_execution(execution_id)

    async def _alternative(
        self, request: TurnRequest, refusal: BudgetExceededError, downgraded: set[str]
    ) -> TurnRequest:
        """Return the request as it may be tried again; raise the refusal when there is no such way.

        Of several budgets that are short, one has to offer something. Each downgrades a turn once, or two of them would
        send it to and fro.
        """
        budget = self.budgets.get(refusal.budget)
        if budget is not None and not request.is_charge:
            for short in (budget, *await self._others_short(request, budget)):
                offered = await self._offered(request, short, downgraded)
                if offered is not None:
                    return offered
        raise refusal

    async def _others_short(self, request: TurnRequest, refusing: Budget) -> list[Budget]:
        """Return the other budgets that have too little left for the request."""
        if len(self.budgets) == 1:
            return []
        asked = self._asked(request)
        bound = self._bounds.of(request, asked.units, asked.enforced)
        accounts = await self._accounts(request, asked)
        short = {account.budget for account in accounts if account.remaining < bound.get(account.unit, 0)}
        others = (budget for name, budget in self.budgets.items() if name in short and name != refusing.name)
        return [budget for budget in others if not budget.shadow]

    async def _offered(self, request: TurnRequest, budget: Budget, downgraded: set[str]) -> TurnRequest | None:
        """Return what a budget that is short makes of a request; None for nothing."""
        if budget.on_short == "clamp" and budget.counted_unit != "calls":
            return await self._clamped(request)
        if budget.short_model in ("", request.model) or budget.name in downgraded:
            return None
        downgraded.add(budget.name)
        return self._for_model(request, budget.short_model)

    async def _clamped(self, request: TurnRequest) -> TurnRequest | None:
        """Return the request with the largest `max_tokens` that what is left can pay; None when that is too small."""
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
        """Tell whether its budget wants the turn to wait: until others settle, or until somebody raises the limit."""
        budget = self.budgets.get(refusal.budget)  # None: it was retired meanwhile
        waits_for_others = isinstance(refusal, BudgetBusyError) and budget is not None and budget.on_short == "wait"
        return waits_for_others or self._pauses(refusal)

    def _pauses(self, refusal: BudgetExceededError) -> bool:
        budget = self.budgets.get(refusal.budget)
        return isinstance(refusal, BudgetExhaustedError) and budget is not None and budget.on_exceed == "pause"


def _refusal_to_extend(
    error: BudgetExceededError,
    account: AccountDetails,
    more: Mapping[Unit, int],
    held: Mapping[Unit, int],
    execution_id: str,
) -> BudgetExceededError:
    """Return the error as its turn should see it: what is busy with nothing but this turn's own hold is exhausted."""
    error.execution_id = execution_id
    needed, own = more[account.unit], held[account.unit]
    if not isinstance(error, BudgetBusyError) or needed <= account.limit - account.settled - account.in_doubt - own:
        return error
    refusal = replace(
        refusal_of(account, needed),
        kind="exhausted",
        remaining=error.limit - error.used,
        limit=error.limit,
        reset_at=account.reset_at,
    )
    return refusal.error(execution_id)
