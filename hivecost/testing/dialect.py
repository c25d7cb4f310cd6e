"""What a provider's wire format has to offer; each module that follows it is one."""

from __future__ import annotations

import json
from collections.abc import Callable, Sequence
from typing import Annotated, Any, Protocol

import msgspec

from hivecost.testing.generation import Block, Call, Generation

PositiveInt = Annotated[int, msgspec.Meta(ge=1)]


class Frames(msgspec.Struct, frozen=True):
    """A stream, most often in server-sent events.

    Only `chunks` carry output, and only they are counted by cuts and stalls.
    """

    opening: list[bytes]
    chunks: list[bytes]
    closing: list[bytes]
    content_type: str = "text/event-stream; charset=utf-8"


class Place(msgspec.Struct, frozen=True):
    """What the path of a request says, where its dialect says it there."""

    model: str = ""
    stream: bool = False
    #: Whether a stream shall come in server-sent events.
    as_events: bool = False


class Dialect(Protocol):
    """One API of one provider."""

    @property
    def FLAVOR(self) -> str:  # noqa: N802  # a module's constant
        """The name of the dialect on the bill."""
        ...

    def read(self, body: bytes, place: Place) -> Call:
        """Return the request. Raise msgspec.DecodeError, with words for the client, for one that cannot be read."""
        ...

    def answer(self, made: Generation) -> dict[str, Any]:
        """Return the body of an answer in one piece."""
        ...

    def stream(self, made: Generation) -> Frames:
        """Return the answer as a stream."""
        ...

    def error(self, status: int, message: str, request_id: str) -> dict[str, Any]:
        """Return the body of an error."""
        ...


def framed(
    blocks: Sequence[Block],
    *,
    opened: Callable[[int, Block], list[bytes]],
    delta: Callable[[int, Block, str], bytes],
    closed: Callable[[int, Block], list[bytes]],
) -> Frames:
    """Return the blocks one after the other, each opened, filled piece by piece, and closed.

    The callbacks get a block's index, and are called in the order in which their frames are sent. A block's first
    chunk also carries the end of the block before it and its own beginning.
    """
    opening = opened(0, blocks[0])
    chunks = []
    for index, block in enumerate(blocks):
        before = b"".join(closed(index - 1, blocks[index - 1]) + opened(index, block)) if index else b""
        for piece in block.pieces:
            chunks.append(before + delta(index, block, piece))
            before = b""
    return Frames(opening=opening, chunks=chunks, closing=closed(len(blocks) - 1, blocks[-1]))


def sse(data: dict[str, Any], *, event: str = "") -> bytes:
    """Return one server-sent event."""
    name = f"event: {event}\n" if event else ""
    return f"{name}data: {json.dumps(data)}\n\n".encode()


def as_text(metadata: dict[str, Any] | None) -> dict[str, str]:
    """Return a request's metadata, with its values as text."""
    return {name: str(value) for name, value in (metadata or {}).items()}
