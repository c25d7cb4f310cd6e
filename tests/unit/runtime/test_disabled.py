"""`HIVECOST_DISABLE=1`: every turn passes, nothing is written, and an agent's code notices nothing."""

from __future__ import annotations

import logging

import anyio
import pytest
from typer.testing import CliRunner

import hivecost as hc
from hivecost.cli import app
from hivecost.testing import FakeClock

pytestmark = pytest.mark.anyio

#: A turn of `m` holds and costs $0.0002 (see conftest).
TURN = {"input_tokens": 100, "max_tokens": 50}
USAGE = hc.Usage(100, 50)
LESS = "$0.0001"


@pytest.fixture(params=["1", "true", " On "])
def any_disabled(request, monkeypatch):
    monkeypatch.setenv("HIVECOST_DISABLE", request.param)


@pytest.fixture
def disabled(monkeypatch):
    monkeypatch.setenv("HIVECOST_DISABLE", "1")


async def take_turn(ctx, **turn):
    async with ctx.turn("m", **{**TURN, **turn}) as one:
        one.settle(USAGE)


async def run(runtime, agent=None, times=1, **triggered):
    """How the last of so many executions of three turns ended; what was published is handled after each turn."""

    async def three_turns(ctx, _):
        for _ in range(3):
            await take_turn(ctx)
            await runtime.bus.drain()

    runtime.entry_point("agent")(agent or three_turns)
    with anyio.fail_after(20):
        async with runtime:
            for _ in range(times):
                result = await runtime.trigger_and_wait("agent", **triggered)
                await runtime.bus.drain()
    return result


def stop_after(**fields):
    return hc.Budget(**{"name": "b", "limit": LESS, "mode": "stop_after", **fields})


#: What ends the second execution, if not the first, where hivecost is enabled.
CONTROLS = {
    "hard": lambda: {"budgets": hc.Budget("b", LESS)},
    "clamp": lambda: {"budgets": hc.Budget("b", "10 tokens", on_short="clamp")},
    "hard, without a price": lambda: {"budgets": hc.Budget("b", "$1"), "prices": {}},
    "stop_after": lambda: {"budgets": stop_after()},
    "finish": lambda: {"budgets": stop_after(limit="$1", soft_limit=LESS, on_soft="finish")},
    "runaway": lambda: {"config": {"log": False, "runaway": "cancel", "runaway_rules": {"repeats": 2}}},
    "watcher": lambda: {"plugins": [hc.BudgetWatcher(stop_after())]},
    "breaker": lambda: {"plugins": [hc.RunawayBreaker(hc.RunawayRules(repeats=2), action="cancel")]},
}
NOT_TWICE = {"breaker": {"config": {"log": False, "runaway": "off"}}}


@pytest.mark.parametrize("name", CONTROLS)
async def test_nothing_is_refused_or_stopped(make_runtime, monkeypatch, name):
    """What ends a run where hivecost is enabled does nothing where it is not."""

    def made():
        return make_runtime(**NOT_TWICE.get(name, {}), **CONTROLS[name]())

    monkeypatch.setenv("HIVECOST_DISABLE", "0")
    assert (await run(made(), times=2)).status != "completed"
    monkeypatch.setenv("HIVECOST_DISABLE", "1")
    result = await run(made(), times=2)
    assert (result.status, result.metrics["llm_calls"], result.refusals) == ("completed", 3, 0)


async def test_every_value_that_says_so_disables(make_runtime, any_disabled):
    """`1`, `true`, `yes` and `on`, however they are written."""
    assert (await run(make_runtime(budgets=hc.Budget("b", LESS)))).status == "completed"


async def test_a_value_that_says_neither_is_an_error(make_runtime, monkeypatch):
    """A slip neither enables nor disables in silence."""
    monkeypatch.setenv("HIVECOST_DISABLE", "perhaps")
    with pytest.raises(hc.ConfigError, match=r"HIVECOST_DISABLE.*1, or 0.*perhaps"):
        make_runtime()


async def test_nobody_waits_at_the_gate(make_runtime, disabled):
    """Neither a pacer's line nor a check of the program's own is asked."""
    runtime = make_runtime(plugins=[hc.TurnPacer(1, 3_600.0)], budgets=hc.Budget("b", LESS, on_exceed="pause"))
    asked = []

    async def check(request):
        asked.append(request)
        raise hc.BudgetExhaustedError("refused by a check of its own")

    remove = runtime.add_gate_check(check)
    result = await run(runtime, times=2)
    remove()
    assert (result.status, asked) == ("completed", [])


async def test_a_handler_that_says_a_budget_is_exceeded_stops_nothing(make_runtime, disabled, caplog):
    """Its error is logged, as any handler's; a cancellation that it asks for is done."""
    runtime = make_runtime()

    def over(event):
        raise hc.BudgetExceededError("over a limit of its own")

    runtime.bus.subscribe(event_types=[hc.EventType.LLM_TURN_COMPLETE], handler=over)
    assert (await run(runtime)).status == "completed"
    assert "over a limit of its own" in caplog.text


async def test_cancelling_still_works(make_runtime, disabled, forever):
    """It is the program's own wish."""
    runtime = make_runtime()
    runtime.entry_point("forever")(forever)
    async with runtime:
        execution_id = await runtime.trigger("forever")
        await forever.started.wait()
        assert await runtime.cancel_execution(execution_id, "enough")
        assert (await runtime.wait(execution_id)).status == "cancelled"


def what(event):
    """What a handler sees of an event, but for its ids and times."""
    mine = {"event_id", "timestamp_ns", "execution_id", "session_id", "duration_ms", "latency_ms", "runtime_id"}
    return event.type, {key: value for key, value in event.data.items() if key not in mine | {"parent_execution_id"}}


async def use_everything(runtime, collect):
    """What an agent and the handlers of a runtime get, of everything that asks the gate."""
    seen = collect(runtime)

    @runtime.entry_point("helper")
    async def helper(ctx, _):
        await take_turn(ctx)

    @runtime.entry_point("sync")
    def sync(ctx, _):
        with ctx.turn("m", **TURN) as turn:
            turn.settle(USAGE)
        with ctx.charge("search", usd="0.01"):
            pass

    async def agent(ctx, _):
        got = []
        async with ctx.node("research", limit="$1"), ctx.turn("m", **TURN) as turn:
            got.append((turn.model, turn.max_tokens, turn.settle(USAGE)))
            got.append(turn.settle(USAGE))
        async with ctx.turn("m", stream_tokens=16, **TURN) as turn:
            chunks = [{"choices": [{"delta": {"content": "x" * 200}}]}] * 3
            got.append([chunk async for chunk in turn.stream(chunks)])
            got.append(turn.settle(USAGE))
        async with ctx.turn("gpt-4o", **TURN) as turn:
            got.append(turn.settle({"model": "our-deployment", "usage": {"prompt_tokens": 90, "completion_tokens": 5}}))
        got.append(await ctx.charge("search", usd="0.01"))
        for entry in ("helper", "sync"):
            result = await runtime.trigger_and_wait(entry, limit="$1")
            got.append((result.status, result.metrics["llm_calls"], result.metrics["cost_usd"]))
        return got

    result = await run(runtime, agent, tags={"plan": "pro"})
    return {
        "status": result.status,
        "output": result.output,
        "metrics": dict(result.metrics),
        "statistics": result.statistics,
        "refusals": result.refusals,
        "events": sorted(map(what, seen), key=repr),
    }


async def test_an_agent_and_its_handlers_notice_nothing(make_runtime, collect, monkeypatch):
    """Turns, streams, charges, caps, sub-agents and sync agents give what they give where every budget has plenty."""
    settings = {
        "budgets": [hc.Budget("hard", "$100"), hc.Budget("after", "$100", mode="stop_after")],
        "clock": FakeClock(),
    }
    enabled = await use_everything(make_runtime(**settings), collect)
    monkeypatch.setenv("HIVECOST_DISABLE", "1")
    assert await use_everything(make_runtime(**settings), collect) == enabled
    assert enabled["status"] == "completed"


async def test_caps_hold_nothing(make_runtime, disabled):
    """Of a block and of a sub-agent; what is no limit is still an error."""

    async def agent(ctx, _):
        async with ctx.node("research", limit=LESS):
            await take_turn(ctx)
        with pytest.raises(hc.ConfigError, match="cap of node research"):
            ctx.node("research", limit="a lot")
        await ctx.charge("search", usd="5")

    result = await run(make_runtime(), agent, limit=LESS)
    assert (result.status, result.metrics["llm_calls"], result.metrics["charges"]) == ("completed", 1, 1)


async def test_no_prompt_is_counted(make_runtime, disabled):
    """A count may be a call of the provider, and there is no money to hold for it."""

    counted = []

    def count():
        counted.append(1)
        return 100

    async def agent(ctx, _):
        async with ctx.node("research", limit="$1"):
            await take_turn(ctx, input_tokens=0, prompt="a question", count=count)

    assert (await run(make_runtime(budgets=hc.Budget("b", "$1")), agent)).status == "completed"
    assert counted == []


async def test_nothing_is_written(tmp_path, disabled):
    """The data folder is not even made; one that cannot be used is no trouble."""
    for name in ("data", "file"):
        base_path = tmp_path / name
        if name == "file":
            base_path.write_text("in the way")
        runtime = hc.AgentRuntime(base_path, budgets=[hc.Budget("b", LESS), stop_after(name="c")])
        assert (await run(runtime)).status == "completed"
        await runtime.flush()
    assert [path.name for path in tmp_path.iterdir()] == ["file"]
    assert base_path.read_text() == "in the way"


async def test_budgets_are_known_and_do_nothing(make_runtime, disabled):
    """They have no accounts; what would change the ledger says why it cannot, and what is in memory changes."""
    runtime = make_runtime(budgets=[hc.Budget("hard", LESS), stop_after(name="after")])
    async with runtime:
        assert (await runtime.budgets.status(), await runtime.budgets.in_doubt()) == ([], [])
        assert runtime.budgets.has("hard")
        assert await runtime.budgets.set_limit("after", "$5", by="ada") == 5 * 10**9
        await runtime.budgets.configure(hc.Budget("more", LESS), retire=["after"], by="ada")
        assert (runtime.budgets.has("more"), runtime.budgets.has("after")) == (True, False)
        for change in (
            runtime.budgets.set_limit("hard", "$5", by="ada"),
            runtime.budgets.freeze("more", "look", by="ada"),
            runtime.budgets.resolve("h", usd=0, by="ada"),
        ):
            with pytest.raises(hc.LedgerUnavailableError, match="HIVECOST_DISABLE disables hivecost"):
                await change
        with pytest.raises(hc.ConfigError, match="'hard', 'more'"):
            await runtime.budgets.freeze("nobody's", "look", by="ada")


async def test_it_says_so_once_and_loudly(make_runtime, monkeypatch, capfd, caplog):
    """One line on stderr and one warning when a runtime starts; none where hivecost is enabled."""
    caplog.set_level(logging.WARNING, "hivecost.runtime")
    await run(make_runtime())
    assert "HIVECOST_DISABLE" not in capfd.readouterr().err + caplog.text
    monkeypatch.setenv("HIVECOST_DISABLE", "1")
    await run(make_runtime(budgets=hc.Budget("b", LESS)), times=2)
    (line,) = capfd.readouterr().err.splitlines()
    (record,) = caplog.records
    assert line == record.getMessage()
    assert line.startswith("hivecost is disabled by HIVECOST_DISABLE: NO BUDGET HOLDS and nothing is logged")


def test_commands_that_read_go_on(tmp_path, monkeypatch):
    """What was logged before is shown as ever."""
    runtime = hc.AgentRuntime(tmp_path, prices={"m": {"input": 1, "output": 2}}, budgets=hc.Budget("b", "$1"))
    anyio.run(run, runtime)
    command = ["spend", "--data", str(tmp_path), "--json"]
    before = CliRunner().invoke(app, command)
    monkeypatch.setenv("HIVECOST_DISABLE", "1")
    assert (before.exit_code, CliRunner().invoke(app, command).output) == (0, before.output)


async def test_no_loop_is_limited(disabled, tmp_path):
    """Prompts are sent as they are, answers are as long as they may be, and there is no last turn."""
    limits = {"max_history_tokens": 10, "max_iterations": 1, "max_output_tokens": 1, "max_tool_result_tokens": 1}
    messages = [{"role": "user", "content": "word " * 1_000}, {"role": "user", "content": "Go on."}]
    runtime = hc.AgentRuntime(tmp_path, config={"graph": {"id": "g", "loop_config": limits}})
    async with runtime, runtime.execution() as ctx, ctx.node("n", loop_config=limits):
        for _ in range(3):
            async with ctx.turn("m", prompt=messages, max_tokens=50) as turn:
                assert turn.messages is messages
                assert (turn.max_tokens, turn.is_last) == (50, False)
                turn.settle(USAGE)
