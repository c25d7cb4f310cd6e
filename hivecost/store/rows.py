"""Events as rows of the log."""

from __future__ import annotations

from collections.abc import Callable
from operator import attrgetter
from typing import Any, Final

import msgspec
from msgspec.structs import astuple

from hivecost.events import ATTRIBUTION_FIELDS, USAGE_FIELDS, Cost, CostStatus, Event, LLMTurnComplete, UnknownEvent
from hivecost.events import encode_json as event_to_json
from hivecost.money import TURN_COST_MAX_NANOUSD, format_usd

Row = tuple[Any, ...]

#: Twelve days; sums of it stay inside 64 bits.
LATENCY_MS_MAX: Final = 10**9

#: The column of each field of Cost, in order.
COST_COLUMNS: Final = tuple(
    {"status": "cost_status", "nanousd": "cost_nanousd"}.get(name, name) for name in Cost.__struct_fields__
)
TURN_COLUMNS: Final = (
    "event_id",
    "timestamp_ns",
    *ATTRIBUTION_FIELDS,
    "model",
    "provider",
    "stop_reason",
    "service_tier",
    *(name for name in USAGE_FIELDS),
    "tags",
    "raw_usage",
    "latency_ms",
    *COST_COLUMNS,
)
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

_turn_head: Final[Callable[[Any], Row]] = attrgetter(*TURN_COLUMNS[: TURN_COLUMNS.index("service_tier") + 1])
_event_head: Final[Callable[[Any], Row]] = attrgetter(*EVENT_COLUMNS[:-2])
#: Plain texts: sqlite3 asks its adapters first about every subclass, which costs more than the insert of the value.
_STATUS_TEXTS: Final = {status: str(status) for status in CostStatus}
_NO_COST: Final = (None, None, "", "", "", "", None, None, None)
_to_json: Final = msgspec.json.Encoder().encode


def turn_row(turn: LLMTurnComplete) -> Row:
    """The turn in the order of TURN_COLUMNS."""
    tags = _to_json(turn.tags).decode() if turn.tags else "{}"
    raw_usage = None if turn.raw_usage is None else _to_json(turn.raw_usage).decode()
    latency_ms = turn.latency_ms
    if type(latency_ms) is not int or not 0 <= latency_ms <= LATENCY_MS_MAX:
        latency_ms = min(max(int(latency_ms), 0), LATENCY_MS_MAX)
    return (*_turn_head(turn), *astuple(turn.usage), tags, raw_usage, latency_ms, *_cost_row(turn.cost))


def event_row(event: Event) -> Row:
    """Any other event in the order of EVENT_COLUMNS."""
    kind = event.fields.get("type", "unknown") if isinstance(event, UnknownEvent) else event.type.value
    return (*_event_head(event), kind, event_to_json(event).decode())


def _cost_row(cost: Cost | None) -> Row:
    if cost is None:
        return _NO_COST
    if cost.nanousd is not None and not 0 <= cost.nanousd <= TURN_COST_MAX_NANOUSD:
        # One absurd bill must not spoil every sum it goes into; the turn itself is kept.
        reason = f"a cost of {format_usd(cost.nanousd)} for one turn cannot be"
        cost = Cost(
            status=CostStatus.INVALID, source=cost.source, rate=cost.rate, snapshot=cost.snapshot, reason=reason
        )
    return (_STATUS_TEXTS.get(cost.status) or str(cost.status), *astuple(cost)[1:])
