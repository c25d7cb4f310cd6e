"""The documented ways to watch spending: handlers, sessions, nodes and reports, on a real runtime and real SDKs."""

from __future__ import annotations

from datetime import datetime, timedelta

import pytest

import hivecost as hc
from hivecost import EventType, RuntimeLogStore, SessionStore
from hivecost.events import Usage
from hivecost.testing import Behaviour, FakeClock

pytestmark = pytest.mark.anyio

# How the documentation prices tokens by itself.
PRICING = {
    "claude-4-5-sonnet-20250514": {"input": 3.00, "output": 15.00},
    "gpt-4o": {"input": 2.50, "output": 10.00},
    "gpt-4o-mini": {"input": 0.15, "output": 0.60},
}


def calculate_cost(model: str, input_tokens: int, output_tokens: int) -> float:
    """USD, in floats."""
    prices = PRICING.get(model, {"input": 0, "output": 0})
    input_cost = (input_tokens / 1_000_000) * prices["input"]
    output_cost = (output_tokens / 1_000_000) * prices["output"]
    return input_cost + output_cost


async def test_metrics_of_one_execution(runtime, ask, provider):
    """`result.metrics` has what the provider billed for this run."""

    @runtime.entry_point("api")
    async def api(ctx, request):
        return await ask(request["query"])

    async with runtime:
        result = await runtime.trigger_and_wait("api", {"query": "help"})
    assert result
    billed = provider.billed_tokens()
    assert result.metrics.get("input_tokens", 0) == billed.input_tokens
    assert result.metrics.get("output_tokens", 0) == billed.output_tokens
    assert result.metrics.get("total_tokens", 0) == billed.total_tokens > 0


async def test_totals_of_a_session(runtime, ask, provider, base_path):
    """`SessionStore(base_path).read_state(session_id)` adds up all executions of the session."""

    @runtime.entry_point("api")
    async def api(ctx, _):
        await ask()

    session_id = hc.new_session_id(runtime.clock.now_ns())
    async with runtime:
        for _ in range(3):
            await runtime.trigger_and_wait("api", session_id=session_id)
        await runtime.flush()
        store = SessionStore(base_path)
        state = await store.read_state(session_id)
    billed = provider.billed_tokens()
    assert state.metrics.total_input_tokens == billed.input_tokens
    assert state.metrics.total_output_tokens == billed.output_tokens
    assert state.metrics.total_tokens == billed.total_tokens
    assert state.metrics.executions == 3
    assert state.status == "completed"


async def test_breakdown_by_node(runtime, ask, base_path):
    """`load_details(session_id).nodes` has calls, tokens and an average for each node, in the order of first use."""

    @runtime.entry_point("api")
    async def api(ctx, _):
        for node_id, calls in (("plan", 1), ("research", 3), ("write", 2)):
            async with ctx.node(node_id):
                for _ in range(calls):
                    await ask(f"please {node_id}")

    async with runtime:
        session_id = (await runtime.trigger_and_wait("api")).session_id
    log_store = RuntimeLogStore(base_path)
    details = await log_store.load_details(session_id)
    lines = []
    for node in details.nodes:
        lines.append(f"Node {node.node_id}:")
        lines.append(f"  LLM calls: {node.llm_call_count}")
        lines.append(f"  Tokens: {node.total_tokens}")
        lines.append(f"  Avg tokens/call: {node.total_tokens / node.llm_call_count:.0f}")
    assert lines[:2] == ["Node plan:", "  LLM calls: 1"]
    assert [(node.node_id, node.llm_call_count) for node in details.nodes] == [
        ("plan", 1),
        ("research", 3),
        ("write", 2),
    ]
    for node in details.nodes:
        assert node.total_tokens == sum(step["input_tokens"] + step["output_tokens"] for step in node.steps)


async def test_monitor_in_real_time(runtime, ask, provider):
    """A handler that adds up what each event says ends at the provider's own totals."""
    total_input = 0
    total_output = 0
    printed = []

    async def track_tokens(event):
        nonlocal total_input, total_output
        total_input += event.data.get("input_tokens", 0)
        total_output += event.data.get("output_tokens", 0)
        printed.append(f"LLM call: {event.data['model']}")
        printed.append(f"  + {event.data['input_tokens']} input tokens")
        printed.append(f"  + {event.data['output_tokens']} output tokens")
        printed.append(f"  Total: {total_input + total_output} tokens")

    bus = runtime.bus
    bus.subscribe(
        event_types=[EventType.LLM_TURN_COMPLETE],
        handler=track_tokens,
    )

    @runtime.entry_point("api")
    async def api(ctx, _):
        for model in ("gpt-4o", "gpt-4o-mini"):
            await ask(model=model)

    async with runtime:
        await runtime.trigger_and_wait("api")
    billed = provider.billed_tokens()
    assert (total_input, total_output) == (billed.input_tokens, billed.output_tokens)
    assert printed[0] == "LLM call: gpt-4o"
    assert printed[-1] == f"  Total: {billed.total_tokens} tokens"


async def test_monitor_of_context_compaction(runtime):
    """CONTEXT_COMPACTED carries before, after, saved, percent and strategy, and the node it happened in."""
    printed = []

    async def monitor_context(event):
        data = event.data
        printed.append(f"Context compaction in node {event.node_id}:")
        printed.append(f"  Before: {data['tokens_before']} tokens")
        printed.append(f"  After: {data['tokens_after']} tokens")
        printed.append(f"  Saved: {data['tokens_saved']} tokens ({data['savings_pct']:.0f}%)")
        printed.append(f"  Strategy: {data['strategy']}")

    runtime.bus.subscribe(event_types=[EventType.CONTEXT_COMPACTED], handler=monitor_context)

    @runtime.entry_point("api")
    async def api(ctx, _):
        ctx.publish(
            hc.ContextCompacted(node_id="research", tokens_before=120_000, tokens_after=30_000, strategy="summarize")
        )

    async with runtime:
        await runtime.trigger_and_wait("api")
    assert printed == [
        "Context compaction in node research:",
        "  Before: 120000 tokens",
        "  After: 30000 tokens",
        "  Saved: 90000 tokens (75%)",
        "  Strategy: summarize",
    ]


async def test_cost_estimation_agrees_with_the_library(prices):
    """The documented example gives $0.0885 by its own floats and by hivecost with the same table, exactly."""
    model, input_tokens, output_tokens = "claude-4-5-sonnet-20250514", 12_000, 3_500
    assert f"Estimated cost: ${calculate_cost(model, input_tokens, output_tokens):.4f}" == "Estimated cost: $0.0885"
    book = hc.PriceBook(prices)
    assert f"${book.calculate_cost(model, input_tokens, output_tokens):.4f}" == "$0.0885"
    assert str(book.calculate_cost(model, input_tokens, output_tokens)) == "0.088500000"
    total_cost = 0.0
    total_cost += book.calculate_cost(model, input_tokens, output_tokens)
    assert total_cost == 0.0885


async def test_cost_report_of_an_execution(runtime, provider, ask, rates, base_path):
    """The report that people compute from the steps themselves agrees with the log's own sums, node by node."""
    provider.always(Behaviour(usage=Usage(12_000, 3_500)), model="claude-4-5-sonnet-20250514")
    provider.always(Behaviour(usage=Usage(9_000, 700)), model="gpt-4o")

    @runtime.entry_point("api")
    async def api(ctx, _):
        async with ctx.node("plan"):
            await ask(model="claude-4-5-sonnet-20250514")
            await ask(model="gpt-4o")
        async with ctx.node("review"):
            await ask(model="gpt-4o-mini")

    async with runtime:
        session_id = (await runtime.trigger_and_wait("api")).session_id

    printed = []

    async def cost_report(session_id: str):
        log_store = RuntimeLogStore(base_path)
        details = await log_store.load_details(session_id)
        total_cost = 0.0
        node_costs = {}
        for node in details.nodes:
            model_tokens = {}
            for step in node.steps:
                if "model" in step and "input_tokens" in step:
                    model = step["model"]
                    if model not in model_tokens:
                        model_tokens[model] = {"input": 0, "output": 0}
                    model_tokens[model]["input"] += step.get("input_tokens", 0)
                    model_tokens[model]["output"] += step.get("output_tokens", 0)
            node_cost = 0.0
            for model, tokens in model_tokens.items():
                node_cost += calculate_cost(model, tokens["input"], tokens["output"])
            node_costs[node.node_id] = node_cost
            total_cost += node_cost
        printed.append(f"Cost Report: {session_id}")
        printed.append(f"{'Node':<30} {'Cost':>10}")
        printed.append("-" * 42)
        for node_id, cost in sorted(node_costs.items(), key=lambda x: -x[1]):
            printed.append(f"{node_id:<30} ${cost:>9.4f}")
        printed.append("-" * 42)
        printed.append(f"{'TOTAL':<30} ${total_cost:>9.4f}")
        return total_cost, node_costs, details

    total_cost, node_costs, details = await cost_report(session_id)
    exact = provider.bill_nanousd(rates)
    assert total_cost == pytest.approx(exact / 1e9, rel=1e-12)
    assert sum(node.cost_nanousd for node in details.nodes) == exact
    for node in details.nodes:
        assert node_costs[node.node_id] == pytest.approx(float(node.cost_usd), rel=1e-12)
    assert printed[3].split() == ["plan", "$", "0.1180"]
    assert printed[4].startswith("review")


async def test_daily_report(base_path, prices, ask):
    """Yesterday's sessions by their local date, with totals and an average; today's are not among them."""
    noon = datetime.now().astimezone().replace(hour=12, minute=0, second=0, microsecond=0)
    clock = FakeClock(noon - timedelta(days=1))
    runtime = hc.AgentRuntime(base_path, prices=prices, clock=clock)

    @runtime.entry_point("api")
    async def api(ctx, _):
        await ask(model="claude-4-5-sonnet-20250514")

    async with runtime:
        of_yesterday = [await runtime.trigger_and_wait("api") for _ in range(3)]
        clock.advance(24 * 3600)
        await runtime.trigger_and_wait("api")

    async def daily_report():
        today = noon.date()
        yesterday = today - timedelta(days=1)
        store = SessionStore(base_path)
        sessions = await store.list_sessions(limit=1000)
        daily_sessions = [s for s in sessions if datetime.fromisoformat(s.timestamps.started_at).date() == yesterday]
        total_tokens = 0
        total_cost = 0.0
        for session in daily_sessions:
            total_tokens += session.metrics.total_tokens
            total_cost += calculate_cost(
                "claude-4-5-sonnet-20250514",
                session.metrics.total_input_tokens,
                session.metrics.total_output_tokens,
            )
        return {
            "sessions": len(daily_sessions),
            "total_tokens": f"{total_tokens:,}",
            "estimated_cost": f"${total_cost:.2f}",
            "average": total_cost / len(daily_sessions),
        }

    report = await daily_report()
    assert report["sessions"] == 3
    assert report["total_tokens"] == f"{sum(result.metrics['total_tokens'] for result in of_yesterday):,}"
    assert report["average"] == pytest.approx(of_yesterday[0].metrics["cost_usd"])
    by_day = await hc.SpendStore(base_path).totals(by=("day",), until=noon, timezone="UTC")
    assert sum(row.llm_calls for row in by_day) == 3


async def test_prometheus_handler(runtime, ask, provider, rates):
    """Counters by model and type, and a histogram of `cost` by agent and entry point, agree with the bill."""
    prometheus = pytest.importorskip("prometheus_client")
    registry = prometheus.CollectorRegistry()
    token_counter = prometheus.Counter(
        "hive_tokens_total", "Total LLM tokens used", ["model", "type"], registry=registry
    )
    cost_histogram = prometheus.Histogram(
        "hive_execution_cost_usd", "Execution cost in USD", ["agent_id", "entry_point"], registry=registry
    )

    async def export_metrics(event):
        if event.type == EventType.LLM_TURN_COMPLETE:
            model = event.data["model"]
            token_counter.labels(model=model, type="input").inc(event.data["input_tokens"])
            token_counter.labels(model=model, type="output").inc(event.data["output_tokens"])
        elif event.type == EventType.EXECUTION_COMPLETED:
            cost = event.data.get("cost", 0.0)
            cost_histogram.labels(
                agent_id=event.data.get("agent_id", "unknown"),
                entry_point=event.data.get("entry_point", "unknown"),
            ).observe(cost)

    runtime.bus.subscribe(
        event_types=[EventType.LLM_TURN_COMPLETE, EventType.EXECUTION_COMPLETED],
        handler=export_metrics,
    )

    @runtime.entry_point("api", agent_id="clerk")
    async def api(ctx, _):
        await ask()
        await ask(model="gpt-4o-mini")

    @runtime.entry_point("breaks", agent_id="clerk")
    async def breaks(ctx, _):
        await ask()
        raise RuntimeError("after it has spent")

    async with runtime:
        for name in ("api", "api", "breaks"):
            await runtime.trigger_and_wait(name)
    sample = registry.get_sample_value
    for model in ("gpt-4o", "gpt-4o-mini"):
        billed = provider.billed_tokens(model=model)
        assert sample("hive_tokens_total", {"model": model, "type": "input"}) == billed.input_tokens
        assert sample("hive_tokens_total", {"model": model, "type": "output"}) == billed.output_tokens
    labels = [{"agent_id": "clerk", "entry_point": name} for name in ("api", "breaks")]
    assert [sample("hive_execution_cost_usd_count", each) for each in labels] == [2, 1]
    observed = sum(sample("hive_execution_cost_usd_sum", each) for each in labels)
    assert observed == pytest.approx(provider.bill_nanousd(rates) / 1e9, rel=1e-12)
