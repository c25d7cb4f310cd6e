"""What a session's report is made of, besides its sums."""

from __future__ import annotations

from collections.abc import Sequence
from pathlib import Path
from typing import Final

import msgspec

from hivecost.backends.sqlite.reading.connection import reading
from hivecost.errors import EventFormatError, StoreCorruptError
from hivecost.events import FROM_ANSWER, Event, EventType, decode_json
from hivecost.log.instants import local_iso

LOAD_EVENTS: Final = "SELECT type, payload FROM events WHERE session_id = :session_id ORDER BY timestamp_ns, id"
LOAD_UNPRICED: Final = """
    SELECT coalesce(nullif(reason, ''), 'no price table was asked'), count(*) FROM turns
    WHERE session_id = :session_id AND cost_nanousd IS NULL
    GROUP BY 1
    UNION ALL
    SELECT 'the reason was pruned with the turn', sum(unpriced_calls + invalid_calls) AS calls FROM pruned_turns
    WHERE session_id = :session_id HAVING calls
    ORDER BY 2 DESC, 1"""

LOAD_PEOPLE: Final = """
    SELECT agent_id, user_id, org_id FROM executions WHERE session_id = :session_id
    UNION SELECT agent_id, user_id, org_id FROM turns WHERE session_id = :session_id
    UNION SELECT agent_id, user_id, org_id FROM pruned_turns WHERE session_id = :session_id"""
LOAD_ERRORS: Final = """
    SELECT iif(agent_id = '', entry_point, agent_id), status, error, count(*) FROM executions
    WHERE session_id = :session_id AND error <> ''
    GROUP BY 1, 2, 3 ORDER BY min(id)"""
#: Turns without a cost, and those whose estimate lacks the prompt.
COUNT_UNSEEN: Final = """
    SELECT (SELECT count(*) FROM turns WHERE session_id = :session_id
            AND (cost_nanousd IS NULL OR substr(reason, -length(:lacking)) = :lacking))
        + (SELECT coalesce(sum(unpriced_calls + invalid_calls), 0) FROM pruned_turns WHERE session_id = :session_id)"""

#: A session whose time does not reach back that far lost nothing.
LOAD_PRUNED_BEFORE: Final = """
    SELECT timestamp_ns FROM pruned_before
    WHERE id = 1 AND timestamp_ns > (SELECT started_ns FROM sessions WHERE session_id = :session_id)"""


class SessionPeople(msgspec.Struct, frozen=True, kw_only=True):
    """Who is named in a session, by name."""

    agents: tuple[str, ...]
    users: tuple[str, ...]
    orgs: tuple[str, ...]


class SessionError(msgspec.Struct, frozen=True, kw_only=True):
    """What ended executions of a session before they were done."""

    agent_id: str
    #: `failed` or `cancelled`.
    status: str
    #: Type and message.
    error: str
    #: How many ended so.
    executions: int


async def session_people(base_path: str | Path, session_id: str) -> SessionPeople:
    """All agents, users and organisations of the session's executions and turns. Raises StoreErrors."""
    async with reading(Path(base_path)) as log:
        rows = await log.rows(LOAD_PEOPLE, {"session_id": session_id})
    agents, users, orgs = (tuple(sorted({row[place] for row in rows} - {""})) for place in range(3))
    return SessionPeople(agents=agents, users=users, orgs=orgs)


async def session_errors(base_path: str | Path, session_id: str) -> list[SessionError]:
    """What ended executions of the session, in the order of their starts; the same counted once. Raises StoreErrors."""
    async with reading(Path(base_path)) as log:
        rows = await log.rows(LOAD_ERRORS, {"session_id": session_id})
    return [
        SessionError(agent_id=agent_id, status=status, error=error, executions=count)
        for agent_id, status, error, count in rows
    ]


async def session_events(base_path: str | Path, session_id: str, event_types: Sequence[EventType]) -> list[Event]:
    """The session's events of these types (turns are not among them), oldest first. Raises StoreErrors."""
    wanted = {event_type.value for event_type in event_types}
    async with reading(Path(base_path)) as log:
        rows = await log.rows(LOAD_EVENTS, {"session_id": session_id})
    try:
        return [decode_json(payload) for event_type, payload in rows if event_type in wanted]
    except EventFormatError as error:
        raise StoreCorruptError(f"an event in the log is damaged: {error}; restore a backup of hivecost.db") from error


async def unpriced_reasons(base_path: str | Path, session_id: str) -> dict[str, int]:
    """Why turns of the session have no cost, and how many each, the most frequent first. Raises StoreErrors."""
    async with reading(Path(base_path)) as log:
        return dict(await log.rows(LOAD_UNPRICED, {"session_id": session_id}))


async def unseen_calls(base_path: str | Path, session_id: str) -> int:
    """How many calls of the session have no cost, or only a part of it. Raises StoreErrors."""
    async with reading(Path(base_path)) as log:
        rows = await log.rows(COUNT_UNSEEN, {"session_id": session_id, "lacking": FROM_ANSWER})
    return int(rows[0][0])


async def pruned_before(base_path: str | Path, session_id: str) -> str | None:
    """The moment (ISO 8601, local time) before which the session's turns and events were pruned.

    None where nothing of it was. Raises StoreErrors.
    """
    async with reading(Path(base_path)) as log:
        rows = await log.rows(LOAD_PRUNED_BEFORE, {"session_id": session_id})
    return local_iso(rows[0][0]) if rows else None
