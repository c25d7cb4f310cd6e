"""OpenAI's chat completions: POST /v1/chat/completions."""

from __future__ import annotations

from collections.abc import Iterator
from typing import Annotated, Any, Final

import msgspec

from hivecost.events import Usage
from hivecost.testing.dialect import Frames, Place, PositiveInt, as_text, sse
from hivecost.testing.generation import Block, Call, Generation
from hivecost.testing.openai_errors import error
from hivecost.testing.tokens import prompt_tokens

__all__ = ["FLAVOR", "answer", "error", "read", "stream"]

FLAVOR: Final = "openai.chat"


class _StreamOptions(msgspec.Struct, frozen=True):
    include_usage: bool | None = None


class _Request(msgspec.Struct, frozen=True):
    model: str
    messages: list[dict[str, Any]]
    tools: list[dict[str, Any]] | None = None
    max_tokens: PositiveInt | None = None
    max_completion_tokens: PositiveInt | None = None
    n: Annotated[int, msgspec.Meta(ge=1, le=128)] | None = None
    stream: bool | None = None
    stream_options: _StreamOptions | None = None
    service_tier: str | None = None
    metadata: dict[str, Any] | None = None


def read(body: bytes, place: Place) -> Call:
    """Read a call: messages and tools are counted; a stream has usage only if `stream_options` asks for it."""
    request = msgspec.json.decode(body, type=_Request)
    return Call(
        model=request.model,
        prompt_tokens=prompt_tokens(request.messages, request.tools),
        max_tokens=request.max_completion_tokens or request.max_tokens,
        choices=request.n or 1,
        stream=bool(request.stream),
        include_usage=bool(request.stream_options and request.stream_options.include_usage),
        service_tier=request.service_tier or "",
        metadata=as_text(request.metadata),
    )


def answer(made: Generation) -> dict[str, Any]:
    """Return a `chat.completion`."""
    tools = [_tool_call(made, index, block, block.text) for index, block in _tools(made)]
    message: dict[str, Any] = {
        "role": "assistant",
        "content": made.text if made.text or not tools else None,
        "refusal": None,
        "annotations": [],
    }
    if tools:
        message["tool_calls"] = tools
    choices = [
        {"index": index, "message": message, "logprobs": None, "finish_reason": _finish_reason(made)}
        for index in range(made.call.choices)
    ]
    return _envelope(made, "chat.completion") | {"choices": choices} | made.report(_usage(made.usage))


def stream(made: Generation) -> Frames:
    """Return `chat.completion.chunk`s.

    They are the role, text, tool calls, the finish reason, usage if it was asked for, and `[DONE]`.
    """
    envelope = _envelope(made, "chat.completion.chunk")
    include_usage = made.call.include_usage
    if include_usage:
        envelope["usage"] = None

    def frame(index: int, delta: dict[str, Any], finish_reason: str | None = None) -> bytes:
        choice = {"index": index, "delta": delta, "logprobs": None, "finish_reason": finish_reason}
        return sse(envelope | {"choices": [choice]})

    every = range(made.call.choices)
    closing = [frame(index, {}, _finish_reason(made)) for index in every]
    if include_usage and not made.omit_usage:
        closing.append(sse(envelope | {"choices": []} | made.report(_usage(made.usage))))
    return Frames(
        opening=[frame(index, {"role": "assistant", "content": "", "refusal": None}) for index in every],
        chunks=[frame(index, delta) for delta in _deltas(made) for index in every],
        closing=[*closing, b"data: [DONE]\n\n"],
    )


def _deltas(made: Generation) -> Iterator[dict[str, Any]]:
    """Yield a delta for each token; the first of a tool call also names the tool."""
    yield from ({"content": piece} for block in made.blocks if not block.tool for piece in block.pieces)
    for index, block in _tools(made):
        first, *further = block.pieces
        yield {"tool_calls": [{"index": index} | _tool_call(made, index, block, first)]}
        for piece in further:
            yield {"tool_calls": [{"index": index, "function": {"arguments": piece}}]}


def _tools(made: Generation) -> Iterator[tuple[int, Block]]:
    return enumerate(block for block in made.blocks if block.tool)


def _tool_call(made: Generation, index: int, block: Block, arguments: str) -> dict[str, Any]:
    function = {"name": block.tool, "arguments": arguments}
    return {"id": f"call_{made.request_id}_{index}", "type": "function", "function": function}


def _finish_reason(made: Generation) -> str:
    if made.is_cut_short:
        return "length"
    return "tool_calls" if made.calls_tools else "stop"


def _envelope(made: Generation, kind: str) -> dict[str, Any]:
    return {
        "id": f"chatcmpl-{made.request_id}",
        "object": kind,
        "created": made.created_s,
        "model": made.model,
        "service_tier": "default" if made.service_tier in {"", "auto"} else made.service_tier,
        "system_fingerprint": "fp_hivecost",
    }


def _usage(usage: Usage) -> dict[str, Any]:
    return {
        "prompt_tokens": usage.input_tokens,
        "completion_tokens": usage.output_tokens,
        "total_tokens": usage.total_tokens,
        "prompt_tokens_details": {
            "cached_tokens": usage.cache_read_tokens,
            "cache_write_tokens": usage.cache_write_tokens,
            "audio_tokens": usage.input_audio_tokens,
        },
        "completion_tokens_details": {
            "reasoning_tokens": usage.reasoning_tokens,
            "audio_tokens": usage.output_audio_tokens,
            "accepted_prediction_tokens": 0,
            "rejected_prediction_tokens": 0,
        },
    }
