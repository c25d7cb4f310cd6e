"""Anthropic's messages: POST /v1/messages."""

from __future__ import annotations

from typing import Any, Final

import msgspec

from hivecost.events import Usage
from hivecost.testing.dialect import Frames, PositiveInt, as_text, sse
from hivecost.testing.generation import Call, Generation
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


class _Request(msgspec.Struct, frozen=True):
    model: str
    messages: list[dict[str, Any]]
    max_tokens: PositiveInt
    system: str | list[dict[str, Any]] | None = None
    tools: list[dict[str, Any]] | None = None
    stream: bool | None = None
    service_tier: str | None = None
    metadata: dict[str, Any] | None = None


def read(body: bytes) -> Call:
    """Counts messages, system prompt and tools; `max_tokens` is required."""
    request = msgspec.json.decode(body, type=_Request)
    return Call(
        model=request.model,
        prompt_tokens=prompt_tokens(request.messages, request.system, request.tools),
        max_tokens=request.max_tokens,
        stream=bool(request.stream),
        # What may be asked for (`auto`, `standard_only`) are not the names of the tiers that are served.
        service_tier="",
        metadata=as_text(request.metadata),
    )


def answer(made: Generation) -> dict[str, Any]:
    """A `message`."""
    content = [{"type": "text", "text": made.text, "citations": None}]
    return _message(made, content, _stop_reason(made)) | made.report(_usage(made, made.usage.output_tokens))


def stream(made: Generation, *, include_usage: bool) -> Frames:
    """From `message_start`, which knows the input, to `message_delta`, whose counts are cumulative."""

    def frame(kind: str, **fields: Any) -> bytes:
        return sse({"type": kind, **fields}, event=kind)

    first = min(1, made.usage.output_tokens)
    started = _message(made, [], None) | made.report(_usage(made, first))
    total = made.report(_delta_usage(made))
    return Frames(
        opening=[
            frame("message_start", message=started),
            frame("content_block_start", index=0, content_block={"type": "text", "text": "", "citations": None}),
            frame("ping"),
        ],
        chunks=[
            frame("content_block_delta", index=0, delta={"type": "text_delta", "text": piece}) for piece in made.pieces
        ],
        closing=[
            frame("content_block_stop", index=0),
            frame("message_delta", delta={"stop_reason": _stop_reason(made), "stop_sequence": None}, **total),
            frame("message_stop"),
        ],
    )


def error(status: int, message: str, request_id: str) -> dict[str, Any]:
    """`{"type": "error", "error": {type, message}, "request_id"}`."""
    kind = _ERRORS.get(status, "api_error" if status >= 500 else "invalid_request_error")
    return {"type": "error", "error": {"type": kind, "message": message}, "request_id": f"req_{request_id}"}


def _stop_reason(made: Generation) -> str:
    return "max_tokens" if made.is_cut_short else "end_turn"


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
    """The counts that `message_delta` repeats or completes."""
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
