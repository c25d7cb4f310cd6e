"""CostReporter: one line for each end, warning, stop and wait."""

from __future__ import annotations

import pytest

import hivecost as hc
from hivecost.subscribers.cost_reporter import EXPLAINED_MAX

pytestmark = pytest.mark.anyio


async def test_each_end_has_its_line(make_runtime):
    """Mark, agent, status, calls, tokens and cost; what is unpriced is said, what failed is quoted."""
    lines: list[str] = []
    runtime = make_runtime(plugins=[hc.CostReporter(lines.append)])

    @runtime.entry_point("fails")
    async def fails(ctx, _):
        raise ValueError("no luck")

    async with runtime:
        await runtime.trigger_and_wait("spend", [("m", hc.Usage(1_000, 500))])
        await runtime.trigger_and_wait("spend", [("m", hc.Usage(1_000, 500)), ("unknown-model-x", hc.Usage(1, 1))])
        await runtime.trigger_and_wait("fails")
    assert lines == [
        "✔ spend: completed, 1 call, 1,500 tokens, $0.0020",
        "✔ spend: completed, 2 calls, 1,502 tokens, $0.0020 + 1 unpriced",
        "✘ fails: failed, no calls of its own (ValueError: no luck)",
    ]


async def test_what_a_subscription_pays_for_is_beside_the_cost(make_runtime):
    """What it would have cost is said, and the cost stays what is paid."""
    lines: list[str] = []
    plan = {"input": 1, "output": 2, "billing": "subscription"}
    runtime = make_runtime(plugins=[hc.CostReporter(lines.append)], prices={"m": plan})
    async with runtime:
        await runtime.trigger_and_wait("spend", [("m", hc.Usage(1_000, 500))])
    assert lines == ["✔ spend: completed, 1 call, 1,500 tokens, $0.0000 ($0.0020 without the subscription)"]


async def test_warnings_stops_and_waits_have_lines(make_runtime):
    """A budget's warning and stop, in USD or in what it counts, and the seconds somebody had to wait."""
    lines: list[str] = []
    budgets = [hc.Budget("usd", limit="$0.05", window="execution", warn=(0.8,), mode="stop_after")]
    runtime = make_runtime(plugins=[hc.CostReporter(lines.append)], budgets=budgets)
    async with runtime:
        await runtime.trigger_and_wait("spend", [("m", hc.Usage(10_000, 5_000))] * 5)
        await runtime.bus.publish(hc.RateLimited(agent_id="a", limiter="turn-pacer", waited_ms=1_500))
        await runtime.bus.publish(
            hc.BudgetExceeded(agent_id="a", budget="calls", used=3, limit=2, unit="calls", action="none")
        )
    warning, stop, end, wait, alert = lines
    assert warning == "▲ Budget warning: $0.0400 / $0.0500 (80.0%) (spend, budget 'usd')"
    assert stop == "■ BUDGET EXCEEDED: $0.0600 / $0.0500 (spend, budget 'usd'); the execution is cancelled"
    assert end == "■ spend: cancelled, 3 calls, 45,000 tokens, $0.0600 (BudgetExceededError)"
    assert wait == "… a: waited 1.5 s for turn-pacer"
    assert alert == "■ BUDGET EXCEEDED: 3 / 2 calls (a, budget 'calls'); nothing is done about it"


async def test_a_warning_says_how_far_the_account_is(make_runtime):
    """Not which mark it passed; once where one turn passed several, and not where it passed the limit as well."""
    lines: list[str] = []
    budget = hc.Budget("usd", limit="$0.10", window="session", warn=(0.25, 0.5, 0.9), mode="stop_after")
    runtime = make_runtime(plugins=[hc.CostReporter(lines.append)], budgets=[budget])
    async with runtime:
        await runtime.trigger_and_wait("spend", [("m", hc.Usage(60_000, 9_999)), ("m", hc.Usage(60_000, 0))])
    assert [line for line in lines if line.startswith("▲")] == [
        "▲ Budget warning: $0.0800 / $0.1000 (80.0%) (spend, budget 'usd')"
    ]
    assert "■ BUDGET EXCEEDED: $0.1400 / $0.1000 (spend, budget 'usd'); the execution is cancelled" in lines


async def test_an_end_is_explained_where_nothing_was_said_before(make_runtime):
    """A budget of the agent's own, and one that stopped another execution, are quoted in full."""
    lines: list[str] = []
    runtime = make_runtime(plugins=[hc.CostReporter(lines.append)])
    mine, other = (
        hc.ExecutionCompleted(
            agent_id="a",
            execution_id=name,
            status=hc.ExecutionStatus.CANCELLED,
            error="BudgetExceededError: budget 'b'",
        )
        for name in ("mine", "other")
    )
    async with runtime:
        for action, execution_id, budget in [
            ("none", "other", "b"),
            ("cancelled", "mine", "c"),
            ("refused", "mine", "b"),
        ]:
            await runtime.bus.publish(
                hc.BudgetExceeded(agent_id="a", budget=budget, execution_id=execution_id, action=action)
            )
        for end in (mine, other, mine):
            await runtime.bus.publish(end)
    assert [line.partition(" (")[2] for line in lines[3:]] == [
        "BudgetExceededError)",
        "BudgetExceededError: budget 'b')",
        "BudgetExceededError: budget 'b')",
    ]


async def test_executions_that_had_ended_before_are_not_remembered_for_good(make_runtime):
    """What is said of a budget after an execution's end costs no memory."""
    reporter = hc.CostReporter(lambda line: None)
    runtime = make_runtime(plugins=[reporter])
    async with runtime:
        for number in range(EXPLAINED_MAX + 10):
            runtime.bus.publish_nowait(hc.BudgetExceeded(execution_id=str(number), budget="b", action="cancelled"))
        await runtime.bus.drain()
        assert len(reporter._explained) == EXPLAINED_MAX
        assert "0" not in reporter._explained


async def test_a_line_that_cannot_be_written_harms_nobody(make_runtime):
    """A closed terminal is the reporter's trouble alone."""

    def write(line: str) -> None:
        raise BrokenPipeError(line)

    runtime = make_runtime(plugins=[hc.CostReporter(write)])
    async with runtime:
        assert (await runtime.trigger_and_wait("spend", [("m", hc.Usage(1, 1))])).status == "completed"
        await runtime.bus.drain()
        assert runtime.bus.statistics().failed == 1
    assert runtime.plugins["cost-reporter"].status == "stopped"
