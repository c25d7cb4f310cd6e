"""Amazon's event streams: frames with headers, each secured by a checksum.

https://docs.aws.amazon.com/AmazonS3/latest/API/RESTSelectObjectAppendix.html has the format.
"""

from __future__ import annotations

import base64
import json
import struct
import zlib
from collections.abc import Iterator, Mapping
from typing import Any, Final

from hivecost.dialects.framing import EVENT_MAX_BYTES, Event, Piece
from hivecost.dialects.sse import read_json

#: Lengths of the frame and of its headers, then their checksum.
_PRELUDE: Final = struct.Struct(">III")
_CHECKSUM: Final = struct.Struct(">I")
_AROUND: Final = _PRELUDE.size + _CHECKSUM.size
_TEXT: Final = 7
#: How long the values of headers are that are no text, by their type.
_SIZES: Final = {0: 0, 1: 0, 2: 1, 3: 2, 4: 4, 5: 8, 8: 8, 9: 16}
_BYTES: Final = 6
#: Under this name the models' own events come, in base64, where Bedrock only passes them on.
CHUNK: Final = "chunk"


class EventStreamFraming:
    """One stream of frames. An event is `{name: its JSON}`; a model's own is as the model says it."""

    def __init__(self) -> None:
        self._pending = bytearray()
        self._passes = False
        self._has_chunks = False

    def feed(self, data: bytes) -> Iterator[Piece]:
        """Yield the frames that are whole by now."""
        if self._passes:
            yield Piece(data, None)
            return
        self._pending += data
        while len(self._pending) >= _PRELUDE.size:
            size, headers_size, checksum = _PRELUDE.unpack_from(self._pending)
            is_frame = zlib.crc32(self._pending[:8]) == checksum and _AROUND + headers_size <= size <= EVENT_MAX_BYTES
            if not is_frame:
                self._passes = True
                yield from self.close()
                return
            if len(self._pending) < size:
                return
            frame = bytes(self._pending[:size])
            del self._pending[:size]
            yield self._piece(frame, headers_size)

    def close(self) -> Iterator[Piece]:
        """Yield the rest: a frame without its end, or bytes that are no frame."""
        if self._pending:
            yield Piece(bytes(self._pending), None)
            self._pending.clear()

    def encode(self, events: list[Event], *, is_first: bool) -> bytes:
        """Return the bytes that end a stream with these events; a model's own events have no name."""
        return b"".join(
            event_frame(event.name, event.fields[event.name]) if event.name else chunk_frame(event.fields)
            for event in events
        )

    def _piece(self, frame: bytes, headers_size: int) -> Piece:
        headers = dict(_headers(frame[_PRELUDE.size : _PRELUDE.size + headers_size]))
        payload = frame[_PRELUDE.size + headers_size : -_CHECKSUM.size]
        name = headers.get(":event-type") or headers.get(":exception-type") or ""
        said = read_json(payload)
        if name == CHUNK and isinstance(said, dict) and isinstance(inner := said.get("bytes"), str):
            return Piece(frame, Event(read_json(_from_base64(inner))))
        return Piece(frame, Event({name: said} if name else said, name))


def event_frame(name: str, fields: Mapping[str, Any]) -> bytes:
    """Return the frame of an event that has a name."""
    headers = {":event-type": name, ":content-type": "application/json", ":message-type": "event"}
    return encode_frame(headers, json.dumps(fields, separators=(",", ":")).encode())


def chunk_frame(fields: Mapping[str, Any]) -> bytes:
    """Return the frame of a model's own event."""
    return event_frame(CHUNK, {"bytes": base64.b64encode(json.dumps(fields).encode()).decode()})


def encode_frame(headers: Mapping[str, str], payload: bytes) -> bytes:
    """Return a frame with these headers and this payload."""
    head = b"".join(_header(name.encode(), value.encode()) for name, value in headers.items())
    sizes = struct.pack(">II", _AROUND + len(head) + len(payload), len(head))
    frame = sizes + _CHECKSUM.pack(zlib.crc32(sizes)) + head + payload
    return frame + _CHECKSUM.pack(zlib.crc32(frame))


def _header(name: bytes, value: bytes) -> bytes:
    return bytes([len(name)]) + name + bytes([_TEXT]) + struct.pack(">H", len(value)) + value


def _headers(data: bytes) -> Iterator[tuple[str, str]]:
    """Yield the headers that are text."""
    at = 0
    while at < len(data):
        name_end = at + 1 + data[at]
        kind, start = data[name_end : name_end + 1], name_end + 1
        name = data[at + 1 : name_end].decode(errors="replace")
        if kind and kind[0] in (_TEXT, _BYTES) and start + 2 <= len(data):
            at = start + 2 + int.from_bytes(data[start : start + 2], "big")
            if kind[0] == _TEXT:
                yield name, data[start + 2 : at].decode(errors="replace")
        elif kind and kind[0] in _SIZES:
            at = start + _SIZES[kind[0]]
        else:
            return  # no header that is known


def _from_base64(text: str) -> bytes:
    try:
        return base64.b64decode(text)
    except ValueError:
        return b""
