"""How the bytes of a streamed answer are cut into events. One file beside this one for each way."""

from __future__ import annotations

from collections.abc import Iterator, Mapping
from typing import Any, Final, NamedTuple, Protocol

#: An event that is longer passes, and is not read. Images come in events of some megabytes.
EVENT_MAX_BYTES: Final = 32 * 1024 * 1024


class Event(NamedTuple):
    """What one event of a stream says."""

    #: The JSON of it; a text where it is none, such as `[DONE]`.
    data: Mapping[str, Any] | str
    #: Its name, where the framing has one.
    name: str = ""

    @property
    def fields(self) -> Mapping[str, Any]:
        """Its JSON object; empty where it is none."""
        return {} if isinstance(self.data, str) else self.data


class Piece(NamedTuple):
    """Bytes of a stream as they came, and the event that they are; None where they are none."""

    raw: bytes
    event: Event | None


class Framing(Protocol):
    """Cuts one stream. All bytes that it is fed come out again in its pieces, in their order."""

    def feed(self, data: bytes) -> Iterator[Piece]:
        """Yield the events that are whole by now."""
        ...

    def close(self) -> Iterator[Piece]:
        """Yield what is left when the stream has ended, which may be an event without its end."""
        ...

    def encode(self, events: list[Event], *, is_first: bool) -> bytes:
        """Return the bytes that end a stream with these events, where nothing was sent before if it `is_first`."""
        ...
