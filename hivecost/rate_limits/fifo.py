"""Waiting in line: one waits for the clock, the others wait for their turn, and whoever leaves has taken nothing."""

from __future__ import annotations

from collections.abc import Callable
from math import inf

import anyio

from hivecost.clock import Clock


class FifoLine:
    """First come, first served; works on asyncio and trio, in one event loop.

    The line is an anyio.Lock, which is fair. Only the head of the line sleeps, looks again when it wakes, and takes
    when there is room: a waiter that is cancelled has not taken anything yet, so its place falls to the next.
    """

    def __init__(self, clock: Clock) -> None:
        self._clock = clock
        self._line = anyio.Lock()
        self._nap: anyio.CancelScope | None = None
        self.waiting = 0

    async def pass_through(self, try_take: Callable[[], bool], ready_at_s: Callable[[], float]) -> float:
        """Return the seconds it took until `try_take` succeeded.

        `ready_at_s` says when to look again; infinity: not before `look_again`.
        """
        started_s = self._clock.monotonic_s()
        self.waiting += 1
        try:
            async with self._line:
                while not try_take():
                    await self._nap_until(ready_at_s())
        finally:
            self.waiting -= 1
        return self._clock.monotonic_s() - started_s

    def look_again(self) -> None:
        """Wake the head of the line, because there may be room earlier than it seemed."""
        if self._nap is not None:
            self._nap.cancel()

    async def _nap_until(self, ready_at_s: float) -> None:
        with anyio.CancelScope() as nap:
            self._nap = nap
            try:
                if ready_at_s == inf:
                    await anyio.sleep_forever()
                await self._clock.sleep(ready_at_s - self._clock.monotonic_s())
            finally:
                self._nap = None
