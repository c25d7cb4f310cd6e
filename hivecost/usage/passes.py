"""The runs that one answer's bill adds up: passes of one call, and calls that a framework summed."""

from __future__ import annotations

from collections.abc import Mapping
from typing import Any, Final

from msgspec.structs import astuple, replace

from hivecost.errors import UsageInvalidError
from hivecost.events import Usage
from hivecost.usage.reading import UsagePass, UsageReading
from hivecost.usage.views import items, text, view

#: https://platform.claude.com/docs/en/build-with-claude/compaction, read 2026-11: each pass is billed, and the counts
#: around them are those of the messages alone. An advisor answers with a model of its own.
ITERATIONS: Final = "iterations"
#: openai-agents keeps each request of a run beside their sum.
ENTRIES: Final = "request_usage_entries"
#: No answer is made in more runs.
_RUNS_MAX: Final = 1_000


def runs_in(usage: Mapping[str, Any], key: str) -> list[Mapping[str, Any]]:
    """The usage of every run that is listed."""
    return [view(run) for run in items(usage.get(key))[:_RUNS_MAX] if view(run)]


def model_of(run: Mapping[str, Any]) -> str:
    """The model of a pass where it has one of its own."""
    return text(run.get("model"))


def split(usage: Usage, requests: int) -> tuple[UsagePass, ...]:
    """A sum over `requests` requests as so many equal ones, to a token: a step that one is below, its part is below."""
    if requests > _RUNS_MAX:
        return ()
    shares = [divmod(count, requests) for count in astuple(usage)]
    try:
        return tuple(
            UsagePass(Usage(*(share + (number < rest) for share, rest in shares))) for number in range(requests)
        )
    except UsageInvalidError:  # two parts of one whole may both be rounded up
        return ()


def each_request(reading: UsageReading) -> list[UsageReading]:
    """The requests that a framework summed up, each with an id of its own; of an ordinary answer, itself."""
    if reading.requests == 1 or not reading.passes:
        return [reading]
    return [
        replace(reading, usage=run.usage, passes=(), requests=1, answer_id=f"{reading.answer_id}#{number}")
        for number, run in enumerate(reading.passes, 1)
    ]
