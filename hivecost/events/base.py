"""What every event carries, the kinds of events that travel on the bus, and ids.

Ids are unique over processes and restarts, and cheap enough for every event.
"""

from __future__ import annotations

import itertools
import os
import secrets
from collections.abc import Callable, Mapping
from datetime import datetime
from enum import StrEnum
from types import MappingProxyType
from typing import Any, ClassVar

import msgspec

from hivecost.clock import SYSTEM_CLOCK, to_datetime
from hivecost.frozen import EMPTY, FrozenDict, frozen


class EventType(StrEnum):
    """What happened; the value is the event's `type` tag on the wire."""

    EXECUTION_STARTED = "execution_started"
    LLM_TURN_COMPLETE = "llm_turn_complete"
    #: Money that is not tokens, such as a search API's.
    CHARGE_SETTLED = "charge_settled"
    TOOL_CALL_COMPLETED = "tool_call_completed"
    CONTEXT_COMPACTED = "context_compacted"
    EXECUTION_COMPLETED = "execution_completed"
    BUDGET_WARNING = "budget_warning"
    BUDGET_EXCEEDED = "budget_exceeded"
    RATE_LIMITED = "rate_limited"
    ALERT_RAISED = "alert_raised"
    CUSTOM = "custom"
    #: Read from a newer hivecost: kept as it came, see UnknownEvent.
    UNKNOWN = "unknown"

    #: As a str hashes, in C: an enum's own __hash__ is Python, and events are looked up by their type all the time.
    __hash__ = str.__hash__


def _counting_from_random() -> Callable[[], str]:
    prefix = secrets.token_hex(8)
    count = itertools.count(1)
    return lambda: f"{prefix}-{next(count):x}"


_next_event_id = _counting_from_random()


def new_event_id() -> str:
    """Return 64 random bits drawn once per process, and a counter; atomic over threads."""
    return _next_event_id()


def _renew_after_fork() -> None:
    global _next_event_id  # noqa: PLW0603  # a forked child would repeat its parent's ids
    _next_event_id = _counting_from_random()


if hasattr(os, "register_at_fork"):
    os.register_at_fork(after_in_child=_renew_after_fork)


def new_session_id(now_ns: int) -> str:
    """Return `session_YYYYMMDD_HHMMSS_xxxxxxxx`, in UTC."""
    return f"session_{to_datetime(now_ns):%Y%m%d_%H%M%S}_{secrets.token_hex(4)}"


def new_execution_id() -> str:
    """Return `exec_` and 64 random bits."""
    return f"exec_{secrets.token_hex(8)}"


def freeze_field(event: Event, name: str) -> None:
    """Put a frozen copy of a field in its place; for `__post_init__`."""
    msgspec.structs.force_setattr(event, name, frozen(getattr(event, name)))


class Event(msgspec.Struct, frozen=True, kw_only=True, omit_defaults=True, tag_field="type", gc=False):
    """A fact in the past tense. Subclasses are the vocabulary; match on them with `isinstance` or `match`.

    What it holds cannot be changed either: tags, payloads and the like are copied, nested ones too, unless they are
    frozen already. Nothing in it refers back to it, so that the garbage collector need not go through those that wait.
    """

    type: ClassVar[EventType]

    event_id: str = msgspec.field(default_factory=new_event_id)
    timestamp_ns: int = msgspec.field(default_factory=SYSTEM_CLOCK.now_ns)
    session_id: str = ""
    execution_id: str = ""
    node_id: str = ""
    agent_id: str = ""
    user_id: str = ""
    org_id: str = ""
    task_id: str = ""
    #: Free attribution, such as `{"customer": "acme"}`; read-only.
    tags: Mapping[str, str] = EMPTY

    def __post_init__(self) -> None:
        if type(self.tags) is not FrozenDict:
            freeze_field(self, "tags")

    @property
    def data(self) -> Mapping[str, Any]:
        """All fields and what follows from them, flat and read-only; the vocabulary of handlers."""
        return MappingProxyType({name: getattr(self, name) for name in self.__struct_fields__} | self._derived())

    @property
    def timestamp(self) -> datetime:
        """When it happened, as an aware UTC datetime."""
        return to_datetime(self.timestamp_ns)

    def _derived(self) -> dict[str, Any]:
        return {}
