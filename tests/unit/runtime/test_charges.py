"""Money that is not tokens is held, settled, capped and summed like that of turns, as its own kind."""

from __future__ import annotations

import anyio
import pytest

import hivecost as hc

pytestmark = pytest.mark.anyio

CENT = 10**7


async def run(runtime, agent, **triggered):
    runtime.entry_point("agent")(agent)
    async with runtime:
        result = await runtime.trigger_and_wait("agent", **triggered)
        await runtime.bus.drain()
        return result, await runtime.budgets.status()


def day(limit="$0.10", **fields):
    return hc.Budget("day", limit, window="day", **{"mode": "hard", **fields})


async def test_a_charge_is_held_and_settled(make_runtime, collect):
    """At once with `await`, or around what is bought, at what it cost."""
    runtime = make_runtime(budgets=[day()])
    seen = collect(runtime, hc.EventType.CHARGE_SETTLED, hc.EventType.LLM_TURN_COMPLETE)

    async def agent(ctx, _):
        await ctx.charge("search-api", usd="0.01")
        async with ctx.node("look"), ctx.charge("ocr", usd="$0.05") as charge:
            held = (await runtime.budgets.status())[0].held
            charge.settle(usd="0.02")
        async with ctx.charge("maps", usd=0.03):
            pass
        return held

    result, (row,) = await run(runtime, agent)
    assert (result.status, result.output) == ("completed", 5 * CENT)
    assert (row.settled, row.held, row.in_doubt) == (6 * CENT, 0, 0)
    assert [(one.type.value, one.name, one.cost.nanousd, one.node_id) for one in seen] == [
        ("charge_settled", "search-api", 1 * CENT, ""),
        ("charge_settled", "ocr", 2 * CENT, "look"),
        ("charge_settled", "maps", 3 * CENT, ""),
    ]
    metrics = result.metrics
    assert (metrics["cost_nanousd"], metrics["llm_calls"], metrics["charges"]) == (6 * CENT, 0, 3)


@pytest.mark.parametrize("mode", ["hard", "stop_after"])
async def test_budgets_in_usd_refuse_what_they_cannot_pay(make_runtime, mode):
    runtime = make_runtime(budgets=[day(mode=mode)])

    async def agent(ctx, _):
        for _ in range(9):
            await ctx.charge("search-api", usd="0.03")
            await runtime.bus.drain()

    result, (row,) = await run(runtime, agent)
    assert (result.status, result.error.budget) == ("cancelled", "day")
    assert row.settled == (9 if mode == "hard" else 12) * CENT


@pytest.mark.parametrize("mode", ["hard", "stop_after"])
async def test_budgets_in_tokens_and_calls_do_not_count_it(make_runtime, mode):
    """It is no call of a model, and has no tokens; with a clamp or another model it would be no cheaper either."""
    budgets = [day("1 calls", mode=mode, on_short="clamp"), hc.Budget("tokens", "1 tokens", mode=mode)]
    runtime = make_runtime(budgets=budgets)

    async def agent(ctx, _):
        for _ in range(3):
            await ctx.charge("search-api", usd="0.03")

    result, rows = await run(runtime, agent)
    assert result.status == "completed"
    assert [(row.settled, row.held, row.in_doubt) for row in rows] == [(0, 0, 0)] * 2


async def test_a_cap_binds_it(runtime):
    async def agent(ctx, _):
        async with ctx.node("research", limit="$0.05"):
            for _ in range(3):
                await ctx.charge("search-api", usd="0.02")

    result, _ = await run(runtime, agent)
    assert (result.error.budget, result.metrics["charges"]) == ("cap of node research", 2)


async def test_budgets_name_it_as_a_model(make_runtime):
    """And those that name a model or a provider do not ask which one it is."""
    budgets = [
        day(match={"model": "search-api"}),
        hc.Budget("openai", "$0.01", match={"provider": "openai"}, mode="hard"),
        hc.Budget("gpt", "$0.01", match={"model": "gpt-4o"}, mode="hard"),
    ]
    runtime = make_runtime(budgets=budgets)

    async def agent(ctx, _):
        await ctx.charge("ocr", usd="0.50")
        await ctx.charge("search-api", usd="0.05")

    result, rows = await run(runtime, agent)
    assert result.status == "completed", result.error
    assert {row.budget: row.settled for row in rows} == {"day": 5 * CENT}


@pytest.mark.parametrize(
    ("error", "in_doubt", "charges"), [(TimeoutError(), 5 * CENT, 1), (ConnectionRefusedError(), 0, 0)]
)
async def test_left_by_an_exception_it_is_in_doubt(make_runtime, error, in_doubt, charges):
    """Unless no connection was made; money that nobody knows is unpriced, never zero."""
    runtime = make_runtime(budgets=[day()])

    async def agent(ctx, _):
        async with ctx.charge("ocr", usd="0.05"):
            raise error

    result, rows = await run(runtime, agent)
    assert sum(row.in_doubt for row in rows) == in_doubt
    assert (result.metrics["charges"], result.metrics["unpriced_calls"]) == (charges, charges)


async def test_a_bill_above_what_was_named_is_charged_in_full(make_runtime):
    runtime = make_runtime(budgets=[day()])

    async def agent(ctx, _):
        async with ctx.charge("ocr", usd="0.01") as charge:
            charge.settle(usd="0.04")
            assert charge.settle(usd="0.09") == charge.cost

    _, (row,) = await run(runtime, agent)
    assert (row.settled, row.frozen) == (4 * CENT, True)


async def test_sync_agents_charge_too(make_runtime):
    runtime = make_runtime(budgets=[day()])

    def agent(ctx, _):
        with ctx.charge("ocr", usd="0.05") as charge:
            charge.settle(usd="0.02")

    _, (row,) = await run(runtime, agent)
    assert row.settled == 2 * CENT


async def test_it_is_settled_inside_its_block_and_once(runtime):
    async def agent(ctx, _):
        charge = ctx.charge("ocr", usd="0.05")
        with pytest.raises(hc.HiveCostError, match="inside"):
            charge.settle()
        await charge
        with pytest.raises(hc.HiveCostError, match="another one"):
            await charge

    result, _ = await run(runtime, agent)
    assert (result.error, result.metrics["charges"]) == (None, 1)


@pytest.mark.parametrize(("name", "usd"), [("", "1"), ("ocr", "-1"), ("ocr", "much"), ("ocr", "2000000"), (5, 1)])
async def test_what_cannot_be_charged_is_an_error(runtime, name, usd):
    async def agent(ctx, _):
        await ctx.charge(name, usd=usd)

    result, _ = await run(runtime, agent)
    assert isinstance(result.error, hc.ConfigError)


async def test_the_log_keeps_it_as_its_own_kind(tmp_path, make_runtime):
    """Sums of time, node, session and execution have it; it is pruned, repriced and advised on as what it is."""
    runtime = make_runtime(config={})

    async def agent(ctx, _):
        async with ctx.node("look"):
            await ctx.charge("search-api", usd="0.01")
            async with ctx.turn("m", input_tokens=1, max_tokens=1) as turn:
                turn.settle(hc.Usage(1_000, 0))

    result, _ = await run(runtime, agent)
    log = hc.RuntimeLogStore(tmp_path)
    state = await hc.SessionStore(tmp_path).read_state(result.session_id)
    assert (state.metrics.llm_calls, state.metrics.charges, state.metrics.charged_nanousd) == (1, 1, CENT)
    assert state.metrics.cost_nanousd == CENT + 10**6
    (node,) = (await log.load_details(result.session_id)).nodes
    assert (node.llm_call_count, node.charges, node.pruned_steps) == (1, 1, 0)
    assert [(step.kind, step.model) for step in node.steps] == [("charge", "search-api"), ("", "m")]
    rows = await hc.SpendStore(tmp_path).totals(by=("model",))
    assert {row.group["model"]: (row.llm_calls, row.charges, row.cost_nanousd) for row in rows} == {
        "m": (1, 0, 10**6),
        "search-api": (0, 1, CENT),
    }


async def test_a_stop_after_budget_remembers_it(make_runtime):
    """After a restart the day has what was charged before."""
    for _ in range(2):
        runtime = make_runtime(budgets=[day("$1", mode="stop_after")], config={})

        async def agent(ctx, _):
            await ctx.charge("search-api", usd="0.03")

        _, (row,) = await run(runtime, agent)
    assert row.settled == 6 * CENT


async def test_cancelled_at_the_gate_it_costs_nothing(make_runtime):
    """One that waits for money that others hold is let go, and nothing stays held."""
    runtime = make_runtime(budgets=[day()])
    holding = anyio.Event()

    async def agent(ctx, _):
        async with ctx.charge("ocr", usd="0.10") as charge:
            holding.set()
            with anyio.move_on_after(0.05):
                await ctx.charge("maps", usd="0.05")
            charge.settle(usd=0)

    result, (row,) = await run(runtime, agent)
    assert (result.status, row.settled, row.held, row.in_doubt) == ("completed", 0, 0, 0)


async def test_one_that_is_never_awaited_says_so(runtime):
    """It charges nothing, as a coroutine that nobody awaits does nothing."""

    async def agent(ctx, _):
        with pytest.warns(RuntimeWarning, match="'ocr'.*never awaited"):
            ctx.charge("ocr", usd="0.05")

    result, _ = await run(runtime, agent)
    assert (result.error, result.metrics["charges"]) == (None, 0)
