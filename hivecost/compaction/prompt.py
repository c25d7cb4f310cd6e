"""A prompt as callers have it, a list of messages or a whole request, as a conversation and what stands around it."""

from __future__ import annotations

from collections.abc import Mapping
from typing import Any, Final

import msgspec

from hivecost.compaction.reading import ShapeName, plain_message
from hivecost.compaction.shapes import parts_of

#: Where requests have their messages, by shape.
_KEYS: Final[Mapping[str, tuple[ShapeName, ...]]] = {"messages": ("openai_chat", "anthropic"), "input": ("responses",)}
#: Of items of the Responses API that are no messages, or that say that they are.
_ITEMS: Final = frozenset({"function_call", "function_call_output", "reasoning", "message", "compaction"})
_BLOCKS: Final = frozenset({"tool_use", "tool_result", "thinking", "redacted_thinking", "server_tool_use"})


class Prompt(msgspec.Struct, frozen=True):
    """A conversation that is about to be sent."""

    messages: list[Any]
    shape: ShapeName
    #: The request that has the messages under `key`; None where they are all there is.
    request: Mapping[str, Any] | None = None
    key: str = ""

    @property
    def around(self) -> dict[str, Any] | None:
        """What else the model reads of the request."""
        if self.request is None:
            return None
        read = ("system", "tools", "instructions")
        return {name: self.request[name] for name in read if self.request.get(name)} or None

    def with_messages(self, messages: list[Any]) -> Any:
        """Return the prompt as it was given, with other messages."""
        return messages if self.request is None else {**self.request, self.key: messages}


def read_prompt(prompt: Any, *, provider: str = "") -> Prompt | None:
    """Return the conversation of a prompt; None of a text, and of a shape that compaction does not know.

    Where messages do not show whose shape they have, `provider` says it.
    """
    if isinstance(prompt, list):
        shape = _shape_of(prompt, provider)
        return None if shape is None else Prompt(prompt, shape)
    if not isinstance(prompt, Mapping):
        return None
    for key, shapes in _KEYS.items():
        messages = prompt.get(key)
        if isinstance(messages, list):
            shape = "anthropic" if "system" in prompt and key == "messages" else _shape_of(messages, provider)
            if key == "input":
                shape = "responses"
            return Prompt(messages, shape, prompt, key) if shape in shapes else None
    return None


def _shape_of(messages: list[Any], provider: str) -> ShapeName | None:
    """Return what the messages show; else what the provider takes, and most providers take OpenAI's."""
    for message in map(plain_message, messages):
        if message.get("type") in _ITEMS:
            return "responses"
        if message.get("role") == "tool" or message.get("tool_calls"):
            return "openai_chat"
        if "parts" in message:  # Gemini's
            return None
        kinds = {part.get("type", "") for part in parts_of(message.get("content"))}
        if kinds & _BLOCKS:
            return "anthropic"
        if "" in kinds:  # parts without a type are those of Bedrock's Converse
            return None
    return "anthropic" if provider == "anthropic" else "openai_chat"
