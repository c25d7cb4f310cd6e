"""Rows of the log as turns again."""

from __future__ import annotations

from typing import Any, Final

import msgspec

from hivecost.attribute_names import ATTRIBUTION_FIELDS
from hivecost.errors import StoreCorruptError
from hivecost.events import ChargeSettled, Cost, CostStatus, LLMTurnComplete, SentPrompt, Usage
from hivecost.log.steps import Step
from hivecost.log.turn_rows import OTHER_COUNTS, TURN_COLUMNS, prompt_json, turn_row

#: The fields of a step that have a column of their own; the rest is in `other_usage`.
_FIELDS: Final = tuple(name for name in Step.__struct_fields__ if name not in OTHER_COUNTS)
Row = tuple[Any, ...]

#: What to select for `to_step` and `to_turn`.
COLUMNS: Final = ", ".join((*_FIELDS, "other_usage", "raw_usage"))

_TAGS: Final = _FIELDS.index("tags")
_PROMPT: Final = _FIELDS.index("prompt")
_STATUS: Final = _FIELDS.index("cost_status")
_USAGE: Final = slice(_FIELDS.index("input_tokens"), _FIELDS.index("web_search_requests") + 1)
_COST: Final = slice(_STATUS, _STATUS + len(Cost.__struct_fields__))
_DIRECT: Final = ("event_id", "timestamp_ns", *ATTRIBUTION_FIELDS, "model", "provider", "latency_ms", "stop_reason")
_NAMES: Final = ("asked_model", "resolved_model", "resolved_provider")


def to_step(row: Row | list[Any]) -> Step:
    """Return the row, in the order of COLUMNS, as a step."""
    values = dict(zip(_FIELDS, row, strict=False))
    values["tags"] = decoded(row[_TAGS])
    values["cost_status"] = row[_STATUS] or CostStatus.UNPRICED.value
    values["prompt"] = _prompt(row[_PROMPT])
    return Step(**values, **_other_counts(row))


def step_of(turn: LLMTurnComplete) -> Step:
    """Return a turn as a log keeps it."""
    row = dict(zip(TURN_COLUMNS, turn_row(turn), strict=True))
    row["prompt"] = None if turn.prompt is None else prompt_json(turn.prompt)
    return to_step([row[name] for name in COLUMNS.split(", ")])


def to_turn(row: Row | list[Any]) -> LLMTurnComplete:
    """Return the row, in the order of COLUMNS, as the event it was. Raise StoreCorruptError where it is damaged."""
    values = dict(zip(_FIELDS, row, strict=False))
    raw_usage = row[-1]
    try:
        usage, cost = Usage(*row[_USAGE], **_other_counts(row)), _cost(row[_COST])
    except ValueError as error:
        raise StoreCorruptError(f"a turn in the log is damaged: {error}; restore a backup of the log") from error
    event_type = ChargeSettled if values["kind"] else LLMTurnComplete
    return event_type(
        **{name: values[name] for name in (*_DIRECT, *_NAMES)},
        service_tier=values["service_tier"],
        tags=decoded(row[_TAGS]),
        usage=usage,
        cost=cost,
        raw_usage=None if raw_usage is None else decoded(raw_usage),
        prompt=_prompt(row[_PROMPT]),
    )


def _other_counts(row: Row | list[Any]) -> dict[str, Any]:
    text = row[-2]
    if not text:
        return {}
    counts = decoded(text)
    return {name: counts[name] for name in OTHER_COUNTS if name in counts}


def _prompt(text: str | None) -> SentPrompt | None:
    if text is None:
        return None
    try:
        return msgspec.json.decode(text, type=SentPrompt)
    except msgspec.DecodeError as error:
        raise StoreCorruptError(f"a turn in the log is damaged: {error}; restore a backup of the log") from error


def _cost(row: Row | list[Any]) -> Cost | None:
    if row[0] is None:
        return None
    return Cost(**dict(zip(Cost.__struct_fields__, (CostStatus(row[0]), *row[1:]), strict=True)))


def decoded(text: str) -> dict[str, Any]:
    """Return a JSON object of the log. Raise StoreCorruptError for anything else."""
    try:
        return msgspec.json.decode(text, type=dict[str, Any])
    except msgspec.DecodeError as error:
        raise StoreCorruptError(f"a turn in the log holds no JSON: {error}; restore a backup of the log") from error
