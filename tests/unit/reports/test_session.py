"""`load_session_report`: what happened in a session beside its costs: budgets, alerts, errors, who it was."""

from __future__ import annotations

import json
import sqlite3
from contextlib import closing
from datetime import UTC, datetime

import pytest

import hivecost as hc
from hivecost.backends.sqlite import SQLiteLogReader, Store
from hivecost.cli.render import render_session, to_json
from hivecost.cli.render.sheet import render_sheet
from hivecost.cli.spend import spend_sheet
from hivecost.errors import SessionNotFoundError, StoreCorruptError
from hivecost.events import Cost, CostStatus
from hivecost.log.periods import QUARTER_HOUR_NS
from hivecost.reports import load_session_report, load_spend, require_log
from hivecost.testing import FakeClock

pytestmark = pytest.mark.anyio

#: USD per 1M tokens, so 1,000 nano-USD for a token in and 2,000 for a token out.
PRICES = {"m": {"input": 1, "output": 2}}
NOON = datetime(2026, 11, 22, 12, tzinfo=UTC)


@pytest.fixture
def anyio_backend():
    return "asyncio"


@pytest.fixture
def clock():
    return FakeClock(NOON)


@pytest.fixture
def base_path(tmp_path):
    return tmp_path / "data"


def a_call(number, size=3_000):
    call = {"id": f"call_{number}", "type": "function", "function": {"name": "read", "arguments": "{}"}}
    result = {"role": "tool", "tool_call_id": f"call_{number}", "content": "x" * size}
    return [{"role": "assistant", "content": None, "tool_calls": [call]}, result]


async def converse(base_path, clock, turns, *, budget, read=0):
    """A conversation in a node with a context budget; `read` of the tokens of each prompt are from a cache."""
    prices = {"m": {"input": 1, "output": 2, "cache_read": 0.1}}
    runtime = hc.AgentRuntime(base_path, prices=prices, clock=clock)
    messages = [{"role": "user", "content": "Go on."}]
    async with runtime, runtime.execution() as ctx, ctx.node("search", loop_config={"max_history_tokens": budget}):
        for number in range(turns):
            async with ctx.turn("m", prompt=messages) as turn:
                turn.settle(hc.Usage(max(read, len(str(turn.messages)) // 4), 10, cache_read_tokens=read))
            messages += a_call(number)
    return runtime


async def test_compactions_are_shown_with_what_they_saved_and_cost(base_path, clock, capsys):
    """Later turns did not read what was taken out, by their own rates; the rest of a prompt was written anew."""
    await converse(base_path, clock, 8, budget=3_000, read=15)
    report = await load_session_report(base_path)
    [node] = report.compactions
    turns, events = read_back(base_path)
    assert (node.node_id, node.compactions) == ("search", len(events))
    assert node.tokens_saved == sum(event.tokens_saved for event in events) > 0
    sent = sum(turn.usage.input_tokens for turn in turns)
    spared = [turn.prompt.compacted_tokens for turn in turns if turn.prompt]
    assert node.spared_tokens == sum(spared)
    assert node.saved_nanousd == 100 * sum(spared)  # a tenth of a dollar by 1M tokens
    assert node.net_nanousd == node.saved_nanousd - sum(event.cache_rewrite_nanousd for event in events)
    assert report.compression_ratio == round(sent / (sent + sum(spared)), 4)
    render_session(report)
    told = capsys.readouterr().out
    assert f"Compacted {len(events)} time" in told
    assert f"ratio {report.compression_ratio:.2f}" in told


async def test_compactions_that_did_not_pay_are_negative(base_path, clock, capsys):
    lost = hc.ContextCompacted(tokens_before=9, tokens_after=5, cost_nanousd=7_000_000_000, session_id="s")
    async with Store(base_path) as store:
        await store.write([lost])
    render_session(await load_session_report(base_path, "s"))
    assert "less $7.0000 for summaries and $0.0000 for caches written again: -$7.0000" in capsys.readouterr().out


async def test_results_that_were_sent_again_are_shown_by_tool(base_path, clock, capsys):
    """Each with what it cost of the prompts that held it, but for the first of them."""
    await converse(base_path, clock, 4, budget=90_000)
    report = await load_session_report(base_path)
    [read] = report.carried
    assert (read.tool, read.turns, read.results) == ("read", 2, 1 + 2)
    turns, _ = read_back(base_path)
    carried = [one for turn in turns if turn.prompt for one in turn.prompt.carried]
    assert read.nanousd == sum(one.nanousd for one in carried) > 0
    assert read.nanousd == 1_000 * read.tokens
    assert read.old_nanousd == 0
    render_session(report, tools=True)
    assert "Cost again" in capsys.readouterr().out


def read_back(base_path):
    """(the turns, the compactions) of the log."""
    log = SQLiteLogReader(base_path)
    return list(log.turns().rows), list(log.events(types=[hc.EventType.CONTEXT_COMPACTED]).rows)


@pytest.fixture
def make_runtime(base_path, clock):
    """A runtime whose agent settles turns of so many tokens, and may then raise what it was told."""

    def make(*budgets, **settings):
        runtime = hc.AgentRuntime(base_path, budgets=budgets, prices=PRICES, clock=clock, **settings)

        @runtime.entry_point("agent")
        async def agent(ctx, given):
            for tokens in given["turns"]:
                async with ctx.turn("m", input_tokens=tokens, max_tokens=1) as turn:
                    turn.settle(hc.Usage(tokens, 0))
            if "error" in given:
                raise given["error"]

        return runtime

    return make


async def lines_of(base_path, session="latest"):
    return {line.budget: line for line in (await load_session_report(base_path, session)).budgets}


async def shown_of(base_path, capsys):
    """The lines of the report by their label."""
    render_session(await load_session_report(base_path))
    out = capsys.readouterr().out
    return {line[:10].strip(): line[10:] for line in out.splitlines() if line[:1].isalpha()}


@pytest.mark.parametrize("mode", ["observe", "stop_after", "hard"])
async def test_a_budget_that_nothing_happened_to_says_how_far_it_is(make_runtime, base_path, clock, capsys, mode):
    """Over all sessions, in every mode: `cap: $0.12 of $50`."""
    runtime = make_runtime(hc.Budget("cap", "$50", window="month", match={"org": "acme"}, mode=mode))
    async with runtime:
        await runtime.trigger_and_wait("agent", {"turns": [50_000] * 2}, org_id="acme")
        await runtime.trigger_and_wait("agent", {"turns": [7_000]}, org_id="umbrella")
        clock.advance(1)
        await runtime.trigger_and_wait("agent", {"turns": [20_000]}, org_id="acme")
    shown = await shown_of(base_path, capsys)
    assert shown["Budget"] == "cap: $0.1200 of $50.0000 used"
    (line,) = json.loads(to_json(await load_session_report(base_path)))["budgets"]
    assert (line["used"], line["limit"], line["mode"], line["period"]) == (120_000_000, 50 * 10**9, mode, "2026-11")


async def test_a_budget_that_did_not_count_the_session_is_left_out(make_runtime, base_path, capsys):
    """By its match, and by when it was first used."""
    async with make_runtime(hc.Budget("theirs", "$1", match={"org": "acme"}, mode="stop_after")) as runtime:
        await runtime.trigger_and_wait("agent", {"turns": [10]}, org_id="umbrella")
    assert (await shown_of(base_path, capsys))["Budget"] == "none was touched"


async def test_a_budget_that_came_later_did_not_bind(make_runtime, base_path, clock):
    """It is in no report of a session that had ended when it was first used."""
    async with make_runtime() as runtime:
        await runtime.trigger_and_wait("agent", {"turns": [10]})
    clock.advance(60)
    async with make_runtime(hc.Budget("later", "$1", mode="stop_after")):
        pass
    assert await lines_of(base_path) == {}


async def test_what_a_budget_did_stands_beside_how_far_it_is(make_runtime, base_path, clock):
    """The newest sums and limit, and what was done; the raised limit too."""
    budget = hc.Budget("day", "10 calls", window="day", mode="hard", warn=(0.2,))
    async with make_runtime(budget) as runtime:
        await runtime.trigger_and_wait("agent", {"turns": [1] * 3}, session_id="s1")
        await runtime.trigger_and_wait("agent", {"turns": [1] * 20}, session_id="s2")
        await runtime.budgets.raise_limit("day", "5 calls", by="ada")
    s1, s2 = (await lines_of(base_path, "s1"))["day"], (await lines_of(base_path, "s2"))["day"]
    assert (s1.used, s1.limit, s1.outcome) == (10, 15, "warned")
    assert (s2.used, s2.limit, s2.outcome) == (10, 15, "refused")


async def test_a_period_that_is_over_is_that_of_the_session(make_runtime, base_path, clock, capsys):
    """Not the present one, and the report says which it was."""
    past = FakeClock(datetime(2025, 3, 1, 12, tzinfo=UTC))
    budgets = [
        hc.Budget("soft", "$1", window="day", mode="stop_after"),
        hc.Budget("hard", "$1", window="day", mode="hard"),
    ]
    runtime = hc.AgentRuntime(base_path, budgets=budgets, prices=PRICES, clock=past)

    @runtime.entry_point("agent")
    async def agent(ctx, tokens):
        async with ctx.turn("m", input_tokens=tokens, max_tokens=1) as turn:
            turn.settle(hc.Usage(tokens, 0))

    async with runtime:
        await runtime.trigger_and_wait("agent", 100_000, session_id="then")
        past.advance(86_400)
        await runtime.trigger_and_wait("agent", 300_000, session_id="next day")
    render_session(await load_session_report(base_path, "then"))
    shown = capsys.readouterr().out
    assert "hard: $0.1000 of $1.0000 used for the day 2025-03-01" in shown
    assert "soft: $0.1000 of $1.0000 used for the day 2025-03-01" in shown


async def test_of_many_executions_the_furthest_is_shown(make_runtime, base_path, capsys):
    """A budget with an account for each has one line, not one for each."""
    for mode in ("stop_after", "hard"):
        async with make_runtime(hc.Budget(mode, "$1", window="execution", mode=mode)) as runtime:
            for tokens in (100_000, 400_000, 200_000):
                await runtime.trigger_and_wait("agent", {"turns": [tokens]}, session_id=f"of {mode}")
        (line,) = [line for line in (await lines_of(base_path, f"of {mode}")).values() if line.budget == mode]
        assert (line.used, line.accounts) == (400_000_000, 3)
    assert (await shown_of(base_path, capsys))["Budget"].endswith("$0.4000 of $1.0000 used, the most of 3 executions")


async def test_what_only_a_walk_through_the_log_would_tell_is_the_sessions_part(make_runtime, base_path, capsys):
    """A budget by tags: the part of this session, and where the whole is."""
    async with make_runtime(hc.Budget("plans", "$1", per="plan", mode="stop_after")) as runtime:
        await runtime.trigger_and_wait("agent", {"turns": [100_000]}, tags={"plan": "pro"}, session_id="other")
        await runtime.trigger_and_wait("agent", {"turns": [300_000]}, tags={"plan": "pro"}, session_id="this")
    line = (await lines_of(base_path, "this"))["plans"]
    assert (line.scope, line.used, line.is_share) == ("plan=pro", 300_000_000, True)


async def test_money_in_doubt_is_said(make_runtime, base_path, capsys):
    """In the report, in `spend` and in JSON, as amount and count, where the sums of the log cannot have it."""
    async with make_runtime(hc.Budget("cap", "$1", mode="hard"), hc.Budget("day", "$1", mode="hard")) as runtime:

        @runtime.entry_point("lost")
        async def lost(ctx, _):
            async with ctx.turn("m", input_tokens=70_000, max_tokens=1):
                raise TimeoutError

        await runtime.trigger_and_wait("agent", {"turns": [1]})
        await runtime.flush()
        assert (await load_session_report(base_path)).in_doubt is None
        for _ in range(2):
            await runtime.trigger_and_wait("lost")
    shown = await shown_of(base_path, capsys)
    assert shown["In doubt"].startswith("2 holds, $0.1400: may have been spent")
    assert "`hivecost budget doubts`); in this folder, whichever session it is of" in shown["In doubt"]
    assert "of it in doubt" in shown["Budget"]
    spent = await load_spend(base_path, by=["user"])
    doubt = spent.gaps.in_doubt
    assert (doubt.holds, doubt.nanousd) == (2, 140_004_000)
    render_sheet(spend_sheet(spent, str(base_path)))
    assert "In doubt: 2 holds, $0.1400" in capsys.readouterr().out


async def test_alerts_and_errors_are_in_the_report(make_runtime, base_path, capsys):
    """The alert with its rule, each once; the error of a failed execution with its message; in JSON as well."""
    async with make_runtime(config={"runaway_rules": {"repeats": 5}}) as runtime:
        for _ in range(2):
            given = {"turns": [9] * 8, "error": ValueError("[red]tool broke\x1b[2J")}
            await runtime.trigger_and_wait("agent", given, session_id="s")
        await runtime.trigger_and_wait("agent", {"turns": [], "error": KeyError("x")}, session_id="s")
        await runtime.bus.publish(hc.AlertRaised(session_id="s", rule="mine", message="look"))
    report = await load_session_report(base_path)
    assert [(one.agent_id, one.status, one.error, one.executions) for one in report.errors] == [
        ("agent", "failed", "ValueError: [red]tool broke\x1b[2J", 2),
        ("agent", "failed", "KeyError: 'x'", 1),
    ]
    assert ("mine", "look", "", 1) in [(a.rule, a.message, a.agent_id, a.times) for a in report.alerts]
    assert any(a.rule.startswith("runaway") and a.agent_id == "agent" for a in report.alerts)
    render_session(report)
    shown = capsys.readouterr().out
    assert "Error     agent: ValueError: [red]tool broke�[2J (2 executions)" in shown
    assert "Alert     mine: look" in shown
    assert "tool broke" in to_json(report)
    assert "runaway" in to_json(report)


async def test_a_cancellation_says_why_once(make_runtime, base_path, capsys):
    """One that a budget explains is in the budget's line, any other has its own."""
    async with make_runtime(hc.Budget("run", "1 calls", window="execution", mode="stop_after")) as runtime:

        @runtime.entry_point("slow")
        async def slow(ctx, _):
            await runtime.cancel_execution(ctx.execution_id, "the user left")
            await runtime.clock.sleep(60)

        await runtime.trigger_and_wait("agent", {"turns": [1] * 5}, session_id="s")
        await runtime.trigger_and_wait("slow", session_id="s")
    shown = await shown_of(base_path, capsys)
    assert shown["Cancelled"] == "slow: ExecutionCancelledError: the user left"
    assert shown["Budget"].endswith("1 of 1 calls used, refused")
    assert "Error" not in shown


async def test_all_who_took_part_are_named(make_runtime, base_path, capsys):
    """Agents of executions and of nodes, users and organisations; of very many, how many."""
    async with make_runtime() as runtime:

        @runtime.entry_point("graph", agent_id="planner")
        async def graph(ctx, _):
            async with ctx.node("review", agent_id="critic"), ctx.turn("m") as turn:
                turn.settle(hc.Usage(1, 1))

        await runtime.trigger_and_wait("graph", session_id="s", user_id="ada")
        await runtime.trigger_and_wait("agent", {"turns": [1]}, session_id="s", user_id="bob", org_id="acme")
    render_session(await load_session_report(base_path))
    assert "agents agent, critic, planner   users ada, bob   org acme" in capsys.readouterr().out
    async with make_runtime() as runtime:
        for number in range(12):
            await runtime.trigger_and_wait("agent", {"turns": []}, session_id="s", user_id=f"u{number}")
    render_session(await load_session_report(base_path))
    assert "agents agent, critic, planner   14 users   org acme" in capsys.readouterr().out


async def test_many_lines_of_a_kind_are_counted(make_runtime, base_path, capsys):
    """Twenty are shown, --json has all."""
    async with make_runtime() as runtime:
        for number in range(30):
            given = {"turns": [], "error": ValueError(f"number {number}")}
            await runtime.trigger_and_wait("agent", given, session_id="s")
    render_session(await load_session_report(base_path))
    shown = capsys.readouterr().out
    assert shown.count("Error     agent: ValueError: number") == 20
    assert "Error     … and 10 more (--json has all)" in shown


async def test_a_name_that_stands_for_something_is_a_name(make_runtime, base_path):
    """Nobody chooses a name that takes their account out of the report."""
    async with make_runtime(
        hc.Budget("users", "9 calls", per="user", mode="stop_after"),
        hc.Budget("runs", "9 calls", per="execution", mode="stop_after"),
    ) as runtime:
        await runtime.trigger_and_wait("agent", {"turns": [1]}, user_id="elsewhere")
    lines = await lines_of(base_path)
    assert (lines["users"].scope, lines["users"].used, lines["runs"].used) == ("user=elsewhere", 1, 1)


async def test_a_folder_with_a_ledger_alone_is_pointed_to_it(base_path, clock):
    """There is no session to report, but there are budgets."""
    async with hc.Ledger.open(base_path, budgets=[hc.Budget("b", "$1", mode="hard")], clock=clock) as ledger:
        (await ledger.reserve({}, usd="0.01")).settle(usd="0.01")
    for load in (load_session_report, require_log):
        with pytest.raises(SessionNotFoundError, match="its budgets are shown by `hivecost budget status`, or name"):
            await load(base_path)
    with pytest.raises(SessionNotFoundError, match="yet; name another folder"):
        await load_session_report(base_path / "elsewhere")


def logged(base_path, *events):
    return Store(base_path).write(events)


async def test_warnings_of_the_session_are_told_oldest_first(base_path):
    """Those of other sessions are left out."""
    early = hc.BudgetWarning(session_id="s", timestamp_ns=1, budget="a")
    late = hc.BudgetWarning(session_id="s", timestamp_ns=2, budget="b")
    await logged(base_path, late, early, hc.BudgetWarning(session_id="t", budget="c"))
    assert list(await lines_of(base_path, "s")) == ["a", "b"]


async def test_unpriced_turns_are_counted_by_reason(base_path):
    """Known costs, a cost of zero included, are not among them."""
    unpriced = Cost(status=CostStatus.UNPRICED, reason="no rate")
    await logged(
        base_path,
        *(hc.LLMTurnComplete(session_id="s", cost=unpriced) for _ in range(2)),
        hc.LLMTurnComplete(session_id="s"),
        hc.LLMTurnComplete(session_id="s", cost=Cost(status=CostStatus.PRICED, nanousd=0)),
        hc.LLMTurnComplete(session_id="t"),
    )
    report = await load_session_report(base_path, "s")
    assert report.unpriced == {"no rate": 2, "no price table was asked": 1}


async def test_a_pruned_session_says_so(base_path):
    """Its nodes keep their sums and models, its steps are said to be missing, and so are the reasons."""

    def turn(quarter_hour, **fields):
        cost = Cost(status=CostStatus.PRICED, nanousd=5)
        at_ns = quarter_hour * QUARTER_HOUR_NS + 7
        return hc.LLMTurnComplete(**{"session_id": "s", "timestamp_ns": at_ns, "cost": cost} | fields)

    unpriced = Cost(status=CostStatus.UNPRICED, reason="no rate")
    await logged(base_path, turn(0, node_id="old", model="a"), turn(0, node_id="both", model="a", cost=unpriced))
    await logged(base_path, turn(9, node_id="new", model="c"), turn(9, node_id="both", model="b", cost=unpriced))
    log = hc.RuntimeLogStore(base_path)
    assert (await log.load_details("s")).pruned_steps == 0
    assert (await load_session_report(base_path, "s")).pruned_before is None
    await Store(base_path).prune(QUARTER_HOUR_NS)
    details, report = await log.load_details("s"), await load_session_report(base_path, "s")
    assert [(node.node_id, node.models, len(node.steps), node.pruned_steps) for node in details.nodes] == [
        ("old", ("a",), 0, 1),
        ("new", ("c",), 1, 0),
        ("both", ("a", "b"), 1, 1),
    ]
    assert details.pruned_steps == 2
    assert {node.node_id: node.cost_nanousd for node in details.nodes} == {"old": 5, "new": 5, "both": 0}
    assert report.unpriced == {"no rate": 1, "the reason was pruned with the turn": 1}
    assert (report.pruned_before or "")[:4] in ("1969", "1970")
    await logged(base_path, turn(9, session_id="later"))
    assert (await load_session_report(base_path, "later")).pruned_before is None


async def test_a_damaged_event_is_a_named_error(base_path):
    """The log says that it is damaged, not that some JSON is."""
    await logged(base_path, hc.BudgetWarning(session_id="s"))
    with closing(sqlite3.connect(base_path / "hivecost.db", isolation_level=None)) as connection:
        connection.execute("UPDATE events SET payload = '{'")
    with pytest.raises(StoreCorruptError, match=r"hivecost\.db"):
        await load_session_report(base_path, "s")
