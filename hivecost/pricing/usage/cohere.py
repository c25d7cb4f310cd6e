"""Cohere bills `billed_units`; `tokens` beside them is what the model saw."""

from __future__ import annotations

from hivecost.pricing.usage.draft import Draft
from hivecost.pricing.usage.views import text, view


def read_cohere(draft: Draft) -> None:
    """Chat v2 (`usage`) or v1 and embeddings (`meta`). Without billed units, the tokens the model saw."""
    billed = view(draft.usage.get("billed_units")) or view(draft.usage.get("tokens"))
    draft.take("input_tokens", "input_tokens", of=billed)
    draft.take("output_tokens", "output_tokens", of=billed)
    draft.take("cache_read_tokens", "cached_tokens")
    draft.provider = "cohere"
    draft.stop_reason = text(draft.response.get("finish_reason"))
