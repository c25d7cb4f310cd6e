"""OpenAI's responses: POST /v1/responses."""

from __future__ import annotations

from collections.abc import Callable
from itertools import count
from typing import Any, Final

import msgspec

from hivecost.events import Usage
from hivecost.testing.dialect import Frames, PositiveInt, as_text, sse
from hivecost.testing.generation import Call, Generation
from hivecost.testing.openai_errors import error
from hivecost.testing.tokens import prompt_tokens

__all__ = ["FLAVOR", "answer", "error", "read", "stream"]

FLAVOR: Final = "openai.responses"

_Frame = Callable[..., bytes]


class _Request(msgspec.Struct, frozen=True):
    model: str
    input: str | list[dict[str, Any]]
    instructions: str | None = None
    tools: list[dict[str, Any]] | None = None
    max_output_tokens: PositiveInt | None = None
    stream: bool | None = None
    service_tier: str | None = None
    metadata: dict[str, Any] | None = None


def read(body: bytes) -> Call:
    """Counts input, instructions and tools."""
    request = msgspec.json.decode(body, type=_Request)
    return Call(
        model=request.model,
        prompt_tokens=prompt_tokens(request.input, request.instructions, request.tools),
        max_tokens=request.max_output_tokens,
        stream=bool(request.stream),
        service_tier=request.service_tier or "",
        metadata=as_text(request.metadata),
    )


def answer(made: Generation) -> dict[str, Any]:
    """A `response`: completed, or incomplete where `max_output_tokens` ended it."""
    status = _status(made)
    reason = {"reason": "max_output_tokens"} if made.is_cut_short else None
    body = _response(made, status, [_message(made, status, [_part(made.text)])])
    return body | {"incomplete_details": reason} | made.report(_usage(made.usage))


def stream(made: Generation, *, include_usage: bool) -> Frames:
    """The events of a `response` from created to completed or incomplete; the last one carries the usage."""
    number = count()

    def frame(kind: str, **fields: Any) -> bytes:
        return sse({"type": kind, "sequence_number": next(number), **fields}, event=kind)

    # The frames are built in the order they are sent in: they are numbered.
    return Frames(opening=_opening(made, frame), chunks=_deltas(made, frame), closing=_closing(made, frame))


def _opening(made: Generation, frame: _Frame) -> list[bytes]:
    started = _response(made, "in_progress", [])
    return [
        frame("response.created", response=started),
        frame("response.in_progress", response=started),
        frame("response.output_item.added", output_index=0, item=_message(made, "in_progress", [])),
        frame("response.content_part.added", **_place(made), part=_part("")),
    ]


def _deltas(made: Generation, frame: _Frame) -> list[bytes]:
    place = _place(made)
    return [frame("response.output_text.delta", **place, delta=piece, logprobs=[]) for piece in made.pieces]


def _closing(made: Generation, frame: _Frame) -> list[bytes]:
    place, status = _place(made), _status(made)
    part = _part(made.text)
    return [
        frame("response.output_text.done", **place, text=made.text, logprobs=[]),
        frame("response.content_part.done", **place, part=part),
        frame("response.output_item.done", output_index=0, item=_message(made, status, [part])),
        frame(f"response.{status}", response=answer(made)),
    ]


def _status(made: Generation) -> str:
    return "incomplete" if made.is_cut_short else "completed"


def _place(made: Generation) -> dict[str, Any]:
    return {"item_id": f"msg_{made.request_id}", "output_index": 0, "content_index": 0}


def _part(text: str) -> dict[str, Any]:
    return {"type": "output_text", "text": text, "annotations": [], "logprobs": []}


def _message(made: Generation, status: str, content: list[dict[str, Any]]) -> dict[str, Any]:
    item_id = f"msg_{made.request_id}"
    return {"id": item_id, "type": "message", "role": "assistant", "status": status, "content": content}


def _response(made: Generation, status: str, output: list[dict[str, Any]]) -> dict[str, Any]:
    return {
        "id": f"resp_{made.request_id}",
        "object": "response",
        "created_at": made.created_s,
        "model": made.model,
        "status": status,
        "error": None,
        "incomplete_details": None,
        "instructions": None,
        "metadata": {},
        "output": output,
        "parallel_tool_calls": True,
        "service_tier": "default" if made.service_tier in {"", "auto"} else made.service_tier,
        "tool_choice": "auto",
        "tools": [],
        "usage": None,
    }


def _usage(usage: Usage) -> dict[str, Any]:
    return {
        "input_tokens": usage.input_tokens,
        "input_tokens_details": {
            "cached_tokens": usage.cache_read_tokens,
            "cache_write_tokens": usage.cache_write_tokens,
        },
        "output_tokens": usage.output_tokens,
        "output_tokens_details": {"reasoning_tokens": usage.reasoning_tokens},
        "total_tokens": usage.total_tokens,
    }
