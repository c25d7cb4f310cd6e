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
#: Groq's systems answer with several models, each at its own rates: https://console.groq.com/docs/compound.
BREAKDOWN: Final = "usage_breakdown"
#: Claude Code tells what each model used in a session, as sums over its calls.
BY_MODEL: Final = "modelUsage"
#: Vercel's AI SDK keeps each step of a result, and its request, beside their sum.
STEPS: Final = "steps"
#: Where an answer lists its runs beside its usage.
AROUND: Final = frozenset({BREAKDOWN, BY_MODEL, STEPS})
#: No answer is made in more runs.
_RUNS_MAX: Final = 1_000


def runs_in(usage: Mapping[str, Any], key: str) -> list[Mapping[str, Any]]:
    """Return the usage of every run that is listed."""
    return [view(run) for run in items(usage.get(key))[:_RUNS_MAX] if view(run)]


def runs_around(response: Mapping[str, Any], key: str) -> list[tuple[Mapping[str, Any], str]]:
    """Return the usage of every run that is listed beside the sum, and its model."""
    part = response.get(key)
    if key == BY_MODEL:
        return [(view(used), text(model)) for model, used in list(view(part).items())[:_RUNS_MAX] if view(used)]
    runs = [view(run) for run in items(view(part).get("models") if key == BREAKDOWN else part)[:_RUNS_MAX]]
    return [
        (usage, model_of(run) or text(view(run.get("response")).get("modelId")))
        for run in runs
        if (usage := view(run.get("usage")))
    ]


def model_of(run: Mapping[str, Any]) -> str:
    """Return the model of a pass where it has one of its own."""
    return text(run.get("model"))


def split(usage: Usage, requests: int) -> tuple[UsagePass, ...]:
    """Split a sum over `requests` requests into so many equal ones, to a token.

    Where the sum is below a step of the price, each part is, too.
    """
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
    """Return the requests that a framework summed up, each with an id of its own; of an ordinary answer, itself."""
    if reading.requests == 1 or not reading.passes or reading.reported_nanousd is not None:
        return [reading]  # one bill is not told apart
    return [
        replace(
            reading,
            usage=run.usage,
            model=run.model or reading.model,
            passes=(),
            requests=1,
            answer_id=f"{reading.answer_id}#{number}",
        )
        for number, run in enumerate(reading.passes, 1)
    ]
