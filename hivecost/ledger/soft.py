"""What happens to turns past a budget's soft limit, and past its limit where that only slows them down."""

from __future__ import annotations

from collections import OrderedDict
from collections.abc import Collection, Iterable, Sequence
from typing import Final, Literal

import msgspec

from hivecost.errors import BudgetExhaustedError
from hivecost.ledger.account import Account
from hivecost.ledger.amounts import format_amount
from hivecost.ledger.period import for_period, resetting

SoftAction = Literal["refuse", "downgrade", "throttle"]

#: Of several the first: there is no use in waiting for a turn that is refused afterwards.
_ORDER: Final[tuple[SoftAction, ...]] = ("refuse", "downgrade", "throttle")

#: Executions that are remembered; the one that began longest ago is forgotten, and refused as one that begins.
EXECUTIONS_MAX: Final = 100_000


class SoftStep(msgspec.Struct, frozen=True):
    """What to do with a turn before it may pass, and the account that says so."""

    action: SoftAction
    account: Account


class SoftLimits:
    """Decides by what is settled on a turn's accounts, and does nothing: that is the caller's.

    Remembers, for `on_soft="finish"`, which executions had a turn on an account before it reached its soft limit.
    """

    def __init__(self) -> None:
        #: Execution → budget and scope values → the newest period in which it had a turn there.
        self._begun: OrderedDict[str, dict[tuple[str, tuple[str, ...]], int]] = OrderedDict()

    def next_step(
        self, accounts: Iterable[Account], executions: Sequence[str], model: str, done: Collection[str]
    ) -> SoftStep | None:
        """What stands between a turn and the provider; None: nothing. `done` budgets have had their say.

        `executions` are that of the turn and those that it is inside of: what one of them has begun, all may finish.
        """
        steps: list[SoftStep] = []
        for account in accounts:
            budget = account.budget
            if budget.soft_limit is None and budget.on_exceed != "throttle":  # as it is most often
                continue
            action = None if budget.name in done else self._action(account, executions, model)
            if action is not None:
                steps.append(SoftStep(action, account))
        return min(steps, key=lambda step: _ORDER.index(step.action), default=None) if steps else None

    def passed(self, accounts: Iterable[Account], executions: Sequence[str]) -> None:
        """A turn of the first of the executions, which is inside of the others, is sent."""
        for account in accounts:
            if account.budget.on_soft == "finish":
                for execution_id in executions:
                    self._begin(account, execution_id)

    def _begin(self, account: Account, execution_id: str) -> None:
        periods = self._begun.setdefault(execution_id, {})
        periods[account.budget.name, account.values] = account.period.start_ns
        if len(self._begun) > EXECUTIONS_MAX:
            self._begun.popitem(last=False)

    def _has_begun(self, account: Account, executions: Iterable[str]) -> bool:
        where = account.budget.name, account.values
        return any(self._begun.get(one, {}).get(where) == account.period.start_ns for one in executions)

    def forget_execution(self, execution_id: str) -> None:
        """The execution is over."""
        self._begun.pop(execution_id, None)

    def _action(self, account: Account, executions: Sequence[str], model: str) -> SoftAction | None:
        budget = account.budget
        if budget.shadow:
            return None
        is_slowed = budget.on_exceed == "throttle" and account.is_spent
        soft = account.soft_amount
        if soft is None or account.settled < soft:
            return "throttle" if is_slowed else None
        if budget.on_soft == "finish" and not self._has_begun(account, executions):
            return "refuse"
        if is_slowed or budget.on_soft == "throttle":
            return "throttle"
        return "downgrade" if model and budget.soft_model not in ("", model) else None


def soft_refusal(account: Account, execution_id: str) -> BudgetExhaustedError:
    """Why a new execution is refused while others finish."""
    budget, status = account.budget, account.status()
    settled, soft, limit = (
        format_amount(amount, status.unit) for amount in (status.settled, account.soft_amount or 0, status.limit)
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
