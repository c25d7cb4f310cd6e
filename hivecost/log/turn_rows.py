"""Events as rows of the log."""

from __future__ import annotations

from collections.abc import Callable
from operator import attrgetter
from typing import Any, Final

import msgspec
from msgspec.structs import astuple, replace

from hivecost.events import USAGE_FIELDS, ChargeSettled, Cost, CostStatus, Event, LLMTurnComplete, UnknownEvent, Usage
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
_NO_OTHERS: Final = (0,) * len(OTHER_COUNTS)
#: The fields of a turn in order, with the parts of its usage and its cost in their places.
_TURN_FIELDS: Final = LLMTurnComplete.__struct_fields__
TURN_COLUMNS: Final = (
    *(
        column
        for field in _TURN_FIELDS
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
#: Plain texts: sqlite3 asks its adapters first about every subclass, which costs more than the insert of the value.
_STATUS_TEXTS: Final = {status: str(status) for status in CostStatus}
#: So many of a turn's fields, up to its tags, are columns as they are.
_WHOSE: Final = _TURN_FIELDS.index("tags")
_NO_COST: Final = (None, None, "", "", "", "", *[None] * (len(COST_COLUMNS) - 6))
_to_json: Final = msgspec.json.Encoder().encode


def turn_row(turn: LLMTurnComplete) -> Row:
    """The turn in the order of TURN_COLUMNS."""
    # A subclass has fields of its own, before or behind these.
    fields = astuple(turn) if type(turn) is LLMTurnComplete else _turn_fields(turn)
    tags, model, provider, usage, cost, latency_ms, stop, tier, raw_usage, *names = fields[_WHOSE:]
    if type(latency_ms) is not int or not 0 <= latency_ms <= LATENCY_MS_MAX:
        latency_ms = min(max(int(latency_ms), 0), LATENCY_MS_MAX)
    return (
        *fields[:_WHOSE],
        _to_json(tags).decode() if tags else "{}",
        model,
        provider,
        *_usage_row(usage),
        *_cost_row(cost),
        latency_ms,
        stop,
        tier,
        None if raw_usage is None else _to_json(raw_of(raw_usage)).decode(),
        *names,
        CHARGE if type(turn) is ChargeSettled else "",
    )


def event_row(event: Event) -> Row:
    """Any other event in the order of EVENT_COLUMNS."""
    kind = event.fields.get("type", "unknown") if isinstance(event, UnknownEvent) else event.type.value
    return (*_event_head(event), kind, event_to_json(event).decode())


def _usage_row(usage: Usage) -> Row:
    counts = astuple(usage)
    others = counts[_COUNTED:]
    if others == _NO_OTHERS:  # as it is most often
        return (*counts[:_COUNTED], "")
    named = {name: count for name, count in zip(OTHER_COUNTS, others, strict=True) if count}
    return (*counts[:_COUNTED], _to_json(named).decode())


def _cost_row(cost: Cost | None) -> Row:
    if cost is None:
        return _NO_COST
    nanousd = cost.nanousd
    if nanousd is not None and not 0 <= nanousd <= TURN_COST_MAX_NANOUSD:
        # One absurd bill must not spoil every sum it goes into; the turn itself is kept.
        reason = f"a cost of {format_usd(nanousd)} for one turn cannot be"
        cost = Cost(
            status=CostStatus.INVALID, source=cost.source, rate=cost.rate, snapshot=cost.snapshot, reason=reason
        )
    notional_nanousd = cost.notional_nanousd
    if notional_nanousd is not None and not 0 <= notional_nanousd <= TURN_COST_MAX_NANOUSD:
        cost = replace(cost, notional_nanousd=None)  # the same
    return (_STATUS_TEXTS.get(cost.status) or str(cost.status), *astuple(cost)[1:])
