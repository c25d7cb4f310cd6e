"""Where in a payload the usage is, and whose shape it has."""

from __future__ import annotations

from collections.abc import Mapping
from typing import Any, Final

import msgspec

from hivecost.events import USAGE_FIELDS
from hivecost.usage.views import text, view

#: Keys under which an answer lies inside an event, a batch line or a chunk, outermost first.
_WRAPPERS: Final = ("result", "response", "body", "message", "metadata", "delta", "chunk")
_USAGE_KEYS: Final = ("usage", "usageMetadata", "usage_metadata", "meta", "x_groq")
#: Where an answer has its id: most of them, Gemini, Cohere's older one, spans; and Bedrock, beside what came over HTTP.
_ID_KEYS: Final = ("id", "responseId", "response_id", "generation_id", "gen_ai.response.id")
_METADATA: Final = (("ResponseMetadata", "RequestId"), ("$metadata", "requestId"))
_ANTHROPIC: Final = frozenset(
    {"cache_creation_input_tokens", "cache_read_input_tokens", "cache_creation", "inference_geo", "server_tool_use"}
)
_GEMINI: Final = frozenset(
    {
        "promptTokenCount", "prompt_token_count", "candidatesTokenCount", "candidates_token_count",
        "totalTokenCount", "total_token_count", "thoughtsTokenCount", "thoughts_token_count",
    }
)  # fmt: skip
_XAI: Final = frozenset({"cost_in_usd_ticks", "cached_prompt_text_tokens", "prompt_text_tokens", "num_sources_used"})
_PERPLEXITY: Final = frozenset({"citation_tokens", "num_search_queries", "search_context_size"})
_OPENROUTER: Final = frozenset({"cost", "cost_details", "is_byok"})
#: Names that only hivecost's own Usage has.
_CANONICAL: Final = frozenset(USAGE_FIELDS) - {"input_tokens", "output_tokens", "reasoning_tokens"}


class Found(msgspec.Struct, frozen=True):
    """The answer, the usage part of it, and whether it came out of a batch."""

    response: Mapping[str, Any]
    usage: Mapping[str, Any]
    batch: bool = False


def find_usage(payload: object) -> Found:
    """Looks through events and batch lines down to the usage; a payload that is only usage is its own."""
    body = view(payload)
    batch = "custom_id" in body or {"key", "response"} <= body.keys()
    for _ in range(4):
        usage = _usage_part(body)
        if usage:
            return Found(body, usage, batch)
        inner = next((view(body[key]) for key in _WRAPPERS if view(body.get(key))), None)
        if inner is None:
            break
        # Anthropic tells the stop reason beside the usage, OpenAI the tier around it.
        body = inner
    outer = view(payload)
    looks_bare = flavor_of(Found({}, outer)) != ""
    return Found({}, outer, batch) if looks_bare else Found(outer, {}, batch)


def answer_id_of(response: Mapping[str, Any]) -> str:
    """The provider's id of an answer; "" when it gives none."""
    for key in _ID_KEYS:
        if found := text(response.get(key)):
            return found
    for key, name in _METADATA:
        if found := text(view(response.get(key)).get(name)):
            return found
    return ""


def _usage_part(body: Mapping[str, Any]) -> Mapping[str, Any]:
    for key in _USAGE_KEYS:
        part = view(body.get(key))
        if key == "x_groq":
            part = view(part.get("usage"))
        if part and (key != "meta" or "billed_units" in part):
            return part
    return {}


def flavor_of(found: Found) -> str:  # noqa: PLR0911  # one line per shape reads best
    """The name of the shape, "" when it is none that is known."""
    keys, model = found.usage.keys(), text(found.response.get("model")).lower()
    if any(isinstance(key, str) and key.startswith("gen_ai.usage.") for key in keys):
        return "otel"
    if keys & _GEMINI:
        return "gemini"
    if {"inputTokens", "outputTokens"} & keys:
        return "bedrock"
    if {"billed_units"} & keys:
        return "cohere"
    if {"prompt_tokens", "completion_tokens"} & keys:
        return _chat_flavor(found, model)
    if keys & _CANONICAL and not keys & _ANTHROPIC:
        return "canonical"
    if not {"input_tokens", "output_tokens"} & keys:
        return ""
    if keys & _ANTHROPIC or text(found.response.get("type")) == "message" or "claude" in model:
        return "anthropic"
    if view(found.usage.get("cost")):
        return "perplexity"
    if "grok" in model:
        return "xai"
    return "openrouter" if keys & _OPENROUTER else "responses"


def _chat_flavor(found: Found, model: str) -> str:
    keys = found.usage.keys()
    if keys & _XAI or "grok" in model.rsplit("/", 1)[-1]:
        return "openrouter" if keys & _OPENROUTER else "xai"
    if keys & _PERPLEXITY or model.startswith("sonar") or view(found.usage.get("cost")):
        return "perplexity"
    if "_hidden_params" in found.response or keys & _ANTHROPIC:
        return "litellm"
    if keys & _OPENROUTER:
        return "openrouter"
    if "prompt_cache_hit_tokens" in keys:
        return "deepseek"
    return "openai"
