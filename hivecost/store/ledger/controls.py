"""The rows of budgets, in force for all processes, and the list of who changed what."""

from __future__ import annotations

import json
import sqlite3
from collections.abc import Iterable

from hivecost.errors import ConfigError
from hivecost.ledger import Budget, Unit
from hivecost.ledger.amounts import parse_limit, to_amount
from hivecost.ledger.budget import Limit
from hivecost.store.ledger.batch import BudgetRow


def configure(connection: sqlite3.Connection, budgets: Iterable[Budget], now_ns: int) -> None:
    """Bring the budgets into force. A limit that an operator set stays until another one is configured.

    Raises ConfigError for a budget that now counts in another unit, window, time zone or per other attributes.
    """
    for budget in budgets:
        counts = (budget.counted_unit, budget.window, budget.timezone, json.dumps(budget.account_attributes))
        row = connection.execute(
            "SELECT unit, time_window, timezone, attributes, configured_amount FROM ledger_budgets WHERE name = ?",
            [budget.name],
        ).fetchone()
        if row is None:
            connection.execute(
                "INSERT INTO ledger_budgets VALUES (?, ?, ?, ?, ?, ?, ?, ?, NULL)",
                [budget.name, *counts, budget.limit_amount, budget.limit_amount, budget.shadow],
            )
        else:
            _check_counts_alike(budget.name, row[:4], counts)
            connection.execute("UPDATE ledger_budgets SET shadow = ? WHERE name = ?", [budget.shadow, budget.name])
        if row is None or row[4] != budget.limit_amount:
            connection.execute(
                "UPDATE ledger_budgets SET limit_amount = ?1, configured_amount = ?1 WHERE name = ?2",
                [budget.limit_amount, budget.name],
            )
            detail = f"{budget.limit_amount:,} {budget.counted_unit}"
            record_change(connection, "configure", budget.name, detail, who="configuration", now_ns=now_ns)


def budget_rows(connection: sqlite3.Connection) -> dict[str, BudgetRow]:
    """All budgets that were ever configured."""
    rows = connection.execute("SELECT name, limit_amount, frozen FROM ledger_budgets")
    return {name: BudgetRow(limit, frozen) for name, limit, frozen in rows}


def last_change(connection: sqlite3.Connection) -> int:
    """The newest entry of the list of changes; 0 when it is empty."""
    return int(connection.execute("SELECT coalesce(max(id), 0) FROM ledger_changes").fetchone()[0])


def set_limit(connection: sqlite3.Connection, budget: str, limit: Limit, *, who: str, now_ns: int) -> None:
    """Give a budget another limit, in its unit if `limit` names none. Raises ConfigError."""
    unit = _unit_of(connection, budget)
    number, _ = parse_limit(limit, unit, key=f"budget {budget!r}.limit")
    amount = to_amount(number, unit, key=f"budget {budget!r}.limit")
    connection.execute("UPDATE ledger_budgets SET limit_amount = ? WHERE name = ?", [amount, budget])
    record_change(connection, "set_limit", budget, f"{amount:,} {unit}", who=who, now_ns=now_ns)


def freeze(connection: sqlite3.Connection, budget: str, reason: str, *, who: str, now_ns: int) -> None:
    """Grant nothing more on a budget. Raises ConfigError for no such budget."""
    _unit_of(connection, budget)
    connection.execute("UPDATE ledger_budgets SET frozen = ? WHERE name = ?", [reason, budget])
    record_change(connection, "freeze", budget, reason, who=who, now_ns=now_ns)


def freeze_for_bill(
    connection: sqlite3.Connection, budget: str, unit: str, *, billed: int, held: int, now_ns: int
) -> None:
    """A bill was above its hold: nothing more until someone has looked. Shadow budgets go on."""
    (shadow,) = connection.execute("SELECT shadow FROM ledger_budgets WHERE name = ?", [budget]).fetchone()
    if billed > held and not shadow:
        reason = f"a bill of {billed:,} was above its hold of {held:,} {unit}"
        freeze(connection, budget, reason, who="hivecost", now_ns=now_ns)


def unfreeze(connection: sqlite3.Connection, budget: str, *, who: str, now_ns: int) -> bool:
    """Grant again; False if it was not frozen. Raises ConfigError for no such budget."""
    _unit_of(connection, budget)
    done = connection.execute(
        "UPDATE ledger_budgets SET frozen = NULL WHERE name = ? AND frozen IS NOT NULL", [budget]
    ).rowcount
    if done:
        record_change(connection, "unfreeze", budget, "", who=who, now_ns=now_ns)
    return bool(done)


def record_change(
    connection: sqlite3.Connection, what: str, subject: str, detail: str, *, who: str, now_ns: int
) -> None:
    """Put on the list of changes who changed what and when."""
    connection.execute(
        "INSERT INTO ledger_changes (at_ns, who, what, subject, detail) VALUES (?, ?, ?, ?, ?)",
        [now_ns, who, what, subject, detail],
    )


def _unit_of(connection: sqlite3.Connection, budget: str) -> Unit:
    row = connection.execute("SELECT unit FROM ledger_budgets WHERE name = ?", [budget]).fetchone()
    if row is None:
        names = ", ".join(repr(name) for (name,) in connection.execute("SELECT name FROM ledger_budgets ORDER BY name"))
        raise ConfigError("budget", f"one of {names or 'no budgets'}", got=budget)
    unit: Unit = row[0]
    return unit


def _check_counts_alike(name: str, before: tuple[str, ...], now: tuple[str, ...]) -> None:
    for field, old, new in zip(("limit", "window", "timezone", "per"), before, now, strict=True):
        if old != new:
            expected = f"{old!r}, in which its money was counted; a budget that counts anew needs a new name"
            raise ConfigError(f"budget {name!r}.{field}", expected, got=new)
