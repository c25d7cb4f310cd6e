"""OpenAI's embeddings: POST /v1/embeddings."""

from __future__ import annotations

import base64
import struct
from typing import Annotated, Any, Final, Literal

import msgspec

from hivecost.testing.dialect import Frames, Place
from hivecost.testing.generation import Call, Generation
from hivecost.testing.openai_errors import error
from hivecost.testing.tokens import count_tokens

__all__ = ["FLAVOR", "answer", "error", "read", "stream"]

FLAVOR: Final = "openai.embeddings"

#: The dimensions of a vector unless the request says how many.
_DIMENSIONS: Final = 1536


class _Request(msgspec.Struct, frozen=True):
    model: str
    input: str | list[str | int | list[int]]
    dimensions: Annotated[int, msgspec.Meta(ge=1, le=4096)] | None = None
    encoding_format: Literal["float", "base64"] | None = None


def read(body: bytes, place: Place) -> Call:
    """Read a call: each text is counted, or the tokens that are given as numbers."""
    request = msgspec.json.decode(body, type=_Request)
    whole = isinstance(request.input, str) or all(isinstance(item, int) for item in request.input)
    inputs: list[Any] = [request.input] if whole else list(request.input)
    return Call(
        model=request.model,
        prompt_tokens=sum(count_tokens(item) if isinstance(item, str) else len(item) for item in inputs),
        choices=len(inputs),
        dimensions=request.dimensions or _DIMENSIONS,
        base64_vectors=request.encoding_format == "base64",
    )


def answer(made: Generation) -> dict[str, Any]:
    """Return a list of unit vectors, each along an axis of its own: they mean nothing."""
    data = [
        {"object": "embedding", "index": index, "embedding": _embedding(made.call, index)}
        for index in range(made.call.choices)
    ]
    tokens = made.usage.input_tokens
    usage = {"prompt_tokens": tokens, "total_tokens": tokens}
    return {"object": "list", "data": data, "model": made.model} | made.report(usage)


def stream(made: Generation) -> Frames:
    """Return no frames: no request for embeddings asks for a stream."""
    return Frames(opening=[], chunks=[], closing=[])


def _embedding(call: Call, index: int) -> list[float] | str:
    vector = [0.0] * call.dimensions
    vector[index % call.dimensions] = 1.0
    return base64.b64encode(struct.pack(f"<{len(vector)}f", *vector)).decode() if call.base64_vectors else vector
