"""Readers of usage payloads, one file per family of shapes."""

from hivecost.pricing.usage.estimates import estimated, size_of_answer, tokens_of
from hivecost.pricing.usage.reader import FLAVORS, read_usage
from hivecost.pricing.usage.streams import UsageStream

__all__ = [
    "FLAVORS",
    "UsageStream",
    "estimated",
    "read_usage",
    "size_of_answer",
    "tokens_of",
]
