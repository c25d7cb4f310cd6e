"""So many tokens in so many seconds: take an estimate, and correct it when the bill is known."""

from __future__ import annotations

from math import inf
from types import TracebackType

import msgspec

from hivecost.clock import SYSTEM_CLOCK, Clock
from hivecost.rate_limits.fifo import FifoLine
from hivecost.rate_limits.gcra import Gcra, Take
from hivecost.rate_limits.sliding_window import Grants, SlidingWindow
from hivecost.rate_limits.validation import require_count, require_seconds

#: The clock ticks in nanoseconds; a float that is later by less is the same instant.
_HALF_NANOSECOND_S = 5e-10


class PacerStatistics(msgspec.Struct, frozen=True, kw_only=True):
    """What a pacer did so far."""

    #: What the last window held at the last look, of `limit`; more when bills were higher than their estimates.
    level: int
    limit: int
    #: How many are granted at once.
    burst: int
    #: Turns that are under way.
    open_permits: int
    waiting: int
    #: Tokens as estimated or, once known, as billed.
    granted_total: int
    #: How many acquires had to wait, and for how long together.
    waits: int
    waited_s: float
    penalties: int


class Permit:
    """Leave to send one turn. Sync, so that leaving it is safe inside any cancellation.

        with await pacer.acquire(2_000) as permit:
            response = await send()
            permit.correct(response.usage.total_tokens)

    Left without a correction, the estimate stands.
    """

    __slots__ = ("_pacer", "_taken", "waited_s")

    def __init__(self, pacer: TokenPacer, taken: _Taken, waited_s: float) -> None:
        self._pacer = pacer
        self._taken = taken
        #: How long the turn had to wait for it.
        self.waited_s = waited_s

    def correct(self, actual: int) -> bool:
        """End the turn, which took `actual` tokens, 0 if it was never sent; return False if it had ended before.

        Raise ConfigError for a count that is no integer from zero.
        """
        if actual != 0:
            require_count("actual", actual)
        return self._pacer._close(self._taken, actual)  # noqa: SLF001  # a permit is a part of its pacer

    def __enter__(self) -> Permit:
        return self

    def __exit__(
        self, kind: type[BaseException] | None, error: BaseException | None, traceback: TracebackType | None
    ) -> None:
        self.correct(self._taken.amount)


class TokenPacer:
    """At most `tokens_per_window` in any `window_seconds`, wherever that is laid, first come, first served.

    A turn counts when it is granted, with its estimate, and with what it is corrected to from then on. One that is
    estimated above the limit goes alone, when the window is empty. `burst_tokens`, if given, spreads turns over the
    window: so many at once, and then as evenly as the limit allows. `max_concurrent` caps the turns under way.
    Waiters that are cancelled have taken nothing; a heavy turn is not overtaken by light ones. For one event loop.

    Raises ConfigError for limits that are not above zero.
    """

    def __init__(
        self,
        tokens_per_window: int,
        window_seconds: float,
        *,
        burst_tokens: int | None = None,
        max_concurrent: int | None = None,
        clock: Clock = SYSTEM_CLOCK,
    ) -> None:
        require_count("tokens_per_window", tokens_per_window)
        require_seconds("window_seconds", window_seconds)
        self._window = SlidingWindow(tokens_per_window, window_seconds, is_corrected=True)
        self._bucket: Gcra | None = None
        if burst_tokens is not None:
            self._bucket = Gcra(tokens_per_window, window_seconds, require_count("burst_tokens", burst_tokens))
        self._open_permits = 0
        self._max_concurrent = inf if max_concurrent is None else require_count("max_concurrent", max_concurrent)
        self._now_s = clock.monotonic_s
        self._line = FifoLine(clock)
        self._penalty_until_s = -inf
        self._granted_total = self._waits = self._penalties = 0
        self._waited_s = 0.0

    async def acquire(self, estimate: int) -> Permit:
        """Wait until `estimate` tokens may be sent, and count them. Raise ConfigError unless it is above zero."""
        require_count("estimate", estimate)
        taken = _Taken(estimate)
        if not self._line.waiting and self._try_take(taken):
            return Permit(self, taken, 0.0)
        waited_s = await self._line.pass_through(lambda: self._try_take(taken), lambda: self._ready_at_s(estimate))
        self._waits += 1
        self._waited_s += waited_s
        return Permit(self, taken, waited_s)

    def penalize(self, retry_after_s: float) -> None:
        """Grant nothing for so long, because the provider refused (429).

        Raise ConfigError unless `retry_after_s` is finite and from zero.
        """
        require_seconds("retry_after_s", retry_after_s, zero=True)
        self._penalties += 1
        self._penalty_until_s = max(self._penalty_until_s, self._now_s() + retry_after_s)

    def statistics(self) -> PacerStatistics:
        """Return the counts so far."""
        return PacerStatistics(
            level=self._window.granted,
            limit=self._window.limit,
            burst=self._window.limit if self._bucket is None else self._bucket.burst,
            open_permits=self._open_permits,
            waiting=self._line.waiting,
            granted_total=self._granted_total,
            waits=self._waits,
            waited_s=self._waited_s,
            penalties=self._penalties,
        )

    def _ready_at_s(self, amount: int) -> float:
        if self._open_permits >= self._max_concurrent:
            return inf
        evenly_s = -inf if self._bucket is None else self._bucket.ready_at_s(amount)
        return max(self._window.ready_at_s(amount), evenly_s, self._penalty_until_s)

    def _try_take(self, taken: _Taken) -> bool:
        now_s, amount, bucket, window = self._now_s(), taken.amount, self._bucket, self._window
        if self._open_permits >= self._max_concurrent:
            return False
        evenly_s = -inf if bucket is None else bucket.ready_at_s(amount)
        if max(evenly_s, self._penalty_until_s) > now_s + _HALF_NANOSECOND_S:
            return False
        if not (window.try_take if amount <= window.limit else window.try_take_alone)(now_s, amount):
            return False
        taken.grants, taken.take = window.newest, None if bucket is None else bucket.take(now_s, amount)
        self._open_permits += 1
        self._granted_total += amount
        return True

    def _close(self, taken: _Taken, actual: int) -> bool:
        if taken.grants is None:
            return False
        self._window.correct(taken.grants, actual - taken.amount)
        if self._bucket is not None and taken.take is not None:
            self._bucket.correct(taken.take, actual)
        taken.grants = taken.take = None
        self._open_permits -= 1
        self._granted_total += actual - taken.amount
        self._line.look_again()
        return True


class _Taken:
    """What one turn took, until it is over."""

    __slots__ = ("amount", "grants", "take")

    def __init__(self, amount: int) -> None:
        self.amount = amount
        #: Where it stands in the window; None before it is granted and after the turn.
        self.grants: Grants | None = None
        self.take: Take | None = None
