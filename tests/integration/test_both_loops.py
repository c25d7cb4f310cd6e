"""A runtime with all that hivecost brings runs on asyncio and on trio alike, and comes to the same."""

from __future__ import annotations

import anyio
import pytest

import hivecost as hc
from hivecost.backends import open_price_book
from hivecost.backends.sqlite import prune
from hivecost.ledger import WINDOWS
from hivecost.log.steps import Step
from hivecost.reports import load_advice, load_budget_report, load_session_report, load_spend, reprice_log

pytestmark = pytest.mark.anyio

PRICES = {"m": {"input": 1, "output": 2}}


@pytest.fixture(params=["asyncio", "trio"])
def anyio_backend(request):
    return request.param


def budget_of_each_kind() -> list[hc.Budget]:
    modes = ("observe", "stop_after", "hard")
    return [
        *(hc.Budget(f"{mode} {window}", limit="$1", window=window, mode=mode) for mode in modes for window in WINDOWS),
        hc.Budget(
            "of a user",
            limit="1_000_000 tokens",
            window="day",
            per="user",
            timezone="Asia/Kathmandu",
            mode="stop_after",
        ),
        hc.Budget("calls", limit="1_000 calls", window="month", per="model", mode="hard"),
    ]


def make_runtime(base_path, **settings) -> hc.AgentRuntime:
    runtime = hc.AgentRuntime(
        base_path,
        **{"prices": PRICES, "config": {"runaway": "throttle"}, "budgets": budget_of_each_kind(), **settings},
    )

    @runtime.entry_point("async")
    async def take(ctx, count):
        for _ in range(count):
            async with ctx.node("plan"), ctx.turn("m", input_tokens=10, max_tokens=10) as turn:
                turn.settle(hc.Usage(10, 5))

    @runtime.entry_point("sync")
    def take_in_a_thread(ctx, count):
        for _ in range(count):
            with ctx.turn("m", input_tokens=10, max_tokens=10) as turn:
                turn.settle(hc.Usage(10, 5))

    return runtime


async def run(runtime: hc.AgentRuntime, count: int = 3) -> list[hc.ExecutionResult]:
    async with runtime:
        results = [
            await runtime.trigger_and_wait(name, count, session_id=name, user_id="ada") for name in ("async", "sync")
        ]
        await runtime.flush()
        assert await runtime.budgets.status()
    return results


async def test_every_budget_and_every_plugin(tmp_path):
    """All modes by all windows, a restart on top of what is logged, and each plugin of ours."""
    said: list[str] = []
    for restart in (1, 2):
        plugins = [hc.TurnPacer(1_000, 60.0), hc.CostReporter(said.append)]
        runtime = make_runtime(tmp_path, plugins=plugins)
        results = await run(runtime)
        assert [(result.status, result.error) for result in results] == [("completed", None)] * 2
        assert {each.plugin.name: each.error for each in runtime.plugins} == dict.fromkeys(
            [each.plugin.name for each in runtime.plugins]
        )
        rows = {row.budget: row.settled for row in runtime._parts.own.watcher.accounts.status() if "day" in row.budget}
        assert rows["stop_after day"] == restart * 6 * 20_000
    assert len(said) == 4


async def test_a_spent_budget_of_a_day_stops_the_next_run(tmp_path):
    """The default mode counts what was logged before the start."""
    budgets = [hc.Budget("day", limit="$0.0001", window="day", mode="stop_after")]
    await run(make_runtime(tmp_path, budgets=budgets, config={}))
    again = await run(make_runtime(tmp_path, budgets=budgets, config={}))
    assert [result.status for result in again] == ["cancelled", "cancelled"]


async def test_what_others_log_counts_while_it_runs(tmp_path):
    """Two runtimes on one base path see each other's spending of a day."""
    budgets = [hc.Budget("day", limit="$0.0001", window="day", mode="stop_after")]
    one = make_runtime(tmp_path, budgets=budgets, config={})
    async with one:
        async with make_runtime(tmp_path, budgets=budgets, config={}) as other:
            await other.trigger_and_wait("async", 4)
            await other.flush()
        with anyio.fail_after(20):
            while sum(row.settled for row in await one.budgets.status()) < 80_000:
                await anyio.sleep(0.05)


async def test_all_that_reads_the_log(tmp_path):
    """Stores, reports, repricing, deletion and pruning."""
    await run(make_runtime(tmp_path))
    sessions, log, book = hc.SessionStore(tmp_path), hc.RuntimeLogStore(tmp_path), open_price_book(tmp_path, PRICES)
    assert {state.session_id for state in await sessions.list_sessions()} == {"async", "sync"}
    assert (await sessions.read_state("sync")).metrics.llm_calls == 3
    assert [node.node_id for node in (await log.load_details("async")).nodes] == ["plan"]
    steps = await log.load_steps("async")
    assert all(isinstance(step, Step) for step in steps)
    assert len(steps) == 3
    assert len(await log.list_runs()) == 2
    assert (await load_session_report(tmp_path, "async")).session.metrics.llm_calls == 3
    assert (await load_budget_report(tmp_path)) is not None
    assert (await load_spend(tmp_path, by=["model"])) is not None
    assert (await load_advice(tmp_path, book)) is not None
    assert (await reprice_log(tmp_path, book)) is not None
    assert await sessions.delete_session("async")
    await prune(tmp_path, steps[0].timestamp_ns - 2 * 3600 * 10**9)
