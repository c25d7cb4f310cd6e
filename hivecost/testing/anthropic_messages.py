"""Anthropic's messages: POST /v1/messages, and POST /v1/messages/count_tokens."""

from __future__ import annotations

import json
from typing import Any, Final

import msgspec

from hivecost.events import Usage
from hivecost.testing.dialect import Frames, Place, PositiveInt, as_text, framed, sse
from hivecost.testing.generation import Block, Call, Generation
from hivecost.testing.tokens import prompt_tokens

FLAVOR: Final = "anthropic.messages"

_ERRORS: Final = {
    400: "invalid_request_error",
    401: "authentication_error",
    403: "permission_error",
    404: "not_found_error",
    413: "request_too_large",
    429: "rate_limit_error",
    529: "overloaded_error",
}


class _Prompt(msgspec.Struct, frozen=True):
    model: str
    messages: list[dict[str, Any]]
    system: str | list[dict[str, Any]] | None = None
    tools: list[dict[str, Any]] | None = None

    def tokens(self) -> int:
        return prompt_tokens(self.messages, self.system, self.tools)


class _Request(_Prompt, frozen=True, kw_only=True):
    max_tokens: PositiveInt
    stream: bool | None = None
    service_tier: str | None = None
    metadata: dict[str, Any] | None = None


def read(body: bytes, place: Place) -> Call:
    """Read a call: messages, system prompt and tools are counted; `max_tokens` is required."""
    request = msgspec.json.decode(body, type=_Request)
    return Call(
        model=request.model,
        prompt_tokens=request.tokens(),
        max_tokens=request.max_tokens,
        stream=bool(request.stream),
        # What may be asked for (`auto`, `standard_only`) are not the names of the tiers that are served.
        service_tier="",
        metadata=as_text(request.metadata),
    )


def count(body: bytes) -> dict[str, Any]:
    """Return the answer of `count_tokens`: what `read` counts. Raise msgspec.DecodeError as it does."""
    return {"input_tokens": msgspec.json.decode(body, type=_Prompt).tokens()}


def answer(made: Generation) -> dict[str, Any]:
    """Return a `message`."""
    content = [_content(made, index, block) for index, block in enumerate(made.blocks)]
    return _message(made, content, _stop_reason(made)) | made.report(_usage(made, made.usage.output_tokens))


def stream(made: Generation) -> Frames:
    """Return frames from `message_start`, which has the input, to `message_delta`, whose counts are cumulative."""

    def frame(kind: str, **fields: Any) -> bytes:
        return sse({"type": kind, **fields}, event=kind)

    def opened(index: int, block: Block) -> list[bytes]:
        empty = _content(made, index, Block([], block.tool))
        start = frame("content_block_start", index=index, content_block=empty)
        return [start] if index else [start, frame("ping")]

    def delta(index: int, block: Block, piece: str) -> bytes:
        change = {"type": "input_json_delta", "partial_json": piece} if block.tool else _text_delta(piece)
        return frame("content_block_delta", index=index, delta=change)

    def closed(index: int, block: Block) -> list[bytes]:
        return [frame("content_block_stop", index=index)]

    started = _message(made, [], None) | made.report(_usage(made, min(1, made.usage.output_tokens)))
    ended = {"stop_reason": _stop_reason(made), "stop_sequence": None}
    content = framed(made.blocks, opened=opened, delta=delta, closed=closed)
    return Frames(
        opening=[frame("message_start", message=started), *content.opening],
        chunks=content.chunks,
        closing=[
            *content.closing,
            frame("message_delta", delta=ended, **made.report(_delta_usage(made))),
            frame("message_stop"),
        ],
    )


def error(status: int, message: str, request_id: str) -> dict[str, Any]:
    """Return `{"type": "error", "error": {type, message}, "request_id"}`."""
    kind = _ERRORS.get(status, "api_error" if status >= 500 else "invalid_request_error")
    return {"type": "error", "error": {"type": kind, "message": message}, "request_id": f"req_{request_id}"}


def _stop_reason(made: Generation) -> str:
    if made.is_cut_short:
        return "max_tokens"
    return "tool_use" if made.calls_tools else "end_turn"


def _text_delta(piece: str) -> dict[str, Any]:
    return {"type": "text_delta", "text": piece}


def _content(made: Generation, index: int, block: Block) -> dict[str, Any]:
    if not block.tool:
        return {"type": "text", "text": block.text, "citations": None}
    return {
        "type": "tool_use",
        "id": f"toolu_{made.request_id}_{index}",
        "name": block.tool,
        "input": _whole_object(block.text),
        "caller": {"type": "direct"},
    }


def _whole_object(arguments: str) -> Any:
    """Return the arguments as an object; an empty one where `max_tokens` cut them off, so that they are no JSON."""
    try:
        return json.loads(arguments)
    except ValueError:
        return {}


def _message(made: Generation, content: list[dict[str, Any]], stop_reason: str | None) -> dict[str, Any]:
    return {
        "id": f"msg_{made.request_id}",
        "type": "message",
        "role": "assistant",
        "model": made.model,
        "content": content,
        "stop_reason": stop_reason,
        "stop_sequence": None,
    }


def _delta_usage(made: Generation) -> dict[str, Any]:
    """Return the counts that `message_delta` repeats or completes."""
    usage = _usage(made, made.usage.output_tokens)
    for only_at_start in ("cache_creation", "service_tier"):
        del usage[only_at_start]
    return usage


def _usage(made: Generation, output_tokens: int) -> dict[str, Any]:
    usage = made.usage
    searches = usage.web_search_requests
    return {
        # Anthropic's input excludes what the cache read and wrote.
        "input_tokens": usage.input_tokens - usage.cache_read_tokens - usage.cache_write_tokens,
        "cache_read_input_tokens": usage.cache_read_tokens,
        "cache_creation_input_tokens": usage.cache_write_tokens,
        "cache_creation": _cache_creation(usage),
        "output_tokens": output_tokens,
        "output_tokens_details": {"thinking_tokens": min(usage.reasoning_tokens, output_tokens)},
        "server_tool_use": {"web_search_requests": searches, "web_fetch_requests": 0} if searches else None,
        "service_tier": made.service_tier or "standard",
    }


def _cache_creation(usage: Usage) -> dict[str, Any]:
    return {
        "ephemeral_5m_input_tokens": usage.cache_write_tokens - usage.cache_write_1h_tokens,
        "ephemeral_1h_input_tokens": usage.cache_write_1h_tokens,
    }
