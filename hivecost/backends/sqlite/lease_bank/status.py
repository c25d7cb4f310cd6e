"""How the accounts stand, over all processes: a snapshot of the database, and on top of it the journals.

Reads only, and takes no lock that a writer waits for.
"""

from __future__ import annotations

import json
import sqlite3
from collections import Counter, defaultdict
from collections.abc import Iterator, Mapping, Sequence
from contextlib import closing, contextmanager
from pathlib import Path
from typing import Final, NamedTuple

from msgspec.structs import replace

from hivecost.backends.sqlite.database import database_path, open_reader
from hivecost.backends.sqlite.faults import named_faults
from hivecost.backends.sqlite.file_locks import holder_of
from hivecost.backends.sqlite.lease_bank.in_doubt import is_known, list_in_doubt, paid_of
from hivecost.backends.sqlite.lease_bank.own_limits import own_limit, own_limit_of_account, unpack_key
from hivecost.backends.sqlite.lease_bank.paths import LedgerPaths, boot_id, how_restarted
from hivecost.backends.sqlite.statements import LEDGER, statement
from hivecost.clock import to_datetime
from hivecost.leasing.journal import JournalEntry, TornJournalError, read_journal
from hivecost.leasing.leases import is_durable
from hivecost.ledger import UNITS, AccountStatus, DoubtAmount, DoubtfulHold, Holder, Unit
from hivecost.ledger.account import Account
from hivecost.ledger.period import Window

#: How often the journals are read again because settlements were committed meanwhile.
_ATTEMPTS_MAX: Final = 10

LOAD_ACCOUNTS: Final = statement(LEDGER, "accounts", where="a.end_ns IS NULL OR a.end_ns > :now_ns OR a.in_doubt > 0")
LOAD_ACCOUNT: Final = statement(LEDGER, "accounts", where="a.id = :id")
LOAD_ACCOUNT_OF: Final = statement(
    LEDGER, "accounts", where="a.budget = :budget AND a.start_ns = :start_ns AND a.account_values = :account_values"
)
LOAD_REMAINING: Final = statement(LEDGER, "room")


def read_accounts(base_path: Path, now_ns: int) -> list[AccountStatus]:
    """Return the accounts whose period is not over, or that have something held or in doubt.

    Never less than is true: a hold that is settled while this reads may be counted at what was held and at its bill,
    up to what its process has leased. Raise StoreErrors.
    """
    with _reading(base_path) as ledger:
        rows = {row.id: row for row in ledger.rows(LOAD_ACCOUNTS, {"now_ns": now_ns})}
        for row_id in (ledger.held.keys() | ledger.in_doubt.keys()) - rows.keys():
            rows |= {row.id: row for row in ledger.rows(LOAD_ACCOUNT, {"id": row_id})}
        in_order = sorted(rows.values(), key=lambda row: (row.budget, row.start_ns, row.scope))
        return [ledger.status(row) for row in in_order]


def read_accounts_of(base_path: Path, accounts: Sequence[Account]) -> dict[Account, AccountStatus]:
    """Return how the accounts with these budgets, periods and values stand, also those whose period is over.

    One that the ledger does not have is left out. Raise StoreErrors.
    """
    found = {}
    with _reading(base_path) as ledger:
        for account in accounts:
            for row in ledger.rows(LOAD_ACCOUNT_OF, _place_of(account)):
                found[account] = ledger.status(row)
    return found


def read_remaining(base_path: Path, accounts: Sequence[Account]) -> dict[Unit, int]:
    """Return the most that a turn on these accounts could hold once all unused leases are back, by unit.

    Raise StoreErrors.
    """
    most: dict[Unit, int] = {}
    with _reading(base_path) as ledger:
        for account in accounts:
            if not account.budget.shadow:
                left = ledger.remaining(account) if is_durable(account) else account.remaining
                most[account.unit] = min(left, most.get(account.unit, left))
    return most


def read_doubts(base_path: Path, now_ns: int) -> list[DoubtfulHold]:
    """Return the holds in doubt, oldest first. Raise StoreErrors.

    Those of processes that have died are included, which the next process that opens the ledger puts in doubt.
    """
    with _reading(base_path) as ledger:
        holds = [*list_in_doubt(ledger.connection), *ledger.left_open(now_ns)]
    return sorted(holds, key=lambda hold: hold.since_ns)


def _place_of(account: Account) -> dict[str, int | str]:
    return {
        "budget": account.budget.name,
        "start_ns": account.period.start_ns,
        "account_values": json.dumps(account.values),
    }


def read_holders(base_path: Path, budget: str) -> dict[tuple[str, str], list[Holder]]:
    """Return who holds what of the budget's accounts, by scope and period. Raise StoreErrors."""
    found: dict[tuple[str, str], list[Holder]] = {}
    paths = LedgerPaths(base_path)
    with _reading(base_path) as ledger:
        for process, row_id, holder in ledger.holders():
            for row in ledger.rows(LOAD_ACCOUNT, {"id": row_id}):
                if row.budget == budget:
                    named = replace(holder, process=holder_of(paths.journal(process.journal)))
                    found.setdefault((row.scope, row.period), []).append(named)
    return found


class _Process(NamedTuple):
    id: int
    journal: str
    boot_id: str
    #: Settlements in its journal up to this one are in the accounts.
    settled_number: int
    opened_ns: int


class _Row(NamedTuple):
    id: int
    budget: str
    scope: str
    period: str
    start_ns: int
    end_ns: int | None
    settled: int
    in_doubt: int
    unit: Unit
    budget_limit: int
    frozen: str | None
    window: Window
    account_values: str
    has_own_limits: int


class _Journal(NamedTuple):
    """What a process has written down; without entries, all that it has leased may be spent."""

    entries: list[JournalEntry] | None
    #: Why what it holds is in doubt; "" while it lives.
    over: str


@contextmanager
def _reading(base_path: Path) -> Iterator[_Reading]:
    """Read the database and the journals as they stood at one instant.

    A settlement leaves the journal after the commit that brings it into the accounts. So the journals are read first,
    and the database then: nothing is missing. Where no settlement was committed in between, nothing is there twice.
    """
    paths = LedgerPaths(base_path)
    with named_faults(database_path(base_path)), closing(open_reader(base_path)) as connection:
        processes = _processes(connection)
        for _ in range(_ATTEMPTS_MAX):
            journals = {process.id: _read(paths, process) for process in processes}
            connection.rollback()
            connection.execute("BEGIN")
            before, processes = processes, _processes(connection)
            if processes == before:
                break
        yield _Reading(connection, processes, journals)


def _processes(connection: sqlite3.Connection) -> list[_Process]:
    rows = connection.execute(
        "SELECT id, journal, boot_id, settled_number, opened_ns FROM ledger_processes ORDER BY id"
    )
    return [_Process(*row) for row in rows]


def _read(paths: LedgerPaths, process: _Process) -> _Journal:
    """Return the process's journal as recovery would find it."""
    over = "" if paths.is_alive(process.journal) else "its process died"
    restart = how_restarted(process.boot_id, boot_id())
    if over and restart:
        return _Journal(None, restart)
    try:
        return _Journal(read_journal(paths.journal(process.journal)), over)
    except (TornJournalError, OSError) as error:
        return _Journal(None, over and f"its journal cannot be read ({error})")


class _Reading:
    """The sums, by row of the account, of what is not in the accounts of the database."""

    def __init__(
        self, connection: sqlite3.Connection, processes: list[_Process], journals: Mapping[int, _Journal]
    ) -> None:
        self.connection = connection
        self.held: Counter[int] = Counter()
        self.settled: Counter[int] = Counter()
        #: What recovery will put in doubt.
        self.in_doubt: Counter[int] = Counter()
        self._processes = processes
        # One that came while we read: what it leased may be spent.
        self._journals = {process.id: journals.get(process.id, _Journal(None, "")) for process in processes}
        self._units: dict[int, Unit | None] = {}
        for process in processes:
            self._add(process, self._journals[process.id])

    def rows(self, sql: str, parameters: Mapping[str, int | str]) -> list[_Row]:
        return [_Row(*row) for row in self.connection.execute(sql, parameters)]

    def status(self, row: _Row) -> AccountStatus:
        settled, held = row.settled + self.settled[row.id], self.held[row.id]
        in_doubt = row.in_doubt + self.in_doubt[row.id]
        own = None
        if row.has_own_limits:
            own = own_limit(self.connection, row.budget, row.window, unpack_key(row.account_values))
        limit = row.budget_limit if own is None else own
        return AccountStatus(
            budget=row.budget,
            scope=row.scope,
            period=row.period,
            unit=row.unit,
            limit=limit,
            settled=settled,
            held=held,
            in_doubt=in_doubt,
            remaining=max(0, limit - settled - held - in_doubt),
            reset_at=None if row.end_ns is None else to_datetime(row.end_ns),
            frozen=row.frozen is not None,
            has_own_limit=own is not None,
        )

    def remaining(self, account: Account) -> int:
        row = self.connection.execute(LOAD_REMAINING, _place_of(account)).fetchone()
        if row is None:  # the ledger was opened with it, so it is there
            return 0
        limit, frozen, row_id, settled, in_doubt = row
        own = own_limit_of_account(self.connection, account)
        spent = settled + in_doubt + self.settled[row_id] + self.held[row_id] + self.in_doubt[row_id]
        return 0 if frozen is not None else max(0, (limit if own is None else own) - spent)

    def left_open(self, now_ns: int) -> Iterator[DoubtfulHold]:
        """Yield the holds of processes that have died, as recovery will list them."""
        for process in self._processes:
            entries, over = self._journals[process.id]
            if over and entries is None:
                for row_id, amount in self._leases(process).items():
                    amounts = self._amounts({row_id: amount})
                    yield DoubtfulHold(
                        hold_id=f"{process.id}-lease-{row_id}", key="", reason=over, since_ns=now_ns, amounts=amounts
                    )
            for entry in self._fresh(process, entries or ()) if over else ():
                left = {row_id: amount for row_id, amount, _, is_settled in self._parts(entry) if not is_settled}
                if left:
                    yield DoubtfulHold(
                        hold_id=f"{process.id}-{entry.hold_number}",
                        key=entry.key,
                        reason=over,
                        since_ns=entry.at_ns,
                        amounts=self._amounts(left),
                    )

    def holders(self) -> Iterator[tuple[_Process, int, Holder]]:
        """Yield what each living process holds.

        An item is (process, row of the account, holder); a process without holds and leases is left out.
        """
        for process in self._processes:
            entries, over = self._journals[process.id]
            if over:
                continue
            leases, held, since = self._leases(process), defaultdict[int, list[int]](list), dict[int, int]()
            for entry in self._fresh(process, entries or ()):
                for row_id, amount, billed, is_settled in self._parts(entry):
                    if is_settled:
                        leases[row_id] = leases.get(row_id, 0) - min(billed, amount)
                    else:
                        held[row_id].append(amount)
                        since[row_id] = min(entry.at_ns, since.get(row_id, entry.at_ns))
            for row_id in sorted(leases.keys() | held.keys()):
                amounts = held.get(row_id, [])
                lent = max(0, leases.get(row_id, 0) - sum(amounts))
                if amounts or lent:
                    yield process, row_id, _holder(process, amounts, since.get(row_id), lent)

    def _add(self, process: _Process, journal: _Journal) -> None:
        open_holds = self.in_doubt if journal.over else self.held
        if journal.entries is None:
            open_holds.update(self._leases(process))
            return
        held: Counter[int] = Counter()
        leases = self._leases(process)
        for entry, is_in_doubt, paid in self._late(process, journal.entries):
            for row_id, _, billed, _ in self._parts(entry):
                if is_in_doubt:
                    self.settled[row_id] += billed
                    self.in_doubt[row_id] -= paid.get(row_id, 0)
                else:
                    self.settled[row_id] += max(0, billed - paid.get(row_id, billed))
        for entry in self._fresh(process, journal.entries):
            for row_id, amount, billed, is_settled in self._parts(entry):
                if is_settled:
                    self.settled[row_id] += billed
                    if row_id in leases:
                        leases[row_id] -= min(billed, amount)
                else:
                    held[row_id] += amount
        for row_id, amount in held.items():
            # Read while it writes, a hold and the one that took its place may both be seen; more than the lease is not.
            open_holds[row_id] += min(amount, max(0, leases[row_id])) if row_id in leases else amount

    def _leases(self, process: _Process) -> dict[int, int]:
        return dict(
            self.connection.execute("SELECT account_id, amount FROM ledger_leases WHERE process_id = ?", [process.id])
        )

    def _fresh(self, process: _Process, entries: Sequence[JournalEntry]) -> Iterator[JournalEntry]:
        """Yield the entries that are not in the accounts yet, neither as settled nor as in doubt."""
        for entry in entries:
            is_new = entry.settlement == 0 or entry.settlement > process.settled_number
            if is_new and not is_known(self.connection, f"{process.id}-{entry.hold_number}"):
                yield entry

    def _late(
        self, process: _Process, entries: Sequence[JournalEntry]
    ) -> Iterator[tuple[JournalEntry, bool, dict[int, int]]]:
        """Yield the entries that are or were in doubt in the accounts, and whose bill is known by now.

        With each stands whether it still is in doubt, and what is charged for it by row.
        """
        for entry in entries:
            if entry.settlement > process.settled_number:
                paid = paid_of(self.connection, f"{process.id}-{entry.hold_number}")
                if paid is not None:
                    yield entry, *paid

    def _parts(self, entry: JournalEntry) -> Iterator[tuple[int, int, int, bool]]:
        """Yield (row, what is held, what is billed, whether that is the bill) for each of the entry's accounts."""
        for row_id in entry.accounts:
            unit = self._unit(row_id)
            if unit is not None:
                place = UNITS.index(unit)
                yield row_id, entry.held[place], entry.billed[place], unit in entry.settled_units

    def _unit(self, row_id: int) -> Unit | None:
        """Return the unit that the account counts; None for a row that is missing."""
        if row_id not in self._units:
            row = self.connection.execute(
                "SELECT unit FROM ledger_accounts JOIN ledger_budgets ON name = budget WHERE id = ?", [row_id]
            ).fetchone()
            self._units[row_id] = None if row is None else row[0]
        return self._units[row_id]

    def _amounts(self, amounts: Mapping[int, int]) -> tuple[DoubtAmount, ...]:
        rows = (row for row_id in sorted(amounts) for row in self.rows(LOAD_ACCOUNT, {"id": row_id}))
        return tuple(
            DoubtAmount(budget=row.budget, scope=row.scope, period=row.period, unit=row.unit, amount=amounts[row.id])
            for row in rows
        )


def _holder(process: _Process, amounts: Sequence[int], since_ns: int | None, lent: int) -> Holder:
    return Holder(
        process="",
        since=to_datetime(process.opened_ns),
        held=sum(amounts),
        holds=len(amounts),
        held_since=None if since_ns is None else to_datetime(since_ns),
        lent=lent,
    )
