"""OpenAI's two shapes, and the many providers that speak the older one with a word of their own."""

from __future__ import annotations

from decimal import Decimal
from typing import Any

from hivecost.pricing.usage.draft import Draft
from hivecost.pricing.usage.views import items, text, view


def read_chat(draft: Draft) -> None:
    """Chat completions: `prompt_tokens` and `completion_tokens`, both inclusive."""
    _chat(draft, reasoning_beside=False)


def _chat(draft: Draft, *, reasoning_beside: bool) -> None:
    """`reasoning_beside`: what the provider does with reasoning where its own total does not tell."""
    usage = draft.usage
    prompt = draft.take("input_tokens", "prompt_tokens")
    completion = draft.take("output_tokens", "completion_tokens")
    details = view(usage.get("prompt_tokens_details"))
    draft.take("cache_read_tokens", "cached_tokens", of=details if details.get("cached_tokens") is not None else usage)
    draft.take("cache_write_tokens", "cache_write_tokens", of=details)
    draft.take("input_audio_tokens", "audio_tokens", of=details)
    draft.take("input_image_tokens", "image_tokens", of=details)
    spoken = view(usage.get("completion_tokens_details"))
    reasoning = draft.take("reasoning_tokens", "reasoning_tokens", of=spoken if "reasoning_tokens" in spoken else usage)
    draft.take("output_audio_tokens", "audio_tokens", of=spoken)
    draft.take("output_image_tokens", "image_tokens", of=spoken)
    total = usage.get("total_tokens")
    if total == prompt + completion and reasoning <= completion:
        reasoning_beside = False
    if reasoning and (reasoning_beside or total == prompt + completion + reasoning):
        draft.add("output_tokens", reasoning, "reasoning_tokens")
    choices = items(draft.response.get("choices"))
    if choices:
        draft.stop_reason = text(view(choices[0]).get("finish_reason"))


def read_mistral(draft: Draft) -> None:
    """Mistral: the chat shape, whatever model name comes with it."""
    read_chat(draft)
    draft.provider = "mistral"


def read_deepseek(draft: Draft) -> None:
    """DeepSeek: the chat shape with `prompt_cache_hit_tokens`; `cached_tokens` is not always there."""
    read_chat(draft)
    if not draft["cache_read_tokens"]:
        draft.take("cache_read_tokens", "prompt_cache_hit_tokens")


def read_xai(draft: Draft) -> None:
    """xAI: `completion_tokens` leave reasoning out; `cost_in_usd_ticks` / 10**10 is the bill."""
    draft.provider = "x-ai"
    if "input_tokens" in draft.usage:
        read_responses(draft)
        return
    _chat(draft, reasoning_beside=True)
    if not draft["cache_read_tokens"]:
        draft.take("cache_read_tokens", "cached_prompt_text_tokens")
    draft.take("input_image_tokens", "prompt_image_tokens")
    _report_ticks(draft)


def read_perplexity(draft: Draft) -> None:
    """Perplexity: reasoning and citations stand beside the completion; `cost.total_cost` is the bill."""
    draft.provider = "perplexity"
    usage = draft.usage
    if "prompt_tokens" in usage:
        _chat(draft, reasoning_beside=True)
    else:
        read_responses(draft)
        draft.take("web_search_requests", "tool_calls_details", "search_web", "invocation")
    if draft.take("output_tokens", "citation_tokens"):
        draft.estimate_reason = "citation tokens are counted as output"
    draft.take("web_search_requests", "num_search_queries")
    draft.report_usd(view(usage.get("cost")).get("total_cost"))


def read_openrouter(draft: Draft) -> None:
    """OpenRouter: either OpenAI shape with `cost`, the bill; with a key of one's own the spend is upstream."""
    draft.provider = "openrouter"
    usage = draft.usage
    if "prompt_tokens" in usage:
        read_chat(draft)
    else:
        read_responses(draft)
    draft.take("web_search_requests", "server_tool_use", "web_search_requests")
    draft.report_usd(usage.get("cost"))
    if usage.get("is_byok") is True:
        upstream = view(usage.get("cost_details")).get("upstream_inference_cost")
        if upstream is None:
            draft.reported_nanousd = None  # the fee alone is not what the turn cost
        else:
            draft.report_usd(upstream)


def read_litellm(draft: Draft) -> None:
    """LiteLLM: the chat shape with Anthropic's cache fields on top; its own cost, where it knows one."""
    read_chat(draft)
    if not draft["cache_read_tokens"]:
        draft.take("cache_read_tokens", "cache_read_input_tokens")
    if not draft["cache_write_tokens"]:
        draft.take("cache_write_tokens", "cache_creation_input_tokens")
    details = view(view(draft.usage.get("prompt_tokens_details")).get("cache_creation_token_details"))
    draft.take("cache_write_1h_tokens", "ephemeral_1h_input_tokens", of=details)
    draft.take("web_search_requests", "server_tool_use", "web_search_requests")
    hidden = view(draft.response.get("_hidden_params"))
    draft.provider = text(hidden.get("custom_llm_provider"))
    # LiteLLM says 0.0 for models it has no price for.
    if hidden.get("response_cost"):
        draft.report_usd(hidden["response_cost"])


def read_responses(draft: Draft) -> None:
    """Responses and realtime: `input_tokens` and `output_tokens`, both inclusive."""
    usage = draft.usage
    draft.take("input_tokens", "input_tokens")
    draft.take("output_tokens", "output_tokens")
    details = view(usage.get("input_tokens_details") or usage.get("input_token_details"))
    for name in ("cached_tokens", "cache_read", "cache_read_input_tokens"):
        draft.take("cache_read_tokens", name, of=details)
    for name in ("cache_write_tokens", "cache_creation"):
        draft.take("cache_write_tokens", name, of=details)
    draft.take("input_audio_tokens", "audio_tokens", of=details)
    draft.take("input_image_tokens", "image_tokens", of=details)
    draft.take("cache_audio_read_tokens", "cached_tokens_details", "audio_tokens", of=details)
    spoken = view(usage.get("output_tokens_details") or usage.get("output_token_details"))
    for name in ("reasoning_tokens", "reasoning"):
        draft.take("reasoning_tokens", name, of=spoken)
    draft.take("output_audio_tokens", "audio_tokens", of=spoken)
    draft.take("output_image_tokens", "image_tokens", of=spoken)
    _report_ticks(draft)
    searches = sum(_is_search(item) for item in items(draft.response.get("output")))
    if searches:
        draft.add("web_search_requests", searches, "output")
    incomplete = view(draft.response.get("incomplete_details"))
    draft.stop_reason = text(incomplete.get("reason")) or text(draft.response.get("status"))


def _is_search(item: Any) -> bool:
    """A web search that is billed; opening a page it found is not."""
    parts = view(item)
    action = text(view(parts.get("action")).get("type"))
    return text(parts.get("type")) == "web_search_call" and action in {"", "search"}


def _report_ticks(draft: Draft) -> None:
    ticks = draft.usage.get("cost_in_usd_ticks")
    if type(ticks) is int:
        draft.report_usd(Decimal(ticks).scaleb(-10))
