"""How the accounts stand, over all processes: the database, and on top of it the journals of those who live."""

from __future__ import annotations

import sqlite3
from collections import Counter, defaultdict
from collections.abc import Mapping
from typing import NamedTuple

from hivecost.clock import to_datetime
from hivecost.ledger import UNITS, AccountStatus, Unit
from hivecost.ledger.account import Account
from hivecost.store.ledger.accounts import register
from hivecost.store.ledger.doubts import is_known
from hivecost.store.ledger.folder import LedgerFolder
from hivecost.store.ledger.journal import Slot, TornJournalError, read_journal

#: What the database does not know yet, by row of the account.
_Sums = Mapping[int, int]


def read_status(connection: sqlite3.Connection, folder: LedgerFolder, now_ns: int) -> list[AccountStatus]:
    """The accounts whose period is not over, or that have something held or in doubt. Asked under the write lock."""
    held, settled = _read_journals(connection, folder)
    rows = connection.execute(
        "SELECT a.id, a.budget, a.scope, a.period, b.unit, b.limit_amount, a.settled, a.in_doubt, a.end_ns, b.frozen"
        " FROM ledger_accounts AS a JOIN ledger_budgets AS b ON b.name = a.budget"
        " ORDER BY a.budget, a.start_ns, a.scope"
    )
    return [
        _status(row, settled[row[0]], held[row[0]])
        for row in rows.fetchall()
        if row[8] is None or row[8] > now_ns or row[7] or held[row[0]]
    ]


def read_remaining(
    connection: sqlite3.Connection, folder: LedgerFolder, accounts: tuple[Account, ...], process_id: int
) -> dict[Unit, int]:
    """The most that a turn on these accounts could hold once all unused leases are back, by unit."""
    held, settled = _read_journals(connection, folder)
    most: dict[Unit, int] = {}
    for account in accounts:
        left = account.remaining
        if account.budget.window != "execution":
            row_id = register(connection, account, process_id)
            limit, known, in_doubt, frozen = connection.execute(
                "SELECT limit_amount, settled, in_doubt, frozen FROM ledger_accounts"
                " JOIN ledger_budgets ON name = budget WHERE id = ?",
                [row_id],
            ).fetchone()
            spent = known + settled[row_id] + held[row_id] + in_doubt
            left = 0 if frozen is not None else max(0, limit - spent)
        if not account.budget.shadow:
            most[account.unit] = min(left, most.get(account.unit, left))
    return most


def _status(
    row: tuple[int, str, str, str, Unit, int, int, int, int | None, str | None], settled: int, held: int
) -> AccountStatus:
    _, budget, scope, period, unit, limit, known, in_doubt, end_ns, frozen = row
    return AccountStatus(
        budget=budget,
        scope=scope,
        period=period,
        unit=unit,
        limit=limit,
        settled=known + settled,
        held=held,
        in_doubt=in_doubt,
        remaining=max(0, limit - known - settled - held - in_doubt),
        reset_at=None if end_ns is None else to_datetime(end_ns),
        frozen=frozen is not None,
    )


def _read_journals(connection: sqlite3.Connection, folder: LedgerFolder) -> tuple[_Sums, _Sums]:
    """What processes hold, and what they have settled since they last told the database."""
    held: defaultdict[int, int] = defaultdict(int)
    settled: defaultdict[int, int] = defaultdict(int)
    processes = connection.execute("SELECT id, journal, settled_number FROM ledger_processes").fetchall()
    for process_id, name, known in processes:
        leases = dict(
            connection.execute("SELECT account_id, amount FROM ledger_leases WHERE process_id = ?", [process_id])
        )
        try:
            slots = read_journal(folder.journal(name))
        except (TornJournalError, OSError):
            # Dead, and not recovered yet: all that it has leased may be spent.
            sums = _Journaled(Counter(leases), Counter(), Counter())
        else:
            fresh = [slot for slot in slots if slot.settlement == 0 or slot.settlement > known]
            sums = _add_up(connection, process_id, fresh)
        for row_id, amount in sums.held.items():
            # Read while it writes, a hold and the one that took its place may both be seen; more than the lease is not.
            room = max(0, leases[row_id] - sums.settled_from_leases[row_id]) if row_id in leases else amount
            held[row_id] += min(amount, room)
        for row_id, amount in sums.settled.items():
            settled[row_id] += amount
    return held, settled


class _Journaled(NamedTuple):
    """By row of the accounts."""

    held: Counter[int]
    settled: Counter[int]
    settled_from_leases: Counter[int]


def _add_up(connection: sqlite3.Connection, process_id: int, slots: list[Slot]) -> _Journaled:
    sums = _Journaled(Counter(), Counter(), Counter())
    units = dict(connection.execute("SELECT a.id, unit FROM ledger_accounts AS a JOIN ledger_budgets ON name = budget"))
    for slot in slots:
        if is_known(connection, f"{process_id}-{slot.hold_number}"):
            continue
        for row_id in slot.accounts:
            unit = UNITS.index(units[row_id])
            if slot.settlement:
                sums.settled[row_id] += slot.billed[unit]
                sums.settled_from_leases[row_id] += min(slot.billed[unit], slot.held[unit])
            else:
                sums.held[row_id] += slot.held[unit]
    return sums
