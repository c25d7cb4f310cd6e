"""`hivecost statistics`: the plain shape of calls, tokens and cost is the fold of the turns."""

from __future__ import annotations

import json

import anyio

import hivecost as hc

from .conftest import counted, fold


def test_it_is_the_fold(month, report):
    """In all, by agent and by model, the dearest first."""
    found = report("statistics")
    (total,) = fold(month[1], []).values()
    assert (found["total_calls"], found["total_cost_nanousd"]) == (total["llm_calls"], total["cost_nanousd"])
    assert found["total_tokens"] == total["input_tokens"] + total["output_tokens"]
    assert found["total_cost_usd"] == total["cost_nanousd"] / 10**9
    assert found["average_tokens_per_call"] == round(found["total_tokens"] / total["llm_calls"])
    assert found["unpriced_calls"] == total["unpriced_calls"] + total["invalid_calls"]
    for shares, dimension in ((found["by_agent"], "agent"), (found["by_model"], "model")):
        expected = fold(month[1], [dimension])
        assert {name: (share["calls"], share["tokens"], share["cost_nanousd"]) for name, share in shares.items()} == {
            name: (sums["llm_calls"], sums["input_tokens"] + sums["output_tokens"], sums["cost_nanousd"])
            for (name,), sums in expected.items()
        }
        costs = [share["cost_nanousd"] for share in shares.values()]
        assert costs == sorted(costs, reverse=True)
    assert (found["budget_utilization_percent"], found["session_duration_seconds"]) == (None, None)


def test_of_one_session(month, report, hivecost, tmp_path):
    """With how long it lasted; exported, every turn of it is there, with its own cost."""
    turns = [turn.event for turn in month[1] if turn.event.session_id == "session_00012"]
    file = tmp_path / "usage.json"
    shown = hivecost("statistics", "session_00012", "--export", str(file))
    seconds = (turns[-1].timestamp_ns - turns[0].timestamp_ns) / 10**9
    assert f"Session Duration:       {seconds:.1f}s" in shown
    assert f"Written to {file}: {len(turns):,} turns." in shown
    written = json.loads(file.read_text())
    assert written["statistics"] == report("statistics", "session_00012")
    assert [(entry["agent_name"], entry["total_tokens"]) for entry in written["usage_history"]] == [
        (turn.agent_id, turn.usage.total_tokens) for turn in turns
    ]
    costs = [entry["cost_nanousd"] for entry in written["usage_history"]]
    assert sum(cost or 0 for cost in costs) == sum(counted(turn)["cost_nanousd"] for turn in turns)
    assert written["usage_history"][0]["datetime"].endswith("Z")


def test_it_reads_well(hivecost):
    shown = hivecost("statistics", "latest")
    assert shown.startswith("Usage of session_")
    assert hivecost("statistics", "--during", "yesterday").startswith("Usage, 2026-11-18 00:00 to 2026-11-19 00:00 (")
    assert "TOKEN USAGE & COST REPORT" in shown
    assert "🤖 COST BY AGENT" in shown
    assert hivecost("statistics", "--csv").startswith("by,name,calls,")
    assert "no session 'nobody' is logged" in hivecost("statistics", "nobody", status=1)


def test_limits_are_those_of_the_budgets(tmp_path, hivecost):
    """Of an agent its own account, of everything the budget that counts everything."""
    budgets = [
        hc.Budget("agents", limit="$0.10", per="agent", mode="hard"),
        hc.Budget("all", limit="$1", mode="hard"),
    ]

    async def spend() -> None:
        async with (
            hc.AgentRuntime(tmp_path, budgets=budgets, prices={"m": {"input": 1, "output": 1}}) as runtime,
            runtime.execution(agent_id="planner") as ctx,
            ctx.turn("m", input_tokens=10, max_tokens=60_000) as turn,
        ):
            turn.settle(hc.Usage(0, 50_000))

    anyio.run(spend)
    shown = json.loads(hivecost("statistics", "--json", "--data", str(tmp_path)))
    assert shown["by_agent"]["planner"]["limit"] == {
        "budget": "agents",
        "limit": 10**8,
        "unit": "usd",
        "percent_used": 50.0,
    }
    assert (shown["budget_name"], shown["budget_limit_usd"], shown["budget_utilization_percent"]) == ("all", 1.0, 5.0)
    assert "$0.0500 / $1.0000 (5.0%) of all\n" in hivecost("statistics", "--data", str(tmp_path))
