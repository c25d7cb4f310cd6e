"""So many tokens in so many seconds: take an estimate, and correct it when the bill is known."""

from __future__ import annotations

from math import inf
from types import TracebackType

import msgspec

from hivecost.clock import SYSTEM_CLOCK, Clock
from hivecost.rate_limits.checks import require_count, require_seconds
from hivecost.rate_limits.gcra import Gcra, Take
from hivecost.rate_limits.turnstile import Turnstile

#: The clock ticks in nanoseconds; a float that is later by less is the same instant.
_HALF_NANOSECOND_S = 5e-10


class PacerStatistics(msgspec.Struct, frozen=True, kw_only=True):
    """What a pacer did so far."""

    #: Tokens that have not drained yet; above `burst` when bills were higher than their estimates.
    level: int
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

    __slots__ = ("_pacer", "_take", "waited_s")

    def __init__(self, pacer: TokenPacer, take: Take, waited_s: float) -> None:
        self._pacer = pacer
        self._take = take
        #: How long the turn had to wait for it.
        self.waited_s = waited_s

    def correct(self, actual: int) -> bool:
        """The turn is over and took `actual` tokens, 0 if it was never sent; False if it was over before.

        Raises ConfigError for a count that is no integer from zero.
        """
        if actual != 0:
            require_count("actual", actual)
        return self._pacer._close(self._take, actual)  # noqa: SLF001  # a permit is a part of its pacer

    def __enter__(self) -> Permit:
        return self

    def __exit__(
        self, kind: type[BaseException] | None, error: BaseException | None, traceback: TracebackType | None
    ) -> None:
        self.correct(self._take.amount)


class TokenPacer:
    """At most `tokens_per_window` in the long run and `burst_tokens` at once, first come, first served.

    A bucket that drains evenly, as providers meter tokens per minute: any window holds at most a burst more than the
    limit. More than the burst at once is granted when the bucket is empty. `max_concurrent` caps the turns under way.
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
        burst = tokens_per_window if burst_tokens is None else require_count("burst_tokens", burst_tokens)
        self._bucket = Gcra(tokens_per_window, window_seconds, burst)
        self._max_concurrent = inf if max_concurrent is None else require_count("max_concurrent", max_concurrent)
        self._now_s = clock.monotonic_s
        self._turnstile = Turnstile(clock)
        self._penalty_until_s = -inf
        self._granted_total = self._waits = self._penalties = 0
        self._waited_s = 0.0

    async def acquire(self, estimate: int) -> Permit:
        """Wait until `estimate` tokens may be sent, and count them. Raises ConfigError unless it is above zero."""
        require_count("estimate", estimate)
        take = None if self._turnstile.waiting else self._try_take(estimate)
        if take is not None:
            return Permit(self, take, 0.0)
        taken: list[Take] = []

        def try_take() -> bool:
            taken.extend(filter(None, [self._try_take(estimate)]))
            return bool(taken)

        waited_s = await self._turnstile.pass_through(try_take, lambda: self._ready_at_s(estimate))
        self._waits += 1
        self._waited_s += waited_s
        return Permit(self, taken[0], waited_s)

    def penalize(self, retry_after_s: float) -> None:
        """The provider refused (429): grant nothing for so long. Raises ConfigError unless finite and from zero."""
        require_seconds("retry_after_s", retry_after_s, zero=True)
        self._penalties += 1
        self._penalty_until_s = max(self._penalty_until_s, self._now_s() + retry_after_s)

    def statistics(self) -> PacerStatistics:
        """What it did so far."""
        return PacerStatistics(
            level=self._bucket.level(self._now_s()),
            burst=self._bucket.burst,
            open_permits=self._bucket.open_takes,
            waiting=self._turnstile.waiting,
            granted_total=self._granted_total,
            waits=self._waits,
            waited_s=self._waited_s,
            penalties=self._penalties,
        )

    def _ready_at_s(self, amount: int) -> float:
        if self._bucket.open_takes >= self._max_concurrent:
            return inf
        return max(self._bucket.ready_at_s(amount), self._penalty_until_s)

    def _try_take(self, amount: int) -> Take | None:
        now_s = self._now_s()
        if self._ready_at_s(amount) > now_s + _HALF_NANOSECOND_S:
            return None
        self._granted_total += amount
        return self._bucket.take(now_s, amount)

    def _close(self, take: Take, actual: int) -> bool:
        if not self._bucket.correct(take, actual):
            return False
        self._granted_total += actual - take.amount
        self._turnstile.look_again()
        return True
