"""What a session's report is made of, besides its sums."""

from __future__ import annotations

from collections.abc import Sequence
from pathlib import Path
from typing import Final

from hivecost.errors import EventFormatError, StoreCorruptError
from hivecost.events import Event, EventType, decode_json
from hivecost.queries.reader import reading

LOAD_EVENTS: Final = "SELECT type, payload FROM events WHERE session_id = :session_id ORDER BY timestamp_ns, id"
LOAD_UNPRICED: Final = """
    SELECT coalesce(nullif(reason, ''), 'no price table was asked'), count(*) FROM turns
    WHERE session_id = :session_id AND cost_nanousd IS NULL
    GROUP BY 1 ORDER BY 2 DESC, 1"""


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
