"""`hivecost spend` by anything: each of its figures is the fold of the turns, to the nano-dollar."""

from __future__ import annotations

import csv
import io
from collections import Counter
from datetime import timedelta
from decimal import Decimal
from zoneinfo import ZoneInfo

import anyio
import pytest

import hivecost as hc
from hivecost.backends import open_backend
from hivecost.backends.sqlite import Store
from hivecost.clock import to_ns

from .conftest import NOW, ZONES, fold

SUMS = (
    *("llm_calls", "charges", "input_tokens", "output_tokens", "cache_read_tokens", "cache_write_tokens"),
    *("reasoning_tokens", "cost_nanousd", "unpriced_calls", "invalid_calls", "estimated_calls"),
)


def figures(row):
    return {name: row[name] for name in SUMS}


def whole(sums):
    return {name: sums[name] for name in SUMS}


def agrees(found, turns, by, zone):
    """Whether every row, and the total, is the fold."""
    expected = fold(turns, by, zone)
    rows = {tuple(row["group"][name] for name in by): figures(row) for row in found["rows"]}
    assert rows == {group: whole(sums) for group, sums in expected.items()}
    assert figures(found["total"]) == whole(sum(expected.values(), Counter()))
    cost = found["total"]["cost_nanousd"]
    assert all(row["share"] == row["cost_nanousd"] / cost for row in found["rows"])


@pytest.mark.parametrize(
    "by",
    [
        *("agent", "user", "org", "model", "provider", "task", "node", "session", "entry_point", "kind"),
        *("tag:feature", "tag:skill", "agent,task", "day,tag:feature", "user,model", "month,org,agent", "week"),
    ],
)
def test_by_anything(month, report, by):
    """One group, two at a time, with periods or without."""
    agrees(report("spend", "--by", by), month[1], by.split(","), "UTC")


@pytest.mark.parametrize("zone", ZONES)
@pytest.mark.parametrize("by", ["hour", "day", "week,model", "month,tag:skill"])
def test_on_the_clocks_of_a_zone(month, report, zone, by):
    """Also where clocks change."""
    agrees(report("spend", "--by", by, "--timezone", zone), month[1], by.split(","), zone)


@pytest.mark.parametrize("zone", ZONES)
@pytest.mark.parametrize(
    ("arguments", "first", "end"),
    [
        (("--during", "yesterday"), (2026, 11, 18), (2026, 11, 19)),
        (("--during", "today"), (2026, 11, 19), (2026, 11, 20)),
        (("--since", "7d"), (2026, 11, 13), (2026, 11, 20)),
        (("--during", "last month"), (2026, 10, 1), (2026, 11, 1)),
        (("--during", "2026-10"), (2026, 10, 1), (2026, 11, 1)),
        (("--during", "2026-W45"), (2026, 11, 2), (2026, 11, 9)),
        (("--during", "last week"), (2026, 11, 9), (2026, 11, 16)),
        (("--since", "2026-10-25", "--until", "2026-11-01"), (2026, 10, 25), (2026, 11, 2)),
        (("--since", "2026-11-02T03:04", "--until", "last week"), (2026, 11, 2, 3, 4), (2026, 11, 16)),
    ],
)
def test_spans_are_those_of_the_zone(month, report, zone, arguments, first, end):
    """Whole days, weeks and months as its clocks show them, and moments to the nanosecond."""
    clock = ZoneInfo(zone)

    def is_in(turn):
        local = turn.at.astimezone(clock).replace(tzinfo=None).timetuple()
        return tuple(local[: len(first)]) >= first and tuple(local[: len(end)]) < end

    turns = [turn for turn in month[1] if is_in(turn)]
    assert turns
    agrees(report("spend", "--by", "agent", "--timezone", zone, *arguments), turns, ["agent"], zone)


def test_the_last_hours(month, report):
    """`24h` is from this instant, wherever a day begins."""
    turns = [turn for turn in month[1] if turn.at >= NOW - timedelta(hours=24)]
    agrees(report("spend", "--by", "model", "--since", "24h"), turns, ["model"], "UTC")


@pytest.mark.parametrize(
    ("arguments", "wanted"),
    [
        (("--agent", "planner"), lambda event: event.agent_id == "planner"),
        (("--agent", "planner", "--agent", "coder"), lambda event: event.agent_id in ("planner", "coder")),
        (("--task", "task-7", "--node", "plan"), lambda event: (event.task_id, event.node_id) == ("task-7", "plan")),
        (("--tag", "feature=a=b"), lambda event: event.tags.get("feature") == "a=b"),
        (
            ("--tag", "feature=search", "--org", "acme"),
            lambda e: (e.tags.get("feature"), e.org_id) == ("search", "acme"),
        ),
        (("--tag", "skill="), lambda event: "skill" not in event.tags),
        (
            ("--tag", "skill=skill-1", "--tag", "skill=skill-2", "--tag", "feature=chat"),
            lambda e: e.tags.get("skill") in ("skill-1", "skill-2") and e.tags.get("feature") == "chat",
        ),
        (
            ("--session", "session_00012", "--provider", "p"),
            lambda e: (e.session_id, e.provider) == ("session_00012", "p"),
        ),
    ],
)
def test_whose(month, report, arguments, wanted):
    """By attributes and tags: several values of one are any of them, several names all of them."""
    turns = [turn for turn in month[1] if wanted(turn.event)]
    assert turns
    for by in ("model", "day", "tag:skill"):
        agrees(report("spend", "--by", by, *arguments), turns, [by], "UTC")


def test_the_rest_is_one_row(month, report):
    """`--top` keeps the dearest over all days; each day has its rest, and nothing is lost."""
    by_user = fold(month[1], ["user"])
    dearest = sorted(by_user, key=lambda user: -by_user[user]["cost_nanousd"])[:3]
    found = report("spend", "--by", "day,user", "--top", "3")
    assert found["others"] == len(by_user) - 3
    assert {row["group"]["user"] for row in found["rows"]} == {"(other)", *(user for (user,) in dearest)}
    by_day = fold(month[1], ["day"])
    days = Counter()
    for row in found["rows"]:
        days[row["group"]["day"],] += row["cost_nanousd"]
    assert days == {day: sums["cost_nanousd"] for day, sums in by_day.items()}
    assert len({tuple(row["group"].values()) for row in found["rows"]}) == len(found["rows"])


def test_a_spreadsheet_has_the_same(month, hivecost):
    """Exact, and empty where a cost is not known."""
    expected = fold(month[1], ["model"])
    lines = list(csv.DictReader(io.StringIO(hivecost("spend", "--by", "model", "--csv"))))
    assert {line["model"] for line in lines} == {model for (model,) in expected}
    for line in lines:
        sums = expected[line["model"],]
        if line["model"] == "nobody-knows":
            assert (line["cost_usd"], line["cost_nanousd"]) == ("", "")
        else:
            assert int(Decimal(line["cost_usd"]) * 10**9) == int(line["cost_nanousd"]) == sums["cost_nanousd"]
        assert int(line["unpriced_calls"]) == sums["unpriced_calls"]


def test_what_is_missing_is_named(month, report, hivecost):
    """Unpriced, invalid and estimated, with the models."""
    (sums,) = fold(month[1], []).values()
    gaps = report("spend", "--by", "agent")["gaps"]
    assert [gaps[name] for name in ("unpriced_calls", "invalid_calls", "estimated_calls")] == [
        sums[name] for name in ("unpriced_calls", "invalid_calls", "estimated_calls")
    ]
    assert gaps["models"] == ["nobody-knows"]
    shown = hivecost("spend", "--by", "agent")
    assert "missing from the sums: nobody-knows." in shown
    assert f" of {sums['llm_calls'] + sums['charges']:,} calls and charges without a known cost" in shown
    assert "is an estimate" in shown


@pytest.mark.parametrize(
    ("arguments", "said"),
    [
        (("--by", "colour"), "by: expected some of hour, day, week, month, model"),
        (("--by", "tag:"), "tag:NAME, got 'tag:'"),
        (("--tag", "feature"), "--tag: expected NAME=VALUE"),
        (("--top", "0"), "--top: expected a whole number"),
        (("--since", "soon"), "since: expected 'today', 'yesterday'"),
        (("--during", "2026-11-19T10:00"), "during: expected a span such as"),
        (("--during", "today", "--since", "today"), "during: expected no --since"),
        (("--since", "today", "--until", "yesterday"), "until: expected a moment after today"),
        (("--since", "2026-10-25T02:30", "--timezone", "Europe/Berlin"), "02:30:00+02:00 or 2026-10-25T02:30:00+01:00"),
        (("--since", "2026-03-29T02:30", "--timezone", "Europe/Berlin"), "clocks in Europe/Berlin jump over it"),
        (("--timezone", "Mars/Olympus"), "timezone: expected an IANA name"),
        (("--csv", "--json"), "spend: expected one of --csv and --json"),
        (("colour",), "spend: expected options that `hivecost spend --help` lists"),
    ],
)
def test_what_is_asked_wrongly(hivecost, arguments, said):
    """Is named, with what was expected."""
    assert said in hivecost("spend", *arguments, status=2)


def test_a_misspelt_tag_is_told_with_those_there_are(hivecost):
    """The sums are right, and of no use: the report says why."""
    shown = hivecost("spend", "--by", "tag:featur")
    assert "No turn of that time has the tag featur; its tags are feature, skill." in shown


def test_a_tag_without_sums_is_named(tmp_path, hivecost):
    """Of a tag past those that sums are kept by every turn is read: the report says so, and what keeps them."""
    tags = {f"tag{number}": "x" for number in range(9)}
    turns = [hc.LLMTurnComplete(timestamp_ns=to_ns(NOW) - 10**9, model="m", tags=tags)]

    async def log() -> None:
        await Store(tmp_path).write(turns)
        await open_backend(str(tmp_path)).writer().sum_tags(["tag0"])

    anyio.run(log)
    note = "No sums are kept by the tag tag1: each turn was read."
    assert note in hivecost("spend", "--by", "tag:tag1", "--data", str(tmp_path))
    assert "No sums are kept" not in hivecost("spend", "--by", "tag:tag0", "--data", str(tmp_path))
