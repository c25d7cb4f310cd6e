"""Events that are not ours: the user's own, and those of a newer hivecost."""

from __future__ import annotations

from collections.abc import Mapping
from types import MappingProxyType
from typing import Any, ClassVar

import msgspec

from hivecost.events.base import Event
from hivecost.events.types import EventType


class CustomEvent(Event, frozen=True, kw_only=True, gc=True, tag=EventType.CUSTOM.value):
    """Whatever a plugin or an agent wants to tell others."""

    type: ClassVar[EventType] = EventType.CUSTOM

    name: str = ""
    payload: dict[str, Any] = msgspec.field(default_factory=dict)

    @property
    def data(self) -> Mapping[str, Any]:
        """The payload, with the event's own fields where the payload does not use their names."""
        return MappingProxyType({**super().data, **self.payload})


class UnknownEvent(Event, frozen=True, kw_only=True, tag=EventType.UNKNOWN.value):
    """An event of a type this version does not know; encoding it again gives all it held."""

    type: ClassVar[EventType] = EventType.UNKNOWN

    #: Every field as it was read, its own `type` included.
    fields: dict[str, Any] = msgspec.field(default_factory=dict)

    @property
    def data(self) -> Mapping[str, Any]:
        return MappingProxyType(self.fields)
