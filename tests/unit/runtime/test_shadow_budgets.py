"""A shadow budget decides and records, and lets everything pass."""

from __future__ import annotations

import anyio
import pytest

import hivecost as hc


def run(tmp_path, budgets, **turn):
    """The result of one turn that used 30 tokens, the accounts after it, and what was alerted."""
    alerts = []
    runtime = hc.AgentRuntime(tmp_path, budgets=budgets, config={"runaway": "off"})
    runtime.bus.subscribe(event_types=[hc.EventType.ALERT_RAISED], handler=alerts.append)

    @runtime.entry_point("agent")
    async def agent(ctx, _):
        async with ctx.turn(**turn) as one:
            one.settle(hc.Usage(20, 10))

    async def go():
        async with runtime:
            result = await runtime.trigger_and_wait("agent")
            return result, await runtime.budgets.status()

    return (*anyio.run(go), [alert.message for alert in alerts])


@pytest.mark.parametrize("limit", ["$1", "1000 tokens"])
@pytest.mark.parametrize(
    "turn", [{"model": "nobodys", "input_tokens": 20, "max_tokens": 10}, {"model": "nobodys"}, {"model": "gpt-4o"}]
)
def test_a_turn_that_nobody_can_bound_passes(tmp_path, limit, turn):
    """What is known of its bill is charged, and no alert says that the budget is frozen."""
    result, (row,), alerts = run(tmp_path, hc.Budget("dry run", limit, mode="hard", shadow=True), **turn)
    assert (result.status, row.frozen) == ("completed", False)
    assert row.settled == {"1000 tokens": 30}.get(limit, 150_000 if turn["model"] == "gpt-4o" else 0)
    assert not any("is frozen" in message for message in alerts)


def test_beside_an_enforced_budget_it_is_refused_by_that_one(tmp_path):
    """The unit counts as enforced where any budget of the turn enforces it."""
    budgets = [hc.Budget("dry run", "$1", mode="hard", shadow=True), hc.Budget("real", "$1", mode="hard")]
    result, rows, _ = run(tmp_path, budgets, model="nobodys", input_tokens=20, max_tokens=10)
    assert (result.status, rows) == ("failed", [])
    assert isinstance(result.error, hc.PriceUnknownError)
