"""Messages between a hook and a meter's socket: a line of JSON, then as many bytes as its `size` says.

A hook says `hello` first, with its version, and gets no answer: a process that ends with one unread would reset the
connection. After that it sends, with an `id` of its own for each attempt:

| op | with | answered by |
|---|---|---|
| `ask` | what `Attempt` has; body (no `size`: unreadable) | `pass`, `free` or `refuse` |
| `told` | the next bytes, which the client has already; status and headers at first; `last` | nothing |
| `unsent`, `doubt` | why | nothing |
| `answer` | status, headers of an answer of which the client gets what is answered | `headers` |
| `data`, `end` | the next bytes | the bytes for the client; `ended`: no more may be read |
"""

from __future__ import annotations

import asyncio
from collections.abc import Mapping
from typing import Any, Final

import msgspec

from hivecost.frozen import EMPTY

#: Spoken here. Another one is refused, in words.
VERSION: Final = 1
#: A longer line, and a longer body, ends the connection.
LINE_MAX_BYTES: Final = 1024 * 1024
BODY_MAX_BYTES: Final = 256 * 1024 * 1024


class Message(msgspec.Struct, kw_only=True, omit_defaults=True):
    """What a hook says."""

    op: str
    id: int = 0
    version: int = 0
    pid: int = 0
    script: str = ""
    method: str = ""
    host: str = ""
    path: str = ""
    headers: Mapping[str, str] = EMPTY
    status: int = 0
    #: The client can end a stream.
    steps: bool = False
    #: It is all of the answer.
    last: bool = False
    why: str = ""
    node: str = ""
    agent: str = ""
    session: str = ""
    user: str = ""
    tags: Mapping[str, str] = EMPTY
    where: str = ""
    failed_probes: int = 0
    #: None: there is no body.
    size: int | None = None


_decoder: Final = msgspec.json.Decoder(Message)
_encoder: Final = msgspec.json.Encoder()


async def read_message(reader: asyncio.StreamReader) -> tuple[Message, bytes | None]:
    """Return the next message and its body. Raise EOFError at the end, and ValueError for what is no message."""
    line = await reader.readline()  # raises ValueError where it is too long
    if not line.endswith(b"\n"):
        raise EOFError
    message = _decoder.decode(line)
    if message.size is None:
        return message, None
    if not 0 <= message.size <= BODY_MAX_BYTES:
        raise ValueError(f"a body of {message.size} bytes")
    return message, await reader.readexactly(message.size)


def written(body: bytes | None = None, **fields: Any) -> bytes:
    """Return a message to a hook."""
    if body is None:
        return _encoder.encode(fields) + b"\n"
    return _encoder.encode({**fields, "size": len(body)}) + b"\n" + body
