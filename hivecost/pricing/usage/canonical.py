"""hivecost's own field names, as a `Usage` that went through JSON has them."""

from __future__ import annotations

from hivecost.events import USAGE_FIELDS
from hivecost.pricing.usage.draft import Draft


def read_canonical(draft: Draft) -> None:
    """Every field of Usage by its own name, all inclusive."""
    for field in USAGE_FIELDS:
        draft.take(field, field)
