"""What a provider would refuse, or read wrongly, in a conversation."""

from __future__ import annotations

from collections.abc import Iterator, Sequence
from typing import Any, Final

import msgspec

from hivecost.compaction.reading import Conversation, ShapeName, read_conversation
from hivecost.compaction.shapes import parts_of

#: How many marks for its cache Anthropic takes.
_MARKS_MAX: Final = 4


class Problem(msgspec.Struct, frozen=True, order=True):
    """One problem, by name, with the id that it is about where it is about one.

    `result_without_call`, `call_without_result`, `result_not_first`, `first_not_user`, `empty_message`, `empty_text`,
    `reasoning_alone`, `too_many_marks`, `mark_on_empty_text`.
    """

    name: str
    #: The call's.
    id: str = ""
    #: Of the message.
    index: int = 0


def problems(messages: Sequence[Any], shape: ShapeName) -> list[Problem]:
    """Return what is wrong with a conversation, in order of the messages; nothing where it may be sent.

    Calls of the batch at the very end are running, and no problem. Raise ConfigError for a shape that nobody knows,
    and nothing else, whatever the messages are.
    """
    return sorted(_problems(read_conversation(messages, shape)), key=lambda problem: problem.index)


def _problems(conversation: Conversation) -> Iterator[Problem]:
    pairing, entries = conversation.pairing, conversation.entries
    for index, call_id in pairing.orphans:
        yield Problem("result_without_call", call_id, index)
    for index, call_id in pairing.unanswered:
        yield Problem("call_without_result", call_id, index)
    first = next((index for index, entry in enumerate(entries) if entry.kind != "system"), None)
    if conversation.shape.begins_with_user and first is not None and entries[first].kind != "user":
        yield Problem("first_not_user", index=first)
    for index, entry in enumerate(entries[:-1]):
        if entry.is_reasoning and entries[index + 1].kind != "assistant":
            yield Problem("reasoning_alone", index=index)
    for index, message in enumerate(conversation.messages):
        for fault in conversation.shape.faults(message):
            yield Problem(fault, index=index)
    marks = [
        index
        for index, message in enumerate(conversation.messages)
        for part in parts_of(message.get("content"))
        if part.get("cache_control")
    ]
    for index in marks[_MARKS_MAX:]:
        yield Problem("too_many_marks", index=index)
