"""Readers of usage payloads, one file per family of shapes."""

from hivecost.pricing.usage.reader import FLAVORS, read_usage
from hivecost.pricing.usage.streams import UsageStream

__all__ = ["FLAVORS", "UsageStream", "read_usage"]
