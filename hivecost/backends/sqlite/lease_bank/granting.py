"""Granting leases to reservations that lack them: all accounts of one are lent for, or none."""

from __future__ import annotations

import sqlite3
from collections.abc import Callable, Mapping
from fractions import Fraction

from hivecost.backends.sqlite.lease_bank.accounts import Sums, change_lease, sums_of
from hivecost.backends.sqlite.lease_bank.budget_rows import first_configured_ns
from hivecost.backends.sqlite.lease_bank.own_limits import own_limit_of_account
from hivecost.clock import to_datetime
from hivecost.leasing.batch import BudgetRow, LeaseReply, LeaseRequest
from hivecost.ledger import Refusal, RefusalKind, lease_amount
from hivecost.ledger.account import Account
from hivecost.ledger.hold import finality


class LeaseGrantor:
    """Lends out of what remains, for one process in one transaction.

    `rooms` is what its accounts can hold without asking; `recover_dead` is called once before anything is refused that
    leases of others stand in the way of, and tells how many processes were recovered.
    """

    def __init__(
        self,
        connection: sqlite3.Connection,
        process_id: int,
        *,
        row_ids: Mapping[Account, int],
        rooms: Mapping[Account, int],
        budgets: Mapping[str, BudgetRow],
        share: Fraction,
        recover_dead: Callable[[], int],
    ) -> None:
        self._connection = connection
        self._process_id = process_id
        self._row_ids = row_ids
        self._rooms = dict(rooms)
        self._budgets = budgets
        self._share = share
        self._recover_dead: Callable[[], int] | None = recover_dead

    def reply(self, request: LeaseRequest) -> LeaseReply:
        """Lend what the accounts of the reservation lack, on all of them or on none."""
        reply = self._try(request)
        if reply.worth_waiting and self._recover_dead is not None:
            recovered, self._recover_dead = self._recover_dead(), None
            if recovered:
                reply = self._try(request)
        if reply.worth_waiting:
            self._note(request)
        return reply

    def _try(self, request: LeaseRequest) -> LeaseReply:
        for account in request.accounts:
            if self._budgets[account.budget.name].frozen is not None and not account.budget.shadow:
                return LeaseReply(self._refusal(account, request, "frozen", self._remaining(account)))
        lacking = self._lacking(request)
        sums = {account: self._sums(account) for account in lacking}
        short = [account for account, amount in lacking.items() if amount > self._left(account, sums[account])]
        replies = [self._short_reply(account, request, sums[account]) for account in short]
        if replies:
            # Of several the one that lasts longest.
            return max(replies, key=lambda reply: (not reply.worth_waiting, _finality(reply)))
        for account, amount in lacking.items():
            self._lend(account, amount, self._left(account, sums[account]))
        for account in request.accounts:
            if account.leased:
                self._rooms[account] -= request.amounts.get(account.unit, 0)
        return LeaseReply()

    def _lacking(self, request: LeaseRequest) -> dict[Account, int]:
        lacking = {}
        for account in request.accounts:
            amount = request.amounts.get(account.unit, 0) - self._rooms[account]
            if account.leased and amount > 0:
                lacking[account] = amount
        return lacking

    def _limit(self, account: Account) -> int:
        """Return the limit in force: that of the account's own values, or else its budget's."""
        budget = self._budgets[account.budget.name]
        own = own_limit_of_account(self._connection, account) if budget.has_own_limits else None
        return budget.limit if own is None else own

    def _sums(self, account: Account) -> Sums:
        return sums_of(self._connection, self._row_ids[account], self._process_id)

    def _left(self, account: Account, sums: Sums) -> int:
        """Return how much of the account is lent to nobody."""
        return self._limit(account) - sums.settled - sums.in_doubt - sums.leased - sums.leased_by_others

    def _room_left(self, account: Account, sums: Sums) -> int:
        """Return the most that could be held: the room in this process's leases, and what is lent to nobody."""
        return max(0, self._left(account, sums) + self._rooms[account])

    def _remaining(self, account: Account) -> int:
        """Return the most that could be held on any account; an execution's own account is in memory only."""
        return self._room_left(account, self._sums(account)) if account.leased else account.remaining

    def _lend(self, account: Account, lacking: int, left: int) -> None:
        row_id = self._row_ids[account]
        contested = self._connection.execute(
            "SELECT 1 FROM ledger_requests WHERE account_id = ? AND process_id <> ?", [row_id, self._process_id]
        ).fetchone()
        amount = lease_amount(lacking, left, share=self._share, contested=contested is not None)
        change_lease(self._connection, self._process_id, row_id, amount)
        self._rooms[account] += amount

    def _short_reply(self, account: Account, request: LeaseRequest, sums: Sums) -> LeaseReply:
        needed = request.amounts.get(account.unit, 0)
        exhausted = needed > self._limit(account) - sums.settled - sums.in_doubt
        refusal = self._refusal(account, request, "exhausted" if exhausted else "busy", self._room_left(account, sums))
        return LeaseReply(refusal, worth_waiting=not exhausted and sums.leased_by_others > 0)

    def _refusal(self, account: Account, request: LeaseRequest, kind: RefusalKind, remaining: int) -> Refusal:
        limit = self._limit(account)
        needed = request.amounts.get(account.unit, 0)
        resets = kind == "exhausted" and needed <= limit and account.period.end_ns is not None
        return Refusal(
            kind=kind,
            budget=account.budget.name,
            scope=account.scope,
            period=account.period.name,
            unit=account.unit,
            needed=needed,
            remaining=remaining,
            limit=limit,
            reset_at=to_datetime(account.period.end_ns or 0) if resets else None,
            reason=self._budgets[account.budget.name].frozen or "",
            since_ns=first_configured_ns(self._connection, account.budget.name) if kind == "exhausted" else 0,
        )

    def _note(self, request: LeaseRequest) -> None:
        """Ask the processes that lease what this reservation lacks to return what they do not need."""
        for account in self._lacking(request):
            self._connection.execute(
                "INSERT OR IGNORE INTO ledger_requests VALUES (?, ?)", [self._process_id, self._row_ids[account]]
            )


def _finality(reply: LeaseReply) -> int:
    return -1 if reply.refusal is None else finality(reply.refusal)
