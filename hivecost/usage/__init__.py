"""What a turn used, read from any provider's payload or stream, and how far it can be trusted."""

from hivecost.usage.answers import FLAVORS
from hivecost.usage.estimates import estimated, size_of_answer, tokens_of
from hivecost.usage.passes import each_request
from hivecost.usage.reader import read_usage
from hivecost.usage.reading import UsagePass, UsageReading, UsageStatus
from hivecost.usage.refusals import is_unbilled
from hivecost.usage.streams import StreamedAnswer, UsageStream

__all__ = [
    "FLAVORS",
    "StreamedAnswer",
    "UsagePass",
    "UsageReading",
    "UsageStatus",
    "UsageStream",
    "each_request",
    "estimated",
    "is_unbilled",
    "read_usage",
    "size_of_answer",
    "tokens_of",
]
