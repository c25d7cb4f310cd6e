"""Cohere bills `billed_units`; `tokens` beside them is what the model saw."""

from __future__ import annotations

from hivecost.usage.builder import UsageBuilder
from hivecost.usage.views import text, view


def read_cohere(builder: UsageBuilder) -> None:
    """Chat v2 (`usage`) or v1 and embeddings (`meta`). Without billed units, the tokens the model saw."""
    billed = view(builder.usage.get("billed_units")) or view(builder.usage.get("tokens"))
    builder.take("input_tokens", "input_tokens", of=billed)
    builder.take("output_tokens", "output_tokens", of=billed)
    builder.take("cache_read_tokens", "cached_tokens")
    builder.provider = "cohere"
    builder.stop_reason = text(builder.response.get("finish_reason"))
