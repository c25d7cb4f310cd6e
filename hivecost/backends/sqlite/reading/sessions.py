"""The first level of the log: what a session came to."""

from __future__ import annotations

from collections.abc import Mapping
from pathlib import Path
from typing import Final

from hivecost.backends.sqlite.database import database_path
from hivecost.backends.sqlite.reading.connection import Reader, Row, matching, reading, row_limit
from hivecost.backends.sqlite.reading.source import FROM_THE_NEWEST
from hivecost.backends.sqlite.statements import READING, statement
from hivecost.errors import SessionNotFoundError
from hivecost.log import SUM_NAMES, Window
from hivecost.log.instants import local_iso
from hivecost.log.records import SessionMetrics, SessionState, SessionTimestamps

_SUMS: Final = ", ".join(SUM_NAMES)
SESSION_COLUMNS: Final = f"""session_id, status, agent_id, user_id, org_id, started_ns, updated_ns, ended_ns,
    executions, {_SUMS}"""
#: Where they are read from.
SESSIONS: Final = statement(READING, "sessions_as_they_stand", sums=_SUMS, abandoned=statement(READING, "abandoned"))


class EmbeddedSessions:
    """What `hivecost.SessionStore` reads in a folder: one short-lived connection and one snapshot a call."""

    def __init__(self, base_path: Path) -> None:
        self._base_path = base_path

    async def read_state(self, session_id: str) -> SessionState:
        """Return the session as it stands. Raise SessionNotFoundError, and StoreErrors."""
        async with reading(self._base_path) as log:
            return await session_state(log, self._base_path, session_id)

    async def list_sessions(self, wanted: Mapping[str, str | None], window: Window, limit: int) -> list[SessionState]:
        """Return the sessions that started in the window, by these columns, newest first. Raise StoreErrors."""
        bounds = {**window._asdict(), **FROM_THE_NEWEST, "limit": row_limit(limit)}
        async with reading(self._base_path) as log:
            return [state_of(row) for row in await log.rows(list_sessions_sql(wanted), {**wanted, **bounds})]


async def session_state(log: Reader, base_path: Path, session_id: str) -> SessionState:
    """Return the session as this snapshot has it. Raise SessionNotFoundError."""
    sql = statement(READING, "session", columns=SESSION_COLUMNS, sessions=SESSIONS)
    rows = await log.rows(sql, {"session_id": session_id})
    if not rows:
        raise SessionNotFoundError(
            f"no session {session_id!r} is logged in {database_path(base_path)}; "
            "`hivecost sessions` lists those that are"
        )
    return state_of(rows[0])


def list_sessions_sql(wanted: Mapping[str, str | None]) -> str:
    """Return the statement that lists sessions by the time of their start, newest first."""
    return statement(READING, "sessions", columns=SESSION_COLUMNS, sessions=SESSIONS, where=matching(wanted))


def state_of(row: Row) -> SessionState:
    """Return the row, in the order of SESSION_COLUMNS, as a session."""
    session_id, status, agent_id, user_id, org_id, started_ns, updated_ns, ended_ns, executions, *values = row
    return SessionState(
        session_id=session_id,
        status=status,
        agent_id=agent_id,
        user_id=user_id,
        org_id=org_id,
        metrics=SessionMetrics(*values, executions=executions),
        timestamps=SessionTimestamps(
            started_at=local_iso(started_ns),
            updated_at=local_iso(updated_ns),
            ended_at=None if ended_ns is None else local_iso(ended_ns),
        ),
    )
