"""One LLM call: asked for at the gate before it is sent, settled with what it used."""

from __future__ import annotations

import logging
import sys
from collections.abc import AsyncIterable, Callable, Iterable, Mapping
from types import TracebackType
from typing import TYPE_CHECKING, Any, Final, Literal, Self

from msgspec.structs import replace

from hivecost.errors import BudgetExceededError, HiveCostError
from hivecost.events import FROM_ALL, FROM_ANSWER, Cost, CostStatus, LLMTurnComplete, Usage
from hivecost.frozen import EMPTY
from hivecost.gate_contract import TurnRequest
from hivecost.ledger.caps import Cap
from hivecost.plain_text import plain_str
from hivecost.runtime.admission import Admission
from hivecost.runtime.billing_errors import refusal_status, retry_after_s, was_never_sent
from hivecost.runtime.hosts import TurnHost
from hivecost.runtime.node_loops import LoopTurn
from hivecost.runtime.prompt_count import PromptCount
from hivecost.runtime.streaming import Chunk, Coverage, TurnStream
from hivecost.usage import UsageReading, UsageStatus, UsageStream, each_request, estimated, read_usage, size_of_answer

if TYPE_CHECKING:
    from hivecost.compaction import ToolCalls

_log = logging.getLogger("hivecost.runtime")
_REFUSED: Final = "refused"
#: Looked up once: an attribute of an enum is slow where a turn takes a microsecond.
_OK: Final = UsageStatus.OK
_IS_MISSING: Final = UsageStatus.MISSING
_MISSING: Final = UsageReading(usage=Usage(), status=_IS_MISSING)
_ESTIMATES: Final = (FROM_ALL, FROM_ANSWER)
_UNKNOWN: Final = Cost(status=CostStatus.UNPRICED)


class Turn:
    """`async with ctx.turn(...) as turn:` or, in a sync agent, `with ctx.turn(...) as turn:`.

    Call `settle()` with the provider's response. A turn that is left without it, or dropped, is still counted: with
    what `observe()` saw of a stream, or else as unpriced. It is one call; where more than one answer comes all the
    same, each that has an id of its own is counted.
    """

    _state: Literal["new", "entering", "open"] = "new"

    def __init__(
        self,
        host: TurnHost,
        request: TurnRequest,
        prompt_tokens: int = 0,
        caps: tuple[Cap, ...] = (),
        prompt: PromptCount | None = None,
        *,
        given: Any = None,
        loop: LoopTurn | None = None,
    ) -> None:
        self._caps = caps
        self._admission = Admission(request)
        #: About how long the prompt is; 0 where nobody said.
        self._prompt_tokens = prompt_tokens
        #: What may still be counted.
        self._prompt = prompt
        self._given = given
        #: Of a node whose loop has limits.
        self._loop = loop
        self._host = host
        self._stream: UsageStream | None = None
        self._settled: Cost | None = None
        #: What each answer cost, by its id.
        self._answers: dict[str, Cost] = {}
        #: It is settled as in doubt, and nothing is known of its answer.
        self._is_unknown = False
        self._has_warned = False
        self._released = False
        #: When it was sent, or the answer before came.
        self._started_s = 0.0

    def __del__(self, is_finalizing: Callable[[], bool] = sys.is_finalizing) -> None:
        if self._state == "open" and self._settled is None and not is_finalizing() and not self._host.is_forked:
            self._leave(None)

    @property
    def request(self) -> TurnRequest:
        """What is asked of the provider, as the gate let it pass."""
        return self._admission.request

    @property
    def model(self) -> str:
        """The model to ask: a budget may have taken a cheaper one."""
        return self.request.model

    @property
    def max_tokens(self) -> int | None:
        """What to send as the provider's limit of output tokens: a budget may have lowered it. None: there is none."""
        return self.request.max_tokens or None

    @property
    def messages(self) -> Any:
        """The messages to send: those of the `prompt`, compacted where its node has a context budget they were over."""
        if self._loop is not None:
            return self._loop.messages
        prompt = self._given
        return prompt.get("messages", prompt.get("input", prompt)) if isinstance(prompt, Mapping) else prompt

    @property
    def prompt(self) -> Any:
        """The prompt in the form in which it was given: a whole request is returned as one."""
        return self._given if self._loop is None else self._loop.prompt

    @property
    def is_last(self) -> bool:
        """Whether the loop of its node may take no further turn: the time to come to an end."""
        return self._loop is not None and self._loop.is_last

    @property
    def max_tool_calls(self) -> int | None:
        """How many calls of its answer the agent is to run; None: no limit. `tool_calls()` picks them."""
        return None if self._loop is None else self._loop.max_tool_calls

    def tool_calls(self, answer: object) -> ToolCalls:
        """Return the calls of its answer that are to run, and an error result for each that its node's loop is past.

        `answer` is the provider's response, or its message: an SDK's object or JSON values. Raises HiveCostError for
        one whose calls nobody can find.
        """
        from hivecost.compaction import limit_tool_calls  # noqa: PLC0415  # few agents limit them

        return limit_tool_calls(answer, self.max_tool_calls)

    @property
    def spilled(self) -> Mapping[str, Any]:
        """Results that were replaced for this turn, by the place that their note names: for the agent to keep there.

        Empty where the loop's configuration has no `spill`.
        """
        return EMPTY if self._loop is None else self._loop.spilled

    @property
    def cost(self) -> Cost | None:
        """What its first answer cost; None until it is settled."""
        return self._settled

    async def __aenter__(self) -> Self:
        self._require_new()
        self._state = "entering"
        try:
            if self._loop is not None:
                await self._host.run_at_home(self._begin)
            if self._prompt is not None:
                await self._count(self._prompt)
            await self._host.run_at_home(self._pass_gate)
        except BaseException:
            if self._loop is not None:
                self._loop.leave()
            # It may have passed the gate while the loop that asked was told to stop.
            self._host.gate.release(self._admission)
            self._admission = Admission(self.request)
            self._state = "new"
            raise
        self._state = "open"
        self._started_s = self._host.clock.monotonic_s()
        return self

    async def _begin(self) -> None:
        """Take this as a turn of its loop, with a prompt that fits."""
        assert self._loop is not None  # noqa: S101  # asked for where there is one
        request, self._prompt_tokens, self._prompt = await self._loop.enter(self.request)
        self._admission = Admission(request)

    async def _count(self, prompt: PromptCount) -> None:
        """Count the prompt, where money is held for it. On the loop of the caller, whose client counts."""
        if (self._caps or self._host.gate.uses_ledger) and prompt.can_count(self.request):
            request = await prompt.counted(self.request)
            if request.input_tokens != self.request.input_tokens:
                self._admission, self._prompt_tokens = Admission(request), request.input_tokens

    async def _pass_gate(self) -> None:
        self._admission = await self._host.pass_gate(self._admission.request, self._caps)

    async def __aexit__(
        self, kind: type[BaseException] | None, error: BaseException | None, trace: TracebackType | None
    ) -> None:
        self._leave(error)

    def __enter__(self) -> Self:
        self._require_new()
        try:
            self._host.call_from_thread(self.__aenter__)
        except BaseException:
            self.release()  # it may have passed the gate while this thread was told to stop
            raise
        return self

    def __exit__(
        self, kind: type[BaseException] | None, error: BaseException | None, trace: TracebackType | None
    ) -> None:
        self._leave(error)

    def observe(self, chunk: object) -> None:
        """Take note of one chunk or event of a stream, as the provider's SDK gives it.

        Raise HiveCostError for a turn that was never entered.
        """
        self._require_open()
        self._seen().observe(chunk)

    def stream(self, response: AsyncIterable[Chunk] | Iterable[Chunk]) -> TurnStream[Chunk]:
        """Return the answer's chunks as they are paid for: `async for chunk in turn.stream(response):` (sync: `for`).

        Each chunk is observed. Before more is read the turn's hold covers what was seen, with half of `stream_tokens`
        ahead; where no hard budget can pay for that, the provider's stream is closed and BudgetExceededError raised:
        the turn is settled with the usage so far, and its whole hold stays in doubt.

        What was seen is bounded by its bytes, a token being at least one, or by the provider's running count. Two
        things cannot be bounded so: what it generates ahead of what was read (half of `stream_tokens` is assumed), and
        reasoning that it bills and hides: that is held for when the provider counts it, and is an overrun where
        nothing is left then. Leave `stream_tokens` out to be strict about both: `max_tokens` are then held in full.
        Raise HiveCostError for a turn that was never entered.
        """
        self._require_open()
        seen = self._seen()
        return TurnStream(response, seen, Coverage(self._host, self._admission, seen))

    def settle(self, response: object = None, *, stop_reason: str = "") -> Cost:
        """Count and price the turn, and publish LLM_TURN_COMPLETE. Synchronous, so no cancellation can divide it.

        `response` is whatever the provider sent (an SDK's object, a dict, JSON), a `Usage`, or nothing after
        `observe()`. Settled again with an answer of another id, it publishes a turn of its own, whose cost this gives:
        a hard budget pays for it with what the hold has left, and what is above is an overrun. Without two different
        ids nothing changes, a warning is logged once, and this gives the first cost. A sum over several requests, as a
        framework's usage of a run is, publishes a turn for each, and gives the cost of all. Never raise for what a
        provider sends: impossible counts give a cost with status `invalid`, missing ones are `estimated` from what was
        read of the answer and what was said of the prompt, and `unpriced` where nothing was read. An estimate settles
        no hold. Where nothing was known, also after the turn was left, usage that comes later is its bill: it settles
        what is in doubt, and is published once, beside the turn that was unpriced.
        Raise HiveCostError for a turn that was never entered.
        """
        self._require_open()
        *earlier, newest = self._answers_of(response)
        for reading in earlier:
            self._take(reading)
        if newest.requests == 1:
            return self._take(newest, stop_reason, warns=True)
        for reading in each_request(newest):
            self._take(reading, stop_reason, warns=True)
        return self._price(newest)

    def release(self) -> None:
        """Release the turn, because nothing was sent: it leaves no trace."""
        self._released = True
        if self._loop is not None:
            self._loop.leave()
        self._host.gate.release(self._admission)

    def _seen(self) -> UsageStream:
        if self._stream is None:
            self._stream = UsageStream()
        return self._stream

    def _require_new(self) -> None:
        if self._settled is not None or self._released:
            raise HiveCostError("this turn is over; ask ctx.turn(...) for another one")
        if self._state != "new":
            raise HiveCostError("this turn was entered before, and is one call; ask ctx.turn(...) for another one")

    def _require_open(self) -> None:
        if self._state != "open":
            raise HiveCostError(
                "this turn was never entered, so no budget knows of it: write `async with ctx.turn(...) as turn:`, or "
                "`with` in a sync agent, and settle it inside"
            )

    def _answers_of(self, response: object) -> list[UsageReading]:
        """Return all answers that came since the turn was settled last.

        Of a stream that `response` is the end of, only that one is returned.
        """
        stream, self._stream = self._stream, None
        streamed = [] if stream is None else stream.answers()
        if response is None:
            return [self._estimated(*answer) for answer in streamed] or [_MISSING]
        reading = read_usage(response)
        if not streamed and reading.status is not _IS_MISSING:  # as it is most often
            return [reading]
        others = [one for one in streamed if reading.answer_id and one.reading.answer_id not in ("", reading.answer_id)]
        same_bytes = sum(one.output_bound for one in streamed if one not in others)
        size = max(size_of_answer(response), same_bytes) if reading.status is _IS_MISSING else 0
        return [*(self._estimated(*answer) for answer in others), self._estimated(reading, size)]

    def _estimated(self, reading: UsageReading, answer_bytes: int) -> UsageReading:
        return estimated(reading, answer_bytes, self._prompt_tokens)

    def _take(self, reading: UsageReading, stop_reason: str = "", *, warns: bool = False) -> Cost:
        """Count an answer, if it is none that was counted."""
        first, answer_id = self._settled, reading.answer_id
        if first is None or self._is_late(reading):
            return self._publish(reading, None, stop_reason=stop_reason)
        if answer_id and "" not in self._answers and answer_id not in self._answers:
            return self._publish(reading, None, stop_reason=stop_reason)
        if warns and not self._has_warned:
            self._has_warned = True
            why = "its answer is counted already" if answer_id in self._answers else "no id tells the answers apart"
            _log.warning(
                "a turn of %s was settled again, which changes nothing: %s; ask ctx.turn(...) for each call",
                *(self.request.model, why),
            )
        return self._answers.get(answer_id, first)

    def _is_late(self, reading: UsageReading) -> bool:
        """Tell whether it is the bill of an answer of which nothing was known, and of no other one."""
        is_same = reading.answer_id in self._answers or "" in (reading.answer_id, *self._answers)
        return self._is_unknown and is_same and reading.status is _OK

    def _leave(self, error: BaseException | None) -> None:
        if self._state != "open" or self._released:
            return
        if error is not None and self._loop is not None:
            self._loop.failed(error)
        stop_reason = "" if error is None else _stop_reason(error)
        if self._stream is not None:
            for reading in self._answers_of(None):
                self._take(reading, stop_reason)
        elif self._settled is not None:
            return
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
            self._publish_unknown(f"usage unknown: {type(error).__name__}", stop_reason=stop_reason)

    def _price(self, reading: UsageReading) -> Cost:
        request, host = self._admission.request, self._host
        return host.prices.price_reading(
            reading, model=request.model, provider=request.provider, at_ns=host.clock.now_ns()
        )

    def _name(self, reading: UsageReading) -> tuple[str, str]:
        """Return the provider and model that answered, as the price book knows them; else those that were asked."""
        request = self._admission.request
        provider = request.resolved_provider or reading.provider
        if reading.model and reading.model != request.model:
            answered = self._host.prices.resolve(reading.model, provider)
            if answered.model:
                return answered
        return provider or reading.hinted_provider, request.resolved_model

    def _told(self, reading: UsageReading, cost: Cost) -> tuple[Usage, Cost]:
        """Return the usage and cost that the provider itself told.

        An estimate of ours is for reports, and neither holds nor charges anything.
        """
        if reading.counted is not None:
            counted = replace(reading, usage=reading.counted, counted=None)
            return counted.usage, self._price(counted)
        if not (cost.reason and cost.estimated_from):
            return reading.usage, cost
        return Usage(), cost if cost.status is CostStatus.REPORTED else _UNKNOWN

    def _publish_unknown(self, reason: str, *, stop_reason: str) -> None:
        self._publish(_MISSING, Cost(status=CostStatus.UNPRICED, reason=reason), stop_reason=stop_reason)

    def _publish(
        self, reading: UsageReading, known_cost: Cost | None, *, stop_reason: str, retry_after_s: float | None = None
    ) -> Cost:
        host, request, clock = self._host, self._admission.request, self._host.clock
        now_s = clock.monotonic_s()  # before pricing, which is no part of the call
        cost = self._price(reading) if known_cost is None else known_cost
        if reading.reason in _ESTIMATES and reading.reason != cost.reason:  # it has no price, or a bill of its own
            cost = replace(cost, reason="; ".join(filter(None, (cost.reason, reading.reason))))
        is_first, started_s = self._settled is None, self._started_s
        is_late = not is_first and self._is_late(reading)
        is_final = reading.status is _OK or stop_reason == _REFUSED
        if is_first or is_late:
            self._is_unknown = not is_final and reading.status is _IS_MISSING
            self._settled = cost
            self._answers.clear()
        self._answers[reading.answer_id], self._started_s = cost, now_s
        prompt = None
        if self._loop is not None and (is_first or is_late) and reading.status is _OK:
            prompt = self._loop.billed(reading.usage, cost)
            self._loop.report(reading.usage.input_tokens)
        provider, model = self._name(reading)
        hint = reading.hinted_provider if reading.hinted_provider == provider else ""
        event = LLMTurnComplete(
            timestamp_ns=clock.now_ns(),
            # As in attribution_fields, written out: half the time of each turn's event would go into that dict.
            session_id=request.session_id,
            execution_id=request.execution_id,
            node_id=request.node_id,
            agent_id=request.agent_id,
            user_id=request.user_id,
            org_id=request.org_id,
            task_id=request.task_id,
            tags=request.tags,
            model=reading.model or request.model,
            provider=request.provider or reading.provider or hint,
            asked_model=request.model,
            resolved_model=model,
            resolved_provider=provider,
            usage=reading.usage,
            cost=cost,
            latency_ms=round(1_000 * (now_s - started_s)),
            stop_reason=plain_str(stop_reason) if stop_reason else reading.stop_reason,
            service_tier=reading.service_tier or ("batch" if reading.batch else ""),
            raw_usage=reading.raw,
            prompt=prompt,
        )
        gate, (usage, bill), answered = host.gate, self._told(reading, cost), reading.model
        if is_first:
            gate.settle(self._admission, usage, bill, is_final=is_final, answered=answered, retry_after_s=retry_after_s)
        elif is_late:
            gate.settle_late(self._admission, usage, bill, answered=answered)
        else:
            gate.settle_another(self._admission, usage, bill, is_final=is_final, answered=answered)
        host.publish_as_is(event)
        return cost


def _stop_reason(error: BaseException) -> str:
    if isinstance(error, BudgetExceededError):
        return "budget"
    return "error" if isinstance(error, Exception) else "cancelled"


def coverage_of(turn: Turn, seen: UsageStream) -> Coverage:
    """Return what the hold of a turn covers of a stream that somebody else reads and observes."""
    return Coverage(turn._host, turn._admission, seen)  # noqa: SLF001  # what an agent has shows what agents need
