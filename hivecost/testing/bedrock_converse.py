"""Bedrock's Converse and ConverseStream: POST /model/{model}/converse and /converse-stream."""

from __future__ import annotations

import json
from typing import Any, Final

import msgspec

from hivecost.dialects.event_stream import event_frame
from hivecost.events import Usage
from hivecost.testing.dialect import Frames, Place, PositiveInt, as_text, framed
from hivecost.testing.generation import Block, Call, Generation
from hivecost.testing.tokens import prompt_tokens

FLAVOR: Final = "bedrock.converse"

#: By status; the client finds its exception by this name.
_ERRORS: Final = {
    400: "ValidationException",
    403: "AccessDeniedException",
    404: "ResourceNotFoundException",
    408: "ModelTimeoutException",
    424: "ModelErrorException",
    429: "ThrottlingException",
    500: "InternalServerException",
    503: "ServiceUnavailableException",
}


class _Config(msgspec.Struct, frozen=True, rename="camel"):
    max_tokens: PositiveInt | None = None


class _Tier(msgspec.Struct, frozen=True):
    type: str


class _Request(msgspec.Struct, frozen=True, rename="camel"):
    messages: list[dict[str, Any]]
    system: list[dict[str, Any]] | None = None
    tool_config: dict[str, Any] | None = None
    inference_config: _Config | None = None
    service_tier: _Tier | None = None
    request_metadata: dict[str, Any] | None = None


class _Input(msgspec.Struct, frozen=True):
    converse: _Request


class _Count(msgspec.Struct, frozen=True):
    input: _Input


def read(body: bytes, place: Place) -> Call:
    """Read a call: messages, system prompt and tools are counted; the path names the model."""
    request = msgspec.json.decode(body, type=_Request)
    return Call(
        model=place.model,
        prompt_tokens=_prompt_tokens(request),
        max_tokens=request.inference_config.max_tokens if request.inference_config else None,
        stream=place.stream,
        service_tier=request.service_tier.type if request.service_tier else "",
        metadata=as_text(request.request_metadata),
    )


def count(body: bytes) -> dict[str, Any]:
    """Return the answer of `CountTokens`: what `read` counts. Raise msgspec.DecodeError as it does."""
    counted = msgspec.json.decode(body, type=_Count)
    return {"inputTokens": _prompt_tokens(counted.input.converse)}


def answer(made: Generation) -> dict[str, Any]:
    """Return a `ConverseResponse`, which names no model."""
    content = [_content(made, index, block) for index, block in enumerate(made.blocks)]
    message = {"message": {"role": "assistant", "content": content}}
    return {"output": message, "stopReason": _stop_reason(made), "metrics": {"latencyMs": 1}} | made.report(
        _usage(made.usage)
    )


def stream(made: Generation) -> Frames:
    """Return frames from `messageStart` to `metadata`, which has the usage; text begins without an event of its own."""

    def opened(index: int, block: Block) -> list[bytes]:
        if not block.tool:
            return []
        start = {"toolUse": {"toolUseId": _tool_id(made, index), "name": block.tool}}
        return [event_frame("contentBlockStart", {"contentBlockIndex": index, "start": start})]

    def delta(index: int, block: Block, piece: str) -> bytes:
        change = {"toolUse": {"input": piece}} if block.tool else {"text": piece}
        return event_frame("contentBlockDelta", {"contentBlockIndex": index, "delta": change})

    def closed(index: int, block: Block) -> list[bytes]:
        return [event_frame("contentBlockStop", {"contentBlockIndex": index})]

    content = framed(made.blocks, opened=opened, delta=delta, closed=closed)
    metadata = {"metrics": {"latencyMs": 1}} | made.report(_usage(made.usage))
    return Frames(
        opening=[event_frame("messageStart", {"role": "assistant"}), *content.opening],
        chunks=content.chunks,
        closing=[
            *content.closing,
            event_frame("messageStop", {"stopReason": _stop_reason(made)}),
            event_frame("metadata", metadata),
        ],
        content_type="application/vnd.amazon.eventstream",
    )


def error(status: int, message: str, request_id: str) -> dict[str, Any]:
    """Return `{"__type": …, "message": …}`, which clients read as they do the header with the error's name."""
    kind = _ERRORS.get(status, "InternalServerException" if status >= 500 else "ValidationException")
    return {"__type": kind, "message": f"{message} (request {request_id})"}


def _prompt_tokens(request: _Request) -> int:
    return prompt_tokens(request.messages, request.system, request.tool_config)


def _stop_reason(made: Generation) -> str:
    if made.is_cut_short:
        return "max_tokens"
    return "tool_use" if made.calls_tools else "end_turn"


def _content(made: Generation, index: int, block: Block) -> dict[str, Any]:
    if not block.tool:
        return {"text": block.text}
    try:
        arguments = json.loads(block.text)
    except ValueError:  # what the limit cut off is no JSON any more
        arguments = {}
    return {"toolUse": {"toolUseId": _tool_id(made, index), "name": block.tool, "input": arguments}}


def _tool_id(made: Generation, index: int) -> str:
    return f"tooluse_{made.request_id}_{index}"


def _usage(usage: Usage) -> dict[str, Any]:
    # Bedrock's input excludes what the cache read and wrote.
    plain = usage.input_tokens - usage.cache_read_tokens - usage.cache_write_tokens
    counts: dict[str, Any] = {
        "inputTokens": plain,
        "outputTokens": usage.output_tokens,
        "totalTokens": usage.total_tokens,
        "cacheReadInputTokens": usage.cache_read_tokens,
        "cacheWriteInputTokens": usage.cache_write_tokens,
    }
    if usage.cache_write_1h_tokens:
        short = usage.cache_write_tokens - usage.cache_write_1h_tokens
        counts["cacheDetails"] = [
            {"inputTokens": short, "ttl": "5m"},
            {"inputTokens": usage.cache_write_1h_tokens, "ttl": "1h"},
        ]
    return counts
