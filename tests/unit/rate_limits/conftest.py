"""A clock that the tests own, and the oracle for all limiters: what any window holds."""

from __future__ import annotations

import heapq
import itertools
from collections.abc import Callable, Sequence

import anyio
import anyio.lowlevel
import pytest


class StepClock:
    """Time jumps from one sleeper's deadline to the next, so that each waiter sees the instant it asked for."""

    def __init__(self) -> None:
        self.now_s = 0.0
        self._sleepers: list[tuple[float, int, anyio.Event]] = []
        self._order = itertools.count()

    def now_ns(self) -> int:
        return round(self.now_s * 1e9)

    def monotonic_s(self) -> float:
        return self.now_s

    async def sleep(self, seconds: float) -> None:
        woken = anyio.Event()
        heapq.heappush(self._sleepers, (self.now_s + seconds, next(self._order), woken))
        await woken.wait()

    async def settle(self) -> None:
        """Let every task run until it waits; each round runs all that can, and no test has longer chains."""
        for _ in range(60):
            await anyio.lowlevel.checkpoint()

    async def advance_to(self, until_s: float) -> None:
        """Wake all whose time comes up to `until_s`, one after the other."""
        await self.settle()
        while self._sleepers and self._sleepers[0][0] <= until_s:
            self.now_s, _, woken = heapq.heappop(self._sleepers)
            woken.set()
            await self.settle()
        self.now_s = max(self.now_s, until_s)


def _most_in_any_window(grants: Sequence[tuple[float, int]], window_s: float) -> int:
    return max(
        (sum(n for at, n in grants if start <= at < start + window_s - 1e-9) for start, _ in grants),
        default=0,
    )


@pytest.fixture
def clock() -> StepClock:
    return StepClock()


@pytest.fixture(scope="session")
def new_clock() -> Callable[[], StepClock]:
    return StepClock


@pytest.fixture(scope="session")
def most_in_any_window() -> Callable[[Sequence[tuple[float, int]], float], int]:
    """The most that any window of this length holds; a window that holds the most begins at a grant."""
    return _most_in_any_window
