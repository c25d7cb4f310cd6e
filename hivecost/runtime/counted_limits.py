"""The limits of budgets that a runtime counts by itself: changed as those in a ledger are."""

from __future__ import annotations

import logging
from collections.abc import Awaitable, Callable, Mapping

from hivecost.ledger import Budget, Limit, SpendAccounts
from hivecost.ledger.amounts import format_exactly, raise_amount
from hivecost.ledger.own_limits import LimitKey, format_key
from hivecost.money import to_usd

_log = logging.getLogger("hivecost.budgets")


class CountedLimits:
    """What is set holds until the runtime is made anew. Each method is the one of `LedgerStore` by its name."""

    def __init__(self, accounts: SpendAccounts, changed: Callable[[], Awaitable[None]]) -> None:
        #: By name, as they were configured last.
        self.configured: dict[str, Budget] = dict(accounts.budgets)
        self._accounts = accounts
        self._changed = changed

    async def set_limit(self, name: str, limit: Limit, *, scope: Mapping[str, str] | None = None, by: str) -> int:
        """Give a budget, or one value of its attributes, another limit."""
        budget = self._accounts.budgets[name]
        return await self._put_and_tell(budget, _key(budget, scope), budget.amount_of(limit), by)

    async def raise_limit(self, name: str, by_amount: Limit, *, scope: Mapping[str, str] | None = None, by: str) -> int:
        """Raise the limit that is in force by an amount above zero."""
        budget = self._accounts.budgets[name]
        key = _key(budget, scope)
        before = self._accounts.limit_of(name, key)
        raised = raise_amount(before, by_amount, budget.counted_unit, key=f"budget {name!r}: amount")
        return await self._put_and_tell(budget, key, raised, by)

    async def unset_limit(self, name: str, *, scope: Mapping[str, str] | None = None, by: str) -> int:
        """Bring the configured limit into force again; of a value for which none is configured, the budget's."""
        budget, configured = self._accounts.budgets[name], self.configured[name]
        key = _key(budget, scope)
        limit = configured.own_limits.get(key) if key else configured.limit_amount
        return await self._put_and_tell(budget, key, limit, by)

    def configure(self, budget: Budget, by: str) -> None:
        """Bring what is configured otherwise than before into force."""
        before = self.configured.get(budget.name)
        self.configured[budget.name] = budget
        if before is None:
            return  # it was added with them
        if before.limit != budget.limit:
            self._put(budget, (), budget.limit_amount, by)
        was, now = before.own_limits, budget.own_limits
        for key in was.keys() | now.keys():
            if was.get(key) != now.get(key):
                self._put(budget, key, now.get(key), by)

    async def _put_and_tell(self, budget: Budget, key: LimitKey, limit: int | None, by: str) -> int:
        after = self._put(budget, key, limit, by)
        await self._changed()
        return after

    def _put(self, budget: Budget, key: LimitKey, limit: int | None, by: str) -> int:
        """Bring a limit of a budget, or with a key of some of its accounts, into force; that limit."""
        name, unit = budget.name, budget.counted_unit
        if key:
            self._accounts.set_own_limit(name, key, limit)
        elif limit is not None:
            self._accounts.set_limit(name, str(to_usd(limit)) if unit == "usd" else limit)
        after = self._accounts.limit_of(name, key)
        whose = f" ({format_key(budget.account_attributes, key)})" if key else ""
        _log.info("budget %r%s: its limit is %s now, by %s", name, whose, format_exactly(after, unit), by)
        return after


def _key(budget: Budget, scope: Mapping[str, str] | None) -> LimitKey:
    """Return the key of the accounts that a scope names; of all the budget's accounts without one."""
    return () if scope is None else budget.limit_key(scope)
