"""Bedrock Converse: `inputTokens` leave out what was read from and written to the cache."""

from __future__ import annotations

from hivecost.usage.builder import UsageBuilder
from hivecost.usage.views import items, text, view


def read_bedrock(builder: UsageBuilder) -> None:
    """A Converse response or its usage; the response names no model."""
    usage = builder.usage
    builder.take("input_tokens", "inputTokens")
    builder.take("output_tokens", "outputTokens")
    read = builder.take("cache_read_tokens", "cacheReadInputTokens")
    written = builder.take("cache_write_tokens", "cacheWriteInputTokens")
    builder.add("input_tokens", (read + written) or None, "cacheReadInputTokens + cacheWriteInputTokens")
    for entry in items(usage.get("cacheDetails")):
        if text(view(entry).get("ttl")) == "1h":
            builder.take("cache_write_1h_tokens", "inputTokens", of=view(entry))
    builder.provider = "aws"
    builder.service_tier = text(view(builder.response.get("serviceTier")).get("type")) or builder.service_tier
    builder.stop_reason = text(builder.response.get("stopReason"))
