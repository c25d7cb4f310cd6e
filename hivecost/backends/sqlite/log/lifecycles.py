"""The SQL that keeps executions and the status of sessions in step with the events that start and end them.

Every statement may see an event again, an end without its start, or an end before it.
"""

from __future__ import annotations

import sqlite3
from typing import Final

from hivecost.backends.sqlite.log.identity import FIRST_IDENTITY, identity_from, keep_identity

_NEW: Final = "FROM events NOT INDEXED WHERE id > :last_event"

_START_EXECUTIONS: Final = f"""
    INSERT INTO executions (session_id, execution_id, started_ns, status, entry_point, runtime_id,
                            parent_execution_id, agent_id, user_id, org_id)
    SELECT session_id, execution_id, timestamp_ns, 'running', coalesce(json_extract(payload, '$.entry_point'), ''),
           coalesce(json_extract(payload, '$.runtime_id'), ''),
           coalesce(json_extract(payload, '$.parent_execution_id'), ''), agent_id, user_id, org_id
    {_NEW} AND type = 'execution_started' AND execution_id <> '' ORDER BY id
    ON CONFLICT (session_id, execution_id) DO UPDATE SET
        started_ns = min(executions.started_ns, excluded.started_ns),
        status = iif(executions.status = 'unknown', 'running', executions.status),
        entry_point = excluded.entry_point,
        runtime_id = iif(excluded.runtime_id = '', executions.runtime_id, excluded.runtime_id),
        parent_execution_id = excluded.parent_execution_id,
        {keep_identity("executions")}"""

#: Of several ends the last one logged counts.
_END_EXECUTIONS: Final = f"""
    INSERT INTO executions (session_id, execution_id, started_ns, ended_ns, duration_ms, status, error, entry_point,
                            agent_id, user_id, org_id)
    SELECT session_id, execution_id, timestamp_ns, timestamp_ns,
           CAST(coalesce(json_extract(payload, '$.duration_ms'), 0) AS INTEGER),
           coalesce(json_extract(payload, '$.status'), 'completed'), coalesce(json_extract(payload, '$.error'), ''),
           coalesce(json_extract(payload, '$.entry_point'), ''), agent_id, user_id, org_id
    {_NEW} AND type = 'execution_completed' AND execution_id <> '' ORDER BY id
    ON CONFLICT (session_id, execution_id) DO UPDATE SET
        started_ns = min(executions.started_ns, excluded.started_ns),
        ended_ns = excluded.ended_ns, duration_ms = excluded.duration_ms,
        status = excluded.status, error = excluded.error,
        entry_point = iif(executions.entry_point = '', excluded.entry_point, executions.entry_point),
        {keep_identity("executions")}"""

#: Any event makes its session known.
_SEE_SESSIONS: Final = f"""
    INSERT INTO sessions (session_id, started_ns, updated_ns, agent_id, user_id, org_id)
    SELECT session_id, started_ns, updated_ns, {identity_from("events")}
    FROM (SELECT session_id, min(timestamp_ns) AS started_ns, max(timestamp_ns) AS updated_ns, {FIRST_IDENTITY}
          {_NEW} AND session_id <> '' GROUP BY session_id)
    WHERE true
    ON CONFLICT DO UPDATE SET
        started_ns = min(sessions.started_ns, excluded.started_ns),
        updated_ns = max(sessions.updated_ns, excluded.updated_ns),
        {keep_identity("sessions")}"""

_COUNT_EXECUTIONS: Final = """
    INSERT INTO sessions (session_id, started_ns, updated_ns, executions)
    SELECT session_id, min(started_ns), max(started_ns), count(*)
    FROM executions NOT INDEXED WHERE id > :last_execution AND session_id <> '' GROUP BY session_id
    ON CONFLICT DO UPDATE SET executions = sessions.executions + excluded.executions"""

_RUNNING: Final = """EXISTS (SELECT 1 FROM executions AS e
        WHERE e.session_id = sessions.session_id AND e.ended_ns IS NULL AND e.status = 'running')"""
_LAST_END: Final = """FROM executions AS e WHERE e.session_id = sessions.session_id AND e.ended_ns IS NOT NULL
        ORDER BY e.ended_ns DESC, e.status DESC LIMIT 1"""

_SET_STATUS: Final = f"""
    UPDATE sessions SET status = iif({_RUNNING}, 'running', (SELECT e.status {_LAST_END})),
                        ended_ns = iif({_RUNNING}, NULL, (SELECT e.ended_ns {_LAST_END}))
    WHERE session_id IN (SELECT session_id {_NEW}
                         AND type IN ('execution_started', 'execution_completed') AND execution_id <> '')"""


def fold_events(connection: sqlite3.Connection, last_event: int) -> None:
    """Start and end executions by the events after this id; inside the transaction that inserted them."""
    for statement in (_START_EXECUTIONS, _END_EXECUTIONS, _SEE_SESSIONS):
        connection.execute(statement, {"last_event": last_event})


def count_executions(connection: sqlite3.Connection, last_execution: int) -> None:
    """Count the executions after this id in their sessions, after turns and events have made theirs."""
    connection.execute(_COUNT_EXECUTIONS, {"last_execution": last_execution})


def settle_sessions(connection: sqlite3.Connection, last_event: int) -> None:
    """Bring the status of the sessions up to date, after all executions are there."""
    connection.execute(_SET_STATUS, {"last_event": last_event})
