"""Time that stands still until a test moves it."""

from __future__ import annotations

import heapq
import itertools
import math
from datetime import UTC, datetime
from typing import Final

import anyio
import anyio.lowlevel

from hivecost.clock import to_ns

_START: Final = datetime(2026, 1, 1, tzinfo=UTC)


class FakeClock:
    """A `hivecost.clock.Clock` that a test owns: nothing passes but what `advance` says.

    Sleepers wake in the order of their deadlines, on asyncio and on trio alike: each runs to its next `await`
    before the next one wakes. Time jumps: whoever wakes reads the time that `advance` went to.

    `sleep`, `advance` and `wait_for_sleepers` belong to one event loop; `now_ns` and `monotonic_s` may be read from
    any thread.
    """

    def __init__(self, start: datetime = _START) -> None:
        self._start_ns = to_ns(start)
        self._elapsed_ns = 0
        self._sleepers: list[tuple[float, int, anyio.Event]] = []
        self._order = itertools.count()
        self._changed: anyio.Event | None = None

    def now_ns(self) -> int:
        """Return nanoseconds since 1970-01-01 UTC."""
        return self._start_ns + self._elapsed_ns

    def monotonic_s(self) -> float:
        """Return seconds since the clock was made."""
        return self._elapsed_ns / 10**9

    @property
    def sleepers(self) -> int:
        """How many tasks sleep just now."""
        return len(self._sleepers)

    def advance(self, seconds: float) -> None:
        """Move time on and wake, in the order of their deadlines, those whose time has come.

        They run at the caller's next `await`. Raise ValueError for a negative step.
        """
        if seconds < 0:
            raise ValueError(f"time cannot go back: advance({seconds})")
        self._elapsed_ns += round(seconds * 10**9)
        self._wake_next()

    async def sleep(self, seconds: float) -> None:
        """Return once time has been advanced by `seconds`; at once for zero and less."""
        if seconds <= 0:
            await anyio.lowlevel.checkpoint()
            return
        delay_ns = seconds if math.isinf(seconds) else round(seconds * 10**9)
        sleeper = (self._elapsed_ns + delay_ns, next(self._order), anyio.Event())
        heapq.heappush(self._sleepers, sleeper)
        self._announce()
        try:
            await sleeper[2].wait()
        finally:
            self._sleepers.remove(sleeper)
            heapq.heapify(self._sleepers)
            self._wake_next()

    async def wait_for_sleepers(self, count: int = 1) -> None:
        """Return when at least `count` tasks sleep, so that a test need not guess when to advance."""
        while len(self._sleepers) < count:
            self._changed = self._changed or anyio.Event()
            await self._changed.wait()

    def _wake_next(self) -> None:
        # Only the earliest is woken; leaving sleep(), it wakes the next. Trio would run them in any order otherwise.
        if self._sleepers and self._sleepers[0][0] <= self._elapsed_ns:
            self._sleepers[0][2].set()

    def _announce(self) -> None:
        if self._changed is not None:
            self._changed.set()
            self._changed = None
