"""One process's syncs with the ledger in the database. Blocking; all but `poll` is under the OS write lock."""

from __future__ import annotations

import sqlite3
from collections.abc import Callable, Iterable, Iterator, Mapping, Sequence
from contextlib import suppress
from fractions import Fraction
from pathlib import Path
from typing import Any, Final, TypeVar

from hivecost.backends.sqlite.database import (
    Identity,
    begin,
    checkpoint_if_grown,
    database_path,
    identity_of,
    open_writer,
    require_same,
)
from hivecost.backends.sqlite.lease_bank.accounts import (
    change_lease,
    charge,
    charge_unleased,
    register,
    sums_of,
    unleased,
)
from hivecost.backends.sqlite.lease_bank.audit import last_change
from hivecost.backends.sqlite.lease_bank.budget_rows import budget_rows, configure, freeze, freeze_for_bill
from hivecost.backends.sqlite.lease_bank.granting import LeaseGrantor
from hivecost.backends.sqlite.lease_bank.in_doubt import doubt, is_known, overrun_on, settle_late
from hivecost.backends.sqlite.lease_bank.operations import perform
from hivecost.backends.sqlite.lease_bank.own_limits import own_limit_of_account
from hivecost.backends.sqlite.lease_bank.paths import LedgerPaths, boot_id, close_all
from hivecost.backends.sqlite.lease_bank.recovery import Recovery, forget
from hivecost.clock import Clock
from hivecost.errors import HiveCostError, StoreMovedError
from hivecost.leasing.bank import Poll
from hivecost.leasing.batch import (
    AccountRow,
    Batch,
    Bill,
    BillSums,
    BudgetRow,
    Committed,
    LateOverrun,
    LeaseReply,
    sums_of_bills,
)
from hivecost.leasing.journal import Journal
from hivecost.leasing.operations import Operation
from hivecost.ledger import Budget, Hold, Overrun
from hivecost.ledger.account import Account

T = TypeVar("T")

#: A turn may count on so many budgets more than the ledger was opened with: on those that were added since.
ACCOUNTS_SPARE: Final = 8


class LedgerDatabase:
    """The ledger's tables as one open Ledger uses them. Raises StoreErrors, sqlite3.Error and OSError."""

    def __init__(self, base_path: Path, clock: Clock) -> None:
        self._base_path = base_path
        self._clock = clock
        self._paths = LedgerPaths(base_path)
        self._connection: sqlite3.Connection | None = None
        self._identity: Identity | None = None
        self._checkpointed_bytes = 0
        self._name = ""
        self._locks: list[int] = []
        self._share = Fraction(0)
        self.process_id = 0

    def open(self, budgets: Sequence[Budget], *, holds_max: int, share: Fraction) -> Journal:
        """Recover the dead, bring the budgets into force and enter this process; its journal, locked for its life."""
        self._name, self._share = self._paths.make_name(), share
        try:
            accounts_max = len(budgets) + ACCOUNTS_SPARE
            journal = Journal(self._paths.journal(self._name), holds_max=holds_max, accounts_max=accounts_max)
            self._locks = self._paths.lock(self._name) or []
            self._transact(lambda connection, recovery: self._enter(connection, recovery, budgets))
        except BaseException:
            self.let_go()
            self._paths.remove(self._name)
            raise
        return journal

    def sync(self, batch: Batch, operations: Iterable[Operation[Any]]) -> Committed:
        """Commit a batch and do the operations, in one transaction; a HiveCostError of one is its result.

        Raise StoreMovedError where the database is not the one that was opened, and StoreVersionError where a newer
        hivecost has migrated it: what this process has leased is not its own any more.
        """
        return self._transact(lambda connection, recovery: self._commit(connection, recovery, batch, operations))

    def poll(self) -> Poll:
        """Return the rows that others wait for and this process has leased, and the newest change. Needs no lock.

        Raise as `sync` does.
        """
        if self._connection is None or self._identity is None:
            return Poll(set(), -1)
        require_same(database_path(self._base_path), self._identity)
        self._require_known(self._connection)
        rows = self._connection.execute(
            "SELECT account_id FROM ledger_requests JOIN ledger_leases AS mine USING (account_id)"
            " WHERE mine.process_id = ?1 AND ledger_requests.process_id <> ?1 AND mine.amount > 0",
            [self.process_id],
        )
        return Poll({row_id for (row_id,) in rows}, last_change(self._connection))

    def leave(self, batch: Batch | None) -> None:
        """Commit the last batch, return every lease and go; without a batch, as the journal says."""
        self._transact(lambda connection, recovery: self._leave(connection, recovery, batch))
        self._paths.remove(self._name)

    def close(self) -> None:
        """Close the connection, under the OS write lock."""
        connection, self._connection = self._connection, None
        if connection is not None:
            connection.close()

    def let_go(self) -> None:
        """Release the lock of the journal, so that the next process to open the ledger recovers it."""
        close_all(self._locks)

    def _transact(self, work: Callable[[sqlite3.Connection, Recovery], T]) -> T:
        path = database_path(self._base_path)
        if self._identity is not None:
            require_same(path, self._identity)
        connection = self._connection = self._connection or open_writer(self._base_path, same_as=self._identity)
        self._identity = self._identity or identity_of(path)
        recovery = Recovery(self._paths, self._clock.now_ns())
        try:
            begin(connection)
            result = work(connection, recovery)
            connection.execute("COMMIT")
            recovery.finish()
            self._checkpointed_bytes = checkpoint_if_grown(connection, path, self._checkpointed_bytes)
        except BaseException:
            # Closing alone may not end it: a cursor in the error's traceback keeps the connection, and its lock.
            with suppress(sqlite3.Error):
                connection.rollback()
            self.close()
            raise
        finally:
            recovery.give_up()
        return result

    def _enter(self, connection: sqlite3.Connection, recovery: Recovery, budgets: Sequence[Budget]) -> None:
        recovery.recover_dead(connection)
        names = [name for (name,) in connection.execute("SELECT journal FROM ledger_processes")]
        self._paths.sweep([*names, self._name])
        now_ns = self._clock.now_ns()
        configure(connection, budgets, now_ns)
        cursor = connection.execute(
            "INSERT INTO ledger_processes (journal, boot_id, opened_ns) VALUES (?, ?, ?)",
            [self._name, boot_id(), now_ns],
        )
        self.process_id = cursor.lastrowid or 0

    def _commit(
        self, connection: sqlite3.Connection, recovery: Recovery, batch: Batch, operations: Iterable[Operation[Any]]
    ) -> Committed:
        row_ids = {account: register(connection, account, self.process_id) for account in batch.settled_then}
        overruns = self._take_in(connection, batch)
        for row_id, kept in batch.kept.items():
            connection.execute(
                "UPDATE ledger_leases SET amount = min(amount, ?) WHERE process_id = ? AND account_id = ?",
                [kept, self.process_id, row_id],
            )
        now_ns = self._clock.now_ns()
        results = [_do(connection, operation, now_ns) for operation in operations]
        replies = self._reply(connection, recovery, batch, row_ids)
        budgets = budget_rows(connection)
        accounts = {account: self._row(connection, account, row_id, budgets) for account, row_id in row_ids.items()}
        own_limits = {account: _own_limit(connection, account, budgets) for account in batch.in_memory}
        return Committed(accounts, budgets, replies, own_limits, last_change(connection), overruns, results, now_ns)

    def _reply(
        self, connection: sqlite3.Connection, recovery: Recovery, batch: Batch, row_ids: dict[Account, int]
    ) -> list[LeaseReply]:
        connection.execute("DELETE FROM ledger_requests WHERE process_id = ?", [self.process_id])
        if not batch.requests:
            return []
        grantor = LeaseGrantor(
            connection,
            self.process_id,
            row_ids=row_ids,
            rooms=batch.rooms,
            budgets=budget_rows(connection),
            share=self._share,
            recover_dead=lambda: recovery.recover_dead(connection, but=self.process_id),
        )
        return [grantor.reply(request) for request in batch.requests]

    def _take_in(self, connection: sqlite3.Connection, batch: Batch) -> list[LateOverrun]:
        """Write what this process settled, put in doubt and froze since the last sync; known entries change nothing.

        Return the overruns that only the database could find in the bills.
        """
        now_ns, known = self._clock.now_ns(), self._require_known(connection)
        for hold in batch.in_doubt:
            amounts = {account.bank_id: hold.amounts[account.unit] for account in hold.doubted if account.bank_id}
            hold_id, reason, more = self._id_of(hold), "left unsettled", _wanted_more(connection, hold)
            charged = {row_id: amount + more.get(row_id, 0) for row_id, amount in amounts.items()}
            key = (hold.further_of or hold).key or ""
            partial = hold.is_partial
            if doubt(connection, hold_id, charged, key=key, reason=reason, since_ns=hold.at_ns, is_partial=partial):
                for row_id, amount in amounts.items():
                    change_lease(connection, self.process_id, row_id, -amount)
        overruns: list[LateOverrun] = []
        fresh = [bill for bill in batch.bills if bill.number > known]
        for bill in fresh:
            if bill.late and is_known(connection, self._id_of(bill.hold)):
                late = settle_late(connection, self._id_of(bill.hold), bill.billed, now_ns=now_ns)
                overruns += [LateOverrun(bill.hold, late)] if late else []
        if fresh:
            sums = self._sums(batch, known)
            charge(connection, self.process_id, sums.billed, sums.held)
            connection.execute(
                "UPDATE ledger_processes SET settled_number = ? WHERE id = ?", [fresh[-1].number, self.process_id]
            )
        for bill in fresh:
            above = tuple(self._charge_unleased(connection, bill, now_ns)) if bill.shares else ()
            overruns += [LateOverrun(bill.hold, above)] if above else []
        for name, reason in batch.frozen.items():
            freeze(connection, name, reason, who="hivecost", now_ns=now_ns)
        return overruns

    def _charge_unleased(self, connection: sqlite3.Connection, bill: Bill, now_ns: int) -> Iterator[Overrun]:
        """Charge the part of a further answer that this process had not leased; yield the overruns."""
        for row_id, share in (bill.shares or {}).items():
            above = charge_unleased(connection, row_id, share.unleased) if share.unleased else 0
            if above:
                billed = share.leased + share.unleased
                freezes = not bill.hold.is_partial
                overrun = overrun_on(connection, row_id, billed=billed, held=billed - above, freezes=freezes)
                if freezes:
                    freeze_for_bill(
                        connection, overrun.budget, overrun.unit, billed=billed, held=billed - above, now_ns=now_ns
                    )
                yield overrun

    def _require_known(self, connection: sqlite3.Connection) -> int:
        """Return the number of the last settlement of this process that the database has."""
        row = connection.execute(
            "SELECT settled_number FROM ledger_processes WHERE id = ? AND journal = ?", [self.process_id, self._name]
        ).fetchone()
        if row is None:
            raise StoreMovedError(
                f"{database_path(self._base_path)}: does not know this process, which was taken for dead because its "
                "journal was removed, or an older copy of the database was put back; open the ledger again"
            )
        return int(row[0])

    def _sums(self, batch: Batch, known: int) -> BillSums:
        """Return the sums of the bills that the database lacks: all, except after a commit that only seemed to fail."""
        return batch.sums if batch.bills[0].number > known else sums_of_bills(batch.bills, above=known)

    def _id_of(self, hold: Hold) -> str:
        return f"{self.process_id}-{hold.hold_id}"

    def _row(
        self, connection: sqlite3.Connection, account: Account, row_id: int, budgets: Mapping[str, BudgetRow]
    ) -> AccountRow:
        sums = sums_of(connection, row_id, self.process_id)
        return AccountRow(row_id, sums.settled, sums.leased, _own_limit(connection, account, budgets))

    def _leave(self, connection: sqlite3.Connection, recovery: Recovery, batch: Batch | None) -> None:
        if batch is None:
            recovery.recover_own(connection, self.process_id, self._name)
        else:
            self._take_in(connection, batch)
            forget(connection, self.process_id)


def _own_limit(connection: sqlite3.Connection, account: Account, budgets: Mapping[str, BudgetRow]) -> int | None:
    return own_limit_of_account(connection, account) if budgets[account.budget.name].has_own_limits else None


def _wanted_more(connection: sqlite3.Connection, hold: Hold) -> dict[int, int]:
    """Return what a further answer needs above its hold, as far as it is lent to nobody, by its accounts' rows."""
    wanted, held = hold.wanted, hold.amounts
    if wanted is None:
        return {}
    return {
        account.bank_id: min(wanted[account.unit] - held[account.unit], unleased(connection, account.bank_id))
        for account in hold.made_on
        if account.leased
    }


def _do(connection: sqlite3.Connection, operation: Operation[Any], now_ns: int) -> Any:
    connection.execute("SAVEPOINT operation")
    try:
        return perform(connection, operation, now_ns)
    except HiveCostError as error:
        connection.execute("ROLLBACK TO operation")
        return error
    finally:
        connection.execute("RELEASE operation")
