"""What the program, and not its user, tells the model, in any dialect."""

from __future__ import annotations

from collections.abc import Iterator, Mapping
from typing import Any, Final

#: Where it stands beside the messages: Anthropic's and Bedrock's, OpenAI's responses', Gemini's.
_KEYS: Final = ("system", "instructions", "systemInstruction", "system_instruction")
#: Lists of messages, of which those by these roles are part of it.
_MESSAGES: Final = ("messages", "input")
_ROLES: Final = ("system", "developer")
#: What a message or a part of one has its text in.
_TEXTS: Final = ("text", "parts", "content")
#: No provider reads what nests deeper.
_DEPTH_MAX: Final = 8


def system_prompt(prompt: Mapping[str, Any]) -> str:
    """Return the text of the system prompt, whatever parts it is sent in; "" where there is none."""
    found = [prompt.get(key) for key in _KEYS]
    for key in _MESSAGES:
        messages = prompt.get(key)
        if isinstance(messages, list):
            found += [one for one in messages if isinstance(one, dict) and one.get("role") in _ROLES]
    return "\n".join(_texts(found, _DEPTH_MAX))


def _texts(value: Any, depth: int) -> Iterator[str]:
    if isinstance(value, str):
        yield value
        return
    if isinstance(value, dict):
        value = [value.get(key) for key in _TEXTS]
    if isinstance(value, list) and depth:
        for part in value:
            yield from _texts(part, depth - 1)
