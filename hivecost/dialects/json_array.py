"""A JSON array that comes element by element, as Gemini streams where nobody asks for events."""

from __future__ import annotations

import json
import re
from collections.abc import Iterator
from typing import Final

from hivecost.dialects.framing import EVENT_MAX_BYTES, Event, Piece
from hivecost.dialects.sse import read_json

#: All that matters for where an element ends.
_OUTSIDE: Final = re.compile(rb'["{}]')
_INSIDE: Final = re.compile(rb'["\\]')


class JsonArrayFraming:
    """One array. What stands between two elements comes with the second one."""

    def __init__(self) -> None:
        self._pending = bytearray()
        self._looked_at = 0
        self._depth = 0
        self._in_text = False
        self._passes = False

    def feed(self, data: bytes) -> Iterator[Piece]:
        """Yield the elements that are whole by now."""
        if self._passes:
            yield Piece(data, None)
            return
        self._pending += data
        while end := self._element_end():
            raw = bytes(self._pending[:end])
            del self._pending[:end]
            self._looked_at = 0
            yield Piece(raw, Event(read_json(raw[raw.index(b"{") :])))
        if len(self._pending) > EVENT_MAX_BYTES:
            self._passes = True
            yield from self.close()

    def close(self) -> Iterator[Piece]:
        """Yield what follows the last element."""
        if self._pending:
            yield Piece(bytes(self._pending), None)
            self._pending.clear()

    def encode(self, events: list[Event], *, is_first: bool) -> bytes:
        """Return the bytes that end an array with these elements."""
        said = ",\r\n".join(json.dumps(event.data) for event in events)
        return (("[" if is_first else ",\r\n") + said + "]").encode()

    def _element_end(self) -> int:
        """Return where the first element ends; 0 where it has not ended yet."""
        while found := (_INSIDE if self._in_text else _OUTSIDE).search(self._pending, self._looked_at):
            sign, self._looked_at = found.group(), found.end()
            if sign == b"\\":
                if self._looked_at == len(self._pending):  # what it stands before has not come
                    self._looked_at -= 1
                    return 0
                self._looked_at += 1
            elif sign == b'"':
                self._in_text = not self._in_text
            else:
                self._depth += 1 if sign == b"{" else -1
                if not self._depth:
                    return self._looked_at
        self._looked_at = len(self._pending)
        return 0
