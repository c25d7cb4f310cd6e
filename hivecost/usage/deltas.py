"""How much of an answer one event of a stream brings, in bytes of UTF-8: never too few."""

from __future__ import annotations

import json
import re
from collections.abc import Mapping
from typing import Any, Final

from hivecost.usage.views import items, name_of, plain, text, view

#: Parts of an event that were never generated.
_ENVELOPE: Final = frozenset(
    {"type", "role", "finish_reason", "finishReason", "stop_reason", "stopReason", "stop_sequence", "usage", "snapshot"}
)
#: A call's arguments where they come as an object: its keys and numbers were generated, too.
_OBJECTS: Final = frozenset({"args", "input"})
#: Where the providers put what is new: Anthropic and Cohere, then Bedrock.
_NEWS: Final = ("delta", "content_block", "contentBlockDelta", "contentBlockStart")
#: Events that repeat what came before; the SDKs' helpers derive more of them, with dotted names.
_ECHOES: Final = frozenset(
    {
        "message_start", "message_stop", "content_block_stop",
        "text", "thinking", "citation", "signature", "input_json",
    }
)  # fmt: skip
_DEPTH_MAX: Final = 8
#: Of one event, whose objects may hold each other; no answer comes in more pieces.
_PARTS_MAX: Final = 100_000
#: What the lines of server-sent events say around the data.
_SSE_LINE: Final = re.compile(r"event:\s*[\w.]+|data:\s*\[DONE\]|\[DONE\]")


def answer_bytes(event: Mapping[str, Any]) -> int:
    """Return the bytes of text, reasoning, refusals and tool calls that the event adds.

    Of an event of no known shape, all its text counts.
    """
    kind = text(event.get("type"))
    if kind.startswith("response."):
        delta = event.get("delta")
        return _size(delta if isinstance(delta, str) else event.get("item") if kind.endswith("item.added") else None)
    if kind in _ECHOES or "." in kind:
        return 0
    if kind == "chunk":
        return answer_bytes(view(event.get("chunk")))
    if "choices" in event:
        choices = [view(choice) for choice in items(event["choices"])]
        return sum(_size(choice.get("delta")) + _size(choice.get("text")) for choice in choices)
    if "candidates" in event:
        return sum(_size(view(candidate).get("content")) for candidate in items(event["candidates"]))
    news = [event[name] for name in _NEWS if name in event]
    return _size(news or event)


def generated_bytes(response: Mapping[str, Any]) -> int:
    """Return the bytes of a whole answer's output, where its provider puts it; 0 for one of no known shape."""
    if "choices" in response:
        choices = [view(choice) for choice in items(response["choices"])]
        return sum(_size(choice.get("message") or choice.get("text") or choice.get("delta")) for choice in choices)
    if "candidates" in response:
        return sum(_size(view(candidate).get("content")) for candidate in items(response["candidates"]))
    return next((_size(response[name]) for name in ("output", "content", "message") if name in response), 0)


def plain_text_bytes(chunk: object) -> int:
    """Return the bytes of a chunk that is bare text; 0 for any other, and for the frame of server-sent events."""
    if isinstance(chunk, bytes | bytearray):
        return len(chunk)
    if not isinstance(chunk, str) or _SSE_LINE.fullmatch(chunk.strip()):
        return 0
    return _size(chunk)


def _size(value: object, depth: int = 0, left: list[int] | None = None) -> int:
    left = [_PARTS_MAX] if left is None else left
    left[0] -= 1
    if isinstance(value, str):
        return len(value.encode(errors="surrogatepass"))
    if isinstance(value, bytes | bytearray):
        return len(value)
    if depth >= _DEPTH_MAX or left[0] < 0:
        return 0
    if isinstance(value, list | tuple):
        return sum(_size(item, depth + 1, left) for item in value)
    size = 0
    for key, part in view(value).items():
        if key in _ENVELOPE:
            continue
        if type(part) is str and part.isascii():  # as most are
            size += len(part)
        else:
            size += _part_size(name_of(key), part, depth, left)
    return size


def _part_size(key: str, part: object, depth: int, left: list[int]) -> int:
    if key in _OBJECTS and not isinstance(part, str):
        return len(json.dumps(plain(part, _PARTS_MAX), ensure_ascii=False).encode()) if part else 0
    return _size(part, depth + 1, left)
