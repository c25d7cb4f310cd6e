"""A turn is counted once, however it ends, and what nobody knows is unpriced, never zero."""

from __future__ import annotations

import asyncio

import anyio
import pytest

import hivecost as hc
from hivecost.testing import FakeClock

pytestmark = pytest.mark.anyio

TURN = hc.EventType.LLM_TURN_COMPLETE


class StatusError(Exception):
    """As the openai and anthropic SDKs have it."""

    def __init__(self, status_code: int) -> None:
        super().__init__(f"HTTP {status_code}")
        self.status_code = status_code
        self.body = {"code": "model_not_found"}


class ConnectError(Exception):
    """As httpx, httpx2 and requests call it."""


class ReadTimeout(Exception):  # noqa: N818  # the name httpx gives it
    """The request went out."""


@pytest.fixture
def run_turn(runtime, collect):
    """Run an agent in a started runtime; gives the result and the turns it left on the bus."""

    async def run(agent):
        seen = collect(runtime, TURN)
        runtime.entry_point("api")(agent)
        async with runtime:
            result = await runtime.trigger_and_wait("api")
        return result, seen

    return run


async def test_settle_twice_counts_once(run_turn):
    """The second settle changes nothing, whatever it is given, and answers with the first cost."""

    async def agent(ctx, _):
        async with ctx.turn("m") as turn:
            first = turn.settle(hc.Usage(10, 5))
            assert turn.settle(hc.Usage(999, 999)) is first
            assert turn.settle() is first
        assert turn.settle({"garbage": True}) is first
        return first

    result, seen = await run_turn(agent)
    assert result.output.nanousd == 10 * 1_000 + 5 * 2_000
    assert [(t.usage.input_tokens, t.cost) for t in seen] == [(10, result.output)]


async def test_settle_returns_the_cost_and_the_event_carries_all_of_it(run_turn):
    """Model, provider, tokens, rate and source stand on the event; latency is measured from the gate."""

    async def agent(ctx, _):
        async with ctx.turn("m", provider="house") as turn:
            assert turn.cost is None
            turn.settle(hc.Usage(10, 5, reasoning_tokens=2), stop_reason="length")
            assert turn.cost.status == "priced"

    _, (event,) = await run_turn(agent)
    assert (event.model, event.provider, event.stop_reason) == ("m", "house", "length")
    assert event.cost.source == "user"
    assert event.data["cost_usd"] == 0.00002
    assert event.data["reasoning_tokens"] == 2
    assert event.latency_ms >= 0


@pytest.mark.parametrize("where", ["before", "inside"])
async def test_settle_is_not_divided_by_a_cancel_scope(run_turn, where):
    """Settled in the finally of a cancelled scope, the turn is counted with its usage."""

    async def agent(ctx, _):
        with anyio.CancelScope() as scope:
            async with ctx.turn("m") as turn:
                try:
                    scope.cancel()
                    if where == "inside":
                        await anyio.sleep_forever()
                finally:
                    turn.settle(hc.Usage(10, 5))
                await anyio.sleep_forever()
        return scope.cancelled_caught

    result, seen = await run_turn(agent)
    assert result.output is True
    assert [(t.usage.total_tokens, t.cost.status) for t in seen] == [(15, "priced")]


@pytest.mark.parametrize("anyio_backend", ["asyncio"])
@pytest.mark.parametrize("times", [1, 2])
async def test_settle_is_not_divided_by_native_cancels(run_turn, times):
    """Task.cancel(), and a second one while the first is being handled, lose nothing."""

    async def agent(ctx, _):
        at_work = asyncio.Event()

        async def call() -> None:
            async with ctx.turn("m") as turn:
                try:
                    at_work.set()
                    await asyncio.sleep(3600)
                finally:
                    if times == 2:
                        task.cancel()
                    turn.settle(hc.Usage(10, 5))
                    await asyncio.sleep(0)

        task = asyncio.create_task(call())
        await at_work.wait()
        task.cancel()
        with pytest.raises(asyncio.CancelledError):
            await task

    result, seen = await run_turn(agent)
    assert result.status == "completed"
    assert [(t.usage.total_tokens, t.cost.status) for t in seen] == [(15, "priced")]


async def test_a_generator_that_is_closed_leaves_its_turn_counted(run_turn):
    """A stream whose reader walks away: the turn of the generator ends as unpriced, with what is known."""

    async def agent(ctx, _):
        async def pieces():
            async with ctx.turn("m"):
                yield "a"
                yield "b"

        stream = pieces()
        assert await anext(stream) == "a"
        await stream.aclose()

    result, seen = await run_turn(agent)
    assert result.status == "completed"
    assert [(t.cost.status, t.stop_reason) for t in seen] == [("unpriced", "cancelled")]
    assert (result.metrics["unpriced_calls"], result.metrics["cost_nanousd"]) == (1, 0)


async def test_a_turn_that_is_left_without_settle_is_unpriced(run_turn, caplog):
    """Forgetting settle() does not make a call free: it is counted as unpriced, and the log says so."""

    async def agent(ctx, _):
        async with ctx.turn("m"):
            pass

    result, seen = await run_turn(agent)
    assert [(t.model, t.cost.status, t.cost.nanousd, t.stop_reason) for t in seen] == [
        ("m", "unpriced", None, "unsettled")
    ]
    assert "without settle()" in seen[0].cost.reason
    assert result.metrics["unpriced_calls"] == 1
    assert "left without settle()" in caplog.text


@pytest.mark.parametrize("status", [400, 401, 404, 429])
async def test_a_call_the_provider_refused_costs_nothing_and_says_so(run_turn, status):
    """A refusal is the one case where zero is known: priced 0, 'not billed', and one call."""

    async def agent(ctx, _):
        async with ctx.turn("m"):
            raise StatusError(status)

    result, seen = await run_turn(agent)
    assert [(t.cost.status, t.cost.nanousd, t.stop_reason) for t in seen] == [("priced", 0, "refused")]
    assert f"{status}, not billed" in seen[0].cost.reason
    assert (result.status, result.metrics["llm_calls"], result.metrics["unpriced_calls"]) == ("failed", 1, 0)


async def test_a_fault_of_the_provider_leaves_the_bill_unknown(run_turn):
    """A 5xx may come after the answer was made, and billed: unpriced, with the error's name."""

    async def agent(ctx, _):
        async with ctx.turn("m"):
            raise StatusError(500)

    _, seen = await run_turn(agent)
    assert [(t.cost.status, t.cost.nanousd, t.stop_reason) for t in seen] == [("unpriced", None, "error")]
    assert "StatusError" in seen[0].cost.reason


async def test_a_call_that_never_left_is_no_turn(run_turn):
    """No connection, no call: neither an event nor a count. The SDKs raise it from their own error."""

    async def agent(ctx, _):
        async with ctx.turn("m"):
            raise RuntimeError("Connection error.") from ConnectError("refused")

    result, seen = await run_turn(agent)
    assert seen == []
    assert (result.status, result.metrics["llm_calls"]) == ("failed", 0)


async def test_a_timeout_is_unpriced(run_turn):
    """The request went out, so it may be billed: unknown, not zero."""

    async def agent(ctx, _):
        async with ctx.turn("m"):
            raise RuntimeError("Request timed out.") from ReadTimeout()

    result, seen = await run_turn(agent)
    assert [(t.cost.status, t.stop_reason) for t in seen] == [("unpriced", "error")]
    assert result.metrics["unpriced_calls"] == 1


async def test_a_second_attempt_that_was_sent_is_not_excused_by_a_first_that_was_not(run_turn):
    """Only what the error was raised from proves that nothing was sent, not what was being handled at the time."""

    async def agent(ctx, _):
        async with ctx.turn("m"):
            try:
                raise ConnectError("the first host is down")
            except ConnectError:
                raise ReadTimeout("the second host got it") from None

    _, seen = await run_turn(agent)
    assert [t.cost.status for t in seen] == ["unpriced"]

    async def implicit(ctx, _):
        async with ctx.turn("m"):
            try:
                raise ConnectError("the first host is down")
            except ConnectError:
                raise ReadTimeout("the second host got it")  # noqa: B904  # as careless code does

    _, seen = await run_turn(implicit)
    assert [t.cost.status for t in seen] == ["unpriced"]


async def test_a_released_turn_leaves_no_trace(run_turn):
    """`release()` says that nothing was sent, for example because a cache answered."""

    async def agent(ctx, _):
        async with ctx.turn("m") as turn:
            turn.release()

    result, seen = await run_turn(agent)
    assert seen == []
    assert result.metrics["llm_calls"] == 0


async def test_a_turn_is_one_call(run_turn):
    """Entering the same turn a second time is refused, or its second call would be counted nowhere."""

    async def agent(ctx, _):
        turn = ctx.turn("m")
        async with turn:
            turn.settle(hc.Usage(1, 1))
        async with turn:
            turn.settle(hc.Usage(1, 1))

    result, seen = await run_turn(agent)
    assert isinstance(result.error, hc.HiveCostError)
    assert "another one" in str(result.error)
    assert len(seen) == 1


def anthropic_chunks():
    yield {"type": "message_start", "message": {"model": "m", "usage": {"input_tokens": 100, "output_tokens": 1}}}
    yield {"type": "message_delta", "delta": {"stop_reason": "end_turn"}, "usage": {"output_tokens": 40}}
    yield {"type": "message_stop"}


async def test_latency_is_the_provider_s_and_not_the_price_book_s(make_runtime, collect):
    """Loading the rates for the first turn takes time that no provider took."""
    clock = FakeClock()

    class SlowBook(hc.PriceBook):
        def price_reading(self, *args, **more):
            clock.advance(5.0)
            return super().price_reading(*args, **more)

    runtime = make_runtime(prices=SlowBook({"m": {"input": 1, "output": 2}}), clock=clock)
    seen = collect(runtime, TURN)

    @runtime.entry_point("api")
    async def api(ctx, _):
        async with ctx.turn("m") as turn:
            clock.advance(0.25)
            turn.settle(hc.Usage(1, 1))

    async with runtime:
        await runtime.trigger_and_wait("api")
    assert [event.latency_ms for event in seen] == [250]


async def test_a_stream_that_was_observed_to_its_end_is_priced(run_turn):
    """Chunks are enough: settle() needs no response, and running totals are not added up."""

    async def agent(ctx, _):
        async with ctx.turn("m") as turn:
            for chunk in anthropic_chunks():
                turn.observe(chunk)
            turn.settle()

    _, (event,) = await run_turn(agent)
    assert (event.usage.input_tokens, event.usage.output_tokens, event.stop_reason) == (100, 40, "end_turn")
    assert (event.cost.status, event.cost.nanousd) == ("priced", 100 * 1_000 + 40 * 2_000)


async def test_a_stream_that_was_cut_is_estimated(run_turn):
    """What was observed before the cut is charged, and called an estimate."""

    async def agent(ctx, _):
        async with ctx.turn("m") as turn:
            turn.observe(next(anthropic_chunks()))
            raise ReadTimeout("cut")

    result, (event,) = await run_turn(agent)
    assert (event.cost.status, event.cost.nanousd) == ("estimated", 100 * 1_000 + 1 * 2_000)
    assert event.stop_reason == "error"
    assert result.metrics["estimated_calls"] == 1


async def test_a_stream_without_any_usage_is_estimated(run_turn):
    """OpenAI's streams say nothing of usage unless asked: guessed, and the model that was asked for is kept."""

    async def agent(ctx, _):
        async with ctx.turn("m") as turn:
            turn.observe({"choices": [{"delta": {"content": "hi"}, "finish_reason": "stop"}]})

    _, (event,) = await run_turn(agent)
    assert (event.model, event.cost.status, event.usage) == ("m", "estimated", hc.Usage(0, 1))
    assert "the prompt's length is unknown" in event.cost.reason


async def test_an_unknown_model_is_unpriced_and_counted(run_turn):
    """Its tokens count, its cost is unknown and the near names are in the reason."""

    async def agent(ctx, _):
        async with ctx.turn("our-secret-llama-9000") as turn:
            turn.settle(hc.Usage(10, 5))

    result, (event,) = await run_turn(agent)
    assert (event.cost.status, event.cost.nanousd, event.data["cost_usd"]) == ("unpriced", None, None)
    assert "our-secret-llama-9000" in event.cost.reason
    assert (result.metrics["total_tokens"], result.metrics["unpriced_calls"]) == (15, 1)


async def test_an_agent_that_spends_after_its_end_is_refused(runtime):
    """A task that outlives its execution gets no further turn, and no lie about a cancellation."""
    kept = []

    @runtime.entry_point("api")
    async def api(ctx, _):
        kept.append(ctx)

    async with runtime:
        await runtime.trigger_and_wait("api")
        with pytest.raises(hc.ExecutionCancelledError, match="has ended"):
            async with kept[0].turn("m"):
                raise AssertionError("never reached")


async def test_a_settle_after_the_end_is_counted_where_it_can_be(runtime, collect):
    """A turn settled by a task that outlived its execution is on the bus and in the sums, as a foreign one."""
    go, settled = anyio.Event(), anyio.Event()
    seen = collect(runtime, TURN)
    async with runtime, anyio.create_task_group() as group:

        @runtime.entry_point("api")
        async def api(ctx, _):
            turn = ctx.turn("m")
            await turn.__aenter__()

            async def late() -> None:
                await go.wait()
                turn.settle(hc.Usage(10, 5))
                settled.set()

            group.start_soon(late)

        result = await runtime.trigger_and_wait("api")
        go.set()
        await settled.wait()
        await runtime.bus.drain()
    assert result.metrics["llm_calls"] == 0
    assert [t.execution_id for t in seen] == [result.execution_id]
    assert runtime.usage.total.llm_calls == 1
    assert runtime.statistics().foreign_turns == 1


async def test_a_settle_after_the_runtime_closed_is_a_counted_loss(runtime, caplog):
    """The agent is not disturbed: the loss is counted and named in the log."""
    turns = []

    @runtime.entry_point("api")
    async def api(ctx, _):
        turn = ctx.turn("m")
        await turn.__aenter__()
        turns.append(turn)

    async with runtime:
        result = await runtime.trigger_and_wait("api")
    assert turns[0].settle(hc.Usage(10, 5)).nanousd == 20_000
    assert runtime.statistics().events_lost == 1
    assert result.execution_id in caplog.text
