"""hivecost's own field names, as a `Usage` that went through JSON has them."""

from __future__ import annotations

from hivecost.events import USAGE_FIELDS
from hivecost.usage.builder import UsageBuilder


def read_canonical(builder: UsageBuilder) -> None:
    """Every field of Usage by its own name, all inclusive."""
    for field in USAGE_FIELDS:
        builder.take(field, field)
