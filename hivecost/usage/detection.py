"""Where in a payload the usage is, and whose shape it has."""

from __future__ import annotations

from collections.abc import Mapping
from functools import lru_cache
from typing import Any, Final

import msgspec

from hivecost.events import USAGE_FIELDS
from hivecost.usage.names import PREFIXES
from hivecost.usage.views import items, text, view

#: Keys under which an answer lies inside an event, a batch line or a chunk, outermost first.
_WRAPPERS: Final = (
    "result", "response", "body", "message", "metadata", "delta", "chunk", "data", "interaction", "response_metadata",
)  # fmt: skip
_USAGE_KEYS: Final = (
    "usage", "usageMetadata", "usage_metadata", "usage_info", "token_usage", "tokenUsage", "usage_details",
    "usageDetails", "meta", "x_groq", "amazon-bedrock-invocationMetrics",
)  # fmt: skip
#: Where an answer has its id: most of them, Gemini, Cohere's older one, spans; and Bedrock, beside what came over HTTP.
_ID_KEYS: Final = ("id", "responseId", "response_id", "generation_id", "gen_ai.response.id")
_METADATA: Final = (("ResponseMetadata", "RequestId"), ("$metadata", "requestId"))
_ANTHROPIC: Final = frozenset(
    {
        "cache_creation_input_tokens", "cache_read_input_tokens", "cache_creation", "inference_geo", "server_tool_use",
        "iterations",
    }
)  # fmt: skip
_GEMINI: Final = frozenset(
    {
        "promptTokenCount", "prompt_token_count", "candidatesTokenCount", "candidates_token_count",
        "totalTokenCount", "total_token_count", "thoughtsTokenCount", "thoughts_token_count",
    }
)  # fmt: skip
_INTERACTIONS: Final = frozenset({"total_input_tokens", "total_output_tokens", "total_thought_tokens"})
_LLAMA: Final = frozenset({"generation_token_count", "inputTokenCount", "outputTokenCount"})
_OLLAMA: Final = frozenset({"prompt_eval_count", "eval_count"})
_SECONDS: Final = frozenset({"seconds", "prompt_audio_seconds"})
_XAI: Final = frozenset({"cost_in_usd_ticks", "cached_prompt_text_tokens", "prompt_text_tokens", "num_sources_used"})
_PERPLEXITY: Final = frozenset({"citation_tokens", "num_search_queries", "search_context_size"})
_OPENROUTER: Final = frozenset({"cost", "cost_details", "is_byok"})
#: Names that stand beside those of OpenAI's chat API, by whose they are.
_BESIDE_CHAT: Final = {
    "xai": _XAI, "perplexity": _PERPLEXITY, "anthropic": _ANTHROPIC, "openrouter": _OPENROUTER,
    "deepseek": frozenset({"prompt_cache_hit_tokens"}),
}  # fmt: skip
#: Names that only hivecost's own Usage has.
_CANONICAL: Final = frozenset(USAGE_FIELDS) - {
    "input_tokens", "output_tokens", "reasoning_tokens", "citation_tokens", "web_search_requests", "search_units",
    "pages",
}  # fmt: skip
#: A span's own name for what it did, where that is no call of a model: their usage is the sum of those below them.
_OPERATIONS: Final = frozenset({"invoke_agent", "invoke_workflow", "create_agent", "execute_tool", "plan"})
_SPAN_KINDS: Final = frozenset({"AGENT", "CHAIN", "TOOL", "RETRIEVER", "RERANKER", "GUARDRAIL", "EVALUATOR"})
#: An answer that has nothing else is one of a question for the length of a prompt, which nobody bills.
_COUNT_ANSWERS: Final = (
    frozenset({"input_tokens", "context_management"}),
    frozenset({"input_tokens", "object"}),
    frozenset({"totalTokens", "totalBillableCharacters", "promptTokensDetails", "cachedContentTokenCount"}),
    frozenset({"total_tokens", "total_billable_characters", "prompt_tokens_details", "cached_content_token_count"}),
)
_DEPTH_MAX: Final = 4
#: A usage part with more names is none of those that come again and again.
_KEYS_MAX: Final = 50


class Found(msgspec.Struct, frozen=True):
    """The answer, the usage part of it, and whether it came out of a batch."""

    response: Mapping[str, Any]
    usage: Mapping[str, Any]
    batch: bool = False


def find_usage(payload: object) -> Found:
    """Looks through events and batch lines down to the usage; a payload that is only usage is its own."""
    body = view(payload)
    batch = "custom_id" in body or {"key", "response"} <= body.keys()
    for _ in range(_DEPTH_MAX):
        if "attributes" in body:
            body = {**body, **_attributes(body["attributes"])}
        usage = _usage_part(body)
        if usage:
            return Found(body, usage, batch)
        if flavor_of(Found({}, body)):
            return Found(body, body, batch)
        inner = next((view(body[key]) for key in _WRAPPERS if view(body.get(key))), None)
        if inner is None:
            break
        # Anthropic tells the stop reason beside the usage, OpenAI the tier around it.
        body = inner
    return Found(view(payload), {}, batch)


def answer_id_of(response: Mapping[str, Any]) -> str:
    """The provider's id of an answer; "" when it gives none."""
    for key in _ID_KEYS:
        if found := text(response.get(key)):
            return found
    for key, name in _METADATA:
        if found := text(view(response.get(key)).get(name)):
            return found
    return ""


def why_no_turn(found: Found) -> str:
    """Why usage that was found is that of no call: a span around calls, or a count that was asked for; else ""."""
    usage, response = found.usage, found.response
    operation = text(usage.get("gen_ai.operation.name")) or text(response.get("gen_ai.operation.name"))
    kind = text(usage.get("openinference.span.kind")) or text(response.get("openinference.span.kind"))
    if operation in _OPERATIONS or kind.upper() in _SPAN_KINDS:
        return f"a span of {operation or kind} is no call of a model: its usage is the sum of those below it"
    is_bare = usage is response
    if is_bare and not isinstance(usage, dict):  # an SDK's object may say None of what it has not
        usage = {key: value for key, value in usage.items() if value is not None}
    if is_bare and usage and any(usage.keys() <= keys for keys in _COUNT_ANSWERS):
        return "it only counts the tokens of a prompt, which is not billed"
    return ""


def _attributes(attributes: object) -> dict[str, Any]:
    """A span's attributes; OTLP/JSON lists them as `{"key": …, "value": {"intValue": "12"}}`."""
    if not isinstance(attributes, list | tuple):
        return dict(view(attributes))
    listed = [view(one) for one in items(attributes)]
    return {text(one.get("key")): next(iter(view(one.get("value")).values()), None) for one in listed}


def _usage_part(body: Mapping[str, Any]) -> Mapping[str, Any]:
    for key in _USAGE_KEYS:
        part = view(body.get(key))
        if key == "x_groq":
            part = view(part.get("usage"))
        if part and (key != "meta" or "billed_units" in part):
            return part
    return {}


def flavor_of(found: Found) -> str:
    """The name of the shape, "" when it is none that is known."""
    usage = found.usage
    shape = _shape_of(frozenset(usage)) if len(usage) <= _KEYS_MAX else _shape_of.__wrapped__(frozenset(usage))
    if shape.startswith("chat"):
        return _chat_flavor(found, shape)
    if shape == "tokens":
        return _tokens_flavor(found)
    if shape == "seconds":
        return "openai" if "text" in found.response or "type" in usage else ""
    if shape == "in and out":
        return "spans" if type(usage["input"]) in (int, float) else ""
    if shape == "total":
        return "openai" if found.response else ""
    return shape


@lru_cache(maxsize=1_024)
def _shape_of(keys: frozenset[object]) -> str:  # noqa: PLR0911, PLR0912  # one line per shape reads best
    """What the names say: a flavor, or one of several that the values have to tell apart."""
    if any(isinstance(key, str) and key.startswith(PREFIXES) for key in keys):
        return "otel" if any(isinstance(key, str) and key.startswith("gen_ai.usage.") for key in keys) else "spans"
    if keys & _LLAMA:
        return "llama"
    if keys & _GEMINI:
        return "gemini"
    if keys & _INTERACTIONS:
        return "interactions"
    if keys & _OLLAMA:
        return "ollama"
    if {"inputTokens", "outputTokens", "promptTokens", "completionTokens"} & keys:
        return "bedrock"
    if "billed_units" in keys:
        return "cohere"
    if {"prompt_tokens", "completion_tokens"} & keys:
        return " ".join(["chat", *(whose for whose, names in _BESIDE_CHAT.items() if keys & names)])
    if keys & _CANONICAL and not keys & _ANTHROPIC:
        return "canonical"
    if "pages_processed" in keys:
        return "mistral"
    if keys & _SECONDS:
        return "seconds"
    if {"input", "output"} <= keys:
        return "in and out"
    if {"input_tokens", "output_tokens"} & keys:
        return "anthropic" if keys & _ANTHROPIC else "tokens"
    return "total" if "total_tokens" in keys else ""


def _tokens_flavor(found: Found) -> str:
    if text(found.response.get("type")) == "message":
        return "anthropic"
    if view(found.usage.get("cost")):
        return "perplexity"
    if "grok" in text(found.response.get("model")).lower():
        return "xai"
    return "openrouter" if found.usage.keys() & _OPENROUTER else "responses"


def _chat_flavor(found: Found, shape: str) -> str:
    """Of `chat xai openrouter` and such: whose names there are besides, and whose model answered."""
    model = text(found.response.get("model")).lower()
    if "xai" in shape or "grok" in model.rsplit("/", 1)[-1]:
        return "openrouter" if "openrouter" in shape else "xai"
    if "perplexity" in shape or model.startswith("sonar") or view(found.usage.get("cost")):
        return "perplexity"
    if "_hidden_params" in found.response or "anthropic" in shape:
        return "litellm"
    if "openrouter" in shape:
        return "openrouter"
    return "deepseek" if "deepseek" in shape else "openai"
