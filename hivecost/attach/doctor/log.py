"""Where the log is, and which calls in it have no price."""

from __future__ import annotations

from collections.abc import Sequence

import anyio.to_thread

from hivecost.attach.doctor.check import Environment, Finding
from hivecost.backends import open_log
from hivecost.backends.places import Place
from hivecost.log import SumRow


async def check_log(environment: Environment) -> Sequence[Finding]:
    """Return whether the log can be read, and how much of it is unpriced."""
    rows = await anyio.to_thread.run_sync(_sums_by_model, environment.place)
    calls = sum(row.llm_calls for row in rows)
    place = Finding("ok", "data", f"{environment.place}: {calls:,} calls")
    unpriced = [row for row in rows if row.unpriced_calls]
    if not unpriced:
        return [place]
    total = sum(row.unpriced_calls for row in unpriced)
    names = ", ".join(sorted(row.group[0] for row in unpriced))
    text = f"{total:,} calls of {len(unpriced):,} models have no price: {names} (docs/prices.md)"
    return [place, Finding("warn", "prices", text)]


def _sums_by_model(place: Place) -> list[SumRow]:
    with open_log(place).snapshot() as log:
        return list(log.sums(("model",)))
