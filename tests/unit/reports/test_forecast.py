"""`hivecost forecast` and `budget suggest`: of each budget's own turns, on its own clocks."""

from __future__ import annotations

import json
import sys
import tomllib
from datetime import UTC, datetime, timedelta

import anyio
import pytest

import hivecost as hc
from hivecost.backends import open_backend
from hivecost.backends.sqlite import Store
from hivecost.cli import main
from hivecost.cli.budget_suggest import suggestion_toml
from hivecost.clock import to_ns
from hivecost.events import Cost, CostStatus
from hivecost.log import Window
from hivecost.reports.forecast import forecast_report
from hivecost.reports.selection import Selection
from hivecost.reports.suggestion import suggest_budgets
from hivecost.testing import FakeClock

NOW = datetime(2026, 11, 19, 12, 0, tzinfo=UTC)
CENT = 10**7
HOSTILE = 'a"b\\c\x1b[2J\x7f\U000e0001'


def turn(at, cents, agent="planner", **who):
    cost = Cost(status=CostStatus.PRICED, nanousd=cents * CENT)
    return hc.LLMTurnComplete(timestamp_ns=to_ns(at), cost=cost, usage=hc.Usage(100, 10), agent_id=agent, **who)


def every_hour(days, **who):
    """A cent an hour by planner, two by coder, in the middle of each hour up to now."""
    first = NOW - timedelta(days=days)
    hours = int((NOW - first) / timedelta(hours=1))
    moments = [first.replace(minute=30) + timedelta(hours=number) for number in range(hours)]
    return [turn(at, cents, agent, **who) for at in moments for agent, cents in (("planner", 1), ("coder", 2))]


@pytest.fixture
def places(tmp_path):
    backend = open_backend(tmp_path)
    return backend.reader(), backend.ledger_reader()


def define(path, *budgets):
    """A runtime that had these budgets, and whose turns are logged."""

    async def run() -> None:
        await open_backend(path).writer().define(budgets, to_ns(NOW))

    anyio.run(run)


def test_each_budget_to_the_end_of_its_own_period(tmp_path, places):
    """A day per agent, a month of one agent, a day of calls, one that never ends."""
    anyio.run(Store(tmp_path).write, every_hour(10, tags={"team": "x"}))
    define(
        tmp_path,
        hc.Budget("agent day", limit="$1", window="day", per="agent", mode="observe"),
        hc.Budget("month", limit="$5", window="month", match={"agent": "planner"}, mode="observe"),
        hc.Budget("calls", limit="100 calls", window="day", match={"team": "x"}, mode="observe"),
        hc.Budget("ever", limit="$50", mode="observe"),
    )
    found = forecast_report(*places, to_ns(NOW))
    rows = {(row.budget, row.scope): row for row in found.rows}
    assert {key: row.used for key, row in rows.items()} == {
        ("agent day", "agent=planner"): 12 * CENT,
        ("agent day", "agent=coder"): 24 * CENT,
        ("month", ""): 240 * CENT,
        ("calls", ""): 24,
    }
    assert rows["agent day", "agent=planner"].projected is None  # 12 turns
    assert rows["calls", ""].projected == 48
    month = rows["month", ""]
    assert (month.method, month.projected) == ("profile", (240 + 12 + 11 * 24) * CENT)
    assert month.projected_share == pytest.approx(516 / 500)
    assert month.reset_at == datetime(2026, 12, 1, tzinfo=UTC)
    assert found.rows[0] is month
    assert found.without_end == 1


def test_hard_budgets_are_as_the_ledger_has_them(tmp_path, places):
    """What is held counts as used; the days before are those of the log."""
    anyio.run(Store(tmp_path).write, every_hour(10))

    async def spend() -> None:
        budget = hc.Budget("day", limit="$2", window="day", mode="hard")
        async with hc.Ledger.open(tmp_path, budgets=[budget], clock=FakeClock(NOW)) as ledger:
            (await ledger.reserve({}, usd="0.36")).settle()

    anyio.run(spend)
    (row,) = forecast_report(*places, to_ns(NOW)).rows
    assert (row.used, row.method, row.projected) == (36 * CENT, "profile", 72 * CENT)


def test_limits_from_dearest_days(tmp_path, places):
    """The 95th percentile of the days by nearest rank, and half of it; TOML that a budget can be made of."""
    days = [turn(NOW - timedelta(days=number), cents) for number, cents in enumerate([10] * 19 + [500])]
    unknown = hc.LLMTurnComplete(timestamp_ns=to_ns(NOW), model="ours", agent_id="free")
    anyio.run(Store(tmp_path).write, [*days, turn(NOW, 3, HOSTILE), turn(NOW, 1, ""), unknown])
    report = suggest_budgets(*places, Selection(Window(), "Europe/Berlin", to_ns(NOW)))
    assert [(row.agent, row.days, row.p95_nanousd, row.max_nanousd, row.limit_nanousd) for row in report.rows] == [
        ("planner", 20, 10 * CENT, 500 * CENT, 15 * CENT),
        (HOSTILE, 1, 3 * CENT, 3 * CENT, 5 * CENT),
        ("", 1, CENT, CENT, 2 * CENT),
    ]
    assert report.unpriced_agents == ("free",)
    assert all(len(line) <= 80 for line in suggestion_toml(report).splitlines() if line.startswith("#"))
    budgets = [hc.Budget(**written) for written in tomllib.loads(suggestion_toml(report))["budget"]]
    assert [(budget.match["agent"], budget.limit_amount) for budget in budgets] == [
        (("planner",), 15 * CENT),
        ((HOSTILE,), 5 * CENT),
    ]
    assert {(budget.window, budget.timezone) for budget in budgets} == {("day", "Europe/Berlin")}


def test_on_the_command_line(tmp_path, monkeypatch, capsys):
    """Both say so where there is nothing to say."""

    def run(*arguments):
        monkeypatch.setattr(sys, "argv", ["hivecost", *arguments, "--data", str(tmp_path)])
        with pytest.raises(SystemExit) as left:
            main()
        return int(left.value.code or 0), capsys.readouterr()

    assert run("forecast")[0] == run("budget", "suggest")[0] == 1
    anyio.run(Store(tmp_path).write, [turn(NOW, 1)])
    assert "No budget has an account" in run("forecast")[1].out
    define(tmp_path, hc.Budget("day", limit="$1", window="day", mode="observe"))
    assert json.loads(run("forecast", "--json")[1].out)["without_end"] == 0
    assert tomllib.loads(run("budget", "suggest", "--since", "2026-11")[1].out)["budget"][0]["limit"] == "$0.02"
