"""What every event carries."""

from __future__ import annotations

from collections.abc import Mapping
from datetime import datetime
from types import MappingProxyType
from typing import Any, ClassVar

import msgspec

from hivecost.clock import SYSTEM_CLOCK, to_datetime
from hivecost.events.ids import new_event_id
from hivecost.events.types import EventType

#: The attributes by which money is attributed and events are filtered.
ATTRIBUTION_FIELDS = ("session_id", "execution_id", "node_id", "agent_id", "user_id", "org_id", "task_id")


def attribution_fields(source: Any) -> dict[str, Any]:
    """The attribution of an event or a TurnRequest, as the fields of another event about the same spending."""
    return {**{field: getattr(source, field) for field in ATTRIBUTION_FIELDS}, "tags": source.tags}


class Event(msgspec.Struct, frozen=True, kw_only=True, omit_defaults=True, tag_field="type", gc=False):
    """A fact in the past tense. Subclasses are the vocabulary; match on them with `isinstance` or `match`.

    Nothing that an event holds refers back to it, so that the garbage collector need not go through those that wait.
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
    #: Free attribution, such as `{"customer": "acme"}`.
    tags: dict[str, str] = {}

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
