"""How a provider's HTTP API says a request, its limits, its usage, its stream and its refusals.

Pure: bytes and headers in, values out. `recognise` says what a request is by its address, `read_request` what it asks
for; `ModelRequest.to_send` is the body with a limit, `Answer` reads what comes back, and `refuse` is the answer to a
request that is not sent. `recognise_operation` and `read_operation` are the same for botocore.
"""

from hivecost.dialects.answers import Answer
from hivecost.dialects.dialect import (
    REFUSAL_HEADER,
    Asked,
    Dialect,
    Free,
    ModelRequest,
    Refusal,
    RefusalAnswer,
    RefusalKind,
    Route,
    Unknown,
    Unmetered,
    Unreadable,
)
from hivecost.dialects.framing import Event
from hivecost.dialects.operations import read_operation, recognise_operation
from hivecost.dialects.reading import read_request
from hivecost.dialects.recognition import DIALECTS, recognise

__all__ = [
    "DIALECTS",
    "REFUSAL_HEADER",
    "Answer",
    "Asked",
    "Dialect",
    "Event",
    "Free",
    "ModelRequest",
    "Refusal",
    "RefusalAnswer",
    "RefusalKind",
    "Route",
    "Unknown",
    "Unmetered",
    "Unreadable",
    "read_operation",
    "read_request",
    "recognise",
    "recognise_operation",
]
