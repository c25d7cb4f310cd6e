"""Paces turns before they are sent."""

from __future__ import annotations

from collections import OrderedDict
from collections.abc import AsyncIterator, Sequence
from contextlib import asynccontextmanager
from typing import Final

from hivecost.errors import BusClosedError, ConfigError
from hivecost.events import RateLimited, attribution_fields
from hivecost.ledger import attribution
from hivecost.plugin import PluginHost, TurnRequest
from hivecost.rate_limits import RateLimiter

#: Scopes that are paced at once; the one that was idle longest gives way.
SCOPES_MAX: Final = 10_000


class TurnPacer:
    """At most `max_calls` turns in any `window_seconds`, for all of them or for each value of `per`.

    TurnPacer(60, 60.0, per=["user", "model"]) waits at the gate, first come, first served, and publishes RATE_LIMITED
    for each turn that had to wait.
    """

    def __init__(
        self, max_calls: int, window_seconds: float, *, per: str | Sequence[str] = (), name: str = "turn-pacer"
    ) -> None:
        self.name = name
        self._max_calls = max_calls
        self._window_seconds = window_seconds
        self._per = (per,) if isinstance(per, str) else tuple(per)
        if not all(isinstance(attribute, str) and attribute for attribute in self._per):
            raise ConfigError(f"{name}.per", "names of attributes, such as 'model'", got=per)
        self._limiters: OrderedDict[tuple[str, ...], RateLimiter] = OrderedDict()
        RateLimiter(max_calls, window_seconds)  # a limit that cannot be is an error here, not at the first turn

    @asynccontextmanager
    async def attached(self, host: PluginHost) -> AsyncIterator[None]:
        async def check(request: TurnRequest) -> None:
            waited_s = await self._limiter(host, request).acquire()
            if waited_s > 0:
                self._report(host, request, waited_s)

        remove = host.add_gate_check(check)
        try:
            yield
        finally:
            remove()

    def _limiter(self, host: PluginHost, request: TurnRequest) -> RateLimiter:
        attributes = attribution(request)
        scope = tuple(attributes.get(name, "") for name in self._per)
        limiter = self._limiters.get(scope)
        if limiter is None:
            limiter = self._limiters[scope] = RateLimiter(self._max_calls, self._window_seconds, clock=host.clock)
            if len(self._limiters) > SCOPES_MAX:
                self._limiters.popitem(last=False)
        else:
            self._limiters.move_to_end(scope)
        return limiter

    def _report(self, host: PluginHost, request: TurnRequest, waited_s: float) -> None:
        try:
            host.bus.publish_nowait(
                RateLimited(
                    timestamp_ns=host.clock.now_ns(),
                    **attribution_fields(request),
                    limiter=self.name,
                    waited_ms=round(1_000 * waited_s),
                )
            )
        except BusClosedError:
            return  # the runtime is closing; the turn itself is refused elsewhere
