"""Messages of Anthropic's API: blocks of content, results in the user's messages."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from typing import Final

import msgspec

from hivecost.compaction.openai_chat import with_part_text
from hivecost.compaction.pairing import pair_adjacent
from hivecost.compaction.shapes import (
    Call,
    Entry,
    Message,
    Pairing,
    Result,
    is_marked,
    name_of,
    parts_of,
    read_user,
    replaced,
)

_THINKING: Final = frozenset({"thinking", "redacted_thinking"})
_PLAIN_ASSISTANT: Final = Entry("assistant")


class Anthropic:
    """All results of a message's calls are in the one next message, the user's, before anything else in it."""

    begins_with_user = True

    def read(self, message: Message) -> Entry:
        """Return what the message is; a tool of the provider's own has call and result in one message."""
        role, content = message.get("role"), message.get("content")
        if role == "user":
            return _read_user(content)
        if role == "assistant":
            return _read_assistant(content)
        return Entry("system") if role in ("system", "developer") else Entry("other")

    def pair(self, entries: Sequence[Entry]) -> Pairing:
        """Return what belongs together."""
        return pair_adjacent(entries, one_message=True)

    def faults(self, message: Message) -> Sequence[str]:
        """Return `empty_message`, `empty_text`, `mark_on_empty_text` and `result_not_first`, where they are so."""
        parts = parts_of(message.get("content"))
        faults = [] if message.get("content") else ["empty_message"]
        empty = [part for part in parts if part.get("type") == "text" and not part.get("text")]
        faults += ["empty_text"] * len(empty)
        faults += ["mark_on_empty_text"] * is_marked(empty)
        are_results = [part.get("type") == "tool_result" for part in parts]
        if sorted(are_results, reverse=True) != are_results:
            faults.append("result_not_first")
        return faults

    def results(self, message: Message) -> Sequence[Result]:
        """Return the `tool_result` blocks."""
        return [
            Result(part.get("content"), part.get("is_error") is True) for _, part in _blocks(message, "tool_result")
        ]

    def with_result(self, message: Message, which: int, text: str) -> Message:
        """Return the message with a text as the content of one block; a mark for the cache stays on the block."""
        at, part = _blocks(message, "tool_result")[which]
        return {**message, "content": replaced(message["content"], at, {**part, "content": text})}

    def texts(self, message: Message) -> Sequence[str]:
        """Return the content, or its blocks of text; nothing of a message with thinking, which stays as it is."""
        content = message.get("content")
        if isinstance(content, str):
            return (content,)
        if any(part.get("type") in _THINKING for part in parts_of(content)):
            return ()
        return [name_of(part.get("text")) for _, part in _blocks(message, "text")]

    def with_text(self, message: Message, which: int, text: str) -> Message:
        """Return the message with another text."""
        content = message["content"]
        return {**message, "content": text if isinstance(content, str) else with_part_text(content, which, text)}

    def arguments(self, message: Message) -> Sequence[str]:
        """Return the inputs of its `tool_use` blocks."""
        return [msgspec.json.encode(part.get("input")).decode() for _, part in _blocks(message, "tool_use")]

    def with_arguments(self, message: Message, which: int, arguments: Mapping[str, str]) -> Message:
        """Return the message with another input of one call."""
        at, part = _blocks(message, "tool_use")[which]
        return {**message, "content": replaced(message["content"], at, {**part, "input": dict(arguments)})}

    def user_message(self, text: str) -> Message:
        """Return a message of the user's."""
        return {"role": "user", "content": text}


def _read_user(content: object) -> Entry:
    parts = parts_of(content)
    answers = tuple(name_of(part.get("tool_use_id")) for part in parts if part.get("type") == "tool_result")
    if not answers:
        return read_user(content)
    return Entry("user", answers=answers, has_words=len(answers) < len(parts), is_marked=is_marked(parts))


def _read_assistant(content: object) -> Entry:
    parts = parts_of(content)
    if not parts:
        return _PLAIN_ASSISTANT
    kinds = [part.get("type") for part in parts]
    return Entry(
        "assistant",
        tuple(
            Call(name_of(part.get("id")), name_of(part.get("name"))) for part in parts if part.get("type") == "tool_use"
        ),
        is_thinking=not _THINKING.isdisjoint(kinds),
        is_opaque="compaction" in kinds,
        is_marked=is_marked(parts),
    )


def _blocks(message: Message, kind: str) -> list[tuple[int, Message]]:
    """Return the blocks of a kind, with where they are."""
    content = message.get("content")
    blocks = content if isinstance(content, list | tuple) else ()
    return [(at, part) for at, part in enumerate(blocks) if isinstance(part, dict) and part.get("type") == kind]
