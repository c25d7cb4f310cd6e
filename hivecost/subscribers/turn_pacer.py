"""Paces turns before they are sent: calls and tokens per window, and how many are under way; or slows some down."""

from __future__ import annotations

from collections import OrderedDict
from collections.abc import AsyncIterator, Callable, Hashable, Sequence
from contextlib import AsyncExitStack, asynccontextmanager, suppress
from typing import Final

import anyio

from hivecost.attribution import attribution_fields
from hivecost.clock import Clock
from hivecost.errors import BusClosedError, ConfigError
from hivecost.events import Event, RateLimited
from hivecost.gate_contract import TurnEnd, TurnOutcome, TurnRequest
from hivecost.ledger import attributes_of
from hivecost.plugin import PluginHost
from hivecost.rate_limits import Permit, RateLimiter, Throttle, TokenPacer

#: Scopes that are paced at once; the one that was idle longest gives way.
SCOPES_MAX: Final = 10_000


class TurnPacer:
    """At most `max_calls` turns and `max_tokens` tokens in any `window_seconds`, and `max_concurrent` at once.

    TurnPacer(60, 60.0, per=["user", "model"]) holds for each value of `per` on its own, for all turns without it.
    Turns wait at the gate, first come, first served; each that had to publishes RATE_LIMITED. Tokens are taken as
    estimated from the request, and corrected by the bill. A provider's `Retry-After` holds up the whole scope.
    Raises ConfigError for limits that cannot be, and when there is none.
    """

    def __init__(
        self,
        max_calls: int | None = None,
        window_seconds: float = 60.0,
        *,
        max_tokens: int | None = None,
        max_concurrent: int | None = None,
        per: str | Sequence[str] = (),
        name: str = "turn-pacer",
    ) -> None:
        self.name = name
        self._limits = (max_calls, window_seconds, max_tokens, max_concurrent)
        self._per = (per,) if isinstance(per, str) else tuple(per)
        if not all(isinstance(attribute, str) and attribute for attribute in self._per):
            raise ConfigError(f"{name}.per", "names of attributes, such as 'model'", got=per)
        if max_calls is None and max_tokens is None and max_concurrent is None:
            raise ConfigError(name, "at least one of max_calls, max_tokens and max_concurrent")
        if max_concurrent is not None and (type(max_concurrent) is not int or max_concurrent < 1):
            raise ConfigError(f"{name}.max_concurrent", "a whole number, 1 or more", got=max_concurrent)
        self._check_limits()
        self._lanes: OrderedDict[tuple[str, ...], _Lane] = OrderedDict()

    def _check_limits(self) -> None:
        """Raise ConfigError for an impossible limit here, not at the first turn."""
        max_calls, window_seconds, max_tokens, _ = self._limits
        if max_calls is not None or max_tokens is None:
            RateLimiter(1 if max_calls is None else max_calls, window_seconds)
        if max_tokens is not None:
            TokenPacer(max_tokens, window_seconds)

    @asynccontextmanager
    async def attached(self, host: PluginHost) -> AsyncIterator[None]:
        """Pace the runtime's turns at the gate while it runs."""

        async def check(request: TurnRequest) -> TurnEnd | None:
            if request.is_charge:  # no call of a model
                return None
            lane = self._lane(host.clock, request)
            pass_ = await lane.enter(request)
            if pass_.waited_s > 0:
                _tell(host.bus.publish_nowait, host.clock, request, self.name, pass_.waited_s)
            return pass_.end

        remove = host.add_gate_check(check)
        try:
            yield
        finally:
            remove()

    def _lane(self, clock: Clock, request: TurnRequest) -> _Lane:
        attributes = attributes_of(request)
        scope = tuple(attributes.get(name, "") for name in self._per)
        lane = self._lanes.get(scope)
        if lane is None:
            lane = self._lanes[scope] = _Lane(*self._limits, clock)
            if len(self._lanes) > SCOPES_MAX:
                self._lanes.popitem(last=False)
        else:
            self._lanes.move_to_end(scope)
        return lane


class TurnThrottle:
    """Lets one turn per interval pass for each key, first come, first served; each that waited publishes RATE_LIMITED.

    A turn that is cancelled while it waits gives way to the next.
    """

    def __init__(self, clock: Clock, publish: Callable[[Event], None]) -> None:
        self._clock = clock
        self._publish = publish
        self._throttle = Throttle(clock=clock)

    async def wait(self, request: TurnRequest, key: Hashable, interval_s: float, *, limiter: str) -> None:
        """Return when the turn may go on; `limiter` is who holds it up."""
        waited_s = await self._throttle.acquire((limiter, key), interval_s)
        if waited_s > 0:
            _tell(self._publish, self._clock, request, limiter, waited_s)


def _tell(publish: Callable[[Event], None], clock: Clock, request: TurnRequest, limiter: str, waited_s: float) -> None:
    waited = RateLimited(
        timestamp_ns=clock.now_ns(),
        **attribution_fields(request),
        limiter=limiter,
        waited_ms=round(1_000 * waited_s),
    )
    with suppress(BusClosedError):  # the runtime is closing; the turn itself is refused elsewhere
        publish(waited)


class _Lane:
    """One scope: its limiters, passed one after the other, and the provider's own brake."""

    def __init__(
        self, max_calls: int | None, window_s: float, max_tokens: int | None, max_concurrent: int | None, clock: Clock
    ) -> None:
        self._calls = None if max_calls is None else RateLimiter(max_calls, window_s, clock=clock)
        self._tokens = None if max_tokens is None else TokenPacer(max_tokens, window_s, clock=clock)
        self._under_way = None if max_concurrent is None else anyio.Semaphore(max_concurrent)
        self._clock = clock
        self._closed_until_s = 0.0

    async def enter(self, request: TurnRequest) -> _Pass:
        """Wait in line; a waiter that is cancelled gives back what it has."""
        waited_s = 0.0
        async with AsyncExitStack() as taken:
            if self._under_way is not None:
                waited_s += await self._wait_for_place()
                taken.callback(self._under_way.release)
            while (closed_s := self._closed_until_s - self._clock.monotonic_s()) > 0:
                await self._clock.sleep(closed_s)
                waited_s += closed_s
            if self._calls is not None:
                waited_s += await self._calls.acquire()
            permit = None
            if self._tokens is not None:
                permit = await self._tokens.acquire(max(1, request.input_tokens + request.max_tokens))
                waited_s += permit.waited_s
            taken.pop_all()
        return _Pass(self, permit, waited_s)

    async def _wait_for_place(self) -> float:
        assert self._under_way is not None  # noqa: S101  # asked by enter()
        try:
            self._under_way.acquire_nowait()
        except anyio.WouldBlock:
            started_s = self._clock.monotonic_s()
            await self._under_way.acquire()
            return self._clock.monotonic_s() - started_s
        return 0.0

    def leave(self, permit: Permit | None, outcome: TurnOutcome) -> None:
        if self._under_way is not None:
            self._under_way.release()
        if permit is not None and outcome.total_tokens is not None:
            permit.correct(outcome.total_tokens)
        elif permit is not None:
            permit.__exit__(None, None, None)  # nobody knows: the estimate stands
        if outcome.retry_after_s is not None:
            self._closed_until_s = max(self._closed_until_s, self._clock.monotonic_s() + outcome.retry_after_s)


class _Pass:
    """A turn's leave to be sent, until its end."""

    def __init__(self, lane: _Lane, permit: Permit | None, waited_s: float) -> None:
        self.waited_s = waited_s
        self._lane = lane
        self._permit = permit

    def end(self, outcome: TurnOutcome) -> None:
        self._lane.leave(self._permit, outcome)
