"""`reprice_log`: turns at later rates, and those that it cannot see."""

from __future__ import annotations

import pytest

import hivecost as hc
from hivecost.backends import open_backend
from hivecost.log.periods import QUARTER_HOUR_NS
from hivecost.reports import reprice_log

pytestmark = pytest.mark.anyio

BOOK = hc.PriceBook({"m": {"input": 1, "output": 2}, "n": {"input": 1, "output": 2}})
GONE = "they were pruned from the log"


@pytest.fixture
def anyio_backend():
    return "asyncio"


async def gone(place, **asked) -> int:
    report = await reprice_log(place, BOOK, dry_run=True, **asked)
    return report.kept.get(GONE, 0)


@pytest.mark.parametrize("make_place", [str, "memory://{}".format], ids=["folder", "memory"])
async def test_pruned_turns_are_counted_by_time_and_model(tmp_path, make_place):
    """So that it can say how many it cannot see."""
    place = make_place(tmp_path)
    turns = [
        hc.LLMTurnComplete(timestamp_ns=number // 3 * QUARTER_HOUR_NS + 7, model=model, usage=hc.Usage(3, 1))
        for number in range(12)
        for model in ("m", "n")[: 2 if number % 3 == 0 else 1]
    ]
    async with open_backend(place).writer() as writer:
        await writer.write(turns)
        assert await gone(place) == 0
        await writer.prune(3 * QUARTER_HOUR_NS)
    assert await gone(place) == 12
    assert await gone(place, model="n") == 3
    assert await gone(place, since="1970-01-01T00:30+00:00", until="1970-01-01T01:30+00:00") == 4
