"""Events to bytes and back, as msgpack or JSON.

Unknown types are kept (UnknownEvent), fields that a newer version added to a known type are ignored.
"""

from __future__ import annotations

from typing import Any, Final

import msgspec

from hivecost.attribute_names import ATTRIBUTION_FIELDS
from hivecost.errors import EventFormatError
from hivecost.events.base import Event, EventType
from hivecost.events.compactions import ContextCompacted
from hivecost.events.controls import AlertRaised, BudgetExceeded, BudgetWarning, RateLimited
from hivecost.events.custom import CustomEvent, UnknownEvent
from hivecost.events.executions import ExecutionCompleted, ExecutionStarted
from hivecost.events.turns import ChargeSettled, LLMTurnComplete, ToolCallCompleted

KnownEvent = (
    LLMTurnComplete
    | ChargeSettled
    | ToolCallCompleted
    | ContextCompacted
    | ExecutionStarted
    | ExecutionCompleted
    | BudgetWarning
    | BudgetExceeded
    | RateLimited
    | AlertRaised
    | CustomEvent
)

#: What msgspec raises for bytes and texts that are no event, nested too deep, or no UTF-8.
_UNREADABLE: Final = (msgspec.DecodeError, UnicodeError, RecursionError)
_KNOWN_TYPES: Final = frozenset(EventType) - {EventType.UNKNOWN}
_FROM_MSGPACK: Final[msgspec.msgpack.Decoder[Event]] = msgspec.msgpack.Decoder(KnownEvent)
_FROM_JSON: Final[msgspec.json.Decoder[Event]] = msgspec.json.Decoder(KnownEvent)
_HEADER: Final = ("event_id", "timestamp_ns", *ATTRIBUTION_FIELDS, "tags")


class _Header(msgspec.Struct):
    """The tag of an event, read without knowing its type."""

    type: str


_HEADER_FROM_MSGPACK: Final[msgspec.msgpack.Decoder[Event]] = msgspec.msgpack.Decoder(_Header)
_HEADER_FROM_JSON: Final[msgspec.json.Decoder[Event]] = msgspec.json.Decoder(_Header)


def encode(event: Event) -> bytes:
    """Return the event as msgpack."""
    return msgspec.msgpack.encode(event.fields if isinstance(event, UnknownEvent) else event)


def decode(data: bytes) -> Event:
    """Return the event that `encode` wrote, here or in another version. Raise EventFormatError for anything else."""
    try:
        return _FROM_MSGPACK.decode(data)
    except _UNREADABLE as error:
        return _decode_unknown(data, _HEADER_FROM_MSGPACK, msgspec.msgpack.decode, error)


def encode_json(event: Event) -> bytes:
    """Return the event as one JSON object without line breaks."""
    return msgspec.json.encode(event.fields if isinstance(event, UnknownEvent) else event)


def decode_json(data: bytes | str) -> Event:
    """Return the event that `encode_json` wrote. Raise EventFormatError for anything else."""
    try:
        return _FROM_JSON.decode(data)
    except _UNREADABLE as error:
        return _decode_unknown(data, _HEADER_FROM_JSON, msgspec.json.decode, error)


def _decode_unknown(data: Any, header: Any, to_dict: Any, error: Exception) -> Event:
    """Return an event of a type we do not know; `error` is why it could not be read as a known one."""
    try:
        if header.decode(data).type in _KNOWN_TYPES:
            raise EventFormatError(f"not an event: {error}") from error
        fields = to_dict(data)
        known = {name: fields[name] for name in _HEADER if name in fields}
        return msgspec.convert({**known, "type": EventType.UNKNOWN.value, "fields": fields}, UnknownEvent)
    except _UNREADABLE as problem:
        raise EventFormatError(f"not an event: {problem}") from error
