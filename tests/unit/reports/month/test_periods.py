"""`hivecost daily`, `weekly`, `monthly`: every period, and what it is compared with, is the fold of its turns."""

from __future__ import annotations

import csv
import io
from collections import Counter
from datetime import timedelta
from zoneinfo import ZoneInfo

import pytest

from .conftest import NOW, ZONES, fold

UNITS = {"daily": "day", "weekly": "week", "monthly": "month"}


def before_by_now(turns, unit, zone):
    """The turns of the period before that were taken before the same time of day."""
    clock = ZoneInfo(zone)
    now = NOW.astimezone(clock).replace(tzinfo=None)
    if unit == "month":
        first, end = (
            now.replace(month=now.month - 1, day=1, hour=0, minute=0, second=0),
            now.replace(month=now.month - 1),
        )
    else:
        days = 1 if unit == "day" else 7
        end = now - timedelta(days=days)
        first = (end - timedelta(days=end.weekday() if unit == "week" else 0)).replace(hour=0, minute=0, second=0)
    instants = (moment.replace(tzinfo=clock) for moment in (first, end))
    start, stop = (moment.astimezone(ZoneInfo("UTC")) for moment in instants)
    return [turn for turn in turns if start <= turn.at < stop]


@pytest.mark.parametrize("zone", ZONES)
@pytest.mark.parametrize("command", UNITS)
@pytest.mark.parametrize("by", [[], ["agent"], ["model", "tag:feature"]], ids=",".join)
def test_periods_are_those_of_the_zone(month, report, zone, command, by):
    """Also the first, which is compared with one that is not shown, and the present one, which is not over."""
    unit, turns = UNITS[command], month[1]
    arguments = ["--by", ",".join(by)] if by else []
    found = report(command, "--timezone", zone, "--since", "2026-10-31", *arguments)
    expected = fold(turns, [unit, *by], zone)
    periods = sorted({group[0] for group in expected})
    shown = [
        period for period in periods if period >= {"day": "2026-10-31", "week": "2026-W44", "month": "2026-10"}[unit]
    ]
    rows = {(row["period"], *row["group"].values()): row for row in found["rows"]}
    assert len(rows) == len(found["rows"])
    assert {key: row["cost_nanousd"] for key, row in rows.items()} == {
        key: sums["cost_nanousd"] for key, sums in expected.items() if key[0] in shown
    }
    so_far = fold(before_by_now(turns, unit, zone), by, zone)
    for (period, *group), row in rows.items():
        if period == periods[-1]:
            before = so_far.get(tuple(group))
        else:
            place = periods.index(period)
            before = expected.get((periods[place - 1], *group)) if place else None
        assert row["before_nanousd"] == (before or Counter())["cost_nanousd"]
        assert row["is_running"] == (period == periods[-1])
    assert found["total"]["cost_nanousd"] == sum(row["cost_nanousd"] for row in rows.values())
    assert found["total"]["llm_calls"] == sum(expected[key]["llm_calls"] for key in rows)


def test_the_last_two_weeks_where_nobody_says(month, report):
    """And eight weeks, and a year, from the first with turns."""
    assert [row["period"] for row in report("daily")["rows"]] == [f"2026-11-{day:02d}" for day in range(6, 20)]
    assert [row["period"] for row in report("weekly")["rows"]] == [f"2026-W{week}" for week in range(43, 48)]
    assert [row["period"] for row in report("monthly")["rows"]] == ["2026-10", "2026-11"]


def test_a_day_without_turns_is_a_row(month, report):
    """Its cost is 0, and the day after is compared with that."""
    rows = report("daily", "--session", "session_00012", "--session", "session_00300")["rows"]
    assert rows == []
    rows = report("daily", "--since", "2026-10-20", "--session", "session_00012", "--session", "session_00300")["rows"]
    turns = [turn for turn in month[1] if turn.event.session_id in ("session_00012", "session_00300")]
    costs = fold(turns, ["day"])
    assert next(row["period"] for row in rows) == min(day for (day,) in costs)
    assert [row["cost_nanousd"] for row in rows] == [
        costs.get((row["period"],), Counter())["cost_nanousd"] for row in rows
    ]
    assert 0 in [row["cost_nanousd"] for row in rows]


def test_the_rest_keeps_its_past(month, report):
    """`(other)` is compared with those that are other now."""
    found = report("daily", "--by", "user", "--top", "2", "--since", "3d")
    named = {row["group"]["user"] for row in found["rows"]} - {"(other)"}
    days = fold([turn for turn in month[1] if turn.event.user_id not in named], ["day"])
    (row,) = [row for row in found["rows"] if row["group"]["user"] == "(other)" and row["period"] == "2026-11-18"]
    assert row["before_nanousd"] == days["2026-11-17",]["cost_nanousd"]
    assert row["cost_nanousd"] == days["2026-11-18",]["cost_nanousd"]


def test_it_reads_well(month, hivecost):
    """The present day is marked, and what Δ means is said."""
    shown = hivecost("daily", "--since", "3d")
    assert shown.startswith("By day, 2026-11-17 to now (UTC)\n")
    assert "2026-11-19*" in shown
    assert "* so far; Δ against the day before by this time." in shown
    assert len([line for line in shown.splitlines() if line.startswith("2026-11-")]) == 3


def test_a_spreadsheet_has_the_same(month, hivecost):
    lines = list(csv.DictReader(io.StringIO(hivecost("weekly", "--csv"))))
    expected = fold(month[1], ["week"])
    assert {line["week"]: int(line["cost_nanousd"]) for line in lines} == {
        week: sums["cost_nanousd"] for (week,), sums in expected.items()
    }


@pytest.mark.parametrize(
    ("arguments", "said"),
    [
        (("--by", "day"), "by: expected groups, each named once"),
        (("--by", "colour"), "by: expected some of hour"),
        (("--since", "never"), "since: expected 'today'"),
    ],
)
def test_what_is_asked_wrongly(hivecost, arguments, said):
    assert said in hivecost("daily", *arguments, status=2)


def test_a_time_without_turns(hivecost):
    """Is said, with the time."""
    assert (
        hivecost("daily", "--during", "2025-01")
        == "Nothing was spent by day in that time: 2025-01-01 to 2025-02-01 (UTC).\n"
    )
