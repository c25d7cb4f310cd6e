"""Gemini's generateContent and streamGenerateContent: POST /v1beta/models/{model}:generateContent, and Vertex AI's."""

from __future__ import annotations

import json
from typing import Annotated, Any, Final

import msgspec

from hivecost.events import Usage
from hivecost.testing.dialect import Frames, Place, PositiveInt, as_text, sse
from hivecost.testing.generation import Block, Call, Generation
from hivecost.testing.tokens import prompt_tokens

FLAVOR: Final = "google.gemini"
USAGE_KEY: Final = "usageMetadata"

_STATUSES: Final = {
    400: "INVALID_ARGUMENT",
    401: "UNAUTHENTICATED",
    403: "PERMISSION_DENIED",
    404: "NOT_FOUND",
    429: "RESOURCE_EXHAUSTED",
    503: "UNAVAILABLE",
}


class _Config(msgspec.Struct, frozen=True, rename="camel"):
    max_output_tokens: PositiveInt | None = None
    candidate_count: Annotated[int, msgspec.Meta(ge=1, le=8)] | None = None


class _Request(msgspec.Struct, frozen=True, rename="camel"):
    contents: list[dict[str, Any]]
    system_instruction: dict[str, Any] | None = None
    tools: list[dict[str, Any]] | None = None
    generation_config: _Config | None = None
    service_tier: str | None = None
    labels: dict[str, Any] | None = None


def read(body: bytes, place: Place) -> Call:
    """Read a call: contents, system instruction and tools are counted; the path names the model."""
    request = msgspec.json.decode(body, type=_Request)
    config = request.generation_config or _Config()
    return Call(
        model=place.model,
        prompt_tokens=_prompt_tokens(request),
        max_tokens=config.max_output_tokens,
        choices=config.candidate_count or 1,
        stream=place.stream,
        as_list=not place.as_events,
        service_tier=request.service_tier or "",
        metadata=as_text(request.labels),
    )


def count(body: bytes) -> dict[str, Any]:
    """Return the answer of `countTokens`: what `read` counts. Raise msgspec.DecodeError as it does."""
    return {"totalTokens": _prompt_tokens(msgspec.json.decode(body, type=_Request))}


def answer(made: Generation) -> dict[str, Any]:
    """Return a `GenerateContentResponse`."""
    parts = [_part(made, index, block) for index, block in enumerate(made.blocks)]
    return _response(
        made, [_candidate(index, parts, _reason(made)) for index in range(made.call.choices)], _usage(made.usage)
    )


def stream(made: Generation) -> Frames:
    """Return a chunk for each token of text, and one for each tool call, which is never cut into pieces.

    Each has the usage so far, the last one all of it and the reason to end. A stream that is a list, because nobody
    asked for events, has the same elements.
    """
    encode = _element if made.call.as_list else sse
    bodies = [
        _response(made, [_candidate(index, [part])], _so_far(made.usage))
        for part in _stream_parts(made)
        for index in range(made.call.choices)
    ]
    last = _response(
        made,
        [_candidate(index, [{"text": ""}], _reason(made)) for index in range(made.call.choices)],
        _usage(made.usage),
    )
    frames = [encode(body) for body in bodies]
    if not made.call.as_list:
        return Frames(opening=[], chunks=frames, closing=[sse(last)])
    chunks = [(b",\r\n" if number else b"") + frame for number, frame in enumerate(frames)]
    comma = b",\r\n" if chunks else b""
    return Frames(
        opening=[b"["], chunks=chunks, closing=[comma + _element(last) + b"\n]"], content_type="application/json"
    )


def error(status: int, message: str, request_id: str) -> dict[str, Any]:
    """Return `{"error": {code, message, status}}`."""
    kind = _STATUSES.get(status, "INTERNAL" if status >= 500 else "FAILED_PRECONDITION")
    return {"error": {"code": status, "message": f"{message} (request {request_id})", "status": kind}}


def _prompt_tokens(request: _Request) -> int:
    return prompt_tokens(request.contents, request.system_instruction, request.tools)


def _element(body: dict[str, Any]) -> bytes:
    return json.dumps(body, indent=2).encode()


def _reason(made: Generation) -> str:
    return "MAX_TOKENS" if made.is_cut_short else "STOP"


def _part(made: Generation, index: int, block: Block) -> dict[str, Any]:
    if not block.tool:
        return {"text": block.text}
    try:
        arguments = json.loads(block.text)
    except ValueError:  # what the limit cut off is no JSON any more
        arguments = {}
    return {"functionCall": {"id": f"call_{made.request_id}_{index}", "name": block.tool, "args": arguments}}


def _stream_parts(made: Generation) -> list[dict[str, Any]]:
    """Return a part for each piece.

    A tool call comes whole with its last piece; those before it are empty, and count.
    """
    parts: list[dict[str, Any]] = []
    for index, block in enumerate(made.blocks):
        if block.tool:
            parts += [{"text": ""} for _ in block.pieces[1:]]
            parts.append(_part(made, index, block))
        else:
            parts += [{"text": piece} for piece in block.pieces]
    return parts


def _candidate(index: int, parts: list[dict[str, Any]], reason: str | None = None) -> dict[str, Any]:
    candidate = {"content": {"parts": parts, "role": "model"}, "index": index}
    return candidate | ({"finishReason": reason} if reason else {})


def _response(made: Generation, candidates: list[dict[str, Any]], usage: dict[str, Any]) -> dict[str, Any]:
    about = {"modelVersion": made.model, "responseId": made.request_id}
    return {"candidates": candidates} | made.report(usage, USAGE_KEY) | about


def _so_far(usage: Usage) -> dict[str, Any]:
    """Return what the first chunks say: the prompt, and no count of the answer yet."""
    return {"promptTokenCount": usage.input_tokens, "totalTokenCount": usage.input_tokens}


def _usage(usage: Usage) -> dict[str, Any]:
    counts = {
        "promptTokenCount": usage.input_tokens,
        "cachedContentTokenCount": usage.cache_read_tokens,
        # Google's count of the answer excludes the thoughts.
        "candidatesTokenCount": usage.output_tokens - usage.reasoning_tokens,
        "thoughtsTokenCount": usage.reasoning_tokens,
    }
    return {name: count for name, count in counts.items() if count} | {"totalTokenCount": usage.total_tokens}
