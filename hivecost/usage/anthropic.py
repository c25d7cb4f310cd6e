"""Anthropic's shape: `input_tokens` leave out what was read from and written to the cache."""

from __future__ import annotations

from hivecost.usage.builder import UsageBuilder
from hivecost.usage.views import text, view


def read_anthropic(builder: UsageBuilder) -> None:
    """A message or its usage. Written tokens are the larger of the total and its two lifetimes."""
    usage = builder.usage
    builder.take("input_tokens", "input_tokens")
    builder.take("output_tokens", "output_tokens")
    read = builder.take("cache_read_tokens", "cache_read_input_tokens")
    written = builder.take("cache_write_tokens", "cache_creation_input_tokens")
    lifetimes = view(usage.get("cache_creation"))
    for_an_hour = builder.take("cache_write_1h_tokens", "ephemeral_1h_input_tokens", of=lifetimes)
    if not written:
        written = builder.take("cache_write_tokens", "ephemeral_5m_input_tokens", of=lifetimes)
        written += builder.add("cache_write_tokens", for_an_hour, "ephemeral_1h_input_tokens")
    builder.add("input_tokens", (read + written) or None, "cache_read_input_tokens + cache_creation_input_tokens")
    builder.take("reasoning_tokens", "output_tokens_details", "thinking_tokens")
    builder.take("web_search_requests", "server_tool_use", "web_search_requests")
    # Others offer this shape too, for models of their own.
    builder.provider = "anthropic" if "claude" in builder.model.lower() else ""
    builder.service_tier = text(usage.get("service_tier")) or builder.service_tier
    if text(usage.get("speed")) == "fast":
        builder.service_tier = "fast"
    builder.inference_geo = text(usage.get("inference_geo"))
    builder.stop_reason = text(builder.response.get("stop_reason"))
