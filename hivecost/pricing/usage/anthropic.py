"""Anthropic's shape: `input_tokens` leave out what was read from and written to the cache."""

from __future__ import annotations

from hivecost.pricing.usage.draft import Draft
from hivecost.pricing.usage.views import text, view


def read_anthropic(draft: Draft) -> None:
    """A message or its usage. Written tokens are the larger of the total and its two lifetimes."""
    usage = draft.usage
    draft.take("input_tokens", "input_tokens")
    draft.take("output_tokens", "output_tokens")
    read = draft.take("cache_read_tokens", "cache_read_input_tokens")
    written = draft.take("cache_write_tokens", "cache_creation_input_tokens")
    lifetimes = view(usage.get("cache_creation"))
    for_an_hour = draft.take("cache_write_1h_tokens", "ephemeral_1h_input_tokens", of=lifetimes)
    if not written:
        written = draft.take("cache_write_tokens", "ephemeral_5m_input_tokens", of=lifetimes)
        written += draft.add("cache_write_tokens", for_an_hour, "ephemeral_1h_input_tokens")
    draft.add("input_tokens", (read + written) or None, "cache_read_input_tokens + cache_creation_input_tokens")
    draft.take("reasoning_tokens", "output_tokens_details", "thinking_tokens")
    draft.take("web_search_requests", "server_tool_use", "web_search_requests")
    # Others offer this shape too, for models of their own.
    draft.provider = "anthropic" if "claude" in draft.model.lower() else ""
    draft.service_tier = text(usage.get("service_tier")) or draft.service_tier
    if text(usage.get("speed")) == "fast":
        draft.service_tier = "fast"
    draft.inference_geo = text(usage.get("inference_geo"))
    draft.stop_reason = text(draft.response.get("stop_reason"))
