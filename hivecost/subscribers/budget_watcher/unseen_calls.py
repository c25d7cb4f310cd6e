"""Calls of which nobody knows what they spent: said once per account, and refused where a budget says so."""

from __future__ import annotations

import logging
from collections.abc import Iterable
from weakref import WeakKeyDictionary

from hivecost.errors import BudgetExhaustedError, PriceUnknownError
from hivecost.events import LLMTurnComplete
from hivecost.gate_contract import TurnRequest
from hivecost.ledger import UNSEEN, Account, AccountStatus, is_unseen
from hivecost.ledger.period import resetting
from hivecost.pricing import PriceBook
from hivecost.subscribers.budget_policy import BudgetPolicy

_log = logging.getLogger("hivecost.budgets")


class UnseenCalls:
    """Goes by `Budget.on_unpriced`; by `prices` a model without one is known before it is sent."""

    def __init__(self, prices: PriceBook | None) -> None:
        self._prices = prices
        #: Accounts that could not see what a call of this process spent, and why.
        self._blind: WeakKeyDictionary[Account, str] = WeakKeyDictionary()

    def note(self, turn: LLMTurnComplete, accounts: Iterable[Account], policy: BudgetPolicy) -> None:
        """Say which accounts could not see what the turn spent; what is refused after it is decided at the gate."""
        if turn.cost is not None and turn.cost.nanousd is not None and not turn.cost.estimated_from:
            return  # as it is most often
        for account in accounts:
            if is_unseen(account, turn) and account not in self._blind:
                self._blind[account] = "" if turn.cost is None else turn.cost.reason
                if account.budget.on_unpriced != "ignore":
                    _tell(turn, account.status(), policy)

    def refuse(self, accounts: Iterable[Account], request: TurnRequest) -> None:
        """Raise for a turn of an account that is to see everything and did not, or would not see this one."""
        for account in accounts:
            budget = account.budget
            if budget.on_unpriced != "refuse" or budget.mode != "stop_after" or budget.shadow:
                continue
            prices = self._prices
            if account.unit == "usd" and prices and not prices.knows(request.model, provider=request.provider):
                raise PriceUnknownError(request.model, suggestions=prices.suggestions(request.model))
            if account in self._blind:
                status = account.status()
                raise BudgetExhaustedError(
                    _sentence(status, self._blind[account]),
                    budget=status.budget,
                    execution_id=request.execution_id,
                    reset_at=status.reset_at,
                )


def _tell(turn: LLMTurnComplete, account: AccountStatus, policy: BudgetPolicy) -> None:
    whose = f" ({account.scope})" if account.scope else ""
    why = (turn.cost and turn.cost.reason) or "nobody knows its cost"
    message = (
        f"budget {account.budget!r}{whose} could not see what a call of {turn.model!r} spent: {why}; "
        "further ones are counted, and not said"
    )
    _log.warning("%s", message)
    policy.alert(turn, rule=UNSEEN, severity="P2", message=message, budget=account.budget, scope=account.scope)


def _sentence(account: AccountStatus, reason: str) -> str:
    whose = f" of {account.scope}" if account.scope else ""
    why = f" ({reason})" if reason else ""
    return (
        f"budget {account.budget!r}{whose} could not see what a call spent{why}, and refuses further ones: give the "
        "model a price, have its provider report usage, or set on_unpriced='estimate'"
        f"{resetting(account.reset_at)}"
    )
