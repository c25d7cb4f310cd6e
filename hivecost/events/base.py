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
from hivecost.frozen import EMPTY, FrozenDict, frozen


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
