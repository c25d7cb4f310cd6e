"""How many tokens a prompt can be at most, without a tokenizer."""

from __future__ import annotations

from typing import Any, Final

import msgspec

from hivecost.errors import ConfigError

#: What a provider's chat template adds for each message and around all of them; the templates known add 3 to 7.
TEMPLATE_TOKENS: Final = 16


def input_token_bound(prompt: Any) -> int:
    """A proven upper bound of a text prompt's tokens: a text, or what goes to the provider as JSON (messages, tools).

    Every tokenizer in use is a byte-level one: a token covers at least one byte of UTF-8, so there are no more tokens
    than bytes; each list item may cost TEMPLATE_TOKENS more. Images, audio and files count by other rules: raises
    ConfigError when the prompt holds any, and for what is no JSON.
    """
    return len(sent_bytes(prompt)) + template_bound(prompt)


def sent_bytes(prompt: Any) -> bytes:
    """The text in UTF-8, or the prompt as JSON. Raises ConfigError as `input_token_bound` does."""
    if not isinstance(prompt, str) and _has_media(prompt):
        raise ConfigError("prompt", "text only: give input_tokens=… for a prompt with images, audio or files")
    try:
        return prompt.encode() if isinstance(prompt, str) else msgspec.json.encode(prompt)
    except (TypeError, ValueError, msgspec.EncodeError) as error:
        raise ConfigError("prompt", f"a text, or what can be sent as JSON ({error})") from None


def template_bound(prompt: Any) -> int:
    """The tokens a chat template may add: TEMPLATE_TOKENS once, and for each list item."""
    return TEMPLATE_TOKENS * (1 + _items(prompt))


def _has_media(value: Any) -> bool:
    if isinstance(value, dict):
        kind = str(value.get("type", ""))
        if any(word in kind for word in ("image", "audio", "file", "document", "video")):
            return True
        return any(map(_has_media, value.values()))
    return isinstance(value, list | tuple) and any(map(_has_media, value))


def _items(value: Any) -> int:
    if isinstance(value, dict):
        return sum(map(_items, value.values()))
    return sum(1 + _items(item) for item in value) if isinstance(value, list | tuple) else 0
