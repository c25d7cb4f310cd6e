"""What is printed fits where it is printed, and shows nothing but text."""

from __future__ import annotations

import io
from functools import reduce
from operator import add
from pathlib import Path

import pytest
from hypothesis import given
from hypothesis import strategies as st
from rich.console import Console

from hivecost.cli.render import render_session, render_sessions, render_sheet
from hivecost.cli.render.console import print_table, report_table, safe
from hivecost.cli.spend import spend_sheet
from hivecost.events import Totals
from hivecost.log.records import (
    ModelTotals,
    NodeTotals,
    SessionMetrics,
    SessionState,
    SessionTimestamps,
)
from hivecost.reports import BudgetLine, Gaps, SessionReport, SpendLine, SpendReport

AT = "2026-11-22T08:00:00+01:00"
HOSTILE = "[red]\x1b[2Jplan[/] [/nothing]\nTotal $0"
SUMS = {"llm_calls": 3, "input_tokens": 1_234_567, "output_tokens": 89_012, "cost_nanousd": 3_976_537_500}

widths = st.integers(24, 160)


def terminal(width: int) -> Console:
    return Console(file=io.StringIO(), width=width, force_terminal=True, color_system=None, highlight=False)


def printed(console: Console) -> str:
    assert isinstance(console.file, io.StringIO)
    return console.file.getvalue()


def session(name: str = "planner", **sums: int) -> SessionState:
    return SessionState(
        session_id="session_20261122_080000_0a1b2c3d",
        status="cancelled",
        agent_id=name,
        user_id=name,
        org_id=name,
        metrics=SessionMetrics(executions=1, **(sums or SUMS)),
        timestamps=SessionTimestamps(started_at=AT, updated_at=AT, ended_at=AT),
    )


def report(name: str, **sums: int) -> SessionReport:
    sums = sums or SUMS
    return SessionReport(
        session=session(name, **sums),
        nodes=[NodeTotals(node_id=name, **sums)],
        models=[ModelTotals(model=name, provider=name, **sums)],
        budgets=[BudgetLine(budget=name, scope=f"user={name}", unit="usd", used=1, limit=2, outcome="warned")],
        unpriced={name: 1},
    )


def spending(rows: list[SpendLine]) -> SpendReport:
    total = reduce(add, (Totals(*(getattr(row, name) for name in Totals.__struct_fields__)) for row in rows))
    missing = {name: getattr(total, name) for name in ("unpriced_calls", "invalid_calls", "estimated_calls")}
    gaps = Gaps(calls=total.llm_calls, models=(), in_doubt=None, **missing)
    return SpendReport(by=["user"], timezone="UTC", since="", until="", rows=rows, total=total, others=0, gaps=gaps)


@given(st.lists(st.tuples(st.text(max_size=40), st.integers(0, 10**15)), min_size=1, max_size=4), widths)
def test_no_width_cuts_a_number(rows, width):
    """However narrow the terminal and long the names: every number is there in full."""
    console = terminal(width)
    table = report_table("Node", "Why", ids=("Id",), numbers=("Calls", "Cost"))
    for number, (name, amount) in enumerate(rows):
        table.add_row(f"id-{number:05}", safe(name), safe(name), f"{amount:,}", f"${amount:.2f}")
    print_table(console, table)
    words = printed(console).split()
    for number, (_, amount) in enumerate(rows):
        assert {f"id-{number:05}", f"{amount:,}", f"${amount:.2f}"} <= set(words)


@pytest.mark.parametrize("width", [30, 80, 120])
def test_the_cost_is_on_every_screen(width):
    """80 columns is what a terminal opens with."""
    for render in (
        lambda console: render_session(report("a-node-with-a-rather-long-name-of-its-own"), console),
        lambda console: render_sessions([session("an-agent-with-a-rather-long-name")], Path("data"), console),
    ):
        console = terminal(width)
        render(console)
        words = printed(console).replace("…", " … ").split()
        assert {"$3.9765", "Cost", "Unpriced"} <= set(words)
        assert "…" not in words
        assert all(len(line) <= width for line in printed(console).splitlines())


def test_a_session_is_one_line_where_there_is_room(capsys):
    """In a pipe there always is: `grep` and `cut` find a session and its cost in one line."""
    render_sessions([session("x" * 300)], Path("data"))
    (line,) = [line for line in capsys.readouterr().out.splitlines() if "session_" in line]
    assert "x" * 300 in line
    assert line.rstrip().endswith("$3.9765         0")


@given(st.text().filter(lambda name: not name.endswith("\\")))  # a last backslash rich shows twice
def test_a_name_is_only_text(name):
    """Whoever chooses a node, a user or a model does not draw on the screen of who reads the report."""
    console = terminal(10_000)
    console.print(safe(name), soft_wrap=True)
    (line,) = printed(console).split("\n")[:-1]
    assert line == "".join(letter if letter.isprintable() else "�" for letter in name)


def test_hostile_names_are_shown_as_they_are():
    """Brackets are neither a style nor a fault, an escape sequence clears no screen, and a line break makes no line."""
    console = terminal(400)
    render_session(report(HOSTILE), console)
    render_sessions([session(HOSTILE)], Path(HOSTILE), console)
    render_sheet(
        spend_sheet(spending([SpendLine(group={"user": HOSTILE}, share=1.0, **SUMS)]), HOSTILE), console=console
    )
    assert printed(console).count("[red]�[2Jplan[/] [/nothing]�Total $0") == 11
    assert "\x1b[2J" not in printed(console)


@pytest.mark.parametrize("kind", ["unpriced_calls", "invalid_calls"])
def test_what_has_no_price_is_never_shown_as_nothing(kind):
    """Also where the usage cannot be: such a turn is missing from the cost as much as one of an unknown model."""
    sums = {"llm_calls": 2, "input_tokens": 10, kind: 2}
    console = terminal(160)
    render_session(report("node", **sums), console)
    render_sessions([session("agent", **sums)], Path("data"), console)
    rows = [SpendLine(group={"user": "ada"}, share=0.0, **sums)]
    render_sheet(spend_sheet(spending(rows), "data"), console=console)
    shown = printed(console)
    assert (shown.count("unknown"), shown.count("unpriced")) == (4, 2)
    assert "$0.0000 " not in shown


def test_a_session_that_called_nothing_cost_nothing():
    """$0 is said where it is known."""
    console = terminal(160)
    render_sessions([session("agent", llm_calls=0)], Path("data"), console)
    assert "$0.0000" in printed(console)


@pytest.mark.parametrize("width", range(30, 130, 10))
def test_a_report_drops_columns_before_it_is_stacked(width):
    """Tokens and shares first, never the cost or what is missing in it, and it says which."""
    console = terminal(width)
    render_sheet(spend_sheet(spending([SpendLine(group={"user": "ada"}, share=1.0, **SUMS)]), "data"), console=console)
    shown = printed(console)
    assert {"$3.98", "Cost", "Unpriced"} <= set(shown.split())
    assert all(len(line) <= width for line in shown.splitlines())
    for heading in ("Cached", "Out", "In", "Share", "Calls"):
        assert heading in shown
