"""Items of OpenAI's Responses API: calls and results by their call_id, reasoning before what followed from it."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from itertools import pairwise
from typing import Final

import msgspec

from hivecost.compaction.openai_chat import with_part_text
from hivecost.compaction.shapes import (
    TEXT_TYPES,
    Call,
    Entry,
    Message,
    Pairing,
    Result,
    is_marked,
    name_of,
    parts_of,
    read_user,
)

#: Calls that the caller runs; any other call is the provider's own, its result in the same item.
_CALLS: Final = frozenset(
    {"function_call", "custom_tool_call", "local_shell_call", "shell_call", "apply_patch_call", "computer_call"}
)
#: Results that may be any text.
_TEXT_RESULTS: Final = frozenset({"function_call_output", "custom_tool_call_output"})
_OUTPUT: Final = "_output"
#: Of the provider's own connectors.
_MADE: Final = ("mcp_list_tools", "mcp_approval_request")


class Responses:
    """What one answer brought belongs together, and with the results of its calls."""

    begins_with_user = False

    def read(self, message: Message) -> Entry:
        """Return what the item is; one without a type is a message."""
        kind = name_of(message.get("type"))
        if kind == "reasoning":
            return Entry("assistant", is_reasoning=True)
        if kind in _CALLS:
            return Entry("assistant", (Call(name_of(message.get("call_id")), name_of(message.get("name"))),))
        if kind.endswith(_OUTPUT) and "call_id" in message:
            return Entry("result", answers=(name_of(message.get("call_id")),))
        if kind not in ("message", ""):
            is_made = kind.endswith("_call") or kind in _MADE
            return Entry("assistant" if is_made else "other", is_opaque=kind == "compaction")
        return _read_message(message)

    def pair(self, entries: Sequence[Entry]) -> Pairing:
        """Return what belongs together: a result with the nearest call of its id, and the items of one answer."""
        bonds = [*_bonds_of_answers(entries)]
        tools, orphans = dict[tuple[int, int], str](), list[tuple[int, str]]()
        open_calls = dict[str, list[tuple[int, Call]]]()
        for index, entry in enumerate(entries):
            for call in entry.calls:
                open_calls.setdefault(call.id, []).append((index, call))
            for answer in entry.answers:
                if calls := open_calls.get(answer):
                    at, call = calls.pop()
                    tools[index, 0] = call.name
                    bonds.append((at, index))
                else:
                    orphans.append((index, answer))
        left = sorted((at, call.id) for calls in open_calls.values() for at, call in calls)
        last = _last_answer(entries)
        unanswered = [(at, name) for at, name in left if at < last]
        return Pairing(bonds, tools, orphans, unanswered, last if len(unanswered) < len(left) else None)

    def faults(self, message: Message) -> Sequence[str]:
        """Return nothing: no item is wrong by itself."""
        return ()

    def results(self, message: Message) -> Sequence[Result]:
        """Return the item's output; a form that is no text is none that may be replaced, and so an error's."""
        is_error = message.get("status") == "failed" or message.get("type") not in _TEXT_RESULTS
        return (Result(message.get("output"), is_error),)

    def with_result(self, message: Message, which: int, text: str) -> Message:
        """Return the item with a text as its output."""
        return {**message, "output": text}

    def texts(self, message: Message) -> Sequence[str]:
        """Return the content, or its parts of text."""
        content = message.get("content")
        if isinstance(content, str):
            return (content,)
        return [name_of(part.get("text")) for part in parts_of(content) if part.get("type") in TEXT_TYPES]

    def with_text(self, message: Message, which: int, text: str) -> Message:
        """Return the message with another text."""
        content = message["content"]
        return {**message, "content": text if isinstance(content, str) else with_part_text(content, which, text)}

    def arguments(self, message: Message) -> Sequence[str]:
        """Return the arguments of a function call; other calls have none that may be replaced."""
        return (name_of(message.get("arguments")),) if message.get("type") == "function_call" else ()

    def with_arguments(self, message: Message, which: int, arguments: Mapping[str, str]) -> Message:
        """Return the call with other arguments."""
        return {**message, "arguments": msgspec.json.encode(arguments).decode()}

    def user_message(self, text: str) -> Message:
        """Return a message of the user's."""
        return {"type": "message", "role": "user", "content": [{"type": "input_text", "text": text}]}


def _read_message(message: Message) -> Entry:
    role, content = message.get("role"), message.get("content")
    if role == "user":
        return read_user(content)
    if role in ("system", "developer"):
        return Entry("system", is_marked=is_marked(parts_of(content)))
    return Entry("assistant" if role == "assistant" else "other")


def _bonds_of_answers(entries: Sequence[Entry]) -> Sequence[tuple[int, int]]:
    """Return each reasoning item with what follows it, and a call with what else its answer brought.

    Of messages nobody can tell whose answer they are, unless reasoning led to them.
    """
    bonds, is_led = [], False
    for index, (entry, following) in enumerate(pairwise(entries)):
        is_one_answer = entry.kind == following.kind == "assistant"
        is_led = entry.is_reasoning or (is_one_answer and bool(entry.calls or (following.calls and is_led)))
        if is_led:
            bonds.append((index, index + 1))
    return bonds


def _last_answer(entries: Sequence[Entry]) -> int:
    """Return where the calls of the last answer begin, if only results follow it; else behind the last item."""
    end = len(entries)
    while end and entries[end - 1].kind == "result":
        end -= 1
    start = end
    while start and entries[start - 1].kind == "assistant":
        start -= 1
    of_calls = (index for index in range(start, end) if entries[index].calls or entries[index].is_reasoning)
    return next(of_calls, len(entries))
