"""Attributes of an OpenTelemetry GenAI span."""

from __future__ import annotations

from hivecost.pricing.usage.draft import Draft
from hivecost.pricing.usage.views import items, text

_USAGE = "gen_ai.usage."


def read_otel(draft: Draft) -> None:
    """Inclusive by the conventions; an emitter whose parts exceed the whole meant exclusive counts."""
    usage = draft.usage
    for name in ("input_tokens", "prompt_tokens"):  # the second is the name before 2024-09
        if not draft["input_tokens"]:
            draft.take("input_tokens", _USAGE + name)
    for name in ("output_tokens", "completion_tokens"):
        if not draft["output_tokens"]:
            draft.take("output_tokens", _USAGE + name)
    draft.take("cache_read_tokens", _USAGE + "cache_read.input_tokens")
    for name in ("cache_write.input_tokens", "cache_creation.input_tokens"):
        if not draft["cache_write_tokens"]:
            draft.take("cache_write_tokens", _USAGE + name)
    draft.take("reasoning_tokens", _USAGE + "reasoning.output_tokens")
    cached = draft["cache_read_tokens"] + draft["cache_write_tokens"]
    if cached > draft["input_tokens"]:
        draft.add("input_tokens", cached, "cache_read + cache_write")
        draft.estimate_reason = "the cached tokens exceed the input, so the input was taken as exclusive of them"
    draft.model = text(usage.get("gen_ai.response.model")) or text(usage.get("gen_ai.request.model"))
    draft.provider = text(usage.get("gen_ai.provider.name")) or text(usage.get("gen_ai.system"))
    tiers = ("gen_ai.openai.response.service_tier", "openai.response.service_tier")
    draft.service_tier = next((text(usage[tier]) for tier in tiers if usage.get(tier)), "")
    reasons = items(usage.get("gen_ai.response.finish_reasons"))
    draft.stop_reason = text(reasons[0]) if reasons else ""
