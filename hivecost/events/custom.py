"""Events that are not ours: the user's own, and those of a newer hivecost."""

from __future__ import annotations

from collections.abc import Mapping
from types import MappingProxyType
from typing import Any, ClassVar

from hivecost.events.base import Event, EventType, freeze_field
from hivecost.frozen import EMPTY


class CustomEvent(Event, frozen=True, kw_only=True, gc=True, tag=EventType.CUSTOM.value):
    """Whatever a plugin or an agent wants to tell others."""

    type: ClassVar[EventType] = EventType.CUSTOM

    name: str = ""
    #: Read-only; objects in it that are no mapping, list, tuple or set are shared with whoever published them.
    payload: Mapping[str, Any] = EMPTY

    def __post_init__(self) -> None:
        super().__post_init__()
        freeze_field(self, "payload")

    @property
    def data(self) -> Mapping[str, Any]:
        """The payload, with the event's own fields where the payload does not use their names."""
        return MappingProxyType({**super().data, **self.payload})


class UnknownEvent(Event, frozen=True, kw_only=True, tag=EventType.UNKNOWN.value):
    """An event of a type this version does not know; encoding it again gives all it held."""

    type: ClassVar[EventType] = EventType.UNKNOWN

    #: Every field as it was read, its own `type` included.
    fields: Mapping[str, Any] = EMPTY

    def __post_init__(self) -> None:
        super().__post_init__()
        freeze_field(self, "fields")

    @property
    def data(self) -> Mapping[str, Any]:
        """The fields as they were read."""
        return MappingProxyType(self.fields)
