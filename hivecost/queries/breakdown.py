"""What a session's report is made of, besides its sums."""

from __future__ import annotations

from collections.abc import Sequence
from pathlib import Path
from typing import Final

from hivecost.errors import EventFormatError, StoreCorruptError
from hivecost.events import FROM_ANSWER, Event, EventType, decode_json
from hivecost.queries.instants import local_iso
from hivecost.queries.reader import reading

LOAD_EVENTS: Final = "SELECT type, payload FROM events WHERE session_id = :session_id ORDER BY timestamp_ns, id"
LOAD_UNPRICED: Final = """
    SELECT coalesce(nullif(reason, ''), 'no price table was asked'), count(*) FROM turns
    WHERE session_id = :session_id AND cost_nanousd IS NULL
    GROUP BY 1
    UNION ALL
    SELECT 'the reason was pruned with the turn', sum(unpriced_calls + invalid_calls) AS calls FROM pruned_turns
    WHERE session_id = :session_id HAVING calls
    ORDER BY 2 DESC, 1"""

#: Turns without a cost, and those whose estimate lacks the prompt.
COUNT_UNSEEN: Final = """
    SELECT (SELECT count(*) FROM turns WHERE session_id = :session_id
            AND (cost_nanousd IS NULL OR substr(reason, -length(:lacking)) = :lacking))
        + (SELECT coalesce(sum(unpriced_calls + invalid_calls), 0) FROM pruned_turns WHERE session_id = :session_id)"""

#: A session whose time does not reach back that far lost nothing.
LOAD_PRUNED_BEFORE: Final = """
    SELECT timestamp_ns FROM pruned_before
    WHERE id = 1 AND timestamp_ns > (SELECT started_ns FROM sessions WHERE session_id = :session_id)"""


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
