"""Caps: a limit of a block or of one sub-agent, without any configured budget."""

from __future__ import annotations

import anyio
import anyio.from_thread
import pytest

import hivecost as hc

pytestmark = pytest.mark.anyio

#: A turn of `m` holds and costs $0.0002 (see conftest).
TURN = {"input_tokens": 100, "max_tokens": 50}
USAGE = hc.Usage(100, 50)
TWO = "$0.0004"


async def take_turns(ctx, count=1, **turn):
    for _ in range(count):
        async with ctx.turn("m", **{**TURN, **turn}) as one:
            one.settle(USAGE)


async def run(runtime, agent, **triggered):
    """What the agent came to."""
    runtime.entry_point("agent")(agent)
    async with runtime:
        return await runtime.trigger_and_wait("agent", **triggered)


async def test_a_block_spends_no_more_than_its_cap(runtime):
    """The refusal is raised inside the block only: the run goes on after it."""

    async def agent(ctx, _):
        with pytest.raises(hc.BudgetExhaustedError) as raised:
            async with ctx.node("research", limit=TWO):
                await take_turns(ctx, 5)
        await take_turns(ctx, 3)
        return str(raised.value)

    result = await run(runtime, agent)
    assert (result.status, result.metrics["llm_calls"]) == ("completed", 5)
    assert "'cap of node research' is exhausted: needs up to $0.0002, $0.0000 of $0.0004 remain" in result.output


async def test_each_block_has_a_cap_of_its_own(runtime):
    """Entering it again begins anew."""

    async def agent(ctx, _):
        for _ in range(3):
            async with ctx.node("research", limit=TWO):
                await take_turns(ctx, 2)

    assert (await run(runtime, agent)).metrics["llm_calls"] == 6


async def test_caps_inside_one_another_all_bind(runtime):
    """And so do the budgets around them, which a cap cannot raise."""

    async def agent(ctx, _):
        async with ctx.node("outer", limit=TWO):
            with pytest.raises(hc.BudgetExhaustedError) as raised:
                async with ctx.node("inner", limit="$1"), ctx.node("plain"):
                    await take_turns(ctx, 5)
        return raised.value.budget

    result = await run(runtime, agent)
    assert (result.output, result.metrics["llm_calls"]) == ("cap of node outer", 2)


async def test_a_cap_is_never_more_than_the_budgets_have_left(make_runtime):
    runtime = make_runtime(budgets=[hc.Budget("run", TWO, window="execution", mode="hard", on_short="refuse")])

    async def agent(ctx, _):
        async with ctx.node("research", limit="$1"):
            await take_turns(ctx, 5)

    result = await run(runtime, agent)
    assert (result.status, result.error.budget, result.metrics["llm_calls"]) == ("cancelled", "run", 2)


async def test_what_a_cap_refuses_costs_the_budgets_nothing(make_runtime):
    """Nothing stays held in the ledger for a turn that was not sent."""
    runtime = make_runtime(budgets=[hc.Budget("all", "$1", mode="hard")])

    async def agent(ctx, _):
        with pytest.raises(hc.BudgetExhaustedError):
            async with ctx.node("research", limit=TWO):
                await take_turns(ctx, 5)
        return [(row.settled, row.held, row.in_doubt) for row in await runtime.budgets.status()]

    assert (await run(runtime, agent)).output == [(400_000, 0, 0)]


async def test_a_sub_agent_spends_no_more_than_it_was_given(runtime):
    """It ends `cancelled` with that error, and its parent goes on."""

    @runtime.entry_point("child")
    async def child(ctx, _):
        await take_turns(ctx, 5)

    async def agent(ctx, _):
        refused = await runtime.trigger_and_wait("child", limit=TWO)
        await take_turns(ctx)
        return refused

    result = await run(runtime, agent)
    assert (result.status, result.output.status) == ("completed", "cancelled")
    assert (result.output.error.budget, result.output.metrics["llm_calls"]) == ("cap of child", 2)
    assert result.metrics["tree_llm_calls"] == 3


async def test_a_block_binds_the_sub_agents_that_are_started_in_it(runtime):
    """And what they start; a cap of their own may be less, and is no way around it."""

    @runtime.entry_point("leaf")
    async def leaf(ctx, _):
        await take_turns(ctx)

    @runtime.entry_point("child")
    async def child(ctx, _):
        return (await runtime.trigger_and_wait("leaf", limit="$1")).status

    async def agent(ctx, _):
        async with ctx.node("research", limit=TWO):
            return [(await runtime.trigger_and_wait("child")).output for _ in range(3)]

    assert (await run(runtime, agent)).output == ["completed", "completed", "cancelled"]


async def test_a_run_that_is_triggered_from_outside_may_have_a_cap(runtime):
    async def agent(ctx, _):
        await take_turns(ctx, 5)

    result = await run(runtime, agent, limit="3 calls")
    assert (result.status, result.error.budget, result.metrics["llm_calls"]) == ("cancelled", "cap of agent", 3)


async def test_a_cap_that_only_observes_warns_and_lets_pass(runtime, collect):
    """At 90 %, and where it passes the limit, each once; on the bus and as a signal."""
    told_by = []
    for signal in (hc.budget_warning, hc.budget_exhausted):
        signal.connect(lambda _, **facts: told_by.append(facts["budget"]))
    seen = collect(runtime, hc.EventType.BUDGET_WARNING, hc.EventType.BUDGET_EXCEEDED)

    async def agent(ctx, _):
        await take_turns(ctx, 12)
        await runtime.bus.drain()

    result = await run(runtime, agent, limit="$0.002", mode="observe")
    assert result.status == "completed"
    told = [(event.type.value, event.budget, event.used) for event in seen]
    assert told == [
        ("budget_warning", "cap of agent", 1_800_000),
        ("budget_exceeded", "cap of agent", 2_200_000),
    ]
    assert told_by == ["cap of agent"] * 2


async def test_a_hard_cap_warns_too_and_says_what_it_refused(runtime, collect):
    seen = collect(runtime, hc.EventType.BUDGET_WARNING, hc.EventType.BUDGET_EXCEEDED)

    async def agent(ctx, _):
        with pytest.raises(hc.BudgetExhaustedError):
            async with ctx.node("research", limit="10 calls"):
                await take_turns(ctx, 11)
        await runtime.bus.drain()

    await run(runtime, agent)
    assert [(event.type.value, event.node_id) for event in seen] == [
        ("budget_warning", "research"),
        ("budget_exceeded", "research"),
    ]


async def test_a_turn_that_finds_the_cap_held_by_others_waits(runtime):
    """Ten at once, of which two fit: all pass when each costs half of what it holds."""

    async def agent(ctx, _):
        async def one():
            async with ctx.turn("m", **TURN) as turn:
                await anyio.sleep(0.005)
                turn.settle(hc.Usage(10, 5))

        async with ctx.node("research", limit="$0.0005"), anyio.create_task_group() as group:
            for _ in range(10):
                group.start_soon(one)

    result = await run(runtime, agent)
    assert (result.status, result.metrics["llm_calls"]) == ("completed", 10)


async def test_of_many_at_once_no_more_pass_than_fit(runtime):
    """Under concurrency a cap is as hard as a budget; those for which nothing is left any more are refused."""
    passed = []

    async def agent(ctx, _):
        async def one():
            try:
                async with ctx.turn("m", **TURN) as turn:
                    await anyio.sleep(0.001)
                    turn.settle(USAGE)
                    passed.append(turn)
            except hc.BudgetExhaustedError:
                pass

        async with ctx.node("research", limit="$0.001"), anyio.create_task_group() as group:
            for _ in range(20):
                group.start_soon(one)

    await run(runtime, agent)
    assert len(passed) == 5


async def test_cancelling_lets_go_of_who_waits_for_a_cap(runtime):
    """And nothing of it stays held."""
    holding = anyio.Event()

    async def agent(ctx, _):
        async with ctx.node("research", limit="$0.0002"), anyio.create_task_group() as group:

            async def hold():
                async with ctx.turn("m", **TURN) as turn:
                    holding.set()
                    await anyio.sleep(0.2)
                    turn.settle(USAGE)

            group.start_soon(hold)
            await holding.wait()
            await take_turns(ctx)

    runtime.entry_point("agent")(agent)
    async with runtime:
        execution_id = await runtime.trigger("agent")
        await holding.wait()
        await anyio.sleep(0.02)
        await runtime.cancel_execution(execution_id)
        with anyio.fail_after(2):
            result = await runtime.wait(execution_id)
    assert result.status == "cancelled"


async def test_a_turn_of_unknown_cost_stays_charged_at_its_hold(runtime):
    """A cap refunds nothing on a guess; a call that was refused by the provider costs nothing."""

    class RateLimitError(Exception):
        status_code = 429

    async def agent(ctx, _):
        async with ctx.node("research", limit="$0.0005"):
            for error in (TimeoutError, RateLimitError):
                with pytest.raises(error):
                    async with ctx.turn("m", **TURN):
                        raise error
            await take_turns(ctx)
            await take_turns(ctx)

    result = await run(runtime, agent)
    assert result.error.budget == "cap of node research"
    assert result.metrics["llm_calls"] == 3


async def test_a_stream_reads_no_further_than_its_cap(runtime):
    """`stream_tokens` hold in steps on a cap as on a budget."""
    read = []

    async def chunks():
        for _ in range(1_000):
            yield {"choices": [{"delta": {"content": "word"}}]}

    async def agent(ctx, _):
        async with (
            ctx.node("research", limit="$0.0005"),
            ctx.turn("m", input_tokens=100, max_tokens=10_000, stream_tokens=20) as turn,
        ):
            async for chunk in turn.stream(chunks()):
                read.append(chunk)

    result = await run(runtime, agent)
    assert (result.status, result.error.budget) == ("cancelled", "cap of node research")
    assert 0 < len(read) < 60


@pytest.mark.parametrize("others_hold", [False, True])
@pytest.mark.parametrize("capped", ["node", "sub-agent", "tokens"])
async def test_a_stream_is_stopped_as_busy_only_for_what_others_hold(runtime, capped, others_hold):
    """Its own hold comes back to nobody else: a cap that has nothing beside it is exhausted."""
    limit = "300 tokens" if capped == "tokens" else "$0.0005"

    async def stream(ctx):
        async with ctx.turn("m", input_tokens=100, max_tokens=10_000, stream_tokens=20) as turn:
            async for _ in turn.stream({"choices": [{"delta": {"content": "word"}}]} for _ in range(1_000)):
                pass

    async def agent(ctx, _):
        async with ctx.node("research", limit=None if capped == "sub-agent" else limit):
            if not others_hold:
                await stream(ctx)
            async with ctx.turn("m", input_tokens=100, max_tokens=10):
                await stream(ctx)

    result = await run(runtime, agent, **({"limit": limit} if capped == "sub-agent" else {}))
    assert type(result.error) is (hc.BudgetBusyError if others_hold else hc.BudgetExhaustedError)


@pytest.mark.parametrize("missing", ["input_tokens", "max_tokens"])
async def test_a_turn_without_bounds_inside_a_cap_is_an_error(runtime, missing):
    async def agent(ctx, _):
        async with ctx.node("research", limit=TWO):
            await take_turns(ctx, **{missing: 0})

    result = await run(runtime, agent)
    assert isinstance(result.error, hc.ConfigError)
    assert missing in str(result.error)


async def test_a_model_without_a_price_cannot_be_capped_in_usd(runtime):
    """In tokens and calls it can."""

    async def agent(ctx, _):
        async with ctx.node("counted", limit="1_000 tokens"), ctx.turn("nobody-knows", **TURN) as turn:
            turn.settle(USAGE)
        async with ctx.node("research", limit=TWO), ctx.turn("nobody-knows", **TURN) as turn:
            turn.settle(USAGE)

    result = await run(runtime, agent)
    assert isinstance(result.error, hc.PriceUnknownError)
    assert result.metrics["llm_calls"] == 1


@pytest.mark.parametrize(
    ("limit", "mode", "key"), [("0", "hard", "limit"), ("nine", "hard", "limit"), ("$1", "soft", "mode")]
)
async def test_a_cap_that_cannot_be_is_an_error_when_it_is_written(runtime, limit, mode, key):
    async def agent(ctx, _): ...

    with pytest.raises(hc.ConfigError) as raised:
        await run(runtime, agent, limit=limit, mode=mode)
    assert raised.value.key == f"cap of agent: {key}"


async def test_sync_agents_have_caps_too(runtime):
    def agent(ctx, _):
        try:
            with ctx.node("research", limit=TWO):
                for _ in range(5):
                    with ctx.turn("m", **TURN) as turn:
                        turn.settle(USAGE)
        except hc.BudgetExhaustedError as error:
            return error.budget

    result = await run(runtime, agent)
    assert (result.output, result.metrics["llm_calls"]) == ("cap of node research", 2)


def answer(number, tokens):
    return {"id": f"a{number}", "model": "m", "usage": {"prompt_tokens": tokens, "completion_tokens": 0}}


async def answered(ctx, *answers):
    """One turn that is settled with all of these."""
    async with ctx.turn("m", **TURN) as turn:
        for number, one in enumerate(answers):
            turn.settle(one if one is None or "id" in one else {**one, "id": f"a{number}"})


async def test_further_answers_are_charged_to_the_cap(runtime):
    """In full, also what is above what the turn held: then nothing is left."""

    async def agent(ctx, _):
        caught = []
        for tokens, more in ((60, 1), (200, 0)):
            try:
                async with ctx.node("research", limit="250 tokens"):
                    await answered(ctx, answer(0, 10), answer(1, tokens))
                    for _ in range(2):
                        await take_turns(ctx)
                        caught.append(more)
            except hc.BudgetExhaustedError as error:
                caught.append(str(error))
        return caught

    result = await run(runtime, agent)
    assert result.output[0] == 1
    assert "needs up to 150 tokens, 30 tokens of 250 tokens remain" in result.output[1]
    assert "needs up to 150 tokens, 40 tokens of 250 tokens remain" in result.output[2]
    assert len(result.output) == 3


async def test_a_further_answer_of_unknown_usage_is_in_doubt_on_the_cap(runtime):
    """At what the turn's hold has left after what was known, and once."""

    async def agent(ctx, _):
        async with ctx.node("research", limit="300 tokens"):
            await answered(ctx, answer(0, 100), {"id": "a1"}, {"id": "a2"}, answer(3, 10))
            with pytest.raises(hc.BudgetExhaustedError) as raised:
                await take_turns(ctx)
        return str(raised.value)

    result = await run(runtime, agent)
    assert "needs up to 150 tokens, 140 tokens of 300 tokens remain" in result.output


async def test_a_further_answer_warns_that_the_cap_is_almost_spent(runtime, collect):
    """As any other bill does, once."""
    warnings = collect(runtime, hc.EventType.BUDGET_WARNING)

    async def agent(ctx, _):
        async with ctx.node("research", limit="200 tokens"):
            await answered(ctx, answer(0, 100), answer(1, 80), answer(2, 5))
        await runtime.bus.drain()

    await run(runtime, agent)
    assert [(event.used, event.limit) for event in warnings] == [(180, 200)]
