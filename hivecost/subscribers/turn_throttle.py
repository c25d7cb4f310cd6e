"""Slows down the turns of an account, or of an execution, and says so."""

from __future__ import annotations

from collections.abc import Callable, Hashable
from contextlib import suppress

from hivecost.clock import Clock
from hivecost.errors import BusClosedError
from hivecost.events import Event
from hivecost.gate_contract import TurnRequest
from hivecost.ledger import rate_limited_of
from hivecost.rate_limits import Throttle


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
            with suppress(BusClosedError):  # the runtime is closing; the turn itself is refused elsewhere
                self._publish(rate_limited_of(request, limiter, waited_s, self._clock.now_ns()))
