"""Events as rows of the log."""

from __future__ import annotations

from collections.abc import Callable
from operator import attrgetter
from typing import Any, Final

import msgspec
from msgspec.structs import astuple, replace

from hivecost.events import (
    USAGE_FIELDS,
    ChargeSettled,
    Cost,
    CostStatus,
    Event,
    LLMTurnComplete,
    SentPrompt,
    UnknownEvent,
    Usage,
)
from hivecost.events import encode_json as event_to_json
from hivecost.money import TURN_COST_MAX_NANOUSD, format_usd
from hivecost.usage.raw import raw_of

Row = tuple[Any, ...]

#: Twelve days; sums of it stay inside 64 bits.
LATENCY_MS_MAX: Final = 10**9

#: The column of each field of Cost, in order.
COST_COLUMNS: Final = tuple(
    {"status": "cost_status", "nanousd": "cost_nanousd"}.get(name, name) for name in Cost.__struct_fields__
)
#: What of a Usage has a column of its own; the rest, which few turns have, is JSON in `other_usage`.
_COUNTED: Final = USAGE_FIELDS.index("web_search_requests") + 1
USAGE_COLUMNS: Final = USAGE_FIELDS[:_COUNTED]
OTHER_COUNTS: Final = USAGE_FIELDS[_COUNTED:]
#: The fields of a turn in order, with the parts of its usage and its cost in their places.
_TURN_FIELDS: Final = LLMTurnComplete.__struct_fields__
TURN_COLUMNS: Final = (
    *(
        column
        for field in _TURN_FIELDS
        if field != "prompt"  # which few turns have: it is added to their rows
        for column in {"usage": (*USAGE_COLUMNS, "other_usage"), "cost": COST_COLUMNS}.get(field, (field,))
    ),
    "kind",
)
#: Of a turn that is no call of a model.
CHARGE: Final = "charge"
EVENT_COLUMNS: Final = (
    "event_id",
    "timestamp_ns",
    "session_id",
    "execution_id",
    "node_id",
    "agent_id",
    "user_id",
    "org_id",
    "type",
    "payload",
)

_turn_fields: Final[Callable[[Any], Row]] = attrgetter(*_TURN_FIELDS)
_event_head: Final[Callable[[Any], Row]] = attrgetter(*EVENT_COLUMNS[:-2])
#: Plain texts: a database's driver asks its adapters about every subclass, which costs more than the insert itself.
_STATUS_TEXTS: Final = {status: str(status) for status in CostStatus}
_NO_COST: Final[Row] = (None, None, "", "", "", "", *[None] * (len(COST_COLUMNS) - 6))
_to_json: Final = msgspec.json.Encoder().encode


def turn_row(turn: LLMTurnComplete) -> Row:
    """Return the turn as a row in the order of TURN_COLUMNS."""
    # Field by field, because every turn that is logged comes here: slices of tuples take a third more.
    # fmt: off
    (
        event_id, timestamp_ns, session_id, execution_id, node_id, agent_id, user_id, org_id, task_id, tags,
        model, provider, usage, cost, latency_ms, stop_reason, service_tier, raw_usage,
        asked_model, resolved_model, resolved_provider, _,
    ) = astuple(turn) if type(turn) is LLMTurnComplete else _turn_fields(turn)  # a subclass has its own between them
    (
        tokens_in, tokens_out, cache_read, cache_write, cache_write_1h, reasoning, audio_in, audio_out, cache_audio,
        image_in, image_out, tool_use_prompt, web_searches, citations, video_in, video_out, cache_image, cache_video,
        audio_seconds, pages, search_units, file_searches, containers,
    ) = astuple(usage)
    is_plain = not (
        citations or video_in or video_out or cache_image or cache_video
        or audio_seconds or pages or search_units or file_searches or containers
    )
    (
        status, nanousd, source, rate, snapshot, reason, input_nanousd, output_nanousd, table_nanousd, cached_nanousd,
        written_nanousd, reasoning_nanousd, fee_nanousd, notional_nanousd,
    ) = _NO_COST if cost is None else astuple(cost)
    if (nanousd is not None and not 0 <= nanousd <= TURN_COST_MAX_NANOUSD) or (
        notional_nanousd is not None and not 0 <= notional_nanousd <= TURN_COST_MAX_NANOUSD
    ):
        return turn_row(replace(turn, cost=_possible(cost)))
    return (
        event_id, timestamp_ns, session_id, execution_id, node_id, agent_id, user_id, org_id, task_id,
        _to_json(tags).decode() if tags else "{}", model, provider,
        tokens_in, tokens_out, cache_read, cache_write, cache_write_1h, reasoning, audio_in, audio_out, cache_audio,
        image_in, image_out, tool_use_prompt, web_searches, "" if is_plain else _named(usage),
        status and (_STATUS_TEXTS.get(status) or str(status)), nanousd, source, rate, snapshot, reason,
        input_nanousd, output_nanousd, table_nanousd, cached_nanousd, written_nanousd, reasoning_nanousd, fee_nanousd,
        notional_nanousd,
        latency_ms if type(latency_ms) is int and 0 <= latency_ms <= LATENCY_MS_MAX else _bounded(latency_ms),
        stop_reason, service_tier, None if raw_usage is None else _to_json(raw_of(raw_usage)).decode(),
        asked_model, resolved_model, resolved_provider, CHARGE if type(turn) is ChargeSettled else "",
    )
    # fmt: on


def event_row(event: Event) -> Row:
    """Return any other event as a row in the order of EVENT_COLUMNS."""
    kind = event.fields.get("type", "unknown") if isinstance(event, UnknownEvent) else event.type.value
    return (*_event_head(event), kind, event_to_json(event).decode())


def prompt_json(prompt: Any) -> str:
    """Return what is known of a turn's prompt, for its row. Raise TypeError for anything else."""
    if type(prompt) is not SentPrompt:
        raise TypeError(f"prompt must be a hivecost.SentPrompt, got {prompt!r:.100}")
    return _to_json(prompt).decode()


def _named(usage: Usage) -> str:
    counts = zip(OTHER_COUNTS, astuple(usage)[_COUNTED:], strict=True)
    return _to_json({name: count for name, count in counts if count}).decode()


def _bounded(latency_ms: Any) -> int:
    return min(max(int(latency_ms), 0), LATENCY_MS_MAX)


def _possible(cost: Cost) -> Cost:
    """Return the cost; an absurd one as invalid, without its amount.

    The turn itself is kept, and does not spoil every sum it goes into.
    """
    if cost.nanousd is None or 0 <= cost.nanousd <= TURN_COST_MAX_NANOUSD:
        return replace(cost, notional_nanousd=None)
    reason = f"a cost of {format_usd(cost.nanousd)} for one turn cannot be"
    return Cost(status=CostStatus.INVALID, source=cost.source, rate=cost.rate, snapshot=cost.snapshot, reason=reason)
