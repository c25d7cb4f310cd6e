"""`load_budget_report`: every budget that was used, whatever its mode, with what was spent on its accounts."""

from __future__ import annotations

import json
import random
import sqlite3
from contextlib import closing
from datetime import UTC, datetime, timedelta

import anyio
import pytest

import hivecost as hc
from hivecost.backends import open_log
from hivecost.backends.sqlite import prune
from hivecost.cli.render import render_budgets, render_explanation, render_session
from hivecost.clock import to_datetime
from hivecost.errors import LedgerUnavailableError, StoreCorruptError
from hivecost.log.account_sums import logged_accounts
from hivecost.reports import explain_budget, load_budget_report, load_session_report
from hivecost.testing import FakeClock

pytestmark = pytest.mark.anyio

#: USD per 1M tokens, so 1,000 nano-USD for a token in and 2,000 for a token out.
PRICES = {"m": {"input": 1, "output": 2}, "n": {"input": 1, "output": 2}}
NOON = datetime(2026, 11, 22, 12, tzinfo=UTC)

COUNTING = [
    hc.Budget("all", "$5", mode="stop_after"),
    hc.Budget(
        "acme's day", "$1", window="day", timezone="Asia/Tokyo", match={"org": "acme"}, per="user", mode="stop_after"
    ),
    hc.Budget("an hour", "1_000 tokens", window="hour", per=("org", "agent"), mode="observe"),
    hc.Budget(
        "models", "20 calls", window="month", match={"model": ["m", "n"], "user": "ada"}, per="model", mode="stop_after"
    ),
    hc.Budget("plans", "$0.01", window="week", per=("plan", "node"), mode="observe"),
    hc.Budget(
        "tasks",
        "5 calls",
        window="day",
        timezone="Australia/Lord_Howe",
        per="task",
        on_exceed="alert",
        mode="stop_after",
    ),
    hc.Budget("nobody", "5 calls", match={"org": "nobody"}, mode="stop_after"),
    hc.Budget("a run", "$1", window="execution", mode="stop_after"),
    hc.Budget("a session", "$1", window="session", mode="stop_after"),
]


@pytest.fixture
def anyio_backend():
    return "asyncio"


@pytest.fixture
def clock():
    return FakeClock(NOON)


@pytest.fixture
def base_path(tmp_path):
    return tmp_path / "data"


def runtime_of(base_path, clock, budgets, **settings) -> hc.AgentRuntime:
    runtime = hc.AgentRuntime(base_path, budgets=budgets, prices=PRICES, clock=clock, **settings)

    @runtime.entry_point("agent")
    async def agent(ctx, turns):
        for model, node, tokens in turns:
            async with ctx.node(node), ctx.turn(model, input_tokens=1_000, max_tokens=1_000) as turn:
                turn.settle(hc.Usage(*tokens))

    @runtime.entry_point("other")
    async def other(ctx, turns):
        await agent(ctx, turns)

    return runtime


async def spend(runtime, clock, *, seed=7, turns=60, every_s=1_700):
    """Turns of many kinds, over a day and more."""
    dice = random.Random(seed)
    for _ in range(turns):
        await runtime.trigger_and_wait(
            dice.choice(["agent", "other"]),
            [
                (
                    dice.choice(["m", "n", "unknown"]),
                    dice.choice(["plan", "act"]),
                    (dice.randrange(50), dice.randrange(9)),
                )
            ],
            user_id=dice.choice(["ada", "bob", ""]),
            org_id=dice.choice(["acme", "umbrella"]),
            task_id=dice.choice(["t1", ""]),
            tags=dice.choice([{}, {"plan": "pro"}, {"plan": "free", "x": "y"}]),
        )
        clock.advance(every_s)
    await runtime.flush()


async def pass_time(clock):
    while True:
        clock.advance(0.1)
        await anyio.sleep(0.01)


def by_account(rows):
    return {(row.budget, row.scope, row.period): (row.limit, row.settled, row.unpriced_calls) for row in rows}


@pytest.mark.parametrize("seed", [1, 2])
async def test_what_the_log_says_is_what_the_runtime_counted(base_path, clock, seed):
    """For every budget, window, zone, match and `per`: the same accounts, sums and turns without a price."""
    runtime = runtime_of(base_path, clock, COUNTING)
    async with runtime:
        await spend(runtime, clock, seed=seed)
        await runtime.bus.drain()
        counted = [row for row in await runtime.budgets.status() if row.budget not in ("a run", "a session")]
        report = await load_budget_report(base_path, clock=clock)
    logged = [row for line in report.budgets for row in line.accounts]
    assert by_account(logged) == by_account(counted)
    assert {row.budget for row in logged} >= {"all", "acme's day", "models", "plans", "tasks"}


async def test_pruned_turns_count_on(base_path, clock):
    """What is no longer in the log is still spent."""
    runtime = runtime_of(base_path, clock, COUNTING)
    async with runtime:
        await spend(runtime, clock, turns=20, every_s=120)
    clock.advance(7_200)
    before = logged_accounts(open_log(base_path), COUNTING, clock.now_ns())
    async with anyio.create_task_group() as group:
        group.start_soon(pass_time, clock)
        pruned = await prune(base_path, clock.now_ns() - 7_500 * 10**9, clock=clock)
        group.cancel_scope.cancel()
    assert 0 < pruned.turns < 20
    assert logged_accounts(open_log(base_path), COUNTING, clock.now_ns()) == before != []


async def test_every_budget_is_shown_with_its_mode_and_what_it_matches(base_path, clock, capsys):
    """Hard ones from the ledger first, then the others; those with an account for each run or session say so."""
    hard = hc.Budget("cap", "$2", window="day", match={"org": ["acme", "umbrella"]}, mode="hard")
    runtime = runtime_of(base_path, clock, [*COUNTING, hard])
    async with runtime:
        await runtime.trigger_and_wait("agent", [("m", "plan", (500, 250))], org_id="acme", user_id="ada")
    report = await load_budget_report(base_path, clock=clock)
    lines = {line.budget: line for line in report.budgets}
    assert list(lines) == ["cap", *sorted(budget.name for budget in COUNTING)]
    assert {line.budget: line.mode for line in report.budgets} == {b.name: b.mode for b in [*COUNTING, hard]}
    assert (lines["cap"].match, lines["cap"].accounts[0].settled) == ({"org": ("acme", "umbrella")}, 1_000_000)
    assert lines["models"].match == {"model": ("m", "n"), "user": ("ada",)}
    assert (lines["nobody"].accounts, lines["a run"].accounts, lines["a session"].accounts) == ([], [], [])
    assert all(line.last_seen == NOON for line in report.budgets)
    render_budgets(report)
    shown = {line.split("  ")[0].strip(): " ".join(line.split()) for line in capsys.readouterr().out.splitlines()}
    assert shown["cap"].endswith(" open hard org=acme or umbrella")
    assert "user=ada 2026-11-22 $1.0000 $0.0010 $0.9990 " in shown["acme's day"]
    assert shown["acme's day"].endswith(" open stop_after org=acme")
    assert shown["models"].endswith("open stop_after model=m or n, user=ada")
    assert shown["nobody"] == "nobody none yet total 5 calls open stop_after org=nobody"
    assert shown["a run"] == "a run each execution execution $1.0000 open stop_after all turns"
    assert shown["a session"] == "a session each session session $1.0000 open stop_after all turns"


async def test_a_budget_is_kept_as_it_was_written_down_last(base_path, clock):
    """One row a name; each start says that it was seen, and a start with other budgets forgets none."""
    async with runtime_of(
        base_path,
        clock,
        [hc.Budget("day", "$1", window="day", mode="stop_after"), hc.Budget("gone", "$1", mode="stop_after")],
    ):
        pass
    clock.advance(40 * 86_400)
    later = to_datetime(clock.now_ns())
    async with runtime_of(base_path, clock, [hc.Budget("day", "9 calls", window="month", mode="observe")]):
        pass
    day, gone = open_log(base_path).budgets()
    assert (day.budget.mode, day.budget.limit_amount, day.budget.window) == ("observe", 9, "month")
    assert (day.first_seen_ns, day.last_seen_ns) == (gone.last_seen_ns, clock.now_ns())
    report = await load_budget_report(base_path, clock=clock)
    assert [line.last_seen for line in report.budgets] == [later, later - timedelta(days=40)]


async def test_what_nobody_used_for_long_says_since_when(base_path, clock, capsys):
    """A budget that was taken out of the configuration is told from one in force."""
    async with runtime_of(base_path, clock, [hc.Budget("gone", "$1", mode="stop_after")]):
        pass
    clock.advance(40 * 86_400)
    render_budgets(await load_budget_report(base_path, clock=clock))
    assert "open, last started 40 d ago" in capsys.readouterr().out


async def test_budgets_of_another_program_say_when_it_started(base_path, clock, capsys):
    """Those that the last start has not are marked, in text and in JSON, in the report of a session too."""
    shared, theirs = (
        hc.Budget("shared", "$1", mode="stop_after"),
        [hc.Budget("theirs", "$2", mode="stop_after"), hc.Budget("cap", "$2", mode="hard")],
    )
    async with runtime_of(base_path, clock, [shared, *theirs]):
        pass
    clock.advance(3 * 86_400)
    async with runtime_of(base_path, clock, [shared]) as runtime:
        await runtime.trigger_and_wait("agent", [("m", "plan", (500, 250))], session_id="s")
    report = await load_budget_report(base_path, clock=clock)
    assert {line.budget: line.in_last_start for line in report.budgets} == {
        "cap": False,
        "shared": True,
        "theirs": False,
    }
    render_budgets(report)
    assert capsys.readouterr().out.count("last started 3 d ago") == 2
    session = await load_session_report(base_path, "s")
    assert {line.budget: line.in_last_start for line in session.budgets}["theirs"] is False
    render_session(session)
    said = {line.split(":")[0].split()[-1]: line for line in capsys.readouterr().out.splitlines() if " used" in line}
    marked = {name for name, line in said.items() if "others may use it" in line}
    assert marked == {"theirs", "cap"} == said.keys() - {"shared"}


async def test_a_retired_hard_budget_says_so(base_path, clock, capsys):
    """Until somebody starts with it again."""
    day = hc.Budget("day", "$1", window="day", mode="hard")
    async with hc.Ledger.open(base_path, budgets=[day], clock=clock) as ledger:
        (await ledger.reserve({}, usd="0.1")).settle()
        clock.advance(60)
        await ledger.configure(retire=["day"], by="ada")
    for is_retired, state in ((True, " retired "), (False, " open ")):
        (line,) = (report := await load_budget_report(base_path, clock=clock)).budgets
        assert line.is_retired is is_retired
        render_budgets(report)
        assert state in capsys.readouterr().out
        render_explanation(await explain_budget(base_path, "day", clock=clock))
        assert ("day  hard, retired\n" in capsys.readouterr().out) is is_retired
        clock.advance(60)
        async with hc.Ledger.open(base_path, budgets=[day], clock=clock):
            pass


async def test_a_ledger_keeps_its_budgets_too(base_path, clock):
    """With what they match, without any runtime."""
    budget = hc.Budget("day", "$1", window="day", match={"org": "acme"}, mode="hard")
    async with hc.Ledger.open(base_path, budgets=[budget], clock=clock):
        pass
    (line,) = (await load_budget_report(base_path, clock=clock)).budgets
    assert (line.mode, line.match, line.last_seen) == ("hard", {"org": ("acme",)}, NOON)


async def test_what_nobody_wrote_down_is_not_said(base_path, clock, capsys):
    """A budget that an older version was the last to use has no match that is known; it is not said to be none."""
    async with hc.Ledger.open(
        base_path, budgets=[hc.Budget("old", "$1", match={"org": "a"}, mode="hard")], clock=clock
    ):
        pass
    with closing(sqlite3.connect(base_path / "hivecost.db")) as log, log:
        log.execute("DELETE FROM budget_definitions")
    report = await load_budget_report(base_path, clock=clock)
    assert (report.budgets[0].match, report.budgets[0].last_seen) == (None, None)
    render_budgets(report)
    (line,) = [line for line in capsys.readouterr().out.splitlines() if line.startswith("old")]
    assert line.rstrip().endswith(" open   hard")


async def test_a_changed_file_is_kept_when_it_is_read_again(base_path, clock, tmp_path):
    """The limit that is in force now is shown, not that of the start."""
    file = tmp_path / "hivecost.toml"
    file.write_text('[[budget]]\nname = "day"\nlimit = "$1"\nwindow = "day"\nmode = "stop_after"\n')
    async with hc.AgentRuntime(base_path, config=file, clock=clock) as runtime:
        file.write_text(file.read_text().replace("$1", "$3"))
        await runtime.reload_config()
        (line,) = (await load_budget_report(base_path, clock=clock)).budgets
    assert line.limit == 3 * 10**9


async def test_what_changed_from_python_is_shown(base_path, clock):
    """A limit that was set or taken back, and a budget that was added, of a mode that the ledger does not know."""
    async with runtime_of(base_path, clock, [hc.Budget("day", "$1", window="day", mode="stop_after")]) as runtime:
        budgets = runtime.budgets
        for change, limit in (
            (lambda: budgets.set_limit("day", "$5", by="ada"), 5),
            (lambda: budgets.raise_limit("day", "$2", by="ada"), 7),
            (lambda: budgets.unset_limit("day", by="ada"), 1),
            (lambda: budgets.configure([hc.Budget("new", "$3", mode="stop_after")], by="ada"), 1),
        ):
            await change()
            lines = {line.budget: line.limit for line in (await load_budget_report(base_path, clock=clock)).budgets}
            assert lines["day"] == limit * 10**9
        assert lines["new"] == 3 * 10**9


async def test_a_runtime_without_a_log_keeps_nothing(base_path, clock):
    """It has no folder of its own."""
    async with runtime_of(base_path, clock, COUNTING, config={"log": False}):
        pass
    assert not base_path.exists()


async def test_where_there_is_nothing_the_way_out_is_said(base_path, clock):
    """A log without budgets is pointed to reports; a folder with neither is most often mistyped."""
    with pytest.raises(LedgerUnavailableError, match="--data names another folder") as nothing:
        await load_budget_report(base_path, clock=clock)
    assert "hivecost report" not in str(nothing.value)
    async with runtime_of(base_path, clock, []) as runtime:
        await runtime.trigger_and_wait("agent", [])
    with pytest.raises(LedgerUnavailableError, match="is shown by `hivecost report` and `hivecost spend`"):
        await load_budget_report(base_path, clock=clock)


@pytest.mark.parametrize(
    "definition",
    ["no JSON", "[]", '{"name": "b"}', '{"name": "b", "limit": "$1", "timezone": "Mars/Olympus"}', '{"name": 7}'],
)
async def test_a_damaged_definition_is_named(base_path, clock, definition):
    """A file may be a stranger's."""
    async with runtime_of(base_path, clock, [hc.Budget("b", "$1", mode="stop_after")]):
        pass
    with closing(sqlite3.connect(base_path / "hivecost.db")) as log, log:
        log.execute("UPDATE budget_definitions SET definition = ?", [definition])
    with pytest.raises(StoreCorruptError, match="definition of a budget is damaged"):
        await load_budget_report(base_path, clock=clock)


async def test_what_a_newer_version_wrote_down_is_read(base_path, clock):
    """Fields of a definition that nobody knows here are passed over."""
    async with runtime_of(base_path, clock, [hc.Budget("b", "$1", mode="stop_after")]):
        pass
    with closing(sqlite3.connect(base_path / "hivecost.db")) as log, log:
        ((text,),) = log.execute("SELECT definition FROM budget_definitions")
        newer = json.dumps({**json.loads(text), "on_moon": "howl"})
        log.execute("UPDATE budget_definitions SET definition = ?", [newer])
    (known,) = open_log(base_path).budgets()
    assert known.budget.limit_amount == 10**9
