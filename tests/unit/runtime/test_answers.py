"""A turn is one call. Where more than one answer comes all the same, each is counted; what was not entered is none."""

from __future__ import annotations

import gc
import threading
from contextlib import suppress

import anyio
import anyio.to_thread
import pytest

import hivecost as hc
from hivecost.testing import FakeClock

pytestmark = pytest.mark.anyio

TURN = hc.EventType.LLM_TURN_COMPLETE


def answer(answer_id, tokens=5):
    usage = {"prompt_tokens": 10, "completion_tokens": tokens}
    return {"id": answer_id, "model": "m", "choices": [{"finish_reason": "stop"}], "usage": usage}


def chunks(answer_id, tokens=5):
    yield {"id": answer_id, "model": "m", "choices": [{"delta": {"content": "text"}}]}
    yield {"id": answer_id, "model": "m", "choices": [{"delta": {}, "finish_reason": "stop"}]}
    yield {"id": answer_id, "choices": [], "usage": {"prompt_tokens": 10, "completion_tokens": tokens}}


def cost_of(tokens):
    return 10 * 1_000 + tokens * 2_000


@pytest.fixture
def run_turn(runtime, collect):
    """Run an agent in a started runtime; gives the result and the turns it left on the bus."""

    async def run(agent):
        seen = collect(runtime, TURN)
        runtime.entry_point("api")(agent)
        async with runtime:
            result = await runtime.trigger_and_wait("api")
            await runtime.bus.drain()
        return result, seen

    return run


@pytest.mark.parametrize("usage", [answer("r1"), hc.Usage(10, 5)])
@pytest.mark.parametrize("how", ["without settle", "by an exception", "settled with nothing"])
async def test_usage_that_arrives_late_settles_what_is_in_doubt(make_runtime, collect, caplog, how, usage):
    """On budgets and on caps, in every unit; it is in the log once, beside the turn of which nothing was known."""
    runtime = make_runtime(budgets=[hc.Budget("usd", "$1"), hc.Budget("tokens", "1_000 tokens")])
    seen = collect(runtime, TURN)

    @runtime.entry_point("api")
    async def api(ctx, _):
        turn = ctx.turn("m", input_tokens=10, max_tokens=50)
        with suppress(ZeroDivisionError):
            async with turn:
                if how == "by an exception":
                    raise ZeroDivisionError
                if how == "settled with nothing":
                    turn.settle({"id": "r1"})
        doubts = [row.in_doubt for row in await runtime.budgets.status()]
        costs = [turn.settle(usage) for _ in range(3)]
        assert costs == 3 * [turn.cost]
        async with ctx.turn("m", input_tokens=10, max_tokens=50) as another:  # the cap has room for it again
            another.release()
        return doubts, [(row.settled, row.held, row.in_doubt) for row in await runtime.budgets.status()]

    async with runtime:
        result = await runtime.trigger_and_wait("api", limit="$0.000130")
        await runtime.bus.drain()
    assert result.output == ([60, 10_000 + 50 * 2_000], [(15, 0, 0), (cost_of(5), 0, 0)])
    assert [(event.cost.status, event.cost.nanousd) for event in seen] == [("unpriced", None), ("priced", cost_of(5))]
    assert caplog.text.count("settled again") == 1


async def test_an_answer_of_another_id_is_no_late_usage(make_runtime):
    """What the first one used stays in doubt."""
    runtime = make_runtime(budgets=[hc.Budget("usd", "$1")])

    @runtime.entry_point("api")
    async def api(ctx, _):
        async with ctx.turn("m", input_tokens=10, max_tokens=50) as turn:
            turn.settle({"id": "r1", "model": "m"})
            turn.settle(answer("r2"))
        (row,) = await runtime.budgets.status()
        return row.settled, row.in_doubt

    async with runtime:
        result = await runtime.trigger_and_wait("api")
    assert result.output == (cost_of(5), 110_000)


async def test_each_answer_of_another_id_is_a_turn_of_its_own(run_turn):
    """Own event, own cost; an answer that comes again is the one that was counted."""

    async def agent(ctx, _):
        async with ctx.turn("m") as turn:
            costs = [turn.settle(answer(f"a{number}", number)) for number in (1, 2, 3)]
            assert [cost.nanousd for cost in costs] == [cost_of(1), cost_of(2), cost_of(3)]
            assert turn.settle(answer("a2", 999)) is costs[1]
            assert turn.cost is costs[0]
        assert turn.settle(answer("a4", 4)).nanousd == cost_of(4)

    result, seen = await run_turn(agent)
    assert [event.usage.output_tokens for event in seen] == [1, 2, 3, 4]
    assert len({event.event_id for event in seen}) == 4
    assert len({event.execution_id for event in seen}) == 1
    totals = result.metrics["llm_calls"], result.metrics["total_tokens"], result.metrics["cost_nanousd"]
    assert totals == (4, 50, sum(map(cost_of, (1, 2, 3, 4))))


@pytest.mark.parametrize(
    ("first", "second"),
    [
        (hc.Usage(10, 5), hc.Usage(10, 7)),
        (answer("a"), answer("a", 7)),
        (answer("a"), hc.Usage(10, 7)),
        (hc.Usage(10, 5), answer("a", 7)),
        (answer("a"), answer("", 7)),
        (answer("a"), answer(None, 7)),
        (answer("a"), None),
        (answer("a"), {"garbage": True}),
    ],
)
async def test_without_two_different_ids_nothing_changes(run_turn, caplog, first, second):
    """The first cost is given, and a warning once, with the way out."""

    async def agent(ctx, _):
        async with ctx.turn("m") as turn:
            cost = turn.settle(first)
            for _ in range(3):
                assert turn.settle(second) is cost

    _, seen = await run_turn(agent)
    assert [event.usage.output_tokens for event in seen] == [5]
    said = [record.message for record in caplog.records if "settled again" in record.message]
    assert len(said) == 1
    assert "ctx.turn(...)" in said[0]


async def test_latency_is_since_the_answer_before(make_runtime, collect):
    """What the agent did in between is the second answer's, as nobody knows when it was asked."""
    clock = FakeClock()
    runtime = make_runtime(clock=clock)
    seen = collect(runtime, TURN)

    @runtime.entry_point("api")
    async def api(ctx, _):
        async with ctx.turn("m") as turn:
            for number, seconds in enumerate((0.25, 0.5)):
                clock.advance(seconds)
                turn.settle(answer(f"a{number}"))

    async with runtime:
        await runtime.trigger_and_wait("api")
    assert [event.latency_ms for event in seen] == [250, 500]


@pytest.mark.parametrize("settles", ["each", "at the end", "never", "with the last response"])
async def test_streams_in_one_turn_are_answers_of_their_own(run_turn, settles):
    """Settled one by one, together, or left behind: no count is lost."""

    async def agent(ctx, _):
        async with ctx.turn("m") as turn:
            for number in (1, 2):
                for chunk in chunks(f"a{number}", number):
                    turn.observe(chunk)
                if settles == "each":
                    turn.settle()
            if settles == "at the end":
                turn.settle()
            elif settles == "with the last response":
                turn.settle(answer("a2", 2))

    _, seen = await run_turn(agent)
    assert [(event.usage.output_tokens, event.cost.nanousd) for event in seen] == [(1, cost_of(1)), (2, cost_of(2))]


@pytest.mark.parametrize("is_sync", [False, True])
async def test_a_stream_read_after_the_first_is_settled_counts(run_turn, is_sync):
    """`turn.stream` as well, and what was read of it when the block is left."""

    async def agent(ctx, _):
        async with ctx.turn("m") as turn:
            async for _ in turn.stream(chunks("a1", 1)):
                pass
            turn.settle()
            async for _ in turn.stream(chunks("a2", 2)):
                pass

    def sync_agent(ctx, _):
        with ctx.turn("m") as turn:
            for _ in turn.stream(chunks("a1", 1)):
                pass
            turn.settle()
            for _ in turn.stream(chunks("a2", 2)):
                pass

    _, seen = await run_turn(sync_agent if is_sync else agent)
    assert [event.usage.output_tokens for event in seen] == [1, 2]


async def test_chunks_that_come_after_settle_change_nothing(run_turn, caplog):
    """The end of a stream whose answer was settled is no other answer, and no reason to warn."""

    async def agent(ctx, _):
        async with ctx.turn("m") as turn:
            *most, last = chunks("a")
            for chunk in most:
                turn.observe(chunk)
            turn.settle(answer("a"))
            turn.observe(last)

    _, seen = await run_turn(agent)
    assert len(seen) == 1
    assert "settled again" not in caplog.text


@pytest.mark.parametrize("is_sync", [False, True])
@pytest.mark.parametrize("use", ["settle", "observe", "stream"])
async def test_a_turn_that_was_never_entered_is_no_turn(run_turn, is_sync, use):
    """No budget knows of it, so it is an error with the way out; nothing is counted."""

    def misuse(turn):
        if use == "settle":
            turn.settle(answer("a"))
        elif use == "observe":
            turn.observe({})
        else:
            turn.stream([])

    async def agent(ctx, _):
        misuse(ctx.turn("m"))

    def sync_agent(ctx, _):
        misuse(ctx.turn("m"))

    result, seen = await run_turn(sync_agent if is_sync else agent)
    assert (result.status, seen, result.metrics["llm_calls"]) == ("failed", [], 0)
    assert isinstance(result.error, hc.HiveCostError)
    assert "never entered" in str(result.error)
    assert "with ctx.turn(...) as turn:" in str(result.error)


@pytest.mark.parametrize("is_sync", [False, True])
async def test_a_turn_is_entered_once(run_turn, is_sync):
    """Inside itself neither: the turn that is open goes on as it is."""

    async def agent(ctx, _):
        async with ctx.turn("m") as turn:
            with pytest.raises(hc.HiveCostError, match="another one"):
                async with turn:
                    raise AssertionError("never reached")
            turn.settle(answer("a"))

    def sync_agent(ctx, _):
        with ctx.turn("m") as turn:
            with pytest.raises(hc.HiveCostError, match="another one"), turn:
                raise AssertionError("never reached")
            turn.settle(answer("a"))

    result, seen = await run_turn(sync_agent if is_sync else agent)
    assert (result.status, len(seen)) == ("completed", 1)


async def test_two_tasks_do_not_enter_one_turn(run_turn):
    """The second is refused while the first still waits at the gate."""

    async def agent(ctx, _):
        turn, outcomes = ctx.turn("m"), []

        async def enter():
            try:
                async with turn:
                    turn.settle(answer("a"))
                outcomes.append("passed")
            except hc.HiveCostError:
                outcomes.append("refused")

        async with anyio.create_task_group() as group:
            group.start_soon(enter)
            group.start_soon(enter)
        return sorted(outcomes)

    result, seen = await run_turn(agent)
    assert (result.output, len(seen)) == (["passed", "refused"], 1)


@pytest.mark.parametrize("how", ["sync agent", "async agent", "in a cycle", "in a thread"])
async def test_a_turn_that_is_dropped_is_counted(run_turn, caplog, how):
    """Entered, and never left: its usage is unknown, and its place goes to others."""

    def drop(turn):
        if how == "in a cycle":
            cycle = [turn]
            cycle.append(cycle)
        elif how == "in a thread":
            hands = [turn]
            del turn
            thread = threading.Thread(target=hands.clear)
            thread.start()
            thread.join()

    async def agent(ctx, _):
        drop(await ctx.turn("m").__aenter__())
        gc.collect()

    def sync_agent(ctx, _):
        drop(ctx.turn("m").__enter__())
        gc.collect()

    result, seen = await run_turn(sync_agent if how == "sync agent" else agent)
    assert [(event.cost.status, event.stop_reason) for event in seen] == [("unpriced", "unsettled")]
    assert result.metrics["unpriced_calls"] == 1
    assert "left without settle()" in caplog.text


@pytest.mark.parametrize("anyio_backend", ["asyncio"])
async def test_a_turn_that_is_dropped_after_its_loop_is_a_counted_loss(make_runtime, caplog):
    """Nobody is left who waits for its place, and nothing is raised where it is dropped."""
    turns, runtime = [], make_runtime()
    runtime.register_plugin(hc.TurnPacer(max_concurrent=1))

    @runtime.entry_point("api")
    async def api(ctx, _):
        turns.append(await ctx.turn("m").__aenter__())

    async def main():
        async with runtime:
            await runtime.trigger_and_wait("api")

    thread = threading.Thread(target=anyio.run, args=(main,))
    thread.start()
    await anyio.to_thread.run_sync(thread.join)
    turns.clear()
    gc.collect()
    assert runtime.statistics().events_lost == 1
    assert "came after the runtime closed" in caplog.text


async def test_a_turn_that_was_only_made_may_be_dropped(run_turn):
    """Nothing was asked for it."""

    async def agent(ctx, _):
        ctx.turn("m")
        gc.collect()

    result, seen = await run_turn(agent)
    assert (result.status, seen) == ("completed", [])


CHUNK = {"model": "m", "choices": [{"delta": {"content": "x" * 40}}]}
STOP = {"model": "m", "choices": [{"delta": {}, "finish_reason": "stop"}]}


async def test_a_further_answer_without_usage_is_estimated_from_its_own_text(run_turn):
    """As the first is: what came of the others is no part of it."""

    async def agent(ctx, _):
        async with ctx.turn("m", prompt="y" * 40) as turn:
            for answer_id, chunks in (("a1", 1), ("a2", 2)):
                for chunk in [CHUNK] * chunks + [STOP]:
                    turn.observe({**chunk, "id": answer_id})
            turn.settle()
            text = {"message": {"content": "z" * 160}, "finish_reason": "stop"}
            turn.settle({"id": "a3", "model": "m", "choices": [text]})

    _, seen = await run_turn(agent)
    assert [event.usage.output_tokens for event in seen] == [14, 27, 54]
    assert len({event.usage.input_tokens for event in seen if event.usage.input_tokens}) == 1
    assert all("estimated" in event.cost.reason for event in seen)


async def test_a_further_answer_has_the_names_it_goes_by(make_runtime, collect):
    """Each as the price book understands what answered."""
    runtime = make_runtime(prices={"gpt-4o": {"input": 1, "output": 2}, "o3": {"input": 1, "output": 2}})
    seen = collect(runtime, TURN)

    @runtime.entry_point("api")
    async def api(ctx, _):
        async with ctx.turn("gpt-4o") as turn:
            for number, model in enumerate(("gpt-4o-2024-08-06", "o3")):
                turn.settle({**answer(f"a{number}"), "model": model, "object": "chat.completion"})

    async with runtime:
        await runtime.trigger_and_wait("api")
        await runtime.bus.drain()
    names = [(event.asked_model, event.resolved_model, event.model) for event in seen]
    assert names == [("gpt-4o", "gpt-4o", "gpt-4o-2024-08-06"), ("gpt-4o", "o3", "o3")]


async def test_a_further_answer_teaches_what_a_name_is_answered_by(make_runtime):
    """A budget that names the model that gave it is charged for it, and only for it."""
    budget = hc.Budget("o", "$1", match={"model": "other"}, mode="hard")
    runtime = make_runtime(budgets=[budget], prices={name: {"input": 1, "output": 2} for name in ("m", "other")})

    @runtime.entry_point("api")
    async def api(ctx, _):
        async with ctx.turn("m", provider="p", input_tokens=10, max_tokens=10) as turn:
            turn.settle(answer("a1"))
            turn.settle({**answer("a2", 7), "model": "other"})
        with anyio.fail_after(10):
            while not await runtime.budgets.status():
                await anyio.sleep(0.01)

    async with runtime:
        await runtime.trigger_and_wait("api")
        (row,) = await runtime.budgets.status()
    assert (row.settled, row.held, row.in_doubt) == (10 * 1_000 + 7 * 2_000, 0, 0)


async def test_a_charge_inside_a_turn_is_no_answer_of_it(make_runtime, collect):
    """It is made and counted as ever, between the answers."""
    runtime = make_runtime(budgets=[hc.Budget("b", "$1", mode="hard")])
    charges, turns = collect(runtime, hc.EventType.CHARGE_SETTLED), collect(runtime, TURN)

    @runtime.entry_point("api")
    async def api(ctx, _):
        async with ctx.turn("m", input_tokens=10, max_tokens=20) as turn:
            turn.settle(answer("a1"))
            await ctx.charge("search", usd="0.01")
            turn.settle(answer("a2"))
            await ctx.charge("search", usd="0.01")

    async with runtime:
        result = await runtime.trigger_and_wait("api")
        (row,) = await runtime.budgets.status()
        await runtime.bus.drain()
    assert (result.status, len(charges), len(turns)) == ("completed", 2, 2)
    assert (row.settled, row.held, row.frozen) == (2 * cost_of(5) + 20_000_000, 0, False)
