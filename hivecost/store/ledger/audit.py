"""The list of who changed what: an entry for each change, in its own transaction."""

from __future__ import annotations

import sqlite3

from hivecost.errors import ConfigError


def record_change(
    connection: sqlite3.Connection, what: str, subject: str, detail: str, *, who: str, now_ns: int
) -> None:
    """Put on the list of changes who changed what and when. Raises ConfigError for nobody."""
    require_text(who, "by", "the name of who does this, for the audit trail")
    connection.execute(
        "INSERT INTO ledger_changes (at_ns, who, what, subject, detail) VALUES (?, ?, ?, ?, ?)",
        [now_ns, who, what, subject, detail],
    )


def last_change(connection: sqlite3.Connection) -> int:
    """The newest entry of the list of changes; 0 when it is empty."""
    return int(connection.execute("SELECT coalesce(max(id), 0) FROM ledger_changes").fetchone()[0])


def is_text(text: object) -> bool:
    """Whether it says something, and SQLite would take it: bytes that were no text are in no encoding."""
    return isinstance(text, str) and bool(text.strip()) and text.encode(errors="ignore").decode() == text


def require_text(text: object, key: str, expected: str) -> None:
    """Raise ConfigError for what is no text."""
    if not is_text(text):
        raise ConfigError(key, expected, got=text)
