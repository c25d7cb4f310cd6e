"""Usage out of whatever a provider answered."""

from __future__ import annotations

from typing import Any, Final

from msgspec.structs import replace

from hivecost.events import Usage
from hivecost.usage.answers import read_answer, require_flavor, unreadable
from hivecost.usage.reading import UsagePass, UsageReading, UsageStatus
from hivecost.usage.streams import UsageStream
from hivecost.usage.views import body_of, decoded

_WORST_FIRST: Final = (UsageStatus.INVALID, UsageStatus.MISSING, UsageStatus.ESTIMATED)


def read_usage(payload: object, *, flavor: str | None = None) -> UsageReading:
    """Return the usage in a provider's answer: dict, SDK object, JSON text or `Usage`, whole or only its usage part.

    A list is read as the chunks of a stream. `flavor` is one of FLAVORS; None detects it. Whatever a provider may send
    gives a reading and no exception: `missing` without usage, `invalid` for counts that cannot be, `estimated` where
    something is billed that was not read, or where totals and their parts disagree. A failed line of a batch says that
    it is `unbilled`. Raise ConfigError for a flavor that is none.
    """
    require_flavor(flavor)
    try:
        if isinstance(payload, UsageReading):
            return payload
        if isinstance(payload, Usage):
            return UsageReading(usage=payload, flavor="canonical")
        body = decoded(body_of(payload))
        return _read_chunks(body, flavor) if isinstance(body, list | tuple) and body else read_answer(body, flavor)
    except Exception as error:  # a stranger's object may raise anything from a property
        return unreadable(error)


def _read_chunks(chunks: list[Any] | tuple[Any, ...], flavor: str | None) -> UsageReading:
    """Return the answer that came as a list of chunks, as Gemini's streams do where nobody asked for events."""
    stream = UsageStream(flavor=flavor)
    for chunk in chunks:
        stream.observe(chunk)
    *earlier, newest = (answer.reading for answer in stream.answers())
    return _summed([*earlier, newest]) if earlier else newest


def _summed(readings: list[UsageReading]) -> UsageReading:
    """Return several answers, each of which is billed, as one reading; its facts are those of the newest."""
    newest = readings[-1]
    found = {one.status for one in readings}
    status = next((status for status in _WORST_FIRST if status in found), UsageStatus.OK)
    return replace(
        newest,
        usage=sum((one.usage for one in readings), Usage()),
        passes=tuple(UsagePass(one.usage, one.model) for one in readings),
        requests=len(readings),
        status=status,
        reason="; ".join(dict.fromkeys(one.reason for one in readings if one.reason)),
        reported_nanousd=None,  # the bill of one is none of all
        raw=None if status is UsageStatus.OK else {"answers": [one.raw for one in readings]},
    )
