"""How many tokens a prompt can be at most, without a tokenizer."""

from __future__ import annotations

from collections.abc import Iterable
from typing import Any, Final

import msgspec

from hivecost.errors import ConfigError
from hivecost.pricing.cards import CACHE_WRITES, CacheWrite

#: What a provider's chat template adds for each message and around all of them; the templates known add 3 to 7.
TEMPLATE_TOKENS: Final = 16

#: Types of what counts by other rules than text, and of tools that the provider runs, whose results it reads again.
_OUTSIDE_TYPES: Final = (
    "image", "audio", "file", "document", "video",
    "web_search", "web_fetch", "code_execution", "code_interpreter", "mcp",
)  # fmt: skip
#: Keys that say the same where nothing has a type, as in Gemini's requests, and what refers to an earlier conversation.
_OUTSIDE_KEYS: Final = frozenset(
    {
        *("inlineData", "inline_data", "fileData", "file_data", "cachedContent", "cached_content"),
        *("googleSearch", "google_search", "googleSearchRetrieval", "urlContext", "url_context"),
        *("codeExecution", "code_execution", "fileSearch", "file_search"),
        *("previous_response_id", "conversation"),
    }
)
#: Keys of Bedrock's content blocks.
_OUTSIDE_BLOCKS: Final = frozenset({"image", "video", "audio", "document"})
#: What a tool, a call of one or a form of answers has beside its name: JSON of the caller's own, which is read as text.
_OWN_JSON: Final = frozenset(
    {
        *("parameters", "parametersJsonSchema", "parameters_json_schema", "input_schema", "inputSchema", "schema"),
        *("input", "args", "arguments"),
    }
)
#: What a provider writes before a prompt with tools, and for each tool of its own making (bash, an editor); the largest
#: known is 735: https://platform.claude.com/docs/en/agents-and-tools/tool-use/overview#pricing
TOOL_TOKENS: Final = 1_024
_CACHE_MARKS: Final = ("cache_control", "cachePoint", "cache_point")


def input_token_bound(prompt: Any) -> int:
    """A proven upper bound of a text prompt's tokens: a text, or what goes to the provider as JSON (messages, tools).

    Every tokenizer in use is a byte-level one: a token covers at least one byte of UTF-8, so there are no more tokens
    than bytes; each list item outside of a tool's schema may cost TEMPLATE_TOKENS more, and tools TOOL_TOKENS. Images,
    audio and files count by other rules, and what a tool of the provider's own finds is read on top: raises ConfigError
    when the prompt `reaches_outside`, and for what is no JSON.
    """
    return len(sent_bytes(prompt)) + template_bound(prompt) + _tool_bound(prompt)


def sent_bytes(prompt: Any) -> bytes:
    """The text in UTF-8, or the prompt as JSON. Raises ConfigError as `input_token_bound` does."""
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
    """The tokens a chat template may add: TEMPLATE_TOKENS once, and for each list item outside of a tool's schema."""
    return TEMPLATE_TOKENS * (1 + _items(prompt))


def _tool_bound(prompt: Any) -> int:
    """The tokens that a provider may add to a prompt with tools."""
    if not isinstance(prompt, dict):
        return 0
    tools = prompt.get("tools") or prompt.get("toolConfig")
    if not tools:
        return 0
    ready_made = [
        tool for tool in tools if isinstance(tool, dict) and tool.get("type", "function") not in ("function", "custom")
    ]
    return TOOL_TOKENS * (1 + len(ready_made))


def reaches_outside(prompt: Any) -> bool:
    """Whether the provider reads what the bytes of a prompt do not bound.

    That are images, audio and files, what its own tools find (web search, code), and an earlier conversation.
    """
    if isinstance(prompt, dict):
        kind = prompt.get("type")
        if isinstance(kind, str) and any(word in kind for word in _OUTSIDE_TYPES):
            return True
        if any(key in prompt and prompt[key] is not None for key in _OUTSIDE_KEYS & prompt.keys()):
            return True
        if any(isinstance(prompt[key], dict) and "source" in prompt[key] for key in _OUTSIDE_BLOCKS & prompt.keys()):
            return True
        return any(map(reaches_outside, _parts(prompt)))
    return isinstance(prompt, list | tuple) and any(map(reaches_outside, prompt))


def asked_cache_write(prompt: Any) -> CacheWrite:
    """The dearest cache write that a prompt asks for: "" for none, "5m" or "1h" by the `ttl` of its cache marks."""
    asked: CacheWrite = ""
    if isinstance(prompt, dict):
        for mark in _CACHE_MARKS:
            if isinstance(said := prompt.get(mark), dict):
                asked = max(asked, "5m" if said.get("ttl") in (None, "5m") else "1h", key=CACHE_WRITES.index)
        parts = _parts(prompt)
    else:
        parts = prompt if isinstance(prompt, list | tuple) else ()
    return max((asked, *map(asked_cache_write, parts)), key=CACHE_WRITES.index)


def _parts(prompt: dict[Any, Any]) -> Iterable[Any]:
    """What a provider may read by other rules than as text."""
    if not isinstance(prompt.get("name"), str):
        return prompt.values()
    return (value for key, value in prompt.items() if key not in _OWN_JSON or not isinstance(value, dict))


def _items(value: Any) -> int:
    if isinstance(value, dict):
        return sum(map(_items, _parts(value)))
    return sum(1 + _items(item) for item in value) if isinstance(value, list | tuple) else 0
