"""OpenAI's two shapes, and the many providers that speak the older one with a word of their own."""

from __future__ import annotations

from decimal import Decimal
from typing import Any

from hivecost.usage.builder import UsageBuilder
from hivecost.usage.views import items, text, view


def read_chat(builder: UsageBuilder) -> None:
    """Chat completions: `prompt_tokens` and `completion_tokens`, both inclusive."""
    _chat(builder, reasoning_beside=False)


def _chat(builder: UsageBuilder, *, reasoning_beside: bool) -> None:
    """`reasoning_beside`: what the provider does with reasoning where its own total does not tell."""
    usage = builder.usage
    prompt = builder.take("input_tokens", "prompt_tokens")
    completion = builder.take("output_tokens", "completion_tokens")
    details = view(usage.get("prompt_tokens_details"))
    builder.take(
        "cache_read_tokens", "cached_tokens", of=details if details.get("cached_tokens") is not None else usage
    )
    builder.take("cache_write_tokens", "cache_write_tokens", of=details)
    builder.take("input_audio_tokens", "audio_tokens", of=details)
    builder.take("input_image_tokens", "image_tokens", of=details)
    spoken = view(usage.get("completion_tokens_details"))
    reasoning = builder.take(
        "reasoning_tokens", "reasoning_tokens", of=spoken if "reasoning_tokens" in spoken else usage
    )
    builder.take("output_audio_tokens", "audio_tokens", of=spoken)
    builder.take("output_image_tokens", "image_tokens", of=spoken)
    total = usage.get("total_tokens")
    if total == prompt + completion and reasoning <= completion:
        reasoning_beside = False
    if reasoning and (reasoning_beside or total == prompt + completion + reasoning):
        builder.add("output_tokens", reasoning, "reasoning_tokens")
    choices = items(builder.response.get("choices"))
    if choices:
        builder.stop_reason = text(view(choices[0]).get("finish_reason"))


def read_mistral(builder: UsageBuilder) -> None:
    """Mistral: the chat shape, whatever model name comes with it."""
    read_chat(builder)
    builder.provider = "mistral"


def read_deepseek(builder: UsageBuilder) -> None:
    """DeepSeek: the chat shape with `prompt_cache_hit_tokens`; `cached_tokens` is not always there."""
    read_chat(builder)
    if not builder["cache_read_tokens"]:
        builder.take("cache_read_tokens", "prompt_cache_hit_tokens")


def read_xai(builder: UsageBuilder) -> None:
    """xAI: `completion_tokens` leave reasoning out; `cost_in_usd_ticks` / 10**10 is the bill."""
    builder.provider = "x-ai"
    if "input_tokens" in builder.usage:
        read_responses(builder)
        return
    _chat(builder, reasoning_beside=True)
    if not builder["cache_read_tokens"]:
        builder.take("cache_read_tokens", "cached_prompt_text_tokens")
    builder.take("input_image_tokens", "prompt_image_tokens")
    _report_ticks(builder)


def read_perplexity(builder: UsageBuilder) -> None:
    """Perplexity: reasoning and citations stand beside the completion; `cost.total_cost` is the bill."""
    builder.provider = "perplexity"
    usage = builder.usage
    if "prompt_tokens" in usage:
        _chat(builder, reasoning_beside=True)
    else:
        read_responses(builder)
        builder.take("web_search_requests", "tool_calls_details", "search_web", "invocation")
    if builder.take("output_tokens", "citation_tokens"):
        builder.estimate_reason = "citation tokens are counted as output"
    builder.take("web_search_requests", "num_search_queries")
    builder.report_usd(view(usage.get("cost")).get("total_cost"))


def read_openrouter(builder: UsageBuilder) -> None:
    """OpenRouter: either OpenAI shape with `cost`, the bill; with a key of one's own the spend is upstream."""
    builder.provider = "openrouter"
    usage = builder.usage
    if "prompt_tokens" in usage:
        read_chat(builder)
    else:
        read_responses(builder)
    builder.take("web_search_requests", "server_tool_use", "web_search_requests")
    builder.report_usd(usage.get("cost"))
    if usage.get("is_byok") is True:
        upstream = view(usage.get("cost_details")).get("upstream_inference_cost")
        if upstream is None:
            builder.reported_nanousd = None  # the fee alone is not what the turn cost
        else:
            builder.report_usd(upstream)


def read_litellm(builder: UsageBuilder) -> None:
    """LiteLLM: the chat shape with Anthropic's cache fields on top; its own cost, where it knows one."""
    read_chat(builder)
    if not builder["cache_read_tokens"]:
        builder.take("cache_read_tokens", "cache_read_input_tokens")
    if not builder["cache_write_tokens"]:
        builder.take("cache_write_tokens", "cache_creation_input_tokens")
    details = view(view(builder.usage.get("prompt_tokens_details")).get("cache_creation_token_details"))
    builder.take("cache_write_1h_tokens", "ephemeral_1h_input_tokens", of=details)
    builder.take("web_search_requests", "server_tool_use", "web_search_requests")
    hidden = view(builder.response.get("_hidden_params"))
    builder.provider = text(hidden.get("custom_llm_provider"))
    # LiteLLM says 0.0 for models it has no price for.
    if hidden.get("response_cost"):
        builder.report_usd(hidden["response_cost"])


def read_responses(builder: UsageBuilder) -> None:
    """Responses and realtime: `input_tokens` and `output_tokens`, both inclusive."""
    usage = builder.usage
    builder.take("input_tokens", "input_tokens")
    builder.take("output_tokens", "output_tokens")
    details = view(usage.get("input_tokens_details") or usage.get("input_token_details"))
    for name in ("cached_tokens", "cache_read", "cache_read_input_tokens"):
        builder.take("cache_read_tokens", name, of=details)
    for name in ("cache_write_tokens", "cache_creation"):
        builder.take("cache_write_tokens", name, of=details)
    builder.take("input_audio_tokens", "audio_tokens", of=details)
    builder.take("input_image_tokens", "image_tokens", of=details)
    builder.take("cache_audio_read_tokens", "cached_tokens_details", "audio_tokens", of=details)
    spoken = view(usage.get("output_tokens_details") or usage.get("output_token_details"))
    for name in ("reasoning_tokens", "reasoning"):
        builder.take("reasoning_tokens", name, of=spoken)
    builder.take("output_audio_tokens", "audio_tokens", of=spoken)
    builder.take("output_image_tokens", "image_tokens", of=spoken)
    _report_ticks(builder)
    searches = sum(_is_search(item) for item in items(builder.response.get("output")))
    if searches:
        builder.add("web_search_requests", searches, "output")
    incomplete = view(builder.response.get("incomplete_details"))
    builder.stop_reason = text(incomplete.get("reason")) or text(builder.response.get("status"))


def _is_search(item: Any) -> bool:
    """A web search that is billed; opening a page it found is not."""
    parts = view(item)
    action = text(view(parts.get("action")).get("type"))
    return text(parts.get("type")) == "web_search_call" and action in {"", "search"}


def _report_ticks(builder: UsageBuilder) -> None:
    ticks = builder.usage.get("cost_in_usd_ticks")
    if type(ticks) is int:
        builder.report_usd(Decimal(ticks).scaleb(-10))
