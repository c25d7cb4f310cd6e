"""The rows of holds in doubt: charged at what was held until someone knows the bill, and then at that.

A row of `ledger_doubt_amounts` has what is charged: what was held, and once it is resolved, what it was resolved at.
"""

from __future__ import annotations

import sqlite3
from collections.abc import Mapping

from hivecost.backends.sqlite.lease_bank.audit import is_text, record_change
from hivecost.backends.sqlite.lease_bank.budget_rows import freeze_for_bill
from hivecost.errors import ConfigError
from hivecost.ledger import DoubtAmount, DoubtfulHold, Overrun, Unit
from hivecost.ledger.amounts import format_exactly


def doubt(
    connection: sqlite3.Connection,
    hold_id: str,
    amounts: Mapping[int, int],
    *,
    key: str,
    reason: str,
    since_ns: int,
    is_partial: bool = False,
) -> bool:
    """Charge a hold as one in doubt, by row of its accounts; False if that was done before, whatever came of it."""
    sql = "INSERT OR IGNORE INTO ledger_doubts (hold_id, hold_key, reason, since_ns, is_partial) VALUES (?, ?, ?, ?, ?)"
    if not connection.execute(sql, [hold_id, key, reason, since_ns, is_partial]).rowcount:
        return False
    for row_id, amount in amounts.items():
        connection.execute("INSERT INTO ledger_doubt_amounts VALUES (?, ?, ?)", [hold_id, row_id, amount])
        connection.execute("UPDATE ledger_accounts SET in_doubt = in_doubt + ? WHERE id = ?", [amount, row_id])
    return True


def is_known(connection: sqlite3.Connection, hold_id: str) -> bool:
    """Tell whether the hold is in doubt, or ever was."""
    return connection.execute("SELECT 1 FROM ledger_doubts WHERE hold_id = ?", [hold_id]).fetchone() is not None


def paid_of(connection: sqlite3.Connection, hold_id: str) -> tuple[bool, dict[int, int]] | None:
    """Tell whether a hold is still in doubt, and what is charged for it by its accounts' rows; None if it never was."""
    sql = "SELECT resolved_ns FROM ledger_doubts WHERE hold_id = ?"
    row = connection.execute(sql, [hold_id]).fetchone()
    amounts = "SELECT account_id, amount FROM ledger_doubt_amounts WHERE hold_id = ?"
    return None if row is None else (row[0] is None, dict(connection.execute(amounts, [hold_id]).fetchall()))


def settle_late(
    connection: sqlite3.Connection, hold_id: str, billed: Mapping[Unit, int], *, now_ns: int
) -> tuple[Overrun, ...]:
    """Charge the bill of a hold that is in doubt, or was until somebody resolved it.

    What it was resolved at is paid; what the bill is above that is an overrun, which freezes the budget unless the hold
    is a partial one: the incidents.
    Of a bill below it nothing is given back: somebody has looked, and may have known more.
    """
    if resolve(connection, hold_id, billed, by="usage", now_ns=now_ns):
        return ()
    incidents, is_partial = [], _is_partial(connection, hold_id)
    for row_id, budget, unit, paid in _amounts(connection, hold_id):
        bill = billed.get(unit, paid)
        if bill > paid:
            connection.execute(
                "UPDATE ledger_accounts SET settled = settled + ?1, overrun = overrun + ?1 WHERE id = ?2",
                [bill - paid, row_id],
            )
            _keep_amount(connection, hold_id, row_id, bill)
            if not is_partial:
                freeze_for_bill(connection, budget, unit, billed=bill, held=paid, now_ns=now_ns)
            incidents.append(overrun_on(connection, row_id, billed=bill, held=paid, freezes=not is_partial))
    return tuple(incidents)


def overrun_on(connection: sqlite3.Connection, row_id: int, *, billed: int, held: int, freezes: bool = True) -> Overrun:
    """Return the overrun of a bill above what was held for it, on the account of this row."""
    budget, scope, period, unit = connection.execute(
        "SELECT budget, scope, period, unit FROM ledger_accounts JOIN ledger_budgets ON name = budget WHERE id = ?",
        [row_id],
    ).fetchone()
    return Overrun(budget=budget, scope=scope, period=period, unit=unit, held=held, billed=billed, freezes=freezes)


def resolve(connection: sqlite3.Connection, hold_id: str, billed: Mapping[Unit, int], *, by: str, now_ns: int) -> bool:
    """Settle a hold that is in doubt; a unit that is not billed stays as it was held. False if none is.

    A bill above its hold is an overrun and freezes the budget, unless the hold is a partial one.
    """
    is_partial = _is_partial(connection, hold_id)
    done = connection.execute(
        "UPDATE ledger_doubts SET resolved_ns = ?, resolved_by = ? WHERE hold_id = ? AND resolved_ns IS NULL",
        [now_ns, by, hold_id],
    ).rowcount
    for row_id, budget, unit, amount in _amounts(connection, hold_id) if done else ():
        bill = billed.get(unit, amount)
        connection.execute(
            "UPDATE ledger_accounts SET in_doubt = in_doubt - ?, settled = settled + ?, overrun = overrun + ?"
            " WHERE id = ?",
            [amount, bill, max(0, bill - amount), row_id],
        )
        _keep_amount(connection, hold_id, row_id, bill)
        if not is_partial:
            freeze_for_bill(connection, budget, unit, billed=bill, held=amount, now_ns=now_ns)
    return bool(done)


def resolve_by_hand(
    connection: sqlite3.Connection, hold_id: str, billed: Mapping[Unit, int], *, by: str, now_ns: int
) -> None:
    """Resolve a hold by hand, on record. Raise ConfigError for an id not in doubt, or for no name in `by`."""
    if not is_text(hold_id) or not resolve(connection, hold_id, billed, by=by, now_ns=now_ns):
        raise ConfigError(f"hold {hold_id!r}", "the id of a hold that is in doubt, as in_doubt() lists them")
    detail = ", ".join(format_exactly(amount, unit) for unit, amount in billed.items()) or "as held"
    record_change(connection, "resolve", hold_id, detail, who=by, now_ns=now_ns)


def list_in_doubt(connection: sqlite3.Connection) -> list[DoubtfulHold]:
    """Return the holds in doubt, oldest first."""
    rows = connection.execute(
        "SELECT hold_id, hold_key, reason, since_ns FROM ledger_doubts WHERE resolved_ns IS NULL ORDER BY since_ns"
    ).fetchall()
    return [
        DoubtfulHold(hold_id=hold_id, key=key, reason=reason, since_ns=since_ns, amounts=_listed(connection, hold_id))
        for hold_id, key, reason, since_ns in rows
    ]


def _listed(connection: sqlite3.Connection, hold_id: str) -> tuple[DoubtAmount, ...]:
    rows = connection.execute(
        "SELECT a.budget, a.scope, a.period, b.unit, d.amount FROM ledger_doubt_amounts AS d"
        " JOIN ledger_accounts AS a ON a.id = d.account_id JOIN ledger_budgets AS b ON b.name = a.budget"
        " WHERE d.hold_id = ? ORDER BY a.id",
        [hold_id],
    )
    return tuple(
        DoubtAmount(budget=budget, scope=scope, period=period, unit=unit, amount=amount)
        for budget, scope, period, unit, amount in rows
    )


def _is_partial(connection: sqlite3.Connection, hold_id: str) -> bool:
    row = connection.execute("SELECT is_partial FROM ledger_doubts WHERE hold_id = ?", [hold_id]).fetchone()
    return row is not None and bool(row[0])


def _keep_amount(connection: sqlite3.Connection, hold_id: str, row_id: int, amount: int) -> None:
    sql = "UPDATE ledger_doubt_amounts SET amount = ? WHERE hold_id = ? AND account_id = ?"
    connection.execute(sql, [amount, hold_id, row_id])


def _amounts(connection: sqlite3.Connection, hold_id: str) -> list[tuple[int, str, Unit, int]]:
    return connection.execute(
        "SELECT a.id, a.budget, b.unit, d.amount FROM ledger_doubt_amounts AS d"
        " JOIN ledger_accounts AS a ON a.id = d.account_id JOIN ledger_budgets AS b ON b.name = a.budget"
        " WHERE d.hold_id = ?",
        [hold_id],
    ).fetchall()
