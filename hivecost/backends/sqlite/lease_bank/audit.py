"""The audit trail: an entry for each change, in its own transaction."""

from __future__ import annotations

import sqlite3
from collections.abc import Sequence
from typing import Any, Final

from hivecost.backends.sqlite.statements import LEDGER, statement
from hivecost.clock import to_datetime
from hivecost.errors import ConfigError
from hivecost.ledger import BudgetChange

LOAD_CHANGES: Final = statement(LEDGER, "changes")


def record_change(
    connection: sqlite3.Connection, what: str, subject: str, detail: str, *, who: str, now_ns: int
) -> None:
    """Put on record who changed what and when. Raise ConfigError for nobody."""
    require_text(who, "by", "the name of who does this, for the audit trail")
    connection.execute(
        "INSERT INTO ledger_changes (at_ns, who, what, subject, detail) VALUES (?, ?, ?, ?, ?)",
        [now_ns, who, what, subject, detail],
    )


def last_change(connection: sqlite3.Connection) -> int:
    """Return the newest entry; 0 when there is none."""
    return int(connection.execute("SELECT coalesce(max(id), 0) FROM ledger_changes").fetchone()[0])


def list_changes(connection: sqlite3.Connection, limit: int) -> list[BudgetChange]:
    """Return the newest entries, the newest first. Raise ConfigError."""
    return [change_of(row) for row in connection.execute(LOAD_CHANGES, {"limit": checked_count(limit)})]


def change_of(row: Sequence[Any]) -> BudgetChange:
    """Return the change that a row of LOAD_CHANGES describes."""
    at_ns, who, what, subject, detail = row
    return BudgetChange(at=to_datetime(at_ns), who=who, what=what, subject=subject, detail=detail)


def checked_count(limit: object) -> int:
    """Return how many entries to read at most. Raise ConfigError below 1, which SQLite would take for no limit."""
    if type(limit) is not int or limit < 1:
        raise ConfigError("limit", "a whole number, 1 or more", got=limit)
    return min(limit, 2**63 - 1)  # SQLite knows 64 bits


def is_text(text: object) -> bool:
    """Tell whether the text is not blank and can be encoded, as SQLite needs it."""
    return isinstance(text, str) and bool(text.strip()) and text.encode(errors="ignore").decode() == text


def require_text(text: object, key: str, expected: str) -> None:
    """Raise ConfigError for what is no text."""
    if not is_text(text):
        raise ConfigError(key, expected, got=text)
