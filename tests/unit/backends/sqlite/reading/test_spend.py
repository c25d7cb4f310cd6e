"""SpendStore, and S7: a day in any time zone is an exact sum of quarter-hours."""

from __future__ import annotations

import tempfile
from collections import Counter
from datetime import UTC, date, datetime, timedelta
from pathlib import Path
from zoneinfo import ZoneInfo

import pytest
from anyio.from_thread import start_blocking_portal
from hypothesis import given, settings
from hypothesis import strategies as st

from hivecost.backends import SpendStore
from hivecost.backends.sqlite.log.runtime_log import RuntimeLog
from hivecost.clock import to_datetime, to_ns
from hivecost.errors import ConfigError
from hivecost.events import Cost, CostStatus, LLMTurnComplete, Usage
from hivecost.reports import load_spend

pytestmark = pytest.mark.anyio

#: With offsets of hours, half-hours and quarter-hours, and changes by an hour and by half an hour.
ZONES = ["UTC", "Europe/Berlin", "America/New_York", "Asia/Kathmandu", "Australia/Lord_Howe", "Pacific/Apia"]
#: Around the changes of summer time in 2026, and the turn of a year.
STARTS = [datetime(2026, 3, 28, tzinfo=UTC), datetime(2026, 10, 24, tzinfo=UTC), datetime(2026, 12, 30, tzinfo=UTC)]

moments = st.builds(
    lambda start, seconds: to_ns(start + timedelta(seconds=seconds)),
    st.sampled_from(STARTS),
    st.integers(0, 10 * 86400),
)
turns = st.builds(
    lambda moment, model, nanousd: LLMTurnComplete(
        timestamp_ns=moment, model=model, usage=Usage(nanousd, 1), cost=Cost(status=CostStatus.PRICED, nanousd=nanousd)
    ),
    moments,
    st.sampled_from(["a", "b"]),
    st.integers(0, 10**9),
)


@pytest.fixture(scope="module")
def portal():
    with start_blocking_portal() as portal:
        yield portal


@settings(deadline=None, max_examples=60)
@given(events=st.lists(turns, max_size=40), zone=st.sampled_from(ZONES), since=moments, period=st.sampled_from("dwm"))
def test_periods_are_exact_in_any_time_zone(portal, events, zone, since, period):
    """Every turn counts in the local day, week and month it happened in, around changes of the clock too."""
    name, text = {"d": ("day", "%Y-%m-%d"), "w": ("week", "%G-W%V"), "m": ("month", "%Y-%m")}[period]
    first_day = to_datetime(since).astimezone(ZoneInfo(zone)).date()
    last_day = first_day + timedelta(days=4)
    expected = Counter()
    for event in events:
        local = event.timestamp.astimezone(ZoneInfo(zone))
        if first_day <= local.date() <= last_day:
            expected[f"{local:{text}}", event.model] += event.cost.nanousd
    with tempfile.TemporaryDirectory() as folder:
        log = RuntimeLog(Path(folder))
        log.append(events)
        log.close()
        rows = portal.call(totals, folder, (name, "model"), str(first_day), last_day, zone)
    assert {(row.group[name], row.group["model"]): row.cost_nanousd for row in rows} == dict(expected)
    assert [tuple(row.group.values()) for row in rows] == sorted(expected)


async def totals(folder, by, since, until, zone):
    return await SpendStore(folder).totals(by=by, since=since, until=until, timezone=zone)


async def test_totals_by_whom(tmp_path, write):
    """By any attribution, filtered by any, and over everything for no group at all."""
    await write(
        LLMTurnComplete(model="m", provider="p", agent_id="a", user_id="ada", org_id="acme", usage=Usage(10, 1)),
        LLMTurnComplete(model="m", provider="q", agent_id="a", user_id="bob", org_id="acme", usage=Usage(20, 2)),
        LLMTurnComplete(model="n", provider="q", agent_id="b", user_id="bob", org_id="", usage=Usage(40, 4)),
    )
    spend = SpendStore(tmp_path)

    async def tokens(*by, **wanted):
        return {tuple(row.group.values()): row.input_tokens for row in await spend.totals(by=by, **wanted)}

    assert await tokens("model") == {("m",): 30, ("n",): 40}
    assert await tokens("user", "provider") == {("ada", "p"): 10, ("bob", "q"): 60}
    assert await tokens("org") == {("",): 40, ("acme",): 30}
    assert await tokens("agent", user_id="bob", model="m") == {("a",): 20}
    assert await tokens("agent", org_id="acme", provider="q", agent_id="a") == {("a",): 20}
    (everything,) = await spend.totals(by=())
    assert (everything.group, everything.llm_calls, everything.total_tokens, everything.unpriced_calls) == (
        {},
        3,
        77,
        3,
    )


async def test_hours_that_the_clock_repeats_stay_apart(tmp_path, write):
    """By their offset from UTC, and in the order of time, which is not that of their names."""
    for minute in (0, 60):
        moment = datetime(2026, 10, 25, 0, 30, tzinfo=UTC) + timedelta(minutes=minute)
        await write(LLMTurnComplete(timestamp_ns=to_ns(moment)))
    rows = await SpendStore(tmp_path).totals(by=["hour"], timezone="Europe/Berlin")
    assert [row.group["hour"] for row in rows] == ["2026-10-25T02:00+02:00", "2026-10-25T02:00+01:00"]


@pytest.mark.parametrize(
    "by", [("hour",), ("user", "hour"), ("hour", "day"), ("day", "model", "hour"), ("week", "day")]
)
@pytest.mark.parametrize("zone", ZONES)
@pytest.mark.parametrize("start", [*STARTS, datetime(2026, 4, 4, tzinfo=UTC), datetime(2026, 11, 1, tzinfo=UTC)])
async def test_periods_are_in_the_order_of_time(tmp_path, write, start, zone, by):
    """Whatever clocks do meanwhile, and whatever else is grouped by: here and in the report that is made of it."""
    moments = [to_ns(start + timedelta(minutes=15 * quarter)) for quarter in range(4 * 60)]
    await write(
        *(
            LLMTurnComplete(timestamp_ns=moment, user_id="ba"[number % 2], model="m")
            for number, moment in enumerate(moments)
        )
    )
    periods = [name for name in by if name in ("hour", "day", "week")]
    locally = [to_datetime(moment).astimezone(ZoneInfo(zone)) for moment in moments]
    text = {"day": "{:%Y-%m-%d}", "week": "{:%G-W%V}"}
    names = [
        tuple(f"{at:%Y-%m-%dT%H}:00{at.isoformat()[19:]}" if p == "hour" else text[p].format(at) for p in periods)
        for at in locally
    ]
    for rows in (
        await SpendStore(tmp_path).totals(by=by, timezone=zone),
        (await load_spend(tmp_path, by=by, timezone=zone)).rows,
    ):
        assert list(dict.fromkeys(tuple(row.group[p] for p in periods) for row in rows)) == list(dict.fromkeys(names))
        assert sum(row.llm_calls for row in rows) == len(moments)


async def test_moments_are_widened_to_quarter_hours(tmp_path, write):
    """since rounds down and until rounds up; a naive moment is read in the time zone asked for."""
    for minute in (0, 14, 15, 30):
        await write(LLMTurnComplete(timestamp_ns=to_ns(datetime(2026, 11, 22, 7, minute, tzinfo=UTC))))
    spend = SpendStore(tmp_path)
    (row,) = await spend.totals(by=(), since="2026-11-22T07:20+00:00")
    assert row.llm_calls == 2
    (row,) = await spend.totals(by=(), until=datetime(2026, 11, 22, 8, 1), timezone="Europe/Berlin")
    assert row.llm_calls == 2
    assert await spend.totals(by=(), since=date(2026, 11, 23)) == []


@pytest.mark.parametrize(
    ("wrong", "message"),
    [
        ({"by": ["colour"]}, "by: expected some of hour, day, .* got 'colour'"),
        ({"timezone": "Mars/Olympus"}, "timezone: expected an IANA name .* got 'Mars/Olympus'"),
        ({"timezone": "../etc/passwd"}, "timezone: expected an IANA name"),
        ({"since": "soon"}, "since: expected an ISO date"),
    ],
)
async def test_what_cannot_be_asked_is_named(tmp_path, wrong, message):
    """With what was expected."""
    with pytest.raises(ConfigError, match=message):
        await SpendStore(tmp_path).totals(**wrong)


async def test_a_missing_database_reads_as_empty(tmp_path):
    """Nothing was spent."""
    assert await SpendStore(tmp_path / "none").totals() == []
