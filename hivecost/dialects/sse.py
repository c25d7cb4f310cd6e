"""Server-sent events, as https://html.spec.whatwg.org/multipage/server-sent-events.html says."""

from __future__ import annotations

import codecs
import json
import re
from collections.abc import Iterator
from contextlib import suppress
from typing import Any, Final

from hivecost.dialects.framing import EVENT_MAX_BYTES, Event, Piece
from hivecost.usage.views import from_json

#: An event ends with an empty line. Whether a CR is a whole line end only the next byte says.
_END: Final = re.compile(rb"(?:\r\n|\n|\r(?!\n))(?:\r\n|\n|\r(?=[^\n]))")
_LINE_END: Final = re.compile(rb"\r\n|\n|\r")
#: How an event without a name begins.
_DATA: Final = b"data: "
#: An end may have begun in so many of the bytes that were looked at.
_OVERLAP: Final = 3


class SseFraming:
    """One stream of server-sent events."""

    def __init__(self) -> None:
        self._pending = bytearray()
        self._looked_at = 0
        self._passes = False

    def feed(self, data: bytes) -> Iterator[Piece]:
        """Yield the events that are whole by now."""
        if self._passes:
            yield Piece(data, None)
            return
        self._pending += data
        start = 0
        while found := _END.search(self._pending, max(start, self._looked_at)):
            yield _piece(bytes(self._pending[start : found.end()]))
            start = self._looked_at = found.end()
        del self._pending[:start]
        self._looked_at = max(0, len(self._pending) - _OVERLAP)
        if len(self._pending) > EVENT_MAX_BYTES:
            self._passes = True
            yield Piece(bytes(self._pending), None)
            self._pending.clear()

    def close(self) -> Iterator[Piece]:
        """Yield what is left when the stream has ended: many servers leave out the last empty line."""
        if self._pending:
            yield _piece(bytes(self._pending))
            self._pending.clear()

    def encode(self, events: list[Event], *, is_first: bool) -> bytes:
        """Return the bytes that end a stream with these events."""
        return b"".join(map(_encoded, events))


def _encoded(event: Event) -> bytes:
    data = event.data if isinstance(event.data, str) else json.dumps(event.data, separators=(",", ":"))
    name = f"event: {event.name}\n" if event.name else ""
    return f"{name}data: {data}\n\n".encode()


def _piece(raw: bytes) -> Piece:
    if raw.startswith(_DATA) and raw.find(b"\n") == len(raw) - 2 and b"\r" not in raw:  # as most are
        return Piece(raw, Event(read_json(raw[len(_DATA) : -2])))
    name, data = "", []
    for line in _LINE_END.split(raw.removeprefix(codecs.BOM_UTF8)):
        field, _, value = line.partition(b":")
        value = value.removeprefix(b" ")
        if field == b"data":
            data.append(value)
        elif field == b"event":
            name = value.decode(errors="replace")
    if not data:
        return Piece(raw, None)
    return Piece(raw, Event(read_json(b"\n".join(data)), name))


def read_json(data: bytes) -> dict[str, Any] | str:
    """Return the JSON object that the bytes hold; where they hold none, return them as text."""
    text = data.decode(errors="replace")
    with suppress(ValueError, RecursionError):
        value = from_json(text)
        if isinstance(value, dict):
            return value
    return text
