"""Accounts that were dropped because there were too many: opened again, they have what the runtime log says."""

from __future__ import annotations

import logging
from collections import defaultdict
from collections.abc import AsyncIterator, Collection, Iterable, Mapping
from functools import partial
from typing import Final
from weakref import WeakKeyDictionary, WeakValueDictionary

import anyio

from hivecost.backends import Place, read_log
from hivecost.errors import StoreError
from hivecost.ledger import Account, Budget, SpendAccounts, attributes_of
from hivecost.ledger.account import AccountKey
from hivecost.log import EVERYTHING, Window
from hivecost.log.account_sums import add_spending
from hivecost.log.rows import VALUE_DIMENSIONS
from hivecost.log.spending import Spending, spending_in, spending_windows

_READ_AT_ONCE: Final = 500

_log = logging.getLogger("hivecost.budgets")


class DroppedAccounts:
    """Knows which of some accounts may have been spent on before they were opened, and reads how much that was.

    An account that somebody still refers to is found again with its sums. Of any other all turns are in the log, up to
    the turn that was counted last when it is opened: these are its past, and later ones are counted as they come.
    """

    def __init__(self, accounts: SpendAccounts) -> None:
        self._accounts = accounts
        self._known: WeakValueDictionary[tuple[str, AccountKey], Account] = WeakValueDictionary()
        #: Account → the cursor of the log up to which its past goes.
        self._unread: WeakKeyDictionary[Account, str] = WeakKeyDictionary()
        self._reading = anyio.Lock()
        self._is_failing = False

    def opened(self, account: Account, counted: str | None) -> Account:
        """Return the known account in place of this one, if any; the log is counted up to `counted`, if not None."""
        budget = account.budget
        if "execution" in budget.account_attributes:  # whose turns the log tells from no others of their session
            return account
        known = self._known.setdefault((budget.name, account.key), account)
        if known is account and counted is not None and self._accounts.may_have_past(budget.name):
            self._unread[account] = counted
        return known

    def forget(self, budget: str) -> None:
        """Forget a retired budget: an account of it that is opened later is another one."""
        for name, key in list(self._known):
            if name == budget:
                self._known.pop((name, key), None)

    def unread(self) -> list[Account]:
        """Return the accounts whose past is not read yet."""
        return list(self._unread)

    def are_read(self, accounts: Iterable[Account]) -> bool:
        """Tell whether the past of all these accounts is known."""
        return not self._unread or not any(account in self._unread for account in accounts)

    def forget_unread(self) -> None:
        """Forget the accounts to read, because nobody knows how far the log is counted."""
        self._unread.clear()

    async def read_back(self, base_path: Place) -> None:
        """Count the past of all that are unread; an error is logged, and then they count from zero."""
        async with self._reading:  # one at a time: those that come meanwhile are read together afterwards
            unread = dict(self._unread)
            try:
                for group, until in _groups(unread):
                    await self._read(base_path, group, until)
            except StoreError as error:
                if not self._is_failing:
                    _log.error("what was spent before on accounts is unknown, they count from zero: %s", error)
                self._is_failing = True
            else:
                self._is_failing = False
            for account in unread:
                self._unread.pop(account, None)

    async def _read(self, base_path: Place, accounts: list[Account], until: str) -> None:
        """Read the past of accounts of one budget and one period."""
        budget, period = accounts[0].budget, accounts[0].period
        by_values = {account.values: account for account in accounts}
        found: defaultdict[Account, list[Spending]] = defaultdict(list)
        async for spending in _spending_of(base_path, budget, by_values, period.start_ns, until):
            who = attributes_of(spending)
            account = by_values.get(tuple(who.get(name, "") for name in budget.account_attributes))
            if account is not None and budget.applies_to(who) and period.contains(spending.timestamp_ns):
                found[account].append(spending)
        for account, spent in found.items():
            for spending in spent:
                add_spending(account, spending)
            account.set_limit(account.limit)  # the marks that it had reached were told then


def _groups(unread: Mapping[Account, str]) -> list[tuple[list[Account], str]]:
    """Return what can be read at once: accounts of one budget and period, whose past goes up to the same turn."""
    groups: defaultdict[tuple[str, int, str], list[Account]] = defaultdict(list)
    for account, until in unread.items():
        groups[account.budget.name, account.period.start_ns, until].append(account)
    return [
        (accounts[start : start + _READ_AT_ONCE], until)
        for (_, _, until), accounts in groups.items()
        for start in range(0, len(accounts), _READ_AT_ONCE)
    ]


async def _spending_of(
    base_path: Place, budget: Budget, values: Collection[tuple[str, ...]], first_ns: int, until: str
) -> AsyncIterator[Spending]:
    """Yield what may have been spent on the accounts of these values; other accounts' spending may be among it."""
    # The window's own attribute is the first: of all others a session has the fewest turns, and an index.
    names = budget.account_attributes
    place = next((place for place, name in enumerate(names) if name in VALUE_DIMENSIONS), None)
    if place is None:
        wanted, windows = EVERYTHING, await read_log(base_path, partial(spending_windows, first_ns=first_ns))
    else:
        of_these = tuple({found[place] for found in values})
        wanted, windows = EVERYTHING._replace(**{names[place]: of_these}), [Window(first_ns).widened()]
    for window in windows:
        spent = await read_log(base_path, partial(spending_in, window=window, until=until, filter=wanted))
        for spending in spent:
            yield spending
