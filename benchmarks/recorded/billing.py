"""What a provider would bill for the input of recorded requests: as far as it is published, and said where it is not.

Claude's tokens: a token for 3.5 bytes of text, after Anthropic's glossary ("approximately 3.5 English characters"); no
tokenizer is public. OpenAI's: o200k_base over the texts, and over tool definitions as JSON, and 4 for each message, as
its cookbook counts them. Both assume that a request finds in the cache what earlier ones of the same model put there.
"""

from __future__ import annotations

import json
from collections.abc import Iterator
from itertools import accumulate
from math import ceil
from typing import Any, Final, NamedTuple

from benchmarks.recorded.shapes import tokens_of
from hivecost.events import Usage

CLAUDE_BYTES_PER_TOKEN: Final = 3.5
_MESSAGE_TOKENS: Final = 4

#: Prompts below are not cached; OpenAI reads what is cached in steps of 128.
_CACHED_MIN_TOKENS: Final = 1024
_OPENAI_STEP_TOKENS: Final = 128

#: What a tool call or a part is called, and does not count.
_UNCOUNTED: Final = frozenset({"type", "role", "id", "call_id", "tool_use_id", "cache_control", "status"})


class _Piece(NamedTuple):
    """A tool, a block of the system prompt, or a block of a message, in the order that the model reads."""

    content: str
    tokens: int
    #: Where the cache is to be written up to here: for how long.
    ttl: str


def claude_tokens(text: str) -> int:
    """The estimate for Claude."""
    return ceil(len(text.encode()) / CLAUDE_BYTES_PER_TOKEN)


class PromptCache:
    """What earlier requests left in the provider's cache, by model."""

    def __init__(self) -> None:
        self._known: dict[str, set[int]] = {}

    def input_of(self, body: dict[str, Any], *, anthropic: bool, writes_cost: bool) -> Usage:
        """The usage of the input, cache included, and remember it for those that follow.

        `writes_cost`: whether OpenAI bills cache writes for this model (GPT-5.6 and later), which it makes unasked.
        """
        pieces = list(_claude_pieces(body) if anthropic else _openai_pieces(body))
        ends = list(accumulate(piece.tokens for piece in pieces))
        prefixes = list(accumulate(pieces, lambda before, piece: hash((before, piece.content)), initial=0))[1:]
        known = self._known.setdefault(body["model"], set())
        marks = [index for index, piece in enumerate(pieces) if piece.ttl] if anthropic else list(range(len(pieces)))
        if not marks or ends[marks[-1]] < _CACHED_MIN_TOKENS:
            return Usage(input_tokens=ends[-1])
        found = [ends[at] for at in range(marks[-1] + 1) if prefixes[at] in known]
        known.update(prefixes[at] for at in marks)
        read = max(found, default=0)
        if anthropic:
            written, written_1h = _written(pieces, ends, marks, read)
            return Usage(ends[-1], 0, read, written, written_1h)
        read = read - read % _OPENAI_STEP_TOKENS if read >= _CACHED_MIN_TOKENS else 0
        written = (ends[-1] - read) // _OPENAI_STEP_TOKENS * _OPENAI_STEP_TOKENS if writes_cost else 0
        return Usage(ends[-1], 0, read, written)


def _written(pieces: list[_Piece], ends: list[int], marks: list[int], read: int) -> tuple[int, int]:
    """What is written up to the last mark, and what of it for an hour: each stretch as the mark at its end says."""
    written = written_1h = 0
    for mark in marks:
        stretch = max(ends[mark] - read - written, 0)
        written += stretch
        written_1h += stretch if pieces[mark].ttl == "1h" else 0
    return written, written_1h


def _claude_pieces(body: dict[str, Any]) -> Iterator[_Piece]:
    for tool in body.get("tools") or ():
        yield _piece(_compact(_without_mark(tool)), tool, claude_tokens)
    yield from _blocks(body.get("system") or ())
    for message in body["messages"]:
        yield from _blocks(message["content"])


def _blocks(content: Any) -> Iterator[_Piece]:
    if isinstance(content, str):
        content = [{"type": "text", "text": content}]
    for block in content:
        yield _piece("".join(_texts(block)), block, claude_tokens)


def _openai_pieces(body: dict[str, Any]) -> Iterator[_Piece]:
    for tool in body.get("tools") or ():
        yield _piece(_compact(tool), tool, tokens_of)
    if body.get("instructions"):
        yield _piece(body["instructions"], {}, tokens_of)
    items = body.get("messages") or body["input"]
    for item in [{"content": items}] if isinstance(items, str) else items:
        text = _compact(item["tools"]) if item.get("type") == "additional_tools" else "".join(_texts(item))
        yield _piece(text, item, lambda text: tokens_of(text) + _MESSAGE_TOKENS)


def _piece(text: str, block: dict[str, Any], count: Any) -> _Piece:
    mark = block.get("cache_control")
    return _Piece(text, count(text), mark.get("ttl", "5m") if mark else "")


def _without_mark(tool: dict[str, Any]) -> dict[str, Any]:
    return {name: value for name, value in tool.items() if name != "cache_control"}


def _compact(value: Any) -> str:
    return json.dumps(value, ensure_ascii=False, separators=(",", ":"))


def _texts(value: Any) -> Iterator[str]:
    if isinstance(value, str):
        yield value
    elif isinstance(value, dict):
        for name, item in value.items():
            if name not in _UNCOUNTED:
                yield from _texts(item)
    elif isinstance(value, list):
        for item in value:
            yield from _texts(item)
