"""What happens to turns past a budget's soft limit, and past its limit where that only slows them down."""

from __future__ import annotations

from collections import OrderedDict
from collections.abc import Collection, Iterable, Mapping, Sequence
from typing import Final, Literal

import msgspec

from hivecost.errors import BudgetExhaustedError
from hivecost.ledger.account import AccountDetails
from hivecost.ledger.amounts import format_amount
from hivecost.ledger.budget import Budget
from hivecost.ledger.period import for_period, resetting

SoftAction = Literal["refuse", "downgrade", "throttle"]

#: Of several the first: there is no use in waiting for a turn that is refused afterwards.
_ORDER: Final[tuple[SoftAction, ...]] = ("refuse", "downgrade", "throttle")

#: Executions that are remembered; the one that began longest ago is forgotten, and refused as one that begins.
EXECUTIONS_MAX: Final = 100_000


class SoftStep(msgspec.Struct, frozen=True):
    """What to do with a turn before it may pass, and the account that says so, as it stands."""

    action: SoftAction
    budget: Budget
    account: AccountDetails


class SoftLimits:
    """Decides by what is settled on a turn's accounts, and does nothing: that is the caller's.

    Remembers, for `on_soft="finish"`, which executions had a turn on an account before it reached its soft limit.
    """

    def __init__(self, budgets: Iterable[Budget] = ()) -> None:
        #: By name: those that may do anything to a turn; how accounts of others stand is of no interest.
        self.budgets: Mapping[str, Budget] = {}
        self.set_budgets(budgets)
        #: Execution → budget and scope → the newest period in which it had a turn there.
        self._begun: OrderedDict[str, dict[tuple[str, str], str]] = OrderedDict()

    def set_budgets(self, budgets: Iterable[Budget]) -> None:
        """Go by these from now on."""
        self.budgets = {
            budget.name: budget
            for budget in budgets
            if not budget.shadow and (budget.on_soft != "alert" or budget.on_exceed == "throttle")
        }

    def next_step(
        self, accounts: Iterable[AccountDetails], executions: Sequence[str], model: str, done: Collection[str]
    ) -> SoftStep | None:
        """Return what stands between a turn and the provider; None: nothing. `done` budgets have had their say.

        `executions` are that of the turn and those that it is inside of: what one of them has begun, all may finish.
        """
        steps: list[SoftStep] = []
        for account in accounts:
            budget = None if account.budget in done else self.budgets.get(account.budget)
            action = None if budget is None else self._action(budget, account, executions, model)
            if budget is not None and action is not None:
                steps.append(SoftStep(action, budget, account))
        return min(steps, key=lambda step: _ORDER.index(step.action), default=None)

    def passed(self, accounts: Iterable[AccountDetails], executions: Sequence[str]) -> None:
        """Take note that a turn of the first of the executions, which is inside of the others, is sent."""
        for account in accounts:
            if account.budget in self.budgets and self.budgets[account.budget].on_soft == "finish":
                for execution_id in executions:
                    self._begin(account, execution_id)

    def _begin(self, account: AccountDetails, execution_id: str) -> None:
        periods = self._begun.setdefault(execution_id, {})
        periods[account.budget, account.scope] = account.period
        if len(self._begun) > EXECUTIONS_MAX:
            self._begun.popitem(last=False)

    def _has_begun(self, account: AccountDetails, executions: Iterable[str]) -> bool:
        where = account.budget, account.scope
        return any(self._begun.get(one, {}).get(where) == account.period for one in executions)

    def forget_execution(self, execution_id: str) -> None:
        """Forget an execution that is over."""
        self._begun.pop(execution_id, None)

    def _action(
        self, budget: Budget, account: AccountDetails, executions: Sequence[str], model: str
    ) -> SoftAction | None:
        is_slowed = budget.on_exceed == "throttle" and account.settled >= account.limit
        soft = account.soft_limit
        if soft is None or account.settled < soft:
            return "throttle" if is_slowed else None
        if budget.on_soft == "finish" and not self._has_begun(account, executions):
            return "refuse"
        if is_slowed or budget.on_soft == "throttle":
            return "throttle"
        return "downgrade" if model and budget.soft_model not in ("", model) else None


def soft_refusal(step: SoftStep, execution_id: str) -> BudgetExhaustedError:
    """Return why a new execution is refused while others finish."""
    budget, status = step.budget, step.account
    settled, soft, limit = (
        format_amount(amount, status.unit) for amount in (status.settled, status.soft_limit or 0, status.limit)
    )
    whose = f" ({status.scope})" if status.scope else ""
    error = BudgetExhaustedError(
        f"budget {budget.name!r}{whose} is past its soft limit of {soft}{for_period(status.period)}, and lets only "
        f"executions finish that began before: {settled} of {limit} are settled{resetting(status.reset_at)}",
        budget=budget.name,
        execution_id=execution_id,
        reset_at=status.reset_at,
    )
    error.scope, error.period = status.scope, status.period
    error.used, error.limit, error.remaining = status.settled, status.limit, status.remaining
    return error
