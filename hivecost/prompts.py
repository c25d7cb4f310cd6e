"""What the JSON of a request says of itself, in any provider's words: what it asks for, and what it reaches."""

from __future__ import annotations

from collections.abc import Iterable, Sequence
from math import ceil
from typing import Any, Final, Literal

#: For how long a cache write is kept; "" is none.
CacheWrite = Literal["", "5m", "1h"]
#: The cheapest first.
CACHE_WRITES: Final[tuple[CacheWrite, ...]] = ("", "5m", "1h")

#: Types of parts that are read as the text that they are sent as, of tools that the caller runs, and of settings. What
#: a provider may mean by any other, nobody can say: an image, a reference, a search.
_TEXT_TYPES: Final = frozenset(
    {
        *("text", "input_text", "output_text", "refusal", "summary_text", "reasoning_text", "message", "json"),
        *("thinking", "redacted_thinking", "reasoning", "reasoning.text", "reasoning.summary", "reasoning.encrypted"),
        *("tool_use", "tool_result", "tool_call", "function_call", "function_call_output"),
        *("custom_tool_call", "custom_tool_call_output", "local_shell_call", "local_shell_call_output"),
        *("function", "custom", "tool", "tools", "allowed_tools", "local_shell", "apply_patch", "direct"),
        *("namespace", "additional_tools"),
        *("auto", "any", "none", "required", "enabled", "disabled", "adaptive", "ephemeral", "default"),
        *("json_object", "json_schema", "grammar", "object", "string"),
    }
)
#: Claude's names of tools that the caller runs, and of what leaves older parts out; each has a date behind it.
_DATED_TYPES: Final = ("bash_", "text_editor_", "memory_", "computer_", "clear_")
#: Keys that say the same where nothing has a type, as in Gemini's requests, and what refers to what was sent before.
_OUTSIDE_KEYS: Final = frozenset(
    {
        *("inlineData", "inline_data", "fileData", "file_data", "cachedContent", "cached_content"),
        *("previous_response_id", "previous_interaction_id", "conversation", "plugins", "web_search_options"),
        *("search_parameters", "mcp_servers", "data_sources"),
    }
)
#: What a tool without a type is: the caller's own, in Gemini's, Bedrock's and Anthropic's words.
_OWN_TOOLS: Final = ("functionDeclarations", "function_declarations", "toolSpec", "cachePoint", "name")
#: Keys of Bedrock's content blocks, and of an answer that was spoken.
_OUTSIDE_BLOCKS: Final = frozenset({"image", "video", "audio", "document"})
#: What a tool, a call of one or a form of answers has beside its name: JSON of the caller's own, which is read as text.
_OWN_JSON: Final = frozenset(
    {
        *("parameters", "parametersJsonSchema", "parameters_json_schema", "input_schema", "inputSchema", "schema"),
        *("input", "args", "arguments"),
    }
)
#: The forms of answers that have no name beside them.
_SCHEMAS: Final = frozenset({"responseSchema", "response_schema", "responseJsonSchema", "response_json_schema"})
#: What a provider's own tool is taken to be called at most where the request sets no maximum: nobody publishes one.
TOOL_CALLS: Final = 10
#: A number that is longer counts nothing.
_DIGITS_MAX: Final = 18
#: What nests deeper no provider reads; without a bound of its own, a list in itself would overflow the interpreter's
#: stack where a program has raised the limit of recursion.
_DEPTH_MAX: Final = 200
#: What marks a part that is to be kept in a cache: Anthropic's, and Bedrock's.
CACHE_MARKS: Final = ("cache_control", "cachePoint", "cache_point")


def reaches_outside(prompt: Any) -> bool:
    """Tell whether the provider reads, or may read, what the bytes of a prompt do not bound.

    That are images, audio and files, what its own tools find (web search, code), what was sent before or is stored
    there, and all that nobody knows. Raise RecursionError for what nests too deep, or in itself.
    """
    return _reaches_outside(prompt, _DEPTH_MAX)


def _reaches_outside(prompt: Any, depth: int) -> bool:
    _require_depth(depth)
    if isinstance(prompt, dict):
        kind = prompt.get("type")
        if isinstance(kind, str) and kind not in _TEXT_TYPES and not kind.startswith(_DATED_TYPES):
            return True
        if any(prompt[key] not in (None, [], {}) for key in _OUTSIDE_KEYS & prompt.keys()):
            return True
        if any(isinstance(prompt[key], dict) for key in _OUTSIDE_BLOCKS & prompt.keys()):
            return True
        stored = prompt.get("prompt")
        if (isinstance(stored, dict) and "id" in stored) or any(map(_is_providers_tool, tools_in(prompt))):
            return True
        return any(_reaches_outside(part, depth - 1) for part in parts_in(prompt))
    return isinstance(prompt, list | tuple) and any(_reaches_outside(part, depth - 1) for part in prompt)


def _require_depth(depth: int) -> None:
    if depth < 0:
        raise RecursionError(f"a prompt is nested more than {_DEPTH_MAX} deep")


def tools_in(prompt: dict[Any, Any]) -> Sequence[Any]:
    """Return the tools that a request offers; empty for what is no list."""
    config = prompt.get("toolConfig")
    found = prompt.get("tools") or (config.get("tools") if isinstance(config, dict) else None)
    return found if isinstance(found, list | tuple) else ()


def _is_providers_tool(tool: Any) -> bool:
    """Tell whether a tool without a type is the provider's, by a name that none of the caller's own has."""
    return isinstance(tool, dict) and "type" not in tool and not any(name in tool for name in _OWN_TOOLS)


def asked_tool_calls(prompt: Any) -> int:
    """Return how many calls of the provider's own tools a request may be billed for.

    A tool counts with its `max_uses`, one that names no maximum with TOOL_CALLS; all together with at most
    `max_tool_calls`.
    """
    if not isinstance(prompt, dict):
        return 0
    own = [tool for tool in tools_in(prompt) if isinstance(tool, dict) and reaches_outside({"tools": [tool]})]
    calls = sum(_count(tool.get("max_uses"), TOOL_CALLS) for tool in own)
    return min(calls, _count(prompt.get("max_tool_calls"), calls))


def asked_answers(prompt: Any) -> int:
    """Return how many answers a request asks for at once, each of which is billed.

    They are OpenAI's `n` and Gemini's `candidateCount`.
    """
    if not isinstance(prompt, dict):
        return 1
    config = prompt.get("generationConfig") or prompt.get("generation_config") or prompt.get("config")
    named = [config.get(key) for key in ("candidateCount", "candidate_count")] if isinstance(config, dict) else []
    return max(_count(number, 1) for number in (prompt.get("n"), *named))


def asked_tier(prompt: Any) -> str:
    """Return the service tier that a request asks for, in its provider's words; "" where it says none."""
    tier = (prompt.get("service_tier") or prompt.get("serviceTier")) if isinstance(prompt, dict) else ""
    tier = tier.get("type") if isinstance(tier, dict) else tier
    return tier if isinstance(tier, str) and tier not in ("auto", "default", "standard_only") else ""


def _count(number: Any, otherwise: int) -> int:
    """Return the number, else `otherwise`; lenient servers take `2.0` and `"2"` for a number, too."""
    if isinstance(number, str) and number.isascii() and number.isdigit() and len(number) < _DIGITS_MAX:
        number = int(number)
    if type(number) is float and 0 < number < 10**_DIGITS_MAX:
        number = ceil(number)
    return number if type(number) is int and number > 0 else otherwise


def asked_cache_write(prompt: Any) -> CacheWrite:
    """Return the dearest cache write that a prompt asks for: "" for none, "5m" or "1h" by the `ttl` of its cache marks.

    Raise RecursionError for what nests too deep, or in itself.
    """
    return _asked_cache_write(prompt, _DEPTH_MAX)


def _asked_cache_write(prompt: Any, depth: int) -> CacheWrite:
    _require_depth(depth)
    asked: CacheWrite = ""
    if isinstance(prompt, dict):
        for mark in CACHE_MARKS:
            if isinstance(said := prompt.get(mark), dict):
                asked = max(asked, "5m" if said.get("ttl") in (None, "5m") else "1h", key=CACHE_WRITES.index)
        parts = parts_in(prompt)
    else:
        parts = prompt if isinstance(prompt, list | tuple) else ()
    return max((asked, *(_asked_cache_write(part, depth - 1) for part in parts)), key=CACHE_WRITES.index)


def parts_in(prompt: dict[Any, Any]) -> Iterable[Any]:
    """Return the parts without schemas and arguments: what a provider may read by other rules than as text."""
    own_json = _OWN_JSON if isinstance(prompt.get("name"), str) else _SCHEMAS
    return (value for key, value in prompt.items() if key not in own_json or not isinstance(value, dict))
