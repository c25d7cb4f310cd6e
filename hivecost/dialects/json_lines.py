"""One JSON object a line, as Ollama streams."""

from __future__ import annotations

import json
from collections.abc import Iterator

from hivecost.dialects.framing import EVENT_MAX_BYTES, Event, Piece
from hivecost.dialects.sse import read_json


class JsonLinesFraming:
    """One stream of lines."""

    def __init__(self) -> None:
        self._pending = bytearray()
        self._passes = False

    def feed(self, data: bytes) -> Iterator[Piece]:
        """Yield the lines that are whole by now."""
        if self._passes:
            yield Piece(data, None)
            return
        *lines, rest = data.split(b"\n")
        for line in lines:
            yield _piece(bytes(self._pending) + line + b"\n")
            self._pending.clear()
        self._pending += rest
        if len(self._pending) > EVENT_MAX_BYTES:
            self._passes = True
            yield Piece(bytes(self._pending), None)
            self._pending.clear()

    def close(self) -> Iterator[Piece]:
        """Yield the last line, where it has no end."""
        if self._pending:
            yield _piece(bytes(self._pending))
            self._pending.clear()

    def encode(self, events: list[Event], *, is_first: bool) -> bytes:
        """Return the bytes that end a stream with these events."""
        return b"".join(json.dumps(event.data, separators=(",", ":")).encode() + b"\n" for event in events)


def _piece(raw: bytes) -> Piece:
    return Piece(raw, Event(read_json(raw)) if raw.strip() else None)
