"""What a provider's wire format has to offer; each module that follows it is one."""

from __future__ import annotations

import json
from typing import Annotated, Any, Protocol

import msgspec

from hivecost.testing.generation import Call, Generation

PositiveInt = Annotated[int, msgspec.Meta(ge=1)]


class Frames(msgspec.Struct, frozen=True):
    """A stream in server-sent events. Only `chunks` carry text, and only they are counted by cuts and stalls."""

    opening: list[bytes]
    chunks: list[bytes]
    closing: list[bytes]


class Dialect(Protocol):
    """One API of one provider."""

    @property
    def FLAVOR(self) -> str:  # noqa: N802  # a module's constant
        """Its name on the bill."""
        ...

    def read(self, body: bytes) -> Call:
        """The request. Raises msgspec.DecodeError, with words for the client, for one that cannot be read."""
        ...

    def answer(self, made: Generation) -> dict[str, Any]:
        """The body of an answer in one piece."""
        ...

    def stream(self, made: Generation, *, include_usage: bool) -> Frames:
        """The same as a stream."""
        ...

    def error(self, status: int, message: str, request_id: str) -> dict[str, Any]:
        """The body of an error."""
        ...


def sse(data: dict[str, Any], *, event: str = "") -> bytes:
    """One server-sent event."""
    name = f"event: {event}\n" if event else ""
    return f"{name}data: {json.dumps(data)}\n\n".encode()


def as_text(metadata: dict[str, Any] | None) -> dict[str, str]:
    """A request's metadata, with its values as text."""
    return {name: str(value) for name, value in (metadata or {}).items()}
