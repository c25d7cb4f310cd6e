"""Taking a session out of the log, and its turns out of every sum."""

from __future__ import annotations

import sqlite3
from functools import partial
from pathlib import Path
from typing import Final

from hivecost.backends.sqlite.backfill import move_session
from hivecost.backends.sqlite.database import database_path, is_file, open_writer
from hivecost.backends.sqlite.faults import named_faults
from hivecost.backends.sqlite.log.rollups import subtract_session
from hivecost.backends.sqlite.log.summing.marks import mark_session
from hivecost.backends.sqlite.os_lock import run_locked

_TABLES: Final = (
    "turns",
    "pruned_turns",
    "repricings",
    "events",
    "executions",
    "nodes",
    "sessions",
    "compactions",
    "carried_results",
)


async def delete_session(base_path: Path, session_id: str) -> bool:
    """Delete all that is logged of a session; False when nothing was. Raise StoreErrors.

    An event of it that is published again afterwards counts as new.
    """
    path = database_path(base_path)
    with named_faults(path):
        if not session_id or not is_file(path):
            return False
        return await run_locked(base_path, partial(_delete, base_path, session_id))


def _delete(base_path: Path, session_id: str) -> bool:
    connection = open_writer(base_path)
    try:
        connection.execute("BEGIN IMMEDIATE")
        move_session(connection, session_id)
        mark_session(connection, session_id)
        subtract_session(connection, session_id)
        deleted = [_delete_from(connection, table, session_id) for table in _TABLES]
        connection.execute("COMMIT")
    finally:
        # Closing rolls back what was not committed.
        connection.close()
    return any(deleted)


def _delete_from(connection: sqlite3.Connection, table: str, session_id: str) -> int:
    return connection.execute(f"DELETE FROM {table} WHERE session_id = ?", [session_id]).rowcount
