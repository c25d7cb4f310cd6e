"""What turns hold on the caps of the blocks and the sub-agents that they are taken in."""

from __future__ import annotations

from collections.abc import Callable, Collection, Mapping, Sequence
from typing import Final

import anyio

from hivecost.clock import Clock
from hivecost.errors import BudgetExceededError
from hivecost.events import Cost, CostStatus, Event, Usage
from hivecost.gate_contract import TurnRequest
from hivecost.leasing.atomic import Atomic, atomic
from hivecost.ledger import Refusal, ThresholdCrossing, Unit
from hivecost.ledger.caps import (
    Cap,
    CapHold,
    extend_on_caps,
    release_on_caps,
    reserve_on_caps,
    settle_another_on_caps,
    settle_on_caps,
)
from hivecost.loops import Loop
from hivecost.pricing import PriceBook
from hivecost.runtime.hard_bills import unknown_units
from hivecost.runtime.turn_bound import TurnBounds, TurnTokens
from hivecost.subscribers.budget_policy import BudgetPolicy

#: How long a turn waits for what others hold on the same cap.
WAIT_S: Final = 60.0


class CappedTurns(Atomic):
    """Thread-safe, and in memory only. To be opened on the runtime's loop before it is asked."""

    def __init__(self, prices: PriceBook, clock: Clock) -> None:
        super().__init__()
        self._bounds = TurnBounds(prices, clock)
        self._clock = clock
        self._loop: Loop | None = None
        self._freed: anyio.Event
        self._policy: BudgetPolicy

    def open(self, loop: Loop, publish: Callable[[Event], None]) -> None:
        """Open on this loop, where those who wait will do so."""
        self._loop, self._freed = loop, anyio.Event()
        self._policy = BudgetPolicy(self, self._clock, publish)

    @property
    def freed(self) -> anyio.Event:
        """Set when something is given back after this was read."""
        return self._freed

    def hold(self, request: TurnRequest, caps: Sequence[Cap]) -> CapHold | Refusal:
        """Set aside the most that the turn can cost, on all caps or on none.

        Raise ConfigError for a turn without bounds, and PriceUnknownError, where a hard cap counts what they bound.
        """
        return self._reserve(tuple(caps), self._bound(request, caps))

    def fitted(self, request: TurnRequest) -> TurnRequest:
        """Return the request, with `max_tokens` that are no more than its model can write."""
        return self._bounds.fitted(request)

    def tokens(self, request: TurnRequest) -> TurnTokens:
        """Return the token counts that bound the turn. Raise ConfigError where nothing does."""
        return self._bounds.tokens(request)

    def extend(self, request: TurnRequest, hold: CapHold, under_way: tuple[int, int]) -> None:
        """Set aside what these tokens of input and output can cost, where that is more. Raise BudgetExhaustedError."""
        refusal = self._extend(hold, self._bound(request, hold.caps, under_way))
        if refusal is not None:
            raise self.error(request, refusal, "stopped")

    def settle(self, request: TurnRequest, hold: CapHold, usage: Usage, cost: Cost, *, is_final: bool) -> None:
        """Charge what is known; the rest stays in doubt as it was held. From any thread."""
        is_charge = request.is_charge
        used: dict[Unit, int] = {"calls": 0, "tokens": 0} if is_charge else {"calls": 1}
        if is_final:
            used["tokens"] = usage.total_tokens
            if cost.nanousd is not None:
                used["usd"] = cost.nanousd
        self._settle(hold, used, request)

    def settle_another(self, request: TurnRequest, hold: CapHold, usage: Usage, cost: Cost, *, is_final: bool) -> None:
        """Charge one more answer in full, from any thread.

        What is not known of it is in doubt, at what the hold had left.
        """
        tokens = 0 if cost.status is CostStatus.INVALID else usage.total_tokens
        used: dict[Unit, int] = {"usd": cost.nanousd or 0, "tokens": tokens, "calls": 1}
        self._settle_another(hold, used, unknown_units(cost, is_final=is_final), request)

    @atomic(lambda self, hold: self.defer(lambda: self.release(hold)))
    def release(self, hold: CapHold) -> None:
        """Give all of it back: nothing was sent."""
        release_on_caps(hold)
        self._wake()

    async def wait(self, freed: anyio.Event, timeout_s: float) -> None:
        """Return once something was given back, or the time is over."""
        async with anyio.create_task_group() as group:

            async def stop_waiting() -> None:
                await freed.wait()
                group.cancel_scope.cancel()

            group.start_soon(stop_waiting)
            await self._clock.sleep(timeout_s)
            group.cancel_scope.cancel()

    def error(self, request: TurnRequest, refusal: Refusal, action: str = "refused") -> BudgetExceededError:
        """Report the refusal, and return the error to raise for it."""
        error = self._bounds.explained(refusal.error(request.execution_id), refusal.unit, request)
        self._policy.exceed(error, refusal.unit, request, action)
        return error

    def _bound(
        self, request: TurnRequest, caps: Sequence[Cap], under_way: tuple[int, int] | None = None
    ) -> dict[Unit, int]:
        """Return the bound in every unit that a cap counts; a cap that only warns holds nothing."""
        bound = self._bounds.of(request, {cap.unit for cap in caps if cap.mode == "hard"}, under_way=under_way)
        return {cap.unit: bound.get(cap.unit, 0) for cap in caps}

    @atomic()
    def _reserve(self, caps: tuple[Cap, ...], amounts: Mapping[Unit, int]) -> CapHold | Refusal:
        return reserve_on_caps(caps, amounts)

    @atomic()
    def _extend(self, hold: CapHold, amounts: Mapping[Unit, int]) -> Refusal | None:
        return extend_on_caps(hold, amounts)

    @atomic(lambda self, hold, used, request: self.defer(lambda: self._settle(hold, used, request)))
    def _settle(self, hold: CapHold, used: Mapping[Unit, int], request: TurnRequest) -> None:
        for crossing in settle_on_caps(hold, used):
            self._tell(crossing, request)
        self._wake()

    @atomic(lambda self, *of_what: self.defer(lambda: self._settle_another(*of_what)))
    def _settle_another(
        self, hold: CapHold, used: Mapping[Unit, int], unknown: Collection[Unit], request: TurnRequest
    ) -> None:
        for crossing in settle_another_on_caps(hold, used, unknown):
            self._tell(crossing, request)

    def _tell(self, crossing: ThresholdCrossing, request: TurnRequest) -> None:
        if crossing.exceeded:
            self._policy.exceed(crossing, crossing.unit, request, "none")
        else:
            self._policy.warn([crossing], request)

    def _wake(self) -> None:
        if self._loop is not None:
            self._loop.call_threadsafe(self._set_freed)

    def _set_freed(self) -> None:
        freed, self._freed = self._freed, anyio.Event()
        freed.set()
