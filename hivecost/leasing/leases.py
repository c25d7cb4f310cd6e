"""The accounts that one process decides on, and what it has leased of them."""

from __future__ import annotations

from collections.abc import Container, Iterable, Mapping
from typing import Final
from weakref import WeakValueDictionary

from hivecost.leasing.batch import AccountRow
from hivecost.leasing.journal import pack_accounts
from hivecost.ledger.account import Account, AccountKey
from hivecost.ledger.budget import Budget

#: Accounts of a budget that are kept in memory; the others are in the bank.
ACCOUNTS_MAX: Final = 10_000
_PACKED_MAX: Final = 10_000


class Leases:
    """Not for several threads at once."""

    def __init__(self) -> None:
        #: Those that somebody refers to: the book, a hold, a bill that is on its way to the bank, a lease. What is
        #: not referred to any more is in the bank, and read from there.
        self._known: WeakValueDictionary[tuple[str, AccountKey], Account] = WeakValueDictionary()
        #: Of the accounts that were asked for lately.
        self._packed: dict[tuple[Account, ...], bytes] = {}
        #: Accounts with a lease → what was settled and held there when we last looked.
        self._leased: dict[Account, tuple[int, int]] = {}
        #: Those among them that nobody takes turns on any more.
        self._dropped: set[Account] = set()
        #: Accounts in memory only of which nobody has read yet whether they have limits of their own.
        self.unread: set[Account] = set()
        #: Budgets of which some values have.
        self._with_own_limits: frozenset[str] = frozenset()

    def __bool__(self) -> bool:
        return bool(self._leased)

    def opened(self, account: Account) -> Account:
        """Return the account that is known already, or this one, with nothing lent to it yet."""
        if not is_durable(account):
            if account.budget.name in self._with_own_limits:
                self.unread.add(account)
            return account
        known = self._known.setdefault((account.budget.name, account.key), account)
        if known is account and not account.budget.shadow:
            account.leased, account.cap = True, 0
        self._dropped.discard(known)
        return known

    def dropped(self, account: Account) -> None:
        """Give the account's lease back with the next sync, because no turns are taken on it any more."""
        if account in self._leased:
            self._dropped.add(account)
        self.unread.discard(account)
        if is_durable(account):
            self._packed.clear()  # would keep it alive; what is still asked for is soon packed again

    def take_own_limits(self, own_limits: Mapping[Account, int | None]) -> None:
        """Take in what was read of accounts in memory only."""
        for account, own_limit in own_limits.items():
            self.unread.discard(account)
            if own_limit != account.own_limit:
                account.set_own_limit(own_limit)

    def limits_changed(self, with_own_limits: Iterable[str], accounts: Iterable[Account]) -> None:
        """Read own limits anew, because some limit is another one; these budgets have any."""
        before, self._with_own_limits = self._with_own_limits, frozenset(with_own_limits)
        names = before | self._with_own_limits
        if names:
            self.unread.update(a for a in accounts if a.budget.name in names and not is_durable(a))

    def packed(self, accounts: tuple[Account, ...]) -> bytes | None:
        """Return the durable ones among them, for the journal; None when one is not in the bank yet."""
        packed = self._packed.get(accounts)
        if packed is not None:
            return packed
        durable = [account.bank_id for account in accounts if is_durable(account)]
        if 0 in durable:
            return None
        if len(self._packed) >= _PACKED_MAX:
            self._packed.clear()
        packed = self._packed[accounts] = pack_accounts(durable)
        return packed

    def take(self, account: Account, row: AccountRow, settled_then: int) -> None:
        """Take in an account as it is in the bank now, without what was settled since `settled_then`."""
        is_new = not account.bank_id
        account.bank_id = row.bank_id
        account.settled += row.settled - settled_then
        if is_new or row.own_limit != account.own_limit:
            account.set_own_limit(row.own_limit)  # warnings that were given elsewhere are not repeated
        if not account.leased:
            return
        account.cap = row.settled + row.leased
        if row.leased:
            self._leased.setdefault(account, (-1, -1))
        else:
            self._leased.pop(account, None)
            self._dropped.discard(account)

    def asked_for(self, contested: Container[int]) -> list[Account]:
        """Return the accounts with these leases, and those of dropped accounts."""
        return [account for account in self._leased if account.bank_id in contested or account in self._dropped]

    def give_back(self, contested: Container[int]) -> list[Account]:
        """Hold nothing more on these leases, and those of dropped accounts, than is held already.

        Gives the accounts of those that had room.
        """
        shrunk = [account for account in self.asked_for(contested) if room_of(account) > 0]
        for account in shrunk:
            account.cap = account.settled + account.held + account.in_doubt
        return shrunk

    def idle_rows(self) -> set[int]:
        """Return the rows of the leases that nobody has used since this was asked last."""
        idle = {
            account.bank_id
            for account, seen in self._leased.items()
            if seen == (account.settled, account.held) and room_of(account) > 0
        }
        self._leased = {account: (account.settled, account.held) for account in self._leased}
        self._packed.clear()  # of executions that are over
        return idle

    def rows(self) -> set[int]:
        """Return the rows of the accounts that this process has leases on."""
        return {account.bank_id for account in self._leased}


def accounts_max(budget: Budget) -> int | None:
    """Return how many accounts of the budget are kept; None: all, because they are nowhere else."""
    return None if budget.window == "execution" else ACCOUNTS_MAX


def is_durable(account: Account) -> bool:
    """Return whether the bank has it: an execution's own account never leaves its process."""
    return account.budget.window != "execution"


def execution_of(account: Account) -> str:
    """Return the execution whose own account it is."""
    return account.values[account.budget.account_attributes.index("execution")]


def room_of(account: Account) -> int:
    """Return what could be held on it without asking."""
    return account.cap - account.settled - account.held - account.in_doubt
