"""Accounts that were dropped because there were too many: opened again, they have what the runtime log says."""

from __future__ import annotations

import logging
from collections import defaultdict
from collections.abc import AsyncIterator, Collection, Iterable, Mapping
from pathlib import Path
from typing import Final
from weakref import WeakKeyDictionary, WeakValueDictionary

import anyio

from hivecost.backends.sqlite import PRUNED_KEYS
from hivecost.backends.sqlite.reading import Spending, add_spending, attributes_of, spending_since, spending_where
from hivecost.errors import StoreError
from hivecost.ledger import Account, Budget, SpendAccounts
from hivecost.ledger.account import AccountKey

#: Attribute → the column of the log that has it; any other attribute is a tag.
_COLUMNS: Final = {
    name.removesuffix("_id"): name for name in PRUNED_KEYS if name.endswith("_id") or name in {"model", "provider"}
}
_READ_AT_ONCE: Final = 500

_log = logging.getLogger("hivecost.budgets")


class DroppedAccounts:
    """Knows which of some accounts may have been spent on before they were opened, and reads how much that was.

    An account that somebody still refers to is found again with its sums. Of any other all turns are in the log, up to
    the row that was counted last when it is opened: these are its past, and later ones are counted as they come.
    """

    def __init__(self, accounts: SpendAccounts) -> None:
        self._accounts = accounts
        self._known: WeakValueDictionary[tuple[str, AccountKey], Account] = WeakValueDictionary()
        #: Account → the row of the log up to which its past goes.
        self._unread: WeakKeyDictionary[Account, int] = WeakKeyDictionary()
        self._reading = anyio.Lock()
        self._is_failing = False

    def opened(self, account: Account, last_id: int | None) -> Account:
        """The account that is known already, or this one; the log is counted up to `last_id` (None: nobody knows)."""
        budget = account.budget
        if "execution" in budget.account_attributes:  # whose turns the log tells from no others of their session
            return account
        known = self._known.setdefault((budget.name, account.key), account)
        if known is account and last_id is not None and self._accounts.may_have_past(budget.name):
            self._unread[account] = last_id
        return known

    def forget(self, budget: str) -> None:
        """It was retired: an account of it that is opened later is another one."""
        for name, key in list(self._known):
            if name == budget:
                self._known.pop((name, key), None)

    def unread(self) -> list[Account]:
        """Those of which the past is not read yet."""
        return list(self._unread)

    def are_read(self, accounts: Iterable[Account]) -> bool:
        """Whether the past of all these is known."""
        return not self._unread or not any(account in self._unread for account in accounts)

    def forget_unread(self) -> None:
        """Nobody knows how far the log is counted."""
        self._unread.clear()

    async def read_back(self, base_path: Path) -> None:
        """Count the past of all that are unread; an error is logged, and then they count from zero."""
        async with self._reading:  # one at a time: those that come meanwhile are read together afterwards
            unread = dict(self._unread)
            try:
                for group, row_id in _groups(unread):
                    await self._read(base_path, group, row_id)
            except StoreError as error:
                if not self._is_failing:
                    _log.error("what was spent before on accounts is unknown, they count from zero: %s", error)
                self._is_failing = True
            else:
                self._is_failing = False
            for account in unread:
                self._unread.pop(account, None)

    async def _read(self, base_path: Path, accounts: list[Account], row_id: int) -> None:
        """Of accounts of one budget and one period."""
        budget, period = accounts[0].budget, accounts[0].period
        by_values = {account.values: account for account in accounts}
        found: defaultdict[Account, list[Spending]] = defaultdict(list)
        async for spending in _spending_of(base_path, budget, by_values, period.start_ns, row_id):
            who = attributes_of(spending)
            account = by_values.get(tuple(who.get(name, "") for name in budget.account_attributes))
            if account is not None and budget.applies_to(who) and period.contains(spending.timestamp_ns):
                found[account].append(spending)
        for account, spent in found.items():
            for spending in spent:
                add_spending(account, spending)
            account.set_limit(account.limit)  # the marks that it had reached were told then


def _groups(unread: Mapping[Account, int]) -> list[tuple[list[Account], int]]:
    """What can be read at once: accounts of one budget and period, whose past goes up to the same row."""
    groups: defaultdict[tuple[str, int, int], list[Account]] = defaultdict(list)
    for account, row_id in unread.items():
        groups[account.budget.name, account.period.start_ns, row_id].append(account)
    return [
        (accounts[start : start + _READ_AT_ONCE], row_id)
        for (_, _, row_id), accounts in groups.items()
        for start in range(0, len(accounts), _READ_AT_ONCE)
    ]


async def _spending_of(
    base_path: Path, budget: Budget, values: Collection[tuple[str, ...]], first_ns: int, row_id: int
) -> AsyncIterator[Spending]:
    """What may have been spent on the accounts of these values; that of others may be among it."""
    # The window's own attribute is the first: of all others a session has the fewest turns, and an index.
    place = next((place for place, name in enumerate(budget.account_attributes) if name in _COLUMNS), None)
    if place is None:
        async for spending in spending_since(base_path, first_ns, last_id=row_id):
            yield spending
        return
    column, wanted = _COLUMNS[budget.account_attributes[place]], {found[place] for found in values}
    for spending in await spending_where(base_path, first_ns, last_id=row_id, column=column, values=wanted):
        yield spending
