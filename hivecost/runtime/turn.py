"""One LLM call: asked for at the gate before it is sent, settled with what it used."""

from __future__ import annotations

import logging
from collections.abc import AsyncIterable, Iterable
from types import TracebackType
from typing import TYPE_CHECKING, Final, Self

from msgspec.structs import replace

from hivecost.errors import BudgetExceededError, HiveCostError
from hivecost.events import FROM_ALL, FROM_ANSWER, Cost, CostStatus, LLMTurnComplete, Usage, attribution_fields
from hivecost.ledger.caps import Cap
from hivecost.plain_text import plain_str
from hivecost.plugin import TurnRequest
from hivecost.pricing import (
    ModelName,
    UsageReading,
    UsageStatus,
    UsageStream,
    estimated,
    read_usage,
    size_of_answer,
)
from hivecost.runtime.hard_budgets import Admission
from hivecost.runtime.outcome import refusal_status, retry_after_s, was_never_sent
from hivecost.runtime.streaming import Chunk, Coverage, TurnStream

if TYPE_CHECKING:
    from hivecost.runtime.execution import Execution

_log = logging.getLogger("hivecost.runtime")
_REFUSED: Final = "refused"
_MISSING: Final = UsageReading(usage=Usage(), status=UsageStatus.MISSING)
_ESTIMATES: Final = (FROM_ALL, FROM_ANSWER)
_UNKNOWN: Final = Cost(status=CostStatus.UNPRICED)


class Turn:
    """`async with ctx.turn(...) as turn:` or, in a sync agent, `with ctx.turn(...) as turn:`.

    Call `settle()` once with the provider's response. A turn that is left without it is still counted: with what
    `observe()` saw of a stream, or else as unpriced.
    """

    def __init__(
        self, execution: Execution, request: TurnRequest, prompt_tokens: int = 0, caps: tuple[Cap, ...] = ()
    ) -> None:
        self._caps = caps
        self._admission = Admission(request)
        #: About how long the prompt is; 0 where nobody said.
        self._prompt_tokens = prompt_tokens
        self._execution = execution
        self._stream: UsageStream | None = None
        self._settled: Cost | None = None
        self._released = False
        self._started_s = 0.0

    @property
    def request(self) -> TurnRequest:
        """What is asked of the provider, as the gate let it pass."""
        return self._admission.request

    @property
    def model(self) -> str:
        """The model to ask: a budget may have taken a cheaper one."""
        return self.request.model

    @property
    def max_tokens(self) -> int:
        """What to send as the provider's limit of output tokens: a budget may have lowered it."""
        return self.request.max_tokens

    @property
    def cost(self) -> Cost | None:
        """What it cost; None until it is settled."""
        return self._settled

    async def __aenter__(self) -> Self:
        if self._settled is not None or self._released:
            raise HiveCostError("this turn is over; ask ctx.turn(...) for another one")
        try:
            await self._execution.run_at_home(self._pass_gate)
        except BaseException:
            # It may have passed the gate while the loop that asked was told to stop.
            self._execution.gate.release(self._admission)
            self._admission = Admission(self.request)
            raise
        self._started_s = self._execution.clock.monotonic_s()
        return self

    async def _pass_gate(self) -> None:
        self._admission = await self._execution.pass_gate(self.request, self._caps)

    async def __aexit__(
        self, kind: type[BaseException] | None, error: BaseException | None, trace: TracebackType | None
    ) -> None:
        self._leave(error)

    def __enter__(self) -> Self:
        try:
            self._execution.call_from_thread(self.__aenter__)
        except BaseException:
            self.release()  # it may have passed the gate while this thread was told to stop
            raise
        return self

    def __exit__(
        self, kind: type[BaseException] | None, error: BaseException | None, trace: TracebackType | None
    ) -> None:
        self._leave(error)

    def observe(self, chunk: object) -> None:
        """Take note of one chunk or event of a stream, as the provider's SDK gives it."""
        self._seen().observe(chunk)

    def stream(self, response: AsyncIterable[Chunk] | Iterable[Chunk]) -> TurnStream[Chunk]:
        """`async for chunk in turn.stream(response):` (or `for` in a sync agent) reads what is paid for.

        Each chunk is observed. Before more is read the turn's hold covers what was seen, with half of `stream_tokens`
        ahead; where no hard budget can pay for that, the provider's stream is closed and BudgetExceededError raised:
        the turn is settled with the usage so far, and its whole hold stays in doubt.

        What was seen is bounded by its bytes, a token being at least one, or by the provider's running count. Two
        things cannot be bounded so: what it generates ahead of what was read (half of `stream_tokens` is assumed), and
        reasoning that it bills and hides: that is held for when the provider counts it, and is an overrun where
        nothing is left then. Leave `stream_tokens` out to be strict about both: `max_tokens` are then held in full.
        """
        seen = self._seen()
        return TurnStream(response, seen, Coverage(self._execution, self._admission, seen))

    def settle(self, response: object = None, *, stop_reason: str = "") -> Cost:
        """Count and price the turn, and publish LLM_TURN_COMPLETE. Synchronous, so no cancellation can divide it.

        `response` is whatever the provider sent (an SDK's object, a dict, JSON), a `Usage`, or nothing after
        `observe()`. Settling again changes nothing and gives the first cost. Never raises for what a provider sends:
        impossible counts give a cost with status `invalid`, missing ones are `estimated` from what was read of the
        answer and what was said of the prompt, and `unpriced` where nothing was read. An estimate settles no hold.
        """
        if self._settled is not None:
            return self._settled
        if response is not None:
            told = read_usage(response)
        elif self._stream is not None:
            told = self._stream.reading()
        else:
            told = _MISSING
        if told.status is not UsageStatus.MISSING:
            return self._publish(told, None, stop_reason=stop_reason)
        answer_bytes = 0 if response is None else size_of_answer(response)
        if self._stream is not None:
            answer_bytes = max(answer_bytes, self._stream.output_bound)
        return self._publish(estimated(told, answer_bytes, self._prompt_tokens), None, stop_reason=stop_reason)

    def release(self) -> None:
        """Nothing was sent: the turn leaves no trace."""
        self._released = True
        self._execution.gate.release(self._admission)

    def _seen(self) -> UsageStream:
        if self._stream is None:
            self._stream = UsageStream()
        return self._stream

    def _leave(self, error: BaseException | None) -> None:
        if self._settled is not None or self._released:
            return
        if self._stream is not None:
            self.settle(stop_reason="" if error is None else _stop_reason(error))
        elif error is None:
            _log.warning("a turn of %s was left without settle(): its usage is unknown", self.request.model)
            self._publish_unknown("the turn was left without settle()", stop_reason="unsettled")
        elif (status := refusal_status(error)) is not None:
            cost = Cost(
                status=CostStatus.PRICED, nanousd=0, reason=f"refused by the provider with {status}, not billed"
            )
            self._publish(_MISSING, cost, stop_reason=_REFUSED, retry_after_s=retry_after_s(error))
        elif was_never_sent(error):
            self.release()
        else:
            self._publish_unknown(f"usage unknown: {type(error).__name__}", stop_reason=_stop_reason(error))

    def _price(self, reading: UsageReading) -> Cost:
        request, execution = self.request, self._execution
        return execution.prices.price_reading(
            reading, model=request.model, provider=request.provider, at_ns=execution.clock.now_ns()
        )

    def _name(self, reading: UsageReading) -> ModelName:
        """What answered, as the price book understands it where that was asked; else what was asked."""
        request, prices = self.request, self._execution.prices
        if reading.model and reading.model != request.model:
            answered = prices.resolve(reading.model, request.resolved_provider or reading.provider)
            if answered.model:
                return answered
        return ModelName(request.resolved_provider or reading.provider, request.resolved_model)

    def _publish_unknown(self, reason: str, *, stop_reason: str) -> None:
        self._publish(_MISSING, Cost(status=CostStatus.UNPRICED, reason=reason), stop_reason=stop_reason)

    def _publish(
        self, reading: UsageReading, known_cost: Cost | None, *, stop_reason: str, retry_after_s: float | None = None
    ) -> Cost:
        now_s = self._execution.clock.monotonic_s()  # before pricing, which is no part of the call
        cost = self._price(reading) if known_cost is None else known_cost
        if reading.reason in _ESTIMATES and reading.reason != cost.reason:  # it has no price, or a bill of its own
            cost = replace(cost, reason="; ".join(filter(None, (cost.reason, reading.reason))))
        self._settled = cost
        request, name = self.request, self._name(reading)
        event = LLMTurnComplete(
            timestamp_ns=self._execution.clock.now_ns(),
            **attribution_fields(request),
            model=reading.model or request.model,
            provider=request.provider or reading.provider,
            asked_model=request.model,
            resolved_model=name.model,
            resolved_provider=name.provider,
            usage=reading.usage,
            cost=cost,
            latency_ms=round(1_000 * (now_s - self._started_s)),
            stop_reason=plain_str(stop_reason) or reading.stop_reason,
            service_tier=reading.service_tier or ("batch" if reading.batch else ""),
            raw_usage=reading.raw,
        )
        is_final = reading.status is UsageStatus.OK or stop_reason == _REFUSED
        self._execution.gate.settle(
            self._admission,
            *_told(reading, cost),
            is_final=is_final,
            answered=reading.model,
            retry_after_s=retry_after_s,
        )
        self._execution.publish_as_is(event)
        return cost


def _told(reading: UsageReading, cost: Cost) -> tuple[Usage, Cost]:
    """What the provider told of the bill: a guess of ours is for reports, and holds nothing and charges nothing."""
    if not cost.estimated_from:
        return reading.usage, cost
    return Usage(), cost if cost.status is CostStatus.REPORTED else _UNKNOWN


def _stop_reason(error: BaseException) -> str:
    if isinstance(error, BudgetExceededError):
        return "budget"
    return "error" if isinstance(error, Exception) else "cancelled"
