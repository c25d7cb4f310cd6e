"""OpenAI's responses: POST /v1/responses."""

from __future__ import annotations

from itertools import count
from typing import Any, Final

import msgspec

from hivecost.events import Usage
from hivecost.testing.dialect import Frames, Place, PositiveInt, as_text, framed, sse
from hivecost.testing.generation import Block, Call, Generation
from hivecost.testing.openai_errors import error
from hivecost.testing.tokens import prompt_tokens

__all__ = ["FLAVOR", "answer", "error", "read", "stream"]

FLAVOR: Final = "openai.responses"

#: What the events of a tool call are called, by whether it is a custom one.
_STREAMED: Final = {False: "function_call_arguments", True: "custom_tool_call_input"}


class _Request(msgspec.Struct, frozen=True):
    model: str
    input: str | list[dict[str, Any]]
    instructions: str | None = None
    tools: list[dict[str, Any]] | None = None
    max_output_tokens: PositiveInt | None = None
    stream: bool | None = None
    service_tier: str | None = None
    metadata: dict[str, Any] | None = None


def read(body: bytes, place: Place) -> Call:
    """Read a call: input, instructions and tools are counted."""
    request = msgspec.json.decode(body, type=_Request)
    return Call(
        model=request.model,
        prompt_tokens=prompt_tokens(request.input, request.instructions, request.tools),
        max_tokens=request.max_output_tokens,
        stream=bool(request.stream),
        service_tier=request.service_tier or "",
        metadata=as_text(request.metadata),
        custom_tools=True,
    )


def answer(made: Generation) -> dict[str, Any]:
    """Return a `response`: completed, or incomplete where `max_output_tokens` ended it."""
    reason = {"reason": "max_output_tokens"} if made.is_cut_short else None
    output = [_item(made, index, block, _status(made), block.text) for index, block in enumerate(made.blocks)]
    body = _response(made, _status(made), output)
    return body | {"incomplete_details": reason} | made.report(_usage(made.usage))


def stream(made: Generation) -> Frames:
    """Return the events of a `response` from created to completed or incomplete; the last one carries the usage."""
    number = count()
    # The frames are built in the order they are sent in: they are numbered.

    def frame(kind: str, **fields: Any) -> bytes:
        return sse({"type": f"response.{kind}", "sequence_number": next(number), **fields}, event=f"response.{kind}")

    def opened(index: int, block: Block) -> list[bytes]:
        item = _item(made, index, block, "in_progress", "")
        added = frame("output_item.added", output_index=index, item=item)
        if block.tool:
            return [added]
        return [added, frame("content_part.added", **_place(made, index, block), part=_part(""))]

    def delta(index: int, block: Block, piece: str) -> bytes:
        place = _place(made, index, block)
        if block.tool:
            return frame(f"{_STREAMED[block.is_custom]}.delta", **place, delta=piece)
        return frame("output_text.delta", **place, delta=piece, logprobs=[])

    def closed(index: int, block: Block) -> list[bytes]:
        place, item = _place(made, index, block), _item(made, index, block, _status(made), block.text)
        if block.tool:
            done = [frame(f"{_STREAMED[block.is_custom]}.done", **place, **_given(block, block.text))]
        else:
            done = [
                frame("output_text.done", **place, text=block.text, logprobs=[]),
                frame("content_part.done", **place, part=_part(block.text)),
            ]
        return [*done, frame("output_item.done", output_index=index, item=item)]

    started = _response(made, "in_progress", [])
    start = [frame("created", response=started), frame("in_progress", response=started)]
    output = framed(made.blocks, opened=opened, delta=delta, closed=closed)
    return Frames(
        opening=start + output.opening,
        chunks=output.chunks,
        closing=[*output.closing, frame(_status(made), response=answer(made))],
    )


def _status(made: Generation) -> str:
    return "incomplete" if made.is_cut_short else "completed"


def _place(made: Generation, index: int, block: Block) -> dict[str, Any]:
    place = {"item_id": _item_id(made, index, block), "output_index": index}
    return place if block.tool else place | {"content_index": 0}


def _item_id(made: Generation, index: int, block: Block) -> str:
    prefix = "ctc" if block.is_custom else "fc"
    return f"{prefix}_{made.request_id}_{index}" if block.tool else f"msg_{made.request_id}"


def _given(block: Block, text: str) -> dict[str, Any]:
    return {"input" if block.is_custom else "arguments": text}


def _item(made: Generation, index: int, block: Block, status: str, text: str) -> dict[str, Any]:
    item_id = _item_id(made, index, block)
    if not block.tool:
        content = [] if status == "in_progress" else [_part(text)]
        return {"id": item_id, "type": "message", "role": "assistant", "status": status, "content": content}
    call = {"id": item_id, "call_id": f"call_{made.request_id}_{index}", "name": block.tool, **_given(block, text)}
    # A custom tool call has no status.
    return call | ({"type": "custom_tool_call"} if block.is_custom else {"type": "function_call", "status": status})


def _part(text: str) -> dict[str, Any]:
    return {"type": "output_text", "text": text, "annotations": [], "logprobs": []}


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
