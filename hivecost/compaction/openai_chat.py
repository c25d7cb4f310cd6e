"""Messages of OpenAI's chat completions, which most other providers take too."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from typing import Any, Final

import msgspec

from hivecost.compaction.pairing import pair_adjacent
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
    replaced,
    text_of,
)

_SYSTEM: Final = Entry("system")
_ASSISTANT: Final = Entry("assistant")
_OTHER: Final = Entry("other")
_ERROR_STARTS: Final = ("error", "traceback (most recent call last)")


class OpenAIChat:
    """The results of a batch follow its message, one message each, before any other role."""

    begins_with_user = False

    def read(self, message: Message) -> Entry:
        """Return what the message is; a `function_call` of old is a call whose id is its name."""
        role = message.get("role")
        if role == "assistant":
            return _read_assistant(message)
        if role == "tool":
            return Entry("result", answers=(name_of(message.get("tool_call_id")),))
        if role == "function":
            return Entry("result", answers=(name_of(message.get("name")),))
        if role == "user":
            return read_user(message.get("content"))
        if role in ("system", "developer"):
            content = message.get("content")
            return _SYSTEM if type(content) is str else Entry("system", is_marked=is_marked(parts_of(content)))
        return _OTHER

    def pair(self, entries: Sequence[Entry]) -> Pairing:
        """Return what belongs together."""
        return pair_adjacent(entries, one_message=False)

    def faults(self, message: Message) -> Sequence[str]:
        """Return `empty_message` for one of the assistant's that says nothing, calls nothing and refuses nothing."""
        says = any(message.get(key) for key in ("content", "tool_calls", "function_call", "refusal", "audio"))
        return ("empty_message",) if message.get("role") == "assistant" and not says else ()

    def results(self, message: Message) -> Sequence[Result]:
        """Return the one result of a tool's message; an error is said by its field, or by how its text begins."""
        content = message.get("content")
        is_error = message.get("is_error") is True or message.get("status") == "error"
        start = (text_of(content) or "")[:40].lstrip().lower()
        return (Result(content, is_error or start.startswith(_ERROR_STARTS)),)

    def with_result(self, message: Message, which: int, text: str) -> Message:
        """Return the message with a text as its content."""
        return {**message, "content": text}

    def texts(self, message: Message) -> Sequence[str]:
        """Return the content, or its parts of text."""
        content = message.get("content")
        if isinstance(content, str):
            return (content,)
        return [name_of(part.get("text")) for part in parts_of(content) if part.get("type") in TEXT_TYPES]

    def with_text(self, message: Message, which: int, text: str) -> Message:
        """Return the message with another text."""
        content = message["content"]
        if isinstance(content, str):
            return {**message, "content": text}
        return {**message, "content": with_part_text(content, which, text)}

    def arguments(self, message: Message) -> Sequence[str]:
        """Return the arguments of its `tool_calls`."""
        return [name_of(_function(call).get("arguments")) for call in parts_of(message.get("tool_calls"))]

    def with_arguments(self, message: Message, which: int, arguments: Mapping[str, str]) -> Message:
        """Return the message with other arguments of one of its `tool_calls`."""
        calls = parts_of(message["tool_calls"])
        call = calls[which]
        function = {**_function(call), "arguments": msgspec.json.encode(arguments).decode()}
        return {**message, "tool_calls": replaced(calls, which, {**call, "function": function})}

    def user_message(self, text: str) -> Message:
        """Return a message of the user's."""
        return {"role": "user", "content": text}


def with_part_text(content: Sequence[Any], which: int, text: str) -> list[Any]:
    """Return the parts with another text in the place of the `which`th that is text."""
    places = [at for at, part in enumerate(content) if isinstance(part, dict) and part.get("type") in TEXT_TYPES]
    return replaced(content, places[which], {**content[places[which]], "text": text})


def _read_assistant(message: Message) -> Entry:
    calls = [_read_call(call) for call in parts_of(message.get("tool_calls"))]
    old = message.get("function_call")
    if isinstance(old, dict):
        calls.append(Call(name_of(old.get("name")), name_of(old.get("name"))))
    return Entry("assistant", tuple(calls)) if calls else _ASSISTANT


def _read_call(call: Message) -> Call:
    custom = call.get("custom")
    named = custom if isinstance(custom, dict) else _function(call)
    return Call(name_of(call.get("id")), name_of(named.get("name")))


def _function(call: Message) -> Message:
    function = call.get("function")
    return function if isinstance(function, dict) else {}
