"""The rows of accounts and leases."""

from __future__ import annotations

import json
import sqlite3
from collections.abc import Mapping
from typing import NamedTuple

from hivecost.backends.sqlite.lease_bank.own_limits import own_limit, unpack_key
from hivecost.ledger.account import Account


class Sums(NamedTuple):
    """How an account stands for one process."""

    settled: int
    in_doubt: int
    leased: int
    leased_by_others: int


def register(connection: sqlite3.Connection, account: Account, process_id: int) -> int:
    """Return the row id of the account, which is inserted if it is missing; the process may lease from it.

    One that was pruned while this process knew it has its number again, by which its bills name it.
    """
    values = json.dumps(account.values)
    period = account.period
    connection.execute(
        "INSERT OR IGNORE INTO ledger_accounts (id, budget, scope, account_values, period, start_ns, end_ns)"
        " VALUES (nullif(?, 0), ?, ?, ?, ?, ?, ?)",
        [account.bank_id, account.budget.name, account.scope, values, period.name, period.start_ns, period.end_ns],
    )
    (row_id,) = connection.execute(
        "SELECT id FROM ledger_accounts WHERE budget = ? AND start_ns = ? AND account_values = ?",
        [account.budget.name, period.start_ns, values],
    ).fetchone()
    if account.leased:
        connection.execute("INSERT OR IGNORE INTO ledger_leases VALUES (?, ?, 0)", [process_id, row_id])
    return int(row_id)


def sums_of(connection: sqlite3.Connection, row_id: int, process_id: int) -> Sums:
    """Return how the account stands, and how much of it this process has leased."""
    row = connection.execute(
        "SELECT settled, in_doubt,"
        " (SELECT coalesce(sum(amount), 0) FROM ledger_leases WHERE account_id = id AND process_id = ?),"
        " (SELECT coalesce(sum(amount), 0) FROM ledger_leases WHERE account_id = id AND process_id <> ?)"
        " FROM ledger_accounts WHERE id = ?",
        [process_id, process_id, row_id],
    ).fetchone()
    return Sums(*row)


def change_lease(connection: sqlite3.Connection, process_id: int, row_id: int, by: int) -> None:
    """Lend more, or take back. Raise sqlite3.IntegrityError for more than was lent."""
    connection.execute(
        "UPDATE ledger_leases SET amount = amount + ? WHERE process_id = ? AND account_id = ?", [by, process_id, row_id]
    )


def unleased(connection: sqlite3.Connection, row_id: int) -> int:
    """Return how much of an account is lent to nobody."""
    budget, window, values, limit, spent_or_lent = connection.execute(
        "SELECT name, time_window, account_values, limit_amount, settled + in_doubt"
        " + (SELECT coalesce(sum(amount), 0) FROM ledger_leases WHERE account_id = id)"
        " FROM ledger_accounts JOIN ledger_budgets ON name = budget WHERE id = ?",
        [row_id],
    ).fetchone()
    own = own_limit(connection, budget, window, unpack_key(values))
    left: int = (limit if own is None else own) - spent_or_lent
    return max(0, left)


def charge_unleased(connection: sqlite3.Connection, row_id: int, amount: int) -> int:
    """Add to an account what no lease pays; how much of it is above what is lent to nobody, and so an overrun."""
    above = max(0, amount - unleased(connection, row_id))
    connection.execute(
        "UPDATE ledger_accounts SET settled = settled + ?, overrun = overrun + ? WHERE id = ?", [amount, above, row_id]
    )
    return above


def charge(connection: sqlite3.Connection, process_id: int, billed: Mapping[int, int], held: Mapping[int, int]) -> None:
    """Add bills to accounts, out of the leases that held for them, both by row; what is above is an overrun."""
    for row_id, amount in billed.items():
        from_hold = min(amount, held[row_id])
        connection.execute(
            "UPDATE ledger_accounts SET settled = settled + ?, overrun = overrun + ? WHERE id = ?",
            [amount, amount - from_hold, row_id],
        )
        if from_hold:
            change_lease(connection, process_id, row_id, -from_hold)
