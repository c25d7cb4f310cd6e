"""`hivecost today` and `statusline`: served without what takes time to import, and as exact as the log."""

from __future__ import annotations

import json
import subprocess
import sys
import time
from datetime import UTC, datetime, timedelta

import anyio
import pytest

import hivecost as hc
from hivecost.backends.sqlite import Store
from hivecost.cli import app, quick
from hivecost.cli.direct import QUICK
from hivecost.cli.help import COMMANDS
from hivecost.clock import to_ns
from hivecost.events import Cost, CostStatus
from hivecost.testing import FakeClock

NOW = datetime(2026, 11, 22, 12, 7, tzinfo=UTC)
CENT = 10**7


@pytest.fixture(autouse=True)
def noon(monkeypatch):
    """It is just past noon, and local time is UTC."""
    monkeypatch.setattr(quick, "now_ns", lambda: to_ns(NOW))
    for name in QUICK:
        monkeypatch.setattr(f"hivecost.cli.{name}.now_ns", lambda: to_ns(NOW))
    monkeypatch.setenv("TZ", "UTC")
    time.tzset()
    yield
    monkeypatch.undo()
    time.tzset()


@pytest.fixture(autouse=True)
def _in_the_data_folder(monkeypatch, tmp_path):
    monkeypatch.setenv("HIVECOST_DATA", str(tmp_path))


def turn(ago: timedelta, cents: int | None, **who):
    cost = None if cents is None else Cost(status=CostStatus.PRICED, nanousd=cents * CENT)
    return hc.LLMTurnComplete(timestamp_ns=to_ns(NOW - ago), cost=cost, usage=hc.Usage(100, 10), **who)


@pytest.fixture
def spent(tmp_path):
    """A dollar today in three turns, one more without a price; some of it in the last hour; half of it yesterday."""
    turns = [
        turn(timedelta(minutes=1), 20, model="small", agent_id="a"),
        turn(timedelta(minutes=59, seconds=59), 30, model="large", agent_id="a"),
        turn(timedelta(minutes=61), 50, model="large", agent_id="b"),
        turn(timedelta(hours=3), None, model="ours", agent_id="b"),
        turn(timedelta(hours=24, seconds=1), 50, model="large"),
        turn(timedelta(hours=23, minutes=59), 70, model="large"),
        turn(timedelta(days=2), 900, model="large"),
    ]
    anyio.run(Store(tmp_path).write, turns)


@pytest.fixture
def held(tmp_path):
    """A hard budget of the day is spent to 78 %."""

    async def spend() -> None:
        budget = hc.Budget("acme", "$1", window="day", mode="hard")
        async with hc.Ledger.open(tmp_path, budgets=[budget], clock=FakeClock(NOW)) as ledger:
            (await ledger.reserve({}, usd="0.78")).settle()

    anyio.run(spend)


def test_the_line_of_a_prompt(hivecost, spent, held):
    """Today, the rate of exactly an hour, the tightest budget, what is unpriced."""
    line = "$1.00 today, $0.50/h, acme 78% (resets 00:00), 1 unpriced\n"
    assert hivecost("statusline") == (0, line, "")
    assert hivecost("statusline", "--format", "{today} {percent}% {nonsense")[1] == "$1.00 78% {nonsense\n"
    found = json.loads(hivecost("statusline", "--json")[1])
    assert (found["cost_nanousd"], found["budget"], found["unpriced"]) == (100 * CENT, "acme", 1)


def test_a_line_without_budgets_and_without_prices(hivecost, tmp_path):
    """What there is none of is left out, and what has no price is no $0.00."""
    anyio.run(Store(tmp_path).write, [turn(timedelta(minutes=1), None)])
    assert hivecost("statusline") == (0, "unpriced today, $0.00/h, 1 unpriced\n", "")


@pytest.mark.parametrize(
    ("arguments", "said"),
    [
        ((), "nothing was logged in"),
        (("--data", "typo"), "nothing was logged in typo yet; name another folder with --data"),
        (("--nope",), "statusline: expected options that `hivecost statusline --help` lists, got '--nope'"),
        (("--data",), "statusline --data: expected a path"),
        (("--json=1",), "got '--json=1'"),
    ],
)
def test_a_prompt_never_fails(hivecost, arguments, said):
    """What is wrong is a line on stderr, with status 0 unless it is to be strict; nothing goes to stdout."""
    status, out, err = hivecost("statusline", *arguments)
    assert (status, out) == (0, "")
    assert err.startswith("hivecost: ")
    assert said in err
    status, out, err = hivecost("statusline", "--strict", *arguments)
    assert (status in (1, 2), out) == (True, "")
    assert said in err


def test_a_format_names_what_there_is(hivecost, spent):
    """Plain names alone: no attributes, and a misspelt one is named."""
    for name in ("todya", "today.__class__", ""):
        status, out, err = hivecost("statusline", "--strict", f"--format={{{name}}}")
        assert (status, out) == (2, "")
        assert f"got '{{{name}}}'" in err


def test_today_is_the_fold_of_its_turns(hivecost, spent, held):
    """To the nano-dollar; yesterday up to this time, and what cost most first."""
    found = json.loads(hivecost("today", "--json")[1])
    assert [(row["group"], row["cost_nanousd"] // CENT, row["llm_calls"]) for row in found["rows"]] == [
        ({"model": "large"}, 80, 2),
        ({"model": "small"}, 20, 1),
        ({"model": "ours"}, 0, 1),
    ]
    assert (found["total"]["cost_nanousd"], found["total"]["input_tokens"]) == (100 * CENT, 400)
    assert found["yesterday_by_now"]["cost_nanousd"] == 50 * CENT
    assert found["last_hour"]["cost_nanousd"] == 50 * CENT
    assert (found["day"], found["tightest"]["settled"]) == ("2026-11-22", 78 * CENT)
    by_agent = json.loads(hivecost("today", "--json", "--by", "agent")[1])
    assert [row["group"]["agent"] for row in by_agent["rows"]] == ["a", "b"]


def test_today_in_a_terminal(hivecost, spent, held):
    """What has no price says so, in its row and in words."""
    status, out, _ = hivecost("today")
    assert status == 0
    assert "Today, 2026-11-22 (UTC): $1.00 (+100 % of $0.50 yesterday by this time)" in out
    assert "Tightest hard budget: acme 78% used, resets 00:00" in out
    assert any(line.split() == ["ours", "1", "100", "10", "0", "unpriced"] for line in out.splitlines())
    assert any(line.split() == ["Total", "4", "400", "40", "0", "$1.00"] for line in out.splitlines())
    assert "1 call without a known cost" in out


def test_today_in_a_narrow_terminal(hivecost, spent, monkeypatch):
    """Columns are left out before a row is broken, and no word is."""
    monkeypatch.setattr(sys.stdout, "isatty", lambda: True, raising=False)
    monkeypatch.setenv("COLUMNS", "30")
    out = hivecost("today")[1]
    assert any(line.split() == ["Total", "4", "$1.00"] for line in out.splitlines())
    assert all(len(line) <= 32 for line in out.splitlines())
    assert "known cost: missing" in " ".join(out.split())


def test_today_is_that_of_the_zone(hivecost, spent):
    """In Fiji the day is seven minutes old."""
    found = json.loads(hivecost("today", "--json", "--timezone", "Pacific/Fiji")[1])
    assert (found["day"], found["timezone"]) == ("2026-11-23", "Pacific/Fiji")
    assert found["total"]["cost_nanousd"] == 20 * CENT
    assert found["yesterday_by_now"]["cost_nanousd"] == 50 * CENT


@pytest.mark.parametrize(
    ("arguments", "status"),
    [
        (("--timezone", "Mars/Olympus"), 2),
        (("--by", "colour"), 2),
        (("--by", "day"), 2),
        (("--by", "model,model"), 2),
        (("x",), 2),
    ],
)
def test_what_today_is_asked_wrongly(hivecost, spent, arguments, status):
    """Status 2, and nothing that a pipe would take for an answer."""
    assert hivecost("today", *arguments)[:2] == (status, "")


def test_a_strangers_name_moves_no_cursor(hivecost, tmp_path):
    """In tables and lines alike."""
    anyio.run(Store(tmp_path).write, [turn(timedelta(minutes=1), 5, model="\x1b[2Jevil")])
    assert "\x1b" not in hivecost("today")[1]


def test_help_names_every_command():
    """The table that is printed without importing them says what they say."""
    said = {
        **{command.callback.__name__: command.callback.__doc__ for command in app.registered_commands},
        **{group.typer_instance.info.name: group.typer_instance.info.help for group in app.registered_groups},
    }
    assert list(COMMANDS) == sorted(said)
    for name, summary in COMMANDS.items():
        assert said[name].startswith(summary.removesuffix(".")), name


@pytest.mark.parametrize(("arguments", "status"), [((), 2), (("--help",), 0)])
def test_help_is_printed(hivecost, arguments, status):
    """With each command in it."""
    found, out, _ = hivecost(*arguments)
    assert found == status
    assert all(f"\n  {name} " in out for name in COMMANDS)


def test_the_version_is_printed(hivecost):
    assert hivecost("--version") == (0, f"{hc.__version__}\n", "")


@pytest.mark.parametrize("arguments", [["statusline"], ["today"], ["--help"], ["--version"]], ids=" ".join)
def test_what_is_quick_imports_nothing_that_takes_time(tmp_path, spent, arguments):
    """No typer, rich, msgspec, anyio or asyncio, and none of the rooms that need them."""
    heavy = {
        "argparse",
        "decimal",
        "typer",
        "click",
        "rich",
        "msgspec",
        "anyio",
        "aiosqlite",
        "asyncio",
        "hivecost.backends.sqlite.reading.connection",
        "hivecost.events",
    }
    code = f"""
import sys
before = set(sys.modules)  # what measures coverage is there already
from hivecost.cli import main
try:
    main()
finally:
    sys.stderr.write(",".join(sorted({heavy} & set(sys.modules) - before)))
"""
    data = [] if arguments[0].startswith("--") else ["--data", str(tmp_path)]
    done = subprocess.run([sys.executable, "-c", code, *arguments, *data], capture_output=True, text=True, check=False)
    assert (done.returncode, done.stderr) == (0, "")
    assert done.stdout
