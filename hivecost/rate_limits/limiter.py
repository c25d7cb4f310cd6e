"""So many calls in so many seconds, of all or of each key."""

from __future__ import annotations

import logging
from collections import OrderedDict
from collections.abc import Hashable
from types import TracebackType
from typing import Final

import msgspec

from hivecost.clock import SYSTEM_CLOCK, Clock
from hivecost.handling import current_handler
from hivecost.rate_limits.fifo import FifoLine
from hivecost.rate_limits.sliding_window import SlidingWindow
from hivecost.rate_limits.validation import require_count, require_seconds

#: A handler of the bus that waits longer than this may be meant to slow agents, which it cannot.
HANDLER_WAIT_S: Final = 1.0

#: Keys that are throttled at once; the one that was idle longest gives way.
KEYS_MAX: Final = 10_000

_log = logging.getLogger("hivecost.rate_limits")


class LimiterStatistics(msgspec.Struct, frozen=True, kw_only=True):
    """What a limiter did so far."""

    #: What the last window held at the last look, of `limit`.
    in_window: int
    limit: int
    #: All that was ever acquired.
    granted_total: int
    #: How many acquires had to wait, and for how long together.
    waits: int
    waited_s: float
    #: In line just now.
    waiting: int


class RateLimiter:
    """Never more than `max_calls` in any `window_seconds`, first come, first served.

        limiter = RateLimiter(60, 60.0)
        await limiter.acquire()         # or: async with limiter: ...

    A waiter that is cancelled gives its place to the next. For one event loop, asyncio or trio. In a handler of the
    bus it slows that handler only: agents are paced by a `TurnPacer`, before their turns are sent.
    Raises ConfigError for a limit that is not above zero.
    """

    def __init__(self, max_calls: int, window_seconds: float, *, clock: Clock = SYSTEM_CLOCK) -> None:
        require_count("max_calls", max_calls)
        self._window = SlidingWindow(max_calls, require_seconds("window_seconds", window_seconds))
        # Bound once: an acquire that need not wait is little more than these two calls.
        self._try_take = self._window.try_take
        self._now_s = clock.monotonic_s
        self._line = FifoLine(clock)
        self._waits = 0
        self._waited_s = 0.0
        self._has_warned = False

    @property
    def max_calls(self) -> int:
        """How many calls pass in any window."""
        return self._window.limit

    @property
    def window_seconds(self) -> float:
        """How long a window is."""
        return self._window.window_s

    async def acquire(self, amount: int = 1) -> float:
        """Wait until `amount` calls may be made, and count them as made; gives the seconds it waited.

        Raise ConfigError for an amount that is not above zero, or above `max_calls`: it could never be granted.
        """
        if amount != 1:
            require_count("amount", amount, at_most=self._window.limit)
        if not self._line.waiting and self._try_take(self._now_s(), amount):
            return 0.0
        self._warn_in_handler(self._window.ready_at_s(amount) - self._now_s())
        waited_s = await self._line.pass_through(
            lambda: self._try_take(self._now_s(), amount), lambda: self._window.ready_at_s(amount)
        )
        self._warn_in_handler(waited_s)
        self._waits += 1
        self._waited_s += waited_s
        return waited_s

    def _warn_in_handler(self, wait_s: float) -> None:
        """Say once that a long wait in a handler of the bus paces nobody but that handler."""
        handler = "" if wait_s <= HANDLER_WAIT_S or self._has_warned else current_handler()
        if handler:
            self._has_warned = True
            _log.warning(
                "handler %s waits for its RateLimiter for %.0f s or more: a handler slows no agent, it only falls "
                "behind until its queue drops events; to pace agents: runtime.register_plugin(TurnPacer(%d, %g))",
                handler,
                wait_s,
                self.max_calls,
                self.window_seconds,
            )

    async def __aenter__(self) -> None:
        await self.acquire()

    async def __aexit__(
        self, kind: type[BaseException] | None, error: BaseException | None, traceback: TracebackType | None
    ) -> None:
        return None

    def statistics(self) -> LimiterStatistics:
        """Return the counts so far."""
        return LimiterStatistics(
            in_window=self._window.granted,
            limit=self._window.limit,
            granted_total=self._window.granted_total,
            waits=self._waits,
            waited_s=self._waited_s,
            waiting=self._line.waiting,
        )


class Throttle:
    """Lets one pass per interval for each key, first come, first served; a waiter that is cancelled gives way.

        waited_s = await throttle.acquire("customer-7", 1.0)

    The first of a key passes at once. For one event loop, asyncio or trio.
    """

    def __init__(self, *, clock: Clock = SYSTEM_CLOCK) -> None:
        self._clock = clock
        self._lanes: OrderedDict[Hashable, RateLimiter] = OrderedDict()

    async def acquire(self, key: Hashable, interval_s: float) -> float:
        """Wait until one may pass again; gives the seconds it waited. Raise ConfigError unless `interval_s` > 0."""
        lane = self._lanes.get(key)
        if lane is None or lane.window_seconds != interval_s:
            lane = self._lanes[key] = RateLimiter(1, interval_s, clock=self._clock)
            if len(self._lanes) > KEYS_MAX:
                self._lanes.popitem(last=False)
        self._lanes.move_to_end(key)
        return await lane.acquire()
