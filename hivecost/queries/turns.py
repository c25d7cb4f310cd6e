"""Rows of the log as turns again."""

from __future__ import annotations

from collections.abc import AsyncIterator
from pathlib import Path
from typing import Any, Final

import msgspec

from hivecost.errors import StoreCorruptError
from hivecost.events import ATTRIBUTION_FIELDS, USAGE_FIELDS, Cost, CostStatus, LLMTurnComplete, Usage
from hivecost.queries.reader import Row, reading
from hivecost.queries.steps import Step

#: What to select for `to_step` and `to_turn`.
COLUMNS: Final = ", ".join((*Step.__struct_fields__, "raw_usage"))

_PAGE_ROWS: Final = 1000

_FIELDS: Final = Step.__struct_fields__
_TAGS: Final = _FIELDS.index("tags")
_STATUS: Final = _FIELDS.index("cost_status")
_USAGE: Final = slice(_FIELDS.index(USAGE_FIELDS[0]), _FIELDS.index(USAGE_FIELDS[-1]) + 1)
_COST: Final = slice(_STATUS, _STATUS + len(Cost.__struct_fields__))
_DIRECT: Final = ("event_id", "timestamp_ns", *ATTRIBUTION_FIELDS, "model", "provider", "latency_ms", "stop_reason")

LAST_TURN: Final = "SELECT coalesce(max(id), 0) FROM turns"
TURNS_PAGE: Final = f"""
    SELECT id, {COLUMNS} FROM turns
    WHERE (timestamp_ns, id) > (:timestamp_ns, :id) AND id <= :last_id
    ORDER BY timestamp_ns, id LIMIT {_PAGE_ROWS}"""


async def turns_since(base_path: str | Path, since_ns: int) -> AsyncIterator[LLMTurnComplete]:
    """Every turn logged before the call that happened at `since_ns` or later, oldest first.

    Read page by page, so that neither memory nor the write-ahead log grows with their number. Raises StoreErrors.
    """
    place = {"timestamp_ns": since_ns, "id": -1}
    async with reading(Path(base_path)) as log:
        ((place["last_id"],),) = await log.rows(LAST_TURN, {})
    while True:
        async with reading(Path(base_path)) as log:
            page = await log.rows(TURNS_PAGE, place)
        for _, *row in page:
            yield to_turn(row)
        if len(page) < _PAGE_ROWS:
            return
        place |= {"id": page[-1][0], "timestamp_ns": page[-1][1 + _FIELDS.index("timestamp_ns")]}


def to_step(row: Row | list[Any]) -> Step:
    """The row, in the order of COLUMNS, as a step."""
    values = dict(zip(_FIELDS, row, strict=False))
    values["tags"] = _decoded(row[_TAGS])
    values["cost_status"] = row[_STATUS] or CostStatus.UNPRICED.value
    return Step(**values)


def to_turn(row: Row | list[Any]) -> LLMTurnComplete:
    """The row, in the order of COLUMNS, as the event it was."""
    values = dict(zip(_FIELDS, row, strict=False))
    raw_usage = row[-1]
    return LLMTurnComplete(
        **{name: values[name] for name in _DIRECT},
        service_tier=values["service_tier"],
        tags=_decoded(row[_TAGS]),
        usage=Usage(*row[_USAGE]),
        cost=_cost(row[_COST]),
        raw_usage=None if raw_usage is None else _decoded(raw_usage),
    )


def _cost(row: Row | list[Any]) -> Cost | None:
    if row[0] is None:
        return None
    return Cost(**dict(zip(Cost.__struct_fields__, (CostStatus(row[0]), *row[1:]), strict=True)))


def _decoded(text: str) -> dict[str, Any]:
    try:
        return msgspec.json.decode(text, type=dict[str, Any])
    except msgspec.DecodeError as error:
        raise StoreCorruptError(f"a turn in the log holds no JSON: {error}; restore a backup of hivecost.db") from error
