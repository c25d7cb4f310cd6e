"""Several answers in one turn under a hard budget: all are charged, and only what is above the hold is an overrun."""

from __future__ import annotations

import gc

import anyio
import pytest

import hivecost as hc

pytestmark = pytest.mark.anyio

#: 1,000 nano-USD per input token, 4,000 per output token.
PRICES = {"m": {"input": 1.00, "output": 4.00}}
#: What a turn of 1,000 and 1,000 tokens holds, and what an answer of 100 and 100 costs.
HELD, BILL = 5_000_000, 500_000


def answer(answer_id, tokens=100):
    return {"id": answer_id, "model": "m", "usage": {"prompt_tokens": tokens, "completion_tokens": tokens}}


def hard(limit="$1", **more):
    return hc.Budget("b", limit=limit, mode="hard", **more)


async def run(base_path, agent, *budgets, **settings):
    """Its result, its turns and alerts, and how the accounts stand then."""
    runtime = hc.AgentRuntime(base_path, budgets=budgets or [hard()], prices=PRICES, **settings)
    runtime.entry_point("agent")(agent)
    events = []
    types = [hc.EventType.LLM_TURN_COMPLETE, hc.EventType.ALERT_RAISED]
    runtime.bus.subscribe(event_types=types, handler=events.append)
    async with runtime:
        result = await runtime.trigger_and_wait("agent")
        rows = await runtime.budgets.status()
        await runtime.bus.drain()
    alerts = [event for event in events if event.type is hc.EventType.ALERT_RAISED]
    return result, len(events) - len(alerts), alerts, rows


@pytest.mark.parametrize("window", ["day", "total"])
async def test_what_the_hold_has_left_pays_for_them(tmp_path, window):
    """Nothing freezes, and the rest is anybody's between them."""

    async def agent(ctx, _):
        async with ctx.turn("m", input_tokens=1_000, max_tokens=1_000) as turn:
            for number in range(10):
                turn.settle(answer(f"a{number}"))
            async with ctx.turn("m", input_tokens=1_000, max_tokens=1_000) as inner:
                inner.settle(answer("inner"))

    result, turns, alerts, (row,) = await run(tmp_path, agent, hard("$0.011", window=window, on_short="refuse"))
    assert (result.status, turns, alerts) == ("completed", 11, [])
    assert (row.settled, row.held, row.in_doubt, row.frozen) == (11 * BILL, 0, 0, False)


@pytest.mark.parametrize("window", ["day", "total"])
async def test_what_is_above_is_an_overrun(tmp_path, window):
    """H9: charged in full, an alert, and nothing more until someone has looked."""

    async def agent(ctx, _):
        async with ctx.turn("m", input_tokens=1_000, max_tokens=1_000) as turn:
            turn.settle(answer("a1", 1_000))
            turn.settle(answer("a2", 1_000))
        async with ctx.turn("m", input_tokens=1, max_tokens=1):
            raise AssertionError("never reached")

    result, turns, alerts, (row,) = await run(tmp_path, agent, hard(window=window))
    assert (result.status, turns) == ("cancelled", 2)
    assert "frozen" in str(result.error)
    assert [alert.rule for alert in alerts] == ["budget.overrun"]
    assert (row.settled, row.frozen) == (2 * HELD, True)


async def test_an_overrun_that_the_database_finds_is_told(tmp_path):
    """Another turn has what the hold gave back when the second answer comes."""

    async def agent(ctx, _):
        async with ctx.turn("m", input_tokens=1_000, max_tokens=1_000) as turn:
            turn.settle(answer("a1"))
            async with ctx.turn("m", input_tokens=1_000, max_tokens=1_000) as other:
                turn.settle(answer("a2", 200))
                with anyio.fail_after(30):
                    while not (await ctx._running.gate.ledger.budgets())[0].frozen:
                        await anyio.sleep(0.02)
                other.settle(answer("a3"))

    result, turns, alerts, (row,) = await run(tmp_path, agent, hard("$0.0056"))
    assert (result.status, turns) == ("completed", 3)
    assert [(alert.rule, alert.execution_id) for alert in alerts] == [("budget.overrun", result.execution_id)]
    assert (row.settled, row.held, row.frozen) == (4 * BILL, 0, True)


@pytest.mark.parametrize("answers", ["known first", "unknown first"])
async def test_an_answer_whose_cost_nobody_knows_is_in_doubt(tmp_path, answers):
    """Unknown is never zero: what the hold has left, or all of it, stays charged beside the bill."""
    known, unknown = answer("known"), {"id": "unknown", "model": "m", "choices": []}

    async def agent(ctx, _):
        async with ctx.turn("m", input_tokens=1_000, max_tokens=1_000) as turn:
            for one in (known, unknown) if answers == "known first" else (unknown, known):
                turn.settle(one)

    result, turns, alerts, (row,) = await run(tmp_path, agent)
    assert (result.status, turns, alerts) == ("completed", 2, [])
    in_doubt = HELD - BILL if answers == "known first" else HELD
    assert (row.settled, row.held, row.in_doubt, row.frozen) == (BILL, 0, in_doubt, False)


async def test_an_answer_after_the_block_is_charged(tmp_path):
    """The turn is over, and the money is spent all the same."""

    async def agent(ctx, _):
        async with ctx.turn("m", input_tokens=1_000, max_tokens=1_000) as turn:
            turn.settle(answer("a1"))
        turn.settle(answer("a2"))

    _, turns, alerts, (row,) = await run(tmp_path, agent)
    assert (turns, alerts, row.settled, row.frozen) == (2, [], 2 * BILL, False)


async def test_a_turn_that_was_not_entered_costs_nothing(tmp_path):
    """It passed no gate: no account is touched."""

    async def agent(ctx, _):
        ctx.turn("m", input_tokens=10, max_tokens=10).settle(answer("a"))

    result, turns, alerts, rows = await run(tmp_path, agent)
    assert (result.status, turns, alerts, [row.settled for row in rows]) == ("failed", 0, [], [])


@pytest.mark.parametrize("is_sync", [False, True])
async def test_a_turn_that_is_dropped_is_in_doubt_and_lets_others_go(tmp_path, is_sync):
    """Its hold stays charged, and its place in a pacer is free."""

    def sync_agent(ctx, _):
        ctx.turn("m", input_tokens=1_000, max_tokens=1_000).__enter__()
        gc.collect()
        with ctx.turn("m", input_tokens=1_000, max_tokens=1_000) as turn:
            turn.settle(answer("a"))

    async def agent(ctx, _):
        await ctx.turn("m", input_tokens=1_000, max_tokens=1_000).__aenter__()
        gc.collect()
        with anyio.fail_after(10):
            async with ctx.turn("m", input_tokens=1_000, max_tokens=1_000) as turn:
                turn.settle(answer("a"))

    runtime = hc.AgentRuntime(tmp_path, budgets=[hard()], prices=PRICES)
    runtime.register_plugin(hc.TurnPacer(max_concurrent=1))
    runtime.entry_point("agent")(sync_agent if is_sync else agent)
    async with runtime:
        with anyio.fail_after(20):
            result = await runtime.trigger_and_wait("agent")
        (row,) = await runtime.budgets.status()
    assert (result.status, result.metrics["llm_calls"], result.metrics["unpriced_calls"]) == ("completed", 2, 1)
    assert (row.settled, row.held, row.in_doubt) == (BILL, 0, HELD)
