"""Which model answered, at whose place, on which terms."""

from __future__ import annotations

import re
from collections.abc import Mapping
from typing import Any, Final, NamedTuple

from hivecost.usage.views import items, text, view

#: Where answers name their model: most of them, Gemini, LangChain, and spans; what answered before what was asked.
_MODEL_KEYS: Final = ("modelVersion", "model_version", "model", "model_name", "model_id", "modelId", "ai_model_id")
_SPAN_MODELS: Final = (
    "gen_ai.response.model", "llm.model_name", "ai.response.model", "ai.model.id", "gen_ai.request.model",
    "langfuse.observation.model.name",
)  # fmt: skip
_SPAN_PROVIDERS: Final = ("gen_ai.provider.name", "gen_ai.system", "llm.provider", "ai.model.provider")
#: The same of LiteLLM's log, of pydantic-ai and of LangChain.
_PROVIDERS: Final = (*_SPAN_PROVIDERS, "custom_llm_provider", "provider_name", "model_provider")
_NAMES_PROVIDER: Final = frozenset(_PROVIDERS)
_SPAN_TIERS: Final = ("gen_ai.openai.response.service_tier", "openai.response.service_tier")
#: What Vercel's AI SDK adds to a provider's name: `groq.chat`, `openai.responses`, `anthropic.messages`.
_CLIENT_KIND: Final = re.compile(r"\.(?:chat|completion|responses|messages|embedding|textEmbedding|image)$")
#: Where an answer says why it ended.
_STOPS: Final = ("stop_reason", "stopReason", "finish_reason", "finishReason", "done_reason")
#: The shapes of whose makers nobody else's models are in a whole answer; a usage part alone proves nothing.
_OWN_SHAPES: Final[Mapping[str, str]] = {
    "cohere": "cohere", "xai": "x-ai", "perplexity": "perplexity", "mistral": "mistral",
}  # fmt: skip
#: What Bedrock's own answers have, and others' usage in its shape has not.
_CONVERSE: Final = ("stopReason", "ResponseMetadata", "$metadata")


class Identity(NamedTuple):
    """Facts around the usage; "" is what the answer does not say."""

    model: str
    #: Named in the answer, or known by what only this host writes.
    provider: str
    #: What the shape makes likely: it decides only where nobody named a provider.
    hinted_provider: str
    service_tier: str
    inference_geo: str
    stop_reason: str


def identity_of(response: Mapping[str, Any], usage: Mapping[str, Any], flavor: str) -> Identity:
    """Read the facts of an answer of this shape."""
    model = _model(response, usage)
    provider = _named(response, usage, flavor)
    return Identity(
        model=model,
        provider=provider,
        hinted_provider="" if provider else _hint(response, flavor, model.lower()),
        service_tier=_tier(response, usage),
        inference_geo=text(usage.get("inference_geo")),
        stop_reason=_stop_reason(response, usage),
    )


def _first(parts: Mapping[str, Any], keys: tuple[str, ...]) -> str:
    for key in keys:
        if key in parts and (found := text(parts[key])):
            return found
    return ""


def _model(response: Mapping[str, Any], usage: Mapping[str, Any]) -> str:
    """Return the model that answered; of a span, what it says of it."""
    return (
        _first(response, _MODEL_KEYS)
        or _first(view(response.get("response_metadata")), _MODEL_KEYS)
        or _first(usage, _SPAN_MODELS)
        or _first(response, _SPAN_MODELS)
        or _first(view(response.get("response")), _MODEL_KEYS)
        or text(view(view(response.get("trace")).get("promptRouter")).get("invokedModelId"))
    )


def _named(response: Mapping[str, Any], usage: Mapping[str, Any], flavor: str) -> str:
    """Return the host, where the answer names it or has what only that one writes; else ""."""
    if "_hidden_params" in response:
        return text(view(response["_hidden_params"]).get("custom_llm_provider"))
    host = ""
    if "x_groq" in response or "queue_time" in usage:
        host = "groq"
    elif "time_info" in response:
        host = "cerebras"
    elif _is_openrouter(response, usage, flavor):
        host = "openrouter"
    elif "estimated_cost" in usage:
        host = "deepinfra"
    elif flavor == "bedrock" and not response.keys().isdisjoint(_CONVERSE):
        host = "aws"
    elif flavor in _OWN_SHAPES:
        host = _OWN_SHAPES[flavor]
    # A client's name of its provider: `openai.chat`, `amazon-bedrock`, `aws.bedrock`.
    named = host
    if not host and not (_NAMES_PROVIDER.isdisjoint(usage) and _NAMES_PROVIDER.isdisjoint(response)):
        named = _CLIENT_KIND.sub("", _first(usage, _SPAN_PROVIDERS) or _first(response, _PROVIDERS))
    return named or ("openrouter" if flavor == "openrouter" else "")  # others write a cost, too, but rarely


def _is_openrouter(response: Mapping[str, Any], usage: Mapping[str, Any], flavor: str) -> bool:
    if usage.get("is_byok") is not None:
        return True
    return ("provider" in response or flavor == "openrouter") and text(response.get("id")).startswith("gen-")


def _hint(response: Mapping[str, Any], flavor: str, model: str) -> str:
    if flavor == "anthropic":
        answer_id = text(response.get("id"))
        if answer_id.startswith("msg_bdrk"):
            return "aws"
        if answer_id.startswith("msg_vrtx"):
            return "google"
        return "anthropic" if "claude" in model else ""
    if flavor == "llama":
        return "aws"
    return {"bedrock": "aws", "gemini": "google", "interactions": "google", "ollama": "ollama"}.get(flavor, "")


def _tier(response: Mapping[str, Any], usage: Mapping[str, Any]) -> str:
    """Return the tier that was served, in the provider's words."""
    if text(usage.get("speed")) == "fast":
        return "fast"
    keys = ("service_tier", "serviceTier", "traffic_type", "trafficType", *_SPAN_TIERS)
    return _first(usage, keys) or _first(response, keys) or text(view(response.get("serviceTier")).get("type"))


def _stop_reason(response: Mapping[str, Any], usage: Mapping[str, Any]) -> str:
    for key in ("choices", "candidates"):
        for choice in items(response.get(key))[:1]:
            if found := _first(view(choice), _STOPS):
                return found
    if found := _first(response, _STOPS):
        return found
    for parts in (usage, response):
        if reasons := items(parts.get("gen_ai.response.finish_reasons")):
            return text(reasons[0])
    return text(view(response.get("incomplete_details")).get("reason")) or text(response.get("status"))
