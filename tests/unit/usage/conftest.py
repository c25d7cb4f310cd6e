from __future__ import annotations

from datetime import UTC, datetime

import pytest

from hivecost.clock import to_ns
from hivecost.pricing import PriceBook

NOW_NS = to_ns(datetime(2026, 11, 19, 20, tzinfo=UTC))


class FixedClock:
    """A Thursday evening in November 2026, for ever."""

    def now_ns(self) -> int:
        return NOW_NS

    def monotonic_s(self) -> float:
        return 0.0

    async def sleep(self, seconds: float) -> None:
        raise AssertionError("pricing never waits")


@pytest.fixture(scope="session")
def clock() -> FixedClock:
    return FixedClock()


@pytest.fixture(scope="session")
def book(clock) -> PriceBook:
    return PriceBook(clock=clock)
