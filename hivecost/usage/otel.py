"""Attributes of an OpenTelemetry GenAI span."""

from __future__ import annotations

from hivecost.usage.builder import UsageBuilder
from hivecost.usage.views import items, text

_USAGE = "gen_ai.usage."


def read_otel(builder: UsageBuilder) -> None:
    """Inclusive by the conventions; an emitter whose parts exceed the whole meant exclusive counts."""
    usage = builder.usage
    for name in ("input_tokens", "prompt_tokens"):  # the second is the name before 2024-09
        if not builder["input_tokens"]:
            builder.take("input_tokens", _USAGE + name)
    for name in ("output_tokens", "completion_tokens"):
        if not builder["output_tokens"]:
            builder.take("output_tokens", _USAGE + name)
    builder.take("cache_read_tokens", _USAGE + "cache_read.input_tokens")
    for name in ("cache_write.input_tokens", "cache_creation.input_tokens"):
        if not builder["cache_write_tokens"]:
            builder.take("cache_write_tokens", _USAGE + name)
    builder.take("reasoning_tokens", _USAGE + "reasoning.output_tokens")
    cached = builder["cache_read_tokens"] + builder["cache_write_tokens"]
    if cached > builder["input_tokens"]:
        builder.add("input_tokens", cached, "cache_read + cache_write")
        builder.estimate_reason = "the cached tokens exceed the input, so the input was taken as exclusive of them"
    builder.model = text(usage.get("gen_ai.response.model")) or text(usage.get("gen_ai.request.model"))
    builder.provider = text(usage.get("gen_ai.provider.name")) or text(usage.get("gen_ai.system"))
    tiers = ("gen_ai.openai.response.service_tier", "openai.response.service_tier")
    builder.service_tier = next((text(usage[tier]) for tier in tiers if usage.get(tier)), "")
    reasons = items(usage.get("gen_ai.response.finish_reasons"))
    builder.stop_reason = text(reasons[0]) if reasons else ""
