"""What a compaction asks of a message, whatever the dialect that it is written in."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from typing import Any, Final, Literal, NamedTuple, Protocol

import msgspec

from hivecost.compaction.markers import SUMMARY_MARK

Kind = Literal["system", "user", "assistant", "result", "other"]

#: A message as plain JSON values.
Message = Mapping[str, Any]

#: Types of parts that are text; they have it under `text`.
TEXT_TYPES: Final = frozenset({"text", "input_text", "output_text"})


class Call(msgspec.Struct, frozen=True, gc=False):
    """A call of a tool."""

    id: str
    name: str


class Result(msgspec.Struct, frozen=True, gc=False):
    """What a tool answered; `is_error` where it says that it failed."""

    content: Any
    is_error: bool


class Entry(msgspec.Struct, frozen=True, gc=False):
    """What one message is to a compaction."""

    kind: Kind
    calls: tuple[Call, ...] = ()
    #: The ids of the calls whose results it holds, in order.
    answers: tuple[str, ...] = ()
    #: It holds words of the user's own.
    has_words: bool = False
    #: It is the summary of an earlier compaction.
    is_summary: bool = False
    #: It holds thinking that its provider vouches for: it stays as it is until the user speaks again.
    is_thinking: bool = False
    #: It is reasoning that what follows it depends on.
    is_reasoning: bool = False
    #: It stands for what the provider itself compacted.
    is_opaque: bool = False
    #: The caller marked the prompt's prefix up to here to be cached.
    is_marked: bool = False


class Pairing(NamedTuple):
    """Which messages of a conversation belong together."""

    #: Pairs of indices.
    bonds: Sequence[tuple[int, int]]
    #: The name of the tool, of each result that has its call, in order: (index of the message, which of its results).
    tools: Mapping[tuple[int, int], str]
    #: (index, id) of results without a call, and of calls that were passed over without a result.
    orphans: Sequence[tuple[int, str]]
    unanswered: Sequence[tuple[int, str]]
    #: The index of the first message whose calls are running, which is the last batch; None where nothing runs.
    running_from: int | None


class Shape(Protocol):
    """A dialect's messages: how they are read, and how one is written anew. Nothing here raises for any JSON."""

    #: A conversation must begin with a message of the user's.
    begins_with_user: bool

    def read(self, message: Message) -> Entry:
        """Return what the message is."""

    def pair(self, entries: Sequence[Entry]) -> Pairing:
        """Return what belongs together: calls by position and id, since ids repeat."""

    def faults(self, message: Message) -> Sequence[str]:
        """Return what is wrong with a message by itself, by name."""

    def results(self, message: Message) -> Sequence[Result]:
        """Return the results that the message holds, in the order of `Entry.answers`."""

    def with_result(self, message: Message, which: int, text: str) -> Message:
        """Return the message with a text in the place of one result's content."""

    def texts(self, message: Message) -> Sequence[str]:
        """Return the texts that the assistant wrote and that may be cut."""

    def with_text(self, message: Message, which: int, text: str) -> Message:
        """Return the message with another text in the place of one of `texts`."""

    def arguments(self, message: Message) -> Sequence[str]:
        """Return the arguments of its calls as JSON, in the order of `Entry.calls`."""

    def with_arguments(self, message: Message, which: int, arguments: Mapping[str, str]) -> Message:
        """Return the message with other arguments of one call."""

    def user_message(self, text: str) -> Message:
        """Return a message of the user's."""


def read_user(content: object) -> Entry:
    """Return what a message of the user's is that holds no results."""
    if type(content) is str:
        if not content:
            return _SILENT
        return _SUMMARY if content.startswith(SUMMARY_MARK) else _USER
    parts = parts_of(content)
    if parts and str(parts[0].get("text", "")).startswith(SUMMARY_MARK):
        return _SUMMARY
    return Entry("user", has_words=bool(parts), is_marked=is_marked(parts))


_USER: Final = Entry("user", has_words=True)
_SILENT: Final = Entry("user")
_SUMMARY: Final = Entry("user", is_summary=True)


def parts_of(content: object) -> list[Message]:
    """Return the parts of a content that has parts; none of another."""
    return [part for part in content if isinstance(part, dict)] if isinstance(content, list | tuple) else []


def is_marked(parts: Sequence[Message]) -> bool:
    """Return whether a part is marked for the cache."""
    return any(part.get("cache_control") for part in parts)


def text_of(content: object) -> str | None:
    """Return the text of a content that is text and nothing else; None of any other."""
    if isinstance(content, str):
        return content
    parts = parts_of(content)
    if not parts or len(parts) != len(content):  # type: ignore[arg-type]
        return None
    texts = [part.get("text") for part in parts if part.get("type") in TEXT_TYPES]
    return "\n".join(map(str, texts)) if len(texts) == len(parts) else None


def name_of(value: object) -> str:
    """Return an id or a name that a stranger wrote; "" for what is none."""
    return value if isinstance(value, str) else ""


def replaced(items: Sequence[Any], at: int, item: Any) -> list[Any]:
    """Return the items with another one at a place."""
    return [*items[:at], item, *items[at + 1 :]]
