"""Bedrock Converse: `inputTokens` leave out what was read from and written to the cache."""

from __future__ import annotations

from hivecost.pricing.usage.draft import Draft
from hivecost.pricing.usage.views import items, text, view


def read_bedrock(draft: Draft) -> None:
    """A Converse response or its usage; the response names no model."""
    usage = draft.usage
    draft.take("input_tokens", "inputTokens")
    draft.take("output_tokens", "outputTokens")
    read = draft.take("cache_read_tokens", "cacheReadInputTokens")
    written = draft.take("cache_write_tokens", "cacheWriteInputTokens")
    draft.add("input_tokens", (read + written) or None, "cacheReadInputTokens + cacheWriteInputTokens")
    for entry in items(usage.get("cacheDetails")):
        if text(view(entry).get("ttl")) == "1h":
            draft.take("cache_write_1h_tokens", "inputTokens", of=view(entry))
    draft.provider = "aws"
    draft.service_tier = text(view(draft.response.get("serviceTier")).get("type")) or draft.service_tier
    draft.stop_reason = text(draft.response.get("stopReason"))
