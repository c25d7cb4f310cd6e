"""The rows of budgets, in force for all processes, and the list of who changed what."""

from __future__ import annotations

import json
import sqlite3
from collections.abc import Iterable

from hivecost.errors import ConfigError
from hivecost.ledger import Budget, Unit
from hivecost.ledger.amounts import format_exactly, overrun_reason, parse_amount, raise_amount
from hivecost.ledger.budget import Limit
from hivecost.store.definitions import define
from hivecost.store.ledger.batch import BudgetRow


def configure(
    connection: sqlite3.Connection, budgets: Iterable[Budget], now_ns: int, *, who: str = "configuration"
) -> None:
    """Bring the budgets into force. A limit that an operator set stays until another one is configured.

    Raises ConfigError for a budget that now counts in another unit, window, time zone or per other attributes.
    """
    budgets = tuple(budgets)
    define(connection, budgets, now_ns)
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
            detail = format_exactly(budget.limit_amount, budget.counted_unit)
            record_change(connection, "configure", budget.name, detail, who=who, now_ns=now_ns)


def require_same_but_limit(budgets: Iterable[Budget], opened: Iterable[Budget]) -> None:
    """Raises ConfigError for a budget that is not among those opened, or differs from its namesake in more."""
    known = {budget.name: budget for budget in opened}
    for budget in budgets:
        if budget.name not in known:
            names = ", ".join(map(repr, known)) or "no budgets"
            raise ConfigError("budget", f"one that this ledger was opened with: {names}", got=budget.name)
        for field in budget.__struct_fields__:
            before, now = getattr(known[budget.name], field), getattr(budget, field)
            if before != now and field != "limit":
                expected = f"{before!r}: only a limit changes while the ledger is open"
                raise ConfigError(f"budget {budget.name!r}.{field}", expected, got=now)


def budget_rows(connection: sqlite3.Connection) -> dict[str, BudgetRow]:
    """All budgets that were ever configured."""
    rows = connection.execute("SELECT name, limit_amount, frozen FROM ledger_budgets")
    return {name: BudgetRow(limit, frozen) for name, limit, frozen in rows}


def first_configured_ns(connection: sqlite3.Connection, budget: str) -> int:
    """When the budget first came into force here, from which on it counts; 0 where the list of changes has it not."""
    row = connection.execute(
        "SELECT at_ns FROM ledger_changes WHERE what = 'configure' AND subject = ? ORDER BY id LIMIT 1", [budget]
    ).fetchone()
    return 0 if row is None else int(row[0])


def last_change(connection: sqlite3.Connection) -> int:
    """The newest entry of the list of changes; 0 when it is empty."""
    return int(connection.execute("SELECT coalesce(max(id), 0) FROM ledger_changes").fetchone()[0])


def set_limit(connection: sqlite3.Connection, budget: str, limit: Limit, *, who: str, now_ns: int) -> int:
    """Give a budget another limit, in its unit if `limit` names none; that limit. Raises ConfigError."""
    unit, _ = _unit_and_limit(connection, budget)
    amount = parse_amount(limit, unit, key=f"budget {budget!r}.limit")
    connection.execute("UPDATE ledger_budgets SET limit_amount = ? WHERE name = ?", [amount, budget])
    record_change(connection, "set_limit", budget, format_exactly(amount, unit), who=who, now_ns=now_ns)
    return amount


def raise_limit(connection: sqlite3.Connection, budget: str, by_amount: Limit, *, who: str, now_ns: int) -> int:
    """Raise the limit in force by an amount, in its unit if that names none; that limit. Raises ConfigError."""
    unit, before = _unit_and_limit(connection, budget)
    after = raise_amount(before, by_amount, unit, key=f"budget {budget!r}: amount")
    connection.execute("UPDATE ledger_budgets SET limit_amount = ? WHERE name = ?", [after, budget])
    detail = f"by {format_exactly(after - before, unit)} to {format_exactly(after, unit)}"
    record_change(connection, "raise_limit", budget, detail, who=who, now_ns=now_ns)
    return after


def freeze(connection: sqlite3.Connection, budget: str, reason: str, *, who: str, now_ns: int) -> None:
    """Grant nothing more on a budget. Raises ConfigError for no such budget, and for no reason."""
    _unit_and_limit(connection, budget)
    _require_text(reason, "reason", "why, for those who find it frozen")
    connection.execute("UPDATE ledger_budgets SET frozen = ? WHERE name = ?", [reason, budget])
    record_change(connection, "freeze", budget, reason, who=who, now_ns=now_ns)


def freeze_for_bill(
    connection: sqlite3.Connection, budget: str, unit: Unit, *, billed: int, held: int, now_ns: int
) -> None:
    """A bill was above its hold: nothing more until someone has looked. Shadow budgets go on."""
    (shadow,) = connection.execute("SELECT shadow FROM ledger_budgets WHERE name = ?", [budget]).fetchone()
    if billed > held and not shadow:
        freeze(connection, budget, overrun_reason(billed, held, unit), who="hivecost", now_ns=now_ns)


def unfreeze(connection: sqlite3.Connection, budget: str, *, who: str, now_ns: int) -> bool:
    """Grant again; False if it was not frozen. Raises ConfigError for no such budget."""
    _unit_and_limit(connection, budget)
    done = connection.execute(
        "UPDATE ledger_budgets SET frozen = NULL WHERE name = ? AND frozen IS NOT NULL", [budget]
    ).rowcount
    if done:
        record_change(connection, "unfreeze", budget, "", who=who, now_ns=now_ns)
    return bool(done)


def is_text(text: object) -> bool:
    """Whether it says something, and SQLite would take it: bytes that were no text are in no encoding."""
    return isinstance(text, str) and bool(text.strip()) and text.encode(errors="ignore").decode() == text


def record_change(
    connection: sqlite3.Connection, what: str, subject: str, detail: str, *, who: str, now_ns: int
) -> None:
    """Put on the list of changes who changed what and when. Raises ConfigError for nobody."""
    _require_text(who, "by", "the name of who does this, for the audit trail")
    connection.execute(
        "INSERT INTO ledger_changes (at_ns, who, what, subject, detail) VALUES (?, ?, ?, ?, ?)",
        [now_ns, who, what, subject, detail],
    )


def _unit_and_limit(connection: sqlite3.Connection, budget: str) -> tuple[Unit, int]:
    """How a budget counts, and its limit in force. Raises ConfigError, naming those there are, for no such budget."""
    rows = connection.execute("SELECT name, unit, limit_amount FROM ledger_budgets ORDER BY name").fetchall()
    known: dict[str, tuple[Unit, int]] = {name: (unit, limit) for name, unit, limit in rows}
    if not isinstance(budget, str) or budget not in known:
        names = ", ".join(map(repr, known)) or "no budgets: none with mode='hard' was ever configured here"
        raise ConfigError("budget", f"one of {names}", got=budget)
    return known[budget]


def _require_text(text: object, key: str, expected: str) -> None:
    if not is_text(text):
        raise ConfigError(key, expected, got=text)


def _check_counts_alike(name: str, before: tuple[str, ...], now: tuple[str, ...]) -> None:
    for field, old, new in zip(("limit", "window", "timezone", "per"), before, now, strict=True):
        if old != new:
            expected = f"{old!r}, in which its money was counted; a budget that counts anew needs a new name"
            raise ConfigError(f"budget {name!r}.{field}", expected, got=new)
