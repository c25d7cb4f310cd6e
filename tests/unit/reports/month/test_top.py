"""`hivecost top`: what costs most is what a fold says, in that order."""

from __future__ import annotations

from collections import Counter
from datetime import datetime, timedelta
from zoneinfo import ZoneInfo

import pytest

from .conftest import NOW, counted, fold

DIMENSIONS = {
    "agents": "agent",
    "models": "model",
    "users": "user",
    "orgs": "org",
    "tasks": "task",
    "nodes": "node",
    "sessions": "session",
    "entry-points": "entry_point",
}


@pytest.mark.parametrize("what", DIMENSIONS)
def test_who_costs_most(month, report, what):
    """The dearest ten, and the rest in one row."""
    since = datetime(2026, 11, 13, tzinfo=ZoneInfo("UTC"))
    expected = fold([turn for turn in month[1] if turn.at >= since], [DIMENSIONS[what]])
    found = report("top", what)
    costs = sorted((sums["cost_nanousd"] for sums in expected.values()), reverse=True)
    named = [row for row in found["rows"] if "(other)" not in row["group"].values()]
    assert [row["cost_nanousd"] for row in named] == costs[:10]
    for row in named:
        assert row["cost_nanousd"] == expected[(*row["group"].values(),)]["cost_nanousd"]
    assert sum(row["cost_nanousd"] for row in found["rows"]) == sum(costs) == found["total"]["cost_nanousd"]
    assert sum(row["share"] for row in found["rows"]) == pytest.approx(1)


@pytest.mark.parametrize("what", ["turns", "steps"])
def test_the_dearest_turns(month, report, what):
    """One by one, with the share of reasoning of each."""
    since = NOW - timedelta(hours=48)
    turns = [turn.event for turn in month[1] if turn.at >= since and turn.event.tags.get("feature") == "chat"]
    dearest = sorted(turns, key=lambda turn: -counted(turn)["cost_nanousd"])[:5]
    found = report("top", what, "--top", "5", "--since", "48h", "--tag", "feature=chat")
    assert [row["event_id"] for row in found["rows"]] == [turn.event_id for turn in dearest]
    whole = sum(counted(turn)["cost_nanousd"] for turn in turns)
    assert found["total"]["cost_nanousd"] == whole
    for row, turn in zip(found["rows"], dearest, strict=True):
        usage = turn.usage
        assert row["cost_nanousd"] == counted(turn)["cost_nanousd"]
        assert row["share"] == row["cost_nanousd"] / whole
        assert row["reasoning_share"] == usage.reasoning_tokens / usage.output_tokens


def test_tags(month, report):
    """Each value of each; a turn with two tags counts for both."""
    expected = Counter()
    for turn in month[1]:
        for pair in turn.event.tags.items():
            expected[pair] += counted(turn.event)["cost_nanousd"]
    found = report("top", "tags", "--since", "2026", "--top", "5")
    assert [((*row["group"].values(),), row["cost_nanousd"]) for row in found["rows"]] == expected.most_common(5)
    assert found["others"] == len(expected) - 5


@pytest.mark.parametrize("what", ["agents", "tags", "turns"])
def test_it_reads_well(hivecost, what):
    """In a table and for a spreadsheet, also where there is nothing."""
    assert "$" in hivecost("top", what)
    assert hivecost("top", what, "--csv").count("\n") >= 7
    assert "2025-01-01 00:00 to 2026-01-01 00:00 (UTC)" in hivecost("top", what, "--during", "2025")
    assert hivecost("top", what, "--during", "2025", "--csv").count("\n") == 1


def test_what_is_asked_wrongly(hivecost):
    assert "top: expected one of agents, models" in hivecost("top", "colours", status=2)
    assert "hivecost top --help" in hivecost("top", "agents", "models", status=2)


def test_a_strangers_name_is_only_text(hivecost):
    """Brackets are no style, and a formula is none in a spreadsheet."""
    assert "re[b]viewer[/b]" in hivecost("top")
    assert "'=SUM(A1)," in hivecost("top", "--csv")
