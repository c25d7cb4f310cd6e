"""How many tokens a prompt can be at most, without a tokenizer."""

from __future__ import annotations

from typing import Any, Final

import msgspec

from hivecost.errors import ConfigError
from hivecost.prompts import parts_in, reaches_outside

#: What a provider's chat template adds for each message and around all of them; the templates known add 3 to 7.
TEMPLATE_TOKENS: Final = 16

#: What a provider writes before a prompt with tools, and for each tool of its own making (bash, an editor); the largest
#: known is 735: https://platform.claude.com/docs/en/agents-and-tools/tool-use/overview#pricing
TOOL_TOKENS: Final = 1_024


def input_token_bound(prompt: Any) -> int:
    """Return a proven upper bound of a prompt's tokens: a text, or what goes to the provider as JSON (messages, tools).

    Every tokenizer in use is a byte-level one: a token covers at least one byte of UTF-8, so there are no more tokens
    than bytes. Each list item outside of a tool's schema may cost TEMPLATE_TOKENS more, and tools TOOL_TOKENS. Images,
    audio and files count by other rules, and what a tool of the provider's own finds is read on top. Raise ConfigError
    when the prompt `reaches_outside`, and for what is no JSON.
    """
    return len(sent_bytes(prompt)) + template_bound(prompt) + _tool_bound(prompt)


def sent_bytes(prompt: Any) -> bytes:
    """Return the text in UTF-8, or the prompt as JSON. Raise ConfigError as `input_token_bound` does."""
    if reaches_outside(prompt):
        expected = (
            "text only: give input_tokens=… for a prompt with images, audio, files or tools that the provider runs"
        )
        raise ConfigError("prompt", expected)
    try:
        return prompt.encode() if isinstance(prompt, str) else msgspec.json.encode(prompt)
    except (TypeError, ValueError, msgspec.EncodeError) as error:
        raise ConfigError("prompt", f"a text, or what can be sent as JSON ({error})") from None


def template_bound(prompt: Any) -> int:
    """Return the tokens a chat template may add.

    They are TEMPLATE_TOKENS once, and for each list item outside of a tool's schema.
    """
    return TEMPLATE_TOKENS * (1 + _items(prompt))


def _tool_bound(prompt: Any) -> int:
    """Return the tokens that a provider may add to a prompt with tools."""
    if not isinstance(prompt, dict):
        return 0
    tools = prompt.get("tools") or prompt.get("toolConfig")
    if not tools:
        return 0
    ready_made = [
        tool for tool in tools if isinstance(tool, dict) and tool.get("type", "function") not in ("function", "custom")
    ]
    return TOOL_TOKENS * (1 + len(ready_made))


def _items(value: Any) -> int:
    if isinstance(value, dict):
        return sum(map(_items, parts_in(value)))
    return sum(1 + _items(item) for item in value) if isinstance(value, list | tuple) else 0
