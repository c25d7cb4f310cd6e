"""What a migration leaves for later, because there may be much of it: rows are moved some at a time.

Migration 7 gave the sums of pruned turns a longer key, which SQLite can only give to a new table. The rows stay in the
old one until they are moved; what is not moved yet is the progress. Readers see both tables as one, so that every sum
is right at any moment, and each slice is a short transaction, of which a crash leaves all or nothing.
"""

from __future__ import annotations

import sqlite3
from typing import Final

#: Rows of a slice: some 30 ms during which other writers wait.
SLICE_ROWS: Final = 2_000

_TABLE: Final = "pruned_turns"
_OLD: Final = "pruned_turns_before"
#: The primary key of the old table, which the slices go along.
_KEY: Final = "session_id, quarter_hour, node_id, agent_id, user_id, org_id, task_id, tags, provider, model"
_OLD_COLUMNS: Final = (
    f"{_KEY}, llm_calls, input_tokens, output_tokens, cache_read_tokens, cache_write_tokens, reasoning_tokens,"
    " cost_nanousd, unpriced_calls, invalid_calls, estimated_calls, latency_ms"
)

#: For a new database, where nothing is to be moved.
DROP_OLD: Final = f"DROP TABLE {_OLD};"


def has_old_rows(connection: sqlite3.Connection) -> bool:
    """Return whether there may be rows that are not moved yet."""
    return connection.execute("SELECT 1 FROM sqlite_master WHERE name = ?", [_OLD]).fetchone() is not None


def see_old_rows(connection: sqlite3.Connection) -> None:
    """Let a reader's connection see the rows that are not moved yet where the moved ones are."""
    if has_old_rows(connection):
        names, values = _columns(connection)
        connection.execute(
            f"CREATE TEMP VIEW {_TABLE} AS SELECT {names} FROM main.{_TABLE} UNION ALL SELECT {values} FROM main.{_OLD}"
        )


def move_slice(connection: sqlite3.Connection) -> bool:
    """Move the next rows, in the caller's transaction. Return False when none are left, and the old table is gone."""
    if not has_old_rows(connection):
        return False
    last = connection.execute(
        f"SELECT {_KEY} FROM {_OLD} ORDER BY {_KEY} LIMIT 1 OFFSET ?", [SLICE_ROWS - 1]
    ).fetchone()
    if last is None:
        _move(connection, "true", ())
        connection.execute(DROP_OLD)
        return False
    _move(connection, f"({_KEY}) <= ({', '.join('?' * len(last))})", last)
    return True


def move_session(connection: sqlite3.Connection, session_id: str) -> None:
    """Move the rows of a session, in the caller's transaction."""
    if has_old_rows(connection):
        _move(connection, "session_id = ?", (session_id,))


def _move(connection: sqlite3.Connection, which: str, values: tuple[str | int, ...]) -> None:
    names, expressions = _columns(connection)
    sums = connection.execute("SELECT name FROM pragma_table_info(?, 'main') WHERE NOT pk", [_TABLE])
    connection.execute(
        f"INSERT INTO {_TABLE} ({names}) SELECT {expressions} FROM {_OLD} WHERE {which}"
        f" ON CONFLICT DO UPDATE SET {', '.join(f'{name} = {name} + excluded.{name}' for (name,) in sums)}",
        values,
    )
    connection.execute(f"DELETE FROM {_OLD} WHERE {which}", values)


def _columns(connection: sqlite3.Connection) -> tuple[str, str]:
    """Return the columns of the new table, and what an old row has in their places, each as a list for SQL."""
    old = _OLD_COLUMNS.split(", ")
    columns = connection.execute("SELECT name, type FROM pragma_table_info(?, 'main')", [_TABLE]).fetchall()
    nothing = {"TEXT": "''", "INTEGER": "0"}
    return (
        ", ".join(name for name, _ in columns),
        ", ".join(name if name in old else nothing[kind] for name, kind in columns),
    )
