"""A thousand executions, and everybody who counts them comes to the provider's own bill."""

from __future__ import annotations

import importlib.util
from collections import Counter
from pathlib import Path
from typing import Any

import anyio
import pytest

import hivecost as hc
from hivecost.events import Usage
from hivecost.testing import Behaviour, TokenRates

pytestmark = pytest.mark.anyio

EXECUTIONS, CONCURRENT = 1_000, 100
HOUSE = "house-llama-70b"
RATES = {
    "gpt-4o": TokenRates(2_500, 10_000, 1_250, 2_500, 2_500),
    "claude-sonnet-5": TokenRates(3_000, 15_000, 300, 3_750, 6_000),
    HOUSE: TokenRates.flat(123, 457),
}
PRICES = {
    "gpt-4o": {"input": 2.50, "output": 10, "cache_read": 1.25},
    "claude-sonnet-5": {"input": 3, "output": 15, "cache_read": 0.30, "cache_write": 3.75, "cache_write_1h": 6},
    HOUSE: {"input": 0.123, "output": 0.457},
}
SUMS = (
    *("llm_calls", "input_tokens", "output_tokens", "cache_read_tokens", "cache_write_tokens", "reasoning_tokens"),
    *("cost_nanousd", "unpriced_calls", "invalid_calls", "estimated_calls"),
)


def added(rows: Any) -> dict[str, int]:
    """The sums over rows that have them as attributes or keys."""
    totals = Counter(dict.fromkeys(SUMS, 0))
    for row in rows:
        totals.update({name: row[name] if isinstance(row, dict) else getattr(row, name) for name in SUMS})
    return dict(totals)


def of_steps(steps: Any) -> dict[str, int]:
    """The same over single turns."""
    return added(
        {
            **{name: getattr(step, name) for name in SUMS if name.endswith("_tokens")},
            "llm_calls": 1,
            "cost_nanousd": step.cost_nanousd or 0,
            "unpriced_calls": step.cost_status == "unpriced",
            "invalid_calls": step.cost_status == "invalid",
            "estimated_calls": step.cost_status == "estimated",
        }
        for step in steps
    )


@pytest.fixture(scope="module")
def log_problems():
    """`problems(path)` of tests/contract/log_oracle.py: every rollup worked out again, independently."""
    path = Path(__file__).parents[1] / "contract" / "log_oracle.py"
    spec = importlib.util.spec_from_file_location("log_oracle", path)
    assert spec is not None
    assert spec.loader is not None
    module = importlib.util.module_from_spec(spec)
    spec.loader.exec_module(module)
    return module.problems


@pytest.fixture
def host(base_path, provider, gpt, claude) -> hc.AgentRuntime:
    """A runtime with one agent that calls all three models, by node, and now and then fails or is refused."""
    provider.always(Behaviour(usage=Usage(1_999, 301, cache_read_tokens=1_001, reasoning_tokens=77)), model="gpt-4o")
    cached = Usage(2_003, 199, cache_read_tokens=997, cache_write_tokens=503, cache_write_1h_tokens=101)
    provider.always(Behaviour(usage=cached), model="claude-sonnet-5")
    runtime = hc.AgentRuntime(base_path, prices=PRICES)

    async def chat(ctx: hc.Execution, model: str, text: str, **more: Any) -> None:
        messages: Any = [{"role": "user", "content": text}]
        async with ctx.turn(model, max_tokens=400) as turn:
            turn.settle(await gpt.chat.completions.create(model=model, max_tokens=400, messages=messages, **more))

    async def message(ctx: hc.Execution, text: str) -> None:
        messages: Any = [{"role": "user", "content": text}]
        async with ctx.turn("claude-sonnet-5", max_tokens=400) as turn:
            turn.settle(await claude.messages.create(model="claude-sonnet-5", max_tokens=400, messages=messages))

    @runtime.entry_point("work")
    async def work(ctx: hc.Execution, number: int) -> None:
        async with ctx.node("draft"):
            await chat(ctx, HOUSE, "word " * (number % 50))
        if number % 3 == 0:
            async with ctx.node("think"):
                await chat(ctx, "gpt-4o", "think")
        if number % 5 == 0:
            async with ctx.node("think", agent_id="critic"):
                await message(ctx, "doubt")
        if number % 50 == 0:
            await chat(ctx, HOUSE, "refused", extra_headers=Behaviour(status=429).as_header())
        if number % 20 == 0:
            raise RuntimeError("after it has spent")

    return runtime


async def run_all(runtime: hc.AgentRuntime) -> list[hc.ExecutionResult]:
    results: list[hc.ExecutionResult] = []
    slots = anyio.CapacityLimiter(CONCURRENT)

    async def one(number: int) -> None:
        async with slots:
            who = {"user_id": f"user-{number % 7}", "org_id": f"org-{number % 3}", "task_id": f"task-{number % 40}"}
            results.append(await runtime.trigger_and_wait("work", number, session_id=f"session-{number % 200}", **who))

    async with runtime:
        async with anyio.create_task_group() as group:
            for number in range(EXECUTIONS):
                group.start_soon(one, number)
        await runtime.flush()
    return results


async def test_log_rollups_aggregator_results_and_bill_agree(host, provider, base_path, log_problems):
    """To the token and to the nano-USD: steps, sessions, nodes, executions, days, aggregator, results, the bill."""
    results = await run_all(host)
    assert Counter(str(result.status) for result in results) == {"completed": 940, "failed": 60}

    billed = provider.billed_tokens()
    refused = sum(entry.status == 429 for entry in provider.bill)
    truth = {
        "llm_calls": billed.calls + refused,
        **{name: getattr(billed, name) for name in SUMS if name.endswith("_tokens")},
        "cost_nanousd": provider.bill_nanousd(RATES),
        "unpriced_calls": 0,
        "invalid_calls": 0,
        "estimated_calls": 0,
    }
    assert (billed.calls, refused, truth["cost_nanousd"] > 0) == (1_000 + 334 + 200, 20, True)

    log, sessions = hc.RuntimeLogStore(base_path), hc.SessionStore(base_path)
    details = [await log.load_details(f"session-{number}") for number in range(200)]
    nodes = [node for session in details for node in session.nodes]
    runs = await log.list_runs(limit=EXECUTIONS + 1)
    spend = hc.SpendStore(base_path)
    assert of_steps(step for node in nodes for step in node.steps) == truth
    assert added(nodes) == truth
    assert added(state.metrics for state in await sessions.list_sessions(limit=1_000)) == truth
    assert added(runs) == truth
    assert added(await spend.totals(by=("day",))) == truth
    assert added(await spend.totals(by=("hour", "user", "model", "agent"), timezone="Asia/Kathmandu")) == truth
    assert added([host.usage.total]) == truth
    assert added(result.metrics for result in results) == truth
    assert log_problems(base_path / "hivecost.db") == []

    assert {run.execution_id: run.cost_nanousd for run in runs} == {
        result.execution_id: result.metrics["cost_nanousd"] for result in results
    }
    for dimension in ("session", "node", "agent", "user", "org", "task", "model", "execution", "day"):
        outside = {"llm_calls": refused} if dimension == "node" else {}  # the refused calls were in no node
        assert added(host.usage.by(dimension).values()) == truth | {
            name: truth[name] - count for name, count in outside.items()
        }
    by_model = {row.group["model"]: row for row in await spend.totals(by=("model",))}
    for model, model_rates in RATES.items():
        entries = [entry for entry in provider.bill if entry.model == model]
        cost_nanousd = sum(model_rates.cost_nanousd(entry.usage) for entry in entries)
        assert by_model[model].cost_nanousd == host.usage.by("model")[model].cost_nanousd == cost_nanousd
        assert by_model[model].llm_calls == len(entries)

    figures = host.log.statistics
    assert (figures.lost, host.bus.statistics().dropped, host.statistics().foreign_turns) == (0, 0, 0)
    assert figures.written == 2 * EXECUTIONS + truth["llm_calls"]
