"""`result.statistics`: what one execution spent, by agent and by model."""

from __future__ import annotations

import pytest

import hivecost as hc
from hivecost.events import Totals
from hivecost.runtime.breakdown import PAIRS_MAX, Breakdown

pytestmark = pytest.mark.anyio

PRICES = {"fast": {"input": 1, "output": 2}, "deep": {"input": 10, "output": 20}}


async def test_by_agent_and_by_model(make_runtime):
    """Sums, averages and a row for each, whichever names they have; another execution's are not among them."""
    runtime = make_runtime(prices=PRICES)

    @runtime.entry_point("report", agent_id="planner")
    async def report(ctx, models):
        for agent, model in models:
            async with ctx.node("step", agent_id=agent), ctx.turn(model) as turn:
                turn.settle(hc.Usage(1_000, 500))

    calls = [(None, "fast"), ("researcher", "fast"), ("researcher", "deep"), ("coder", "deep"), ("coder", "unheard-of")]
    async with runtime:
        await runtime.trigger_and_wait("report", calls[:2])
        result = await runtime.trigger_and_wait("report", calls)
    assert result.statistics == {
        "total_calls": 5,
        "total_tokens": 7_500,
        "total_cost_usd": pytest.approx(0.044),
        "unpriced_calls": 1,
        "average_tokens_per_call": 1_500,
        "average_cost_per_call": pytest.approx(0.011),
        "by_agent": {
            "planner": {"calls": 1, "tokens": 1_500, "cost_usd": pytest.approx(0.002)},
            "researcher": {"calls": 2, "tokens": 3_000, "cost_usd": pytest.approx(0.022)},
            "coder": {"calls": 2, "tokens": 3_000, "cost_usd": pytest.approx(0.02), "unpriced_calls": 1},
        },
        "by_model": {
            "fast": {"calls": 2, "tokens": 3_000, "cost_usd": pytest.approx(0.004)},
            "deep": {"calls": 2, "tokens": 3_000, "cost_usd": pytest.approx(0.04)},
            "unheard-of": {"calls": 1, "tokens": 1_500, "cost_usd": 0.0, "unpriced_calls": 1},
        },
    }


async def test_what_a_subscription_pays_for_is_said_apart(make_runtime):
    """In metrics and statistics, of the run and of the runs inside of it; it is in no cost."""
    runtime = make_runtime(prices={"m": PRICES["fast"], "plan": {**PRICES["deep"], "billing": "subscription"}})

    @runtime.entry_point("agent")
    async def agent(ctx, models):
        for model in models:
            async with ctx.turn(model) as turn:
                turn.settle(hc.Usage(1_000, 500))
        if len(models) > 1:
            await runtime.trigger_and_wait("agent", models[1:])

    async with runtime:
        result = await runtime.trigger_and_wait("agent", ["m", "plan", "plan"])
        paid = await runtime.trigger_and_wait("agent", ["m"])
    metrics, statistics = result.metrics, result.statistics
    assert (metrics["cost_usd"], metrics["notional_usd"], metrics["notional_nanousd"]) == (0.002, 0.04, 40_000_000)
    assert (metrics["tree_cost_usd"], metrics["tree_notional_usd"]) == (0.002, pytest.approx(0.1))
    assert (statistics["total_cost_usd"], statistics["total_notional_usd"]) == (0.002, 0.04)
    assert statistics["by_model"]["plan"] == {"calls": 2, "tokens": 3_000, "cost_usd": 0.0, "notional_usd": 0.04}
    assert statistics["by_model"]["m"] == {"calls": 1, "tokens": 1_500, "cost_usd": 0.002}
    assert not [name for name in (*paid.metrics, *paid.statistics) if "notional" in name]


async def test_of_a_run_without_calls(make_runtime):
    """Nothing is divided by nothing."""
    runtime = make_runtime()
    runtime.entry_point("api")(lambda ctx, _: None)
    async with runtime:
        statistics = (await runtime.trigger_and_wait("api")).statistics
    assert (statistics["total_calls"], statistics["average_cost_per_call"], statistics["by_model"]) == (0, 0.0, {})


def test_there_are_only_so_many_rows():
    """An agent that makes up names fills no memory, and nothing is missing from the sums."""
    breakdown, totals = Breakdown(), Totals()
    for n in range(2 * PAIRS_MAX):
        turn = hc.LLMTurnComplete(agent_id=f"agent {n}", model="m", usage=hc.Usage(10, 5))
        breakdown.add(turn)
        totals = totals.plus(turn)
    statistics = breakdown.statistics(totals)
    assert len(statistics["by_agent"]) == PAIRS_MAX + 1
    assert statistics["by_agent"]["(others)"]["calls"] == PAIRS_MAX
    for rows in (statistics["by_agent"], statistics["by_model"]):
        assert sum(row["tokens"] for row in rows.values()) == totals.total_tokens
