"""The first level of the log: what a session came to."""

from __future__ import annotations

from collections.abc import Mapping
from pathlib import Path
from typing import Final

from hivecost.backends.sqlite.database import database_path
from hivecost.backends.sqlite.reading.connection import Reader, Row, matching, reading, row_limit
from hivecost.errors import SessionNotFoundError
from hivecost.log import SUM_NAMES, Window
from hivecost.log.instants import local_iso
from hivecost.log.records import SessionMetrics, SessionState, SessionTimestamps

_SUMS: Final = ", ".join(SUM_NAMES)
SESSION_COLUMNS: Final = f"""session_id, status, agent_id, user_id, org_id, started_ns, updated_ns, ended_ns,
    executions, {_SUMS}"""

_THAT_RUN: Final = """FROM executions AS e
        WHERE e.session_id = sessions.session_id AND e.ended_ns IS NULL AND e.status = 'running'"""
_LAST: Final = """FROM executions AS e WHERE e.session_id = sessions.session_id AND e.status <> 'unknown'
        ORDER BY coalesce(e.ended_ns, e.started_ns) DESC LIMIT 1"""
#: Sessions of which some execution is logged as running, and the process of each such one is gone.
_ABANDONED: Final = f"sessions.status = 'running' AND NOT EXISTS (SELECT 1 {_THAT_RUN} AND NOT is_gone(e.runtime_id))"
#: The sessions as they stand: what is logged of them, but for those whose processes are gone.
SESSIONS: Final = f"""(
    SELECT session_id, agent_id, user_id, org_id, started_ns, updated_ns, executions, {_SUMS},
        CASE WHEN {_ABANDONED} THEN (SELECT iif(e.ended_ns IS NULL, 'interrupted', e.status) {_LAST})
             ELSE sessions.status END AS status,
        CASE WHEN {_ABANDONED} THEN (SELECT e.ended_ns {_LAST}) ELSE sessions.ended_ns END AS ended_ns
    FROM sessions)"""

READ_SESSION: Final = f"SELECT {SESSION_COLUMNS} FROM {SESSIONS} WHERE session_id = :session_id"


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
        bounds = {"since_ns": window.first_ns, "until_ns": window.end_ns, "limit": row_limit(limit)}
        async with reading(self._base_path) as log:
            return [state_of(row) for row in await log.rows(list_sessions_sql(wanted), {**wanted, **bounds})]


async def session_state(log: Reader, base_path: Path, session_id: str) -> SessionState:
    """The session in this snapshot. Raises SessionNotFoundError."""
    rows = await log.rows(READ_SESSION, {"session_id": session_id})
    if not rows:
        raise SessionNotFoundError(
            f"no session {session_id!r} is logged in {database_path(base_path)}; "
            "`hivecost sessions` lists those that are"
        )
    return state_of(rows[0])


def list_sessions_sql(wanted: Mapping[str, str | None]) -> str:
    """Sessions by the time of their start, newest first."""
    return f"""
        SELECT {SESSION_COLUMNS} FROM {SESSIONS}
        WHERE started_ns >= :since_ns AND started_ns < :until_ns {matching(wanted)}
        ORDER BY started_ns DESC, session_id DESC LIMIT :limit"""


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
