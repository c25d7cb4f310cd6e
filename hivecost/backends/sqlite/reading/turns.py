"""Rows of the log as turns again."""

from __future__ import annotations

from collections.abc import AsyncIterator
from pathlib import Path
from typing import Any, Final

import msgspec

from hivecost.backends.sqlite.log.rollups import COUNTED
from hivecost.backends.sqlite.log.rows import OTHER_COUNTS
from hivecost.backends.sqlite.reading.connection import Row, reading
from hivecost.errors import StoreCorruptError
from hivecost.events import ATTRIBUTION_FIELDS, ChargeSettled, Cost, CostStatus, LLMTurnComplete, Usage
from hivecost.log.instants import Moment, range_ns
from hivecost.log.steps import Step

#: The fields of a step that have a column of their own; the rest is in `other_usage`.
_FIELDS: Final = tuple(name for name in Step.__struct_fields__ if name not in OTHER_COUNTS)
#: What to select for `to_step` and `to_turn`.
COLUMNS: Final = ", ".join((*_FIELDS, "other_usage", "raw_usage"))

_PAGE_ROWS: Final = 1000

_TAGS: Final = _FIELDS.index("tags")
_STATUS: Final = _FIELDS.index("cost_status")
_USAGE: Final = slice(_FIELDS.index("input_tokens"), _FIELDS.index("web_search_requests") + 1)
_COST: Final = slice(_STATUS, _STATUS + len(Cost.__struct_fields__))
_DIRECT: Final = ("event_id", "timestamp_ns", *ATTRIBUTION_FIELDS, "model", "provider", "latency_ms", "stop_reason")
_NAMES: Final = ("asked_model", "resolved_model", "resolved_provider")

LAST_TURN: Final = "SELECT coalesce(max(id), 0) FROM turns"


def turns_page_sql(model: str | None) -> str:
    """The next turns by time, of a model by the name that answered or is counted, up to the last one at the start."""
    which = "" if model is None else f"AND :model IN (model, {COUNTED['model']})"
    return f"""
        SELECT id, {COLUMNS} FROM turns
        WHERE (timestamp_ns, id) > (:timestamp_ns, :id) AND timestamp_ns < :until_ns AND id <= :last_id
            {which}
        ORDER BY timestamp_ns, id LIMIT {_PAGE_ROWS}"""


async def turn_pages(
    base_path: str | Path, *, since: Moment | None = None, until: Moment | None = None, model: str | None = None
) -> AsyncIterator[list[LLMTurnComplete]]:
    """The turns logged before the call that happened from `since` up to `until` (a date: its whole day), oldest first.

    Up to 1,000 at a time, each page read by itself and handled with the log closed, so that neither memory nor the
    write-ahead log grows with the number of turns. Raises ConfigError for a date that is none, and StoreErrors.
    """
    first_ns, end_ns = range_ns(since, until)
    place: dict[str, Any] = {"timestamp_ns": first_ns, "id": -1, "until_ns": end_ns, "model": model}
    sql = turns_page_sql(model)
    async with reading(Path(base_path)) as log:
        ((place["last_id"],),) = await log.rows(LAST_TURN, {})
    while True:
        async with reading(Path(base_path)) as log:
            rows = await log.rows(sql, place)
        if rows:
            yield [to_turn(row) for _, *row in rows]
        if len(rows) < _PAGE_ROWS:
            return
        place |= {"id": rows[-1][0], "timestamp_ns": rows[-1][1 + _FIELDS.index("timestamp_ns")]}


def to_step(row: Row | list[Any]) -> Step:
    """The row, in the order of COLUMNS, as a step."""
    values = dict(zip(_FIELDS, row, strict=False))
    values["tags"] = decoded(row[_TAGS])
    values["cost_status"] = row[_STATUS] or CostStatus.UNPRICED.value
    return Step(**values, **_other_counts(row))


def to_turn(row: Row | list[Any]) -> LLMTurnComplete:
    """The row, in the order of COLUMNS, as the event it was. Raises StoreCorruptError."""
    values = dict(zip(_FIELDS, row, strict=False))
    raw_usage = row[-1]
    try:
        usage, cost = Usage(*row[_USAGE], **_other_counts(row)), _cost(row[_COST])
    except ValueError as error:
        raise StoreCorruptError(f"a turn in the log is damaged: {error}; restore a backup of hivecost.db") from error
    event_type = ChargeSettled if values["kind"] else LLMTurnComplete
    return event_type(
        **{name: values[name] for name in (*_DIRECT, *_NAMES)},
        service_tier=values["service_tier"],
        tags=decoded(row[_TAGS]),
        usage=usage,
        cost=cost,
        raw_usage=None if raw_usage is None else decoded(raw_usage),
    )


def _other_counts(row: Row | list[Any]) -> dict[str, Any]:
    text = row[-2]
    if not text:
        return {}
    counts = decoded(text)
    return {name: counts[name] for name in OTHER_COUNTS if name in counts}


def _cost(row: Row | list[Any]) -> Cost | None:
    if row[0] is None:
        return None
    return Cost(**dict(zip(Cost.__struct_fields__, (CostStatus(row[0]), *row[1:]), strict=True)))


def decoded(text: str) -> dict[str, Any]:
    """A JSON object of the log. Raises StoreCorruptError for anything else."""
    try:
        return msgspec.json.decode(text, type=dict[str, Any])
    except msgspec.DecodeError as error:
        raise StoreCorruptError(f"a turn in the log holds no JSON: {error}; restore a backup of hivecost.db") from error
