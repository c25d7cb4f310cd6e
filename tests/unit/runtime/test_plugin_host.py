"""What a plugin can ask of the runtime that it is attached to."""

from __future__ import annotations

from contextlib import asynccontextmanager

import pytest

import hivecost as hc
from hivecost.runtime.log import ReadableLog

pytestmark = pytest.mark.anyio


class Looking:
    """Calls `look(host, event)` for each event of a type."""

    name = "looking"

    def __init__(self, look, event_type=hc.EventType.LLM_TURN_COMPLETE):
        self._look, self._event_type = look, event_type
        self.host = None

    @asynccontextmanager
    async def attached(self, host: hc.PluginHost):
        self.host = host

        async def handle(event):
            await self._look(host, event)

        async with host.bus.subscribe(event_types=[self._event_type], handler=handle):
            yield


@pytest.fixture
def spend():
    """Runs an agent that takes turns of $0.002 on a runtime: `await spend(runtime, turns)`."""

    async def spend(runtime: hc.AgentRuntime, turns: int) -> hc.ExecutionResult:
        @runtime.entry_point("agent")
        async def agent(ctx, _):
            for _ in range(turns):
                async with ctx.turn("m", input_tokens=1_000, max_tokens=500) as turn:
                    turn.settle(hc.Usage(1_000, 500))

        async with runtime:
            return await runtime.trigger_and_wait("agent", session_id="s1")

    return spend


@pytest.mark.parametrize("mode", ["hard", "stop_after"])
async def test_a_plugin_sees_how_budgets_stand(make_runtime, spend, mode):
    """One row for each account, of budgets of every mode, with what is left of it; while it stops, too."""
    rows = []

    class Looks:
        name = "looks"

        @asynccontextmanager
        async def attached(self, host):
            rows.extend(await host.budgets.status())
            yield
            rows.extend(await host.budgets.status())

    await spend(make_runtime(budgets=[hc.Budget("day", limit="$0.01", window="day", mode=mode)], plugins=[Looks()]), 2)
    assert [(row.budget, row.scope, row.unit, row.limit, row.settled, row.remaining) for row in rows] == [
        ("day", "", "usd", 10_000_000, 4_000_000, 6_000_000)
    ]


async def test_a_plugin_raises_a_limit(make_runtime, spend):
    """An agent that is paused because its budget is spent goes on with what a plugin grants."""
    limits = []

    async def top_up(host, event):
        limits.append(await host.budgets.raise_limit(event.budget, "$0.004", by="top-up"))

    runtime = make_runtime(
        budgets=[hc.Budget("run", limit="$0.004", window="execution", on_short="refuse", on_exceed="pause")],
        plugins=[Looking(top_up, hc.EventType.BUDGET_EXCEEDED)],
    )
    result = await spend(runtime, 6)
    assert (result.status, result.metrics["llm_calls"], limits) == ("completed", 6, [8_000_000, 12_000_000])


async def test_a_plugin_asks_for_sums_prices_and_statistics(make_runtime, spend):
    """What the runtime has seen so far, what it prices by, and its counts."""
    handled = []

    async def look(host, event):
        (figures,) = [one for one in host.bus.statistics().subscriptions if "handle" in one.name]
        handled.append((host.statistics().started, figures.handled))

    plugin = Looking(look)
    runtime = make_runtime(plugins=[plugin])
    await spend(runtime, 3)
    host = plugin.host
    assert handled == [(1, 0), (1, 1), (1, 2)]
    assert (host.statistics().running, host.bus.statistics().failed) == (0, 0)
    assert (host.usage.total.llm_calls, host.usage.by("model")["m"].cost_nanousd) == (3, 6_000_000)
    assert host.prices.resolve("m") == ("", "m")
    assert host.prices.price("m", hc.Usage(1_000, 500)).nanousd == 2_000_000
    assert host.prices.upper_bound_nanousd("m", input_tokens=1_000, output_tokens=500) == 2_000_000
    assert host.prices.snapshot == runtime.prices.snapshot


async def test_a_plugin_asks_what_is_in_the_log(make_runtime, spend):
    """Sums by any of time and attribution, and sessions, of what was committed."""
    asked = {}

    async def look(host, event):
        await host.log.flush()
        asked["by agent and model"] = await host.log.sums(by=["agent", "model"])
        asked["none"] = await host.log.sums(until="2000-01-01")
        asked["sessions"] = await host.log.sessions()

    runtime = make_runtime(config={"log": True}, plugins=[Looking(look, hc.EventType.EXECUTION_COMPLETED)])
    await spend(runtime, 2)
    ((key, totals),) = asked["by agent and model"].items()
    assert (key, totals.llm_calls, totals.cost_nanousd) == (("agent", "m"), 2, 4_000_000)
    assert asked["none"] == {}
    assert [(one.session_id, one.metrics.llm_calls) for one in asked["sessions"]] == [("s1", 2)]


async def test_the_log_of_a_runtime_that_writes_none_can_be_asked(tmp_path, make_runtime, spend):
    """It tells what others wrote there; with nothing written it is empty."""
    assert await make_runtime().log.sums() == {}
    await spend(make_runtime(config={"log": True}), 1)
    log = make_runtime().log
    await log.flush()
    assert (await log.sums())[("m",)].llm_calls == 1
    with pytest.raises(hc.ConfigError, match="by: expected some of hour, day"):
        await ReadableLog(tmp_path).sums(by=["colour"])
