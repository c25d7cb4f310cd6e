"""One at a time, for whoever was told to slow down."""

from __future__ import annotations

from collections import OrderedDict
from collections.abc import Hashable
from typing import Final

from hivecost.clock import SYSTEM_CLOCK, Clock
from hivecost.rate_limits.limiter import RateLimiter

#: Keys that are throttled at once; the one that was idle longest gives way.
KEYS_MAX: Final = 10_000


class Throttle:
    """Lets one pass per interval for each key, first come, first served; a waiter that is cancelled gives way.

    waited_s = await throttle.acquire("customer-7", 1.0)

    The first of a key passes at once. For one event loop, asyncio or trio.
    """

    def __init__(self, *, clock: Clock = SYSTEM_CLOCK) -> None:
        self._clock = clock
        self._lanes: OrderedDict[Hashable, RateLimiter] = OrderedDict()

    async def acquire(self, key: Hashable, interval_s: float) -> float:
        """Wait until one may pass again; gives the seconds it waited. Raises ConfigError unless `interval_s` > 0."""
        lane = self._lanes.get(key)
        if lane is None or lane.window_seconds != interval_s:
            lane = self._lanes[key] = RateLimiter(1, interval_s, clock=self._clock)
            if len(self._lanes) > KEYS_MAX:
                self._lanes.popitem(last=False)
        self._lanes.move_to_end(key)
        return await lane.acquire()
