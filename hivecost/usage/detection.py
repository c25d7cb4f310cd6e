"""Where in a payload the usage is, and whose shape it has."""

from __future__ import annotations

from collections.abc import Mapping
from functools import lru_cache
from typing import Any, Final

import msgspec

from hivecost.events import USAGE_FIELDS
from hivecost.usage.names import PREFIXES
from hivecost.usage.raw import word
from hivecost.usage.views import from_json, items, text, view

#: Keys under which an answer lies inside an event, a batch line or a chunk, outermost first.
_WRAPPERS: Final = (
    "result", "response", "body", "message", "metadata", "delta", "chunk", "data", "interaction", "response_metadata",
    "modelOutput", "raw", "context_wrapper", "metrics", "meta", "_meta", "llm_output", "output", "outputs", "kwargs",
    "generations", "replies", "results", "additional_kwargs", "stats",
)  # fmt: skip
_USAGE_KEYS: Final = (
    "totalUsage", "usage", "usageMetadata", "usage_metadata", "usage_info", "token_usage", "tokenUsage",
    "usage_details", "usageDetails", "models_usage", "accumulated_usage", "meta", "x_groq",
    "amazon-bedrock-invocationMetrics", "langfuse.observation.usage_details", "mlflow.chat.tokenUsage",
)  # fmt: skip
_IS_WRAPPER: Final = frozenset(_WRAPPERS)
_IS_USAGE: Final = frozenset(_USAGE_KEYS)
#: Usage parts that are JSON, as the attributes of spans have no parts.
_JSON_PARTS: Final = frozenset({"langfuse.observation.usage_details", "mlflow.chat.tokenUsage"})
#: What an answer that lies inside another part says of itself only there.
_FACTS_AROUND: Final = (
    "model", "modelId", "model_id", "model_name", "ai_model_id", "model_provider", "provider_name", "performanceConfig",
)  # fmt: skip
#: What LangChain's own counts leave out of the provider's.
_PASSED_ON: Final = (
    "iterations", "server_tool_use", "inference_geo", "speed", "service_tier", "cost", "cost_details", "is_byok",
    "cost_in_usd_ticks",
)  # fmt: skip
#: Where an answer has its id: most of them, Gemini, Cohere's older one, spans; and Bedrock, beside what came over HTTP.
_ID_KEYS: Final = (
    "id", "responseId", "response_id", "generation_id", "provider_response_id", "gen_ai.response.id",
)  # fmt: skip
_METADATA: Final = (("ResponseMetadata", "RequestId"), ("$metadata", "requestId"))
_ANTHROPIC: Final = frozenset(
    {
        "cache_creation_input_tokens", "cache_read_input_tokens", "cache_creation", "inference_geo", "server_tool_use",
        "iterations", "cache_creation_tokens",
    }
)  # fmt: skip
_GEMINI: Final = frozenset(
    {
        "promptTokenCount", "prompt_token_count", "candidatesTokenCount", "candidates_token_count",
        "totalTokenCount", "total_token_count", "thoughtsTokenCount", "thoughts_token_count",
    }
)  # fmt: skip
_INTERACTIONS: Final = frozenset({"total_input_tokens", "total_thought_tokens"})
_LLAMA: Final = frozenset(
    {
        "generation_token_count", "inputTokenCount", "outputTokenCount", "inputTextTokenCount",
        "x-amzn-bedrock-input-token-count",
    }
)  # fmt: skip
#: Names of clients, logs and hosts that say nothing of the provider.
_ANYBODYS: Final = frozenset({"input_token_count", "output_token_count", "generated_token_count", "tokens_evaluated"})
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
#: The same of Vercel's AI SDK, whose calls are `ai.generateText.doGenerate`, and of Traceloop.
_AROUND: Final = frozenset(
    {"ai.generateText", "ai.streamText", "ai.generateObject", "ai.streamObject", "ai.embed", "ai.embedMany"}
)
_SPAN_FACT_NAMES: Final = (
    "gen_ai.operation.name", "ai.operationId", "openinference.span.kind", "traceloop.span.kind",
)  # fmt: skip
_SPAN_FACTS: Final = frozenset(_SPAN_FACT_NAMES)
_TRACELOOP_KINDS: Final = frozenset({"workflow", "task", "agent", "tool"})
_SPAN_KINDS: Final = frozenset({"AGENT", "CHAIN", "TOOL", "RETRIEVER", "RERANKER", "GUARDRAIL", "EVALUATOR"})
#: An answer that has nothing else is one of a question for the length of a prompt, which nobody bills.
_COUNT_ANSWERS: Final = (
    frozenset({"input_tokens", "context_management"}),
    frozenset({"input_tokens", "object"}),
    frozenset({"inputTokens", "ResponseMetadata", "$metadata"}),
    frozenset({"totalTokens", "totalBillableCharacters", "promptTokensDetails", "cachedContentTokenCount"}),
    frozenset({"total_tokens", "total_billable_characters", "prompt_tokens_details", "cached_content_token_count"}),
)
#: Lines of a batch: OpenAI's, Mistral's and Anthropic's; Bedrock's, and the manifest of one; Vertex AI's.
_BATCH_KEYS: Final = frozenset({"custom_id", "recordId", "totalRecordCount", "processed_time"})
#: Under these, spans keep their attributes where their names are nested.
_NESTED_ATTRIBUTES: Final = ("gen_ai", "llm", "openinference", "ai")
_OTHER_WORDS: Final = frozenset({"seconds", "in and out", "only tokens", "total"})
#: A larger table is none of sums by model.
_MODELS_MAX: Final = 50
_DEPTH_MAX: Final = 5
#: A usage part with more names is none of those that come again and again.
_KEYS_MAX: Final = 50


class Found(msgspec.Struct, frozen=True):
    """The answer, the usage part of it, and whether it came out of a batch."""

    response: Mapping[str, Any]
    usage: Mapping[str, Any]
    batch: bool = False


def find_usage(payload: object) -> Found:
    """Find the usage below events and batch lines; a payload that is only usage is its own."""
    body = view(payload)
    is_batch = not _BATCH_KEYS.isdisjoint(body) or {"key", "response"} <= body.keys()
    found = _search(body, {}, _DEPTH_MAX)
    if found is None:
        return Found(body, {}, is_batch)
    return Found(found.response, found.usage, True) if is_batch else found


def _search(body: Mapping[str, Any], around: Mapping[str, Any], depth: int) -> Found | None:
    """Find the first usage in the body or in what it wraps, with what stands around it."""
    if "attributes" in body:
        rest = {name: part for name, part in body.items() if name != "attributes"}
        body = {**rest, **_attributes(body["attributes"])}
    usage = _usage_part(body)
    if usage:
        response = {**around, **body} if around else body
        if "providerMetadata" in body:
            usage = _of_vercel(body, usage)
        return _of_langchain(response, usage) if "response_metadata" in body else Found(response, usage)
    if flavor_of(Found({}, body)):
        return Found({**around, **body} if around else body, body)
    if depth <= 1 or _IS_WRAPPER.isdisjoint(body):
        return None
    inside = around
    for key in _WRAPPERS:
        # Anthropic tells the stop reason beside the usage, OpenAI the tier around it.
        inner = _wrapped(body[key]) if key in body else None
        if inner:
            if inside is around:
                facts = {name: body[name] for name in _FACTS_AROUND if name in body and text(body[name])}
                inside = {**around, **facts} if facts else around
            found = _search(inner, inside, depth - 1)
            if found is not None:
                return found
    return None


def _wrapped(part: object) -> Mapping[str, Any]:
    """Return the only answer that the part is, or that is in a list of one."""
    for _ in range(2):
        if isinstance(part, list | tuple) and len(part) == 1:
            part = part[0]
    return view(part)


def _of_langchain(message: Mapping[str, Any], usage: Mapping[str, Any]) -> Found:
    """Return the usage of a LangChain message.

    What it tells of the provider's answer stands apart, and its own counts are not all.
    """
    metadata = view(message["response_metadata"])
    theirs = _usage_part(metadata)
    more = {name: theirs[name] for name in _PASSED_ON if theirs.get(name) is not None}
    response = {**message, **{name: part for name, part in metadata.items() if part is not None}}
    return Found(response, {**more, **usage} if more else usage)


def _of_vercel(result: Mapping[str, Any], usage: Mapping[str, Any]) -> Mapping[str, Any]:
    """Return the usage in a result of Vercel's AI SDK.

    Before version 6, what a provider cached stands apart, and Anthropic's counts are exclusive of it.
    """
    metadata = view(result["providerMetadata"])
    claude, openai = view(metadata.get("anthropic")), view(metadata.get("openai"))
    if "inputTokenDetails" in usage or "totalUsage" in result:
        return usage
    if "input_tokens" in view(claude.get("usage")):
        return view(claude["usage"])
    if claude:
        return {
            "input_tokens": usage.get("inputTokens", usage.get("promptTokens")),
            "output_tokens": usage.get("outputTokens", usage.get("completionTokens")),
            "cache_read_input_tokens": claude.get("cacheReadInputTokens", usage.get("cachedInputTokens")),
            "cache_creation_input_tokens": claude.get("cacheCreationInputTokens"),
        }
    return {**{name: openai[name] for name in ("cachedPromptTokens", "reasoningTokens") if name in openai}, **usage}


def by_model(payload: object) -> dict[str, Mapping[str, Any]]:
    """Return the usage of each model, where the payload is a table of sums; empty for anything else."""
    table = view(payload)
    if not 0 < len(table) <= _MODELS_MAX:
        return {}
    found = {text(model): view(used) for model, used in table.items()}
    return found if all(used and flavor_of(Found({}, used)) for used in found.values()) else {}


def answer_id_of(response: Mapping[str, Any]) -> str:
    """Return the provider's id of an answer; "" when it gives none."""
    for key in _ID_KEYS:
        if found := text(response.get(key)):
            return found
    for key, name in _METADATA:
        if found := text(view(response.get(key)).get(name)):
            return found
    return ""


def why_no_turn(found: Found) -> str:
    """Say why usage is not that of a call: it is of a span around calls, or a count that was asked for; else ""."""
    usage, response = found.usage, found.response
    if not (_SPAN_FACTS.isdisjoint(usage) and _SPAN_FACTS.isdisjoint(response)):
        parts = response if usage is response else {**response, **usage}
        operation, call, kind, around = (text(parts.get(name)) for name in _SPAN_FACT_NAMES)
        is_around = call in _AROUND or around in _TRACELOOP_KINDS
        if is_around or operation in _OPERATIONS or kind.upper() in _SPAN_KINDS:
            named = word(operation or call or kind or around)
            return f"a span of {named} is no call of a model: its usage is the sum of those below it"
    is_bare = usage is response
    if is_bare and not isinstance(usage, dict):  # an SDK's object may say None of what it has not
        usage = {key: value for key, value in usage.items() if value is not None}
    if is_bare and usage and any(usage.keys() <= keys for keys in _COUNT_ANSWERS):
        return "it only counts the tokens of a prompt, which is not billed"
    return ""


def _attributes(attributes: object) -> dict[str, Any]:
    """Return a span's attributes by name.

    OTLP/JSON lists them as `{"key": …, "value": {"intValue": "12"}}`; others nest them.
    """
    if not isinstance(attributes, list | tuple):
        flat = dict(view(attributes))
        for name in _NESTED_ATTRIBUTES:
            if name in flat:
                flat.update(_flat(name, flat.pop(name), _DEPTH_MAX))
        return flat
    listed = [view(one) for one in items(attributes)]
    return {text(one.get("key")): _otlp_value(one.get("value")) for one in listed}


def _flat(path: str, part: object, depth: int) -> dict[str, Any]:
    parts = view(part)
    if not parts or not depth:
        return {path: part}
    flat: dict[str, Any] = {}
    for name, inner in parts.items():
        flat.update(_flat(f"{path}.{name}", inner, depth - 1))
    return flat


def _otlp_value(value: object) -> Any:
    found = next(iter(view(value).values()), None)
    values = view(found).get("values")
    return found if values is None else [_otlp_value(one) for one in items(values)]


def _usage_part(body: Mapping[str, Any]) -> Mapping[str, Any]:
    for key in () if _IS_USAGE.isdisjoint(body) else _USAGE_KEYS:
        if key not in body:
            continue
        part = body[key]
        if key in _JSON_PARTS and isinstance(part, str):
            part = from_json(part)
        part = view(part)
        if key == "x_groq":
            part = view(part.get("usage"))
        if key == "accumulated_usage" and part:  # Strands counts the calls that it sums up beside their sum
            return {**part, "requests": body.get("cycle_count")}
        if part and (key != "meta" or "billed_units" in part):
            return part
    if "choices" in body:  # Moonshot's streams count in the choice that ends
        return next((part for one in items(body["choices"]) if (part := view(view(one).get("usage")))), {})
    if "inputTokenCount" in view(body.get("input")):  # Bedrock's log of an invocation
        sides = {**view(body["input"]), **view(body.get("output"))}
        return {name: count for name, count in sides.items() if type(count) is int}
    if "ResponseMetadata" not in body:
        return {}
    headers = view(view(body["ResponseMetadata"]).get("HTTPHeaders"))
    return headers if "x-amzn-bedrock-input-token-count" in headers else {}


def flavor_of(found: Found) -> str:
    """Return the name of the shape; "" when it is none that is known."""
    usage = found.usage
    shape = _shape_of(frozenset(usage)) if len(usage) <= _KEYS_MAX else _shape_of.__wrapped__(frozenset(usage))
    if shape.startswith("chat"):
        return _chat_flavor(found, shape)
    if shape == "tokens":
        return _tokens_flavor(found)
    return _named_otherwise(shape, found) if shape in _OTHER_WORDS else shape


def _named_otherwise(shape: str, found: Found) -> str:
    """Return the flavor of names that are also words for other things; "" where those are meant."""
    usage, flavor = found.usage, "openai"
    if shape == "seconds":
        is_meant = "text" in found.response or "type" in usage
    elif shape == "in and out":
        is_meant, flavor = type(usage["input"]) in (int, float), "spans"
    elif shape == "only tokens":
        is_meant = type(usage["tokens"]) in (int, float) and len(usage) == 1
    else:
        is_meant = bool(found.response) or not {"embeddings", "results"}.isdisjoint(usage)
    return flavor if is_meant else ""


@lru_cache(maxsize=1_024)
def _shape_of(keys: frozenset[object]) -> str:  # noqa: PLR0911, PLR0912  # one line per shape reads best
    """Return what the names say: a flavor, or one of several that the values have to tell apart."""
    if any(isinstance(key, str) and key.startswith(PREFIXES) for key in keys):
        return "otel" if any(isinstance(key, str) and key.startswith("gen_ai.usage.") for key in keys) else "spans"
    if keys & _LLAMA:
        return "llama"
    if keys & _ANYBODYS and not keys & {"thoughts_token_count", "cached_content_token_count"}:
        return "spans"
    if "native_tokens_prompt" in keys:
        return "openrouter"
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
    if "rerank_units" in keys:
        return "openai"
    if "pages_processed" in keys:
        return "mistral"
    if keys & _SECONDS:
        return "seconds"
    if {"input", "output"} <= keys:
        return "in and out"
    if {"input_tokens", "output_tokens"} & keys:
        return "anthropic" if keys & _ANTHROPIC else "tokens"
    if "tokens" in keys:
        return "only tokens"
    return "total" if "total_tokens" in keys else ""


def _tokens_flavor(found: Found) -> str:
    if text(found.response.get("type")) == "message":
        return "anthropic"
    if view(found.usage.get("cost")):
        return "perplexity"
    if "grok" in text(found.response.get("model")).lower():
        return "xai"
    return "openrouter" if _has_bill(found.usage) else "responses"


def _chat_flavor(found: Found, shape: str) -> str:
    """Return the flavor for `chat xai openrouter` and such, by the other names, and by the model that answered."""
    model = text(found.response.get("model")).lower()
    has_bill = "openrouter" in shape and _has_bill(found.usage)
    if "xai" in shape or "grok" in model.rsplit("/", 1)[-1]:
        return "openrouter" if has_bill else "xai"
    if "perplexity" in shape or model.startswith("sonar") or view(found.usage.get("cost")):
        return "perplexity"
    if "_hidden_params" in found.response or "anthropic" in shape:
        return "litellm"
    if has_bill:
        return "openrouter"
    return "deepseek" if "deepseek" in shape else "openai"


def _has_bill(usage: Mapping[str, Any]) -> bool:
    return any(usage.get(name) is not None for name in _OPENROUTER if name in usage)
