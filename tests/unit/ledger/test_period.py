from __future__ import annotations

from datetime import UTC, datetime, timedelta
from zoneinfo import ZoneInfo

import pytest
from hypothesis import example, given
from hypothesis import strategies as st

from hivecost.clock import to_ns
from hivecost.errors import ConfigError
from hivecost.ledger import Calendar, Period, period_at

HOUR_NS = 3600 * 10**9

# Offsets of 45 minutes, changes of 30 minutes, changes at midnight, a skipped day (Apia), one at 00:01 (St. John's),
# one of two hours (Troll), clocks that go back for a month (Casablanca).
ZONES = [
    "UTC",
    "Europe/Berlin",
    "America/New_York",
    "Asia/Kathmandu",
    "Pacific/Chatham",
    "Australia/Lord_Howe",
    "America/Sao_Paulo",
    "America/Havana",
    "America/St_Johns",
    "Africa/Cairo",
    "Africa/Casablanca",
    "Asia/Beirut",
    "Pacific/Apia",
    "Antarctica/Troll",
]
WINDOWS = ["hour", "day", "week", "month"]


def ns(text: str, zone: str = "UTC", *, fold: int = 0) -> int:
    return to_ns(datetime.fromisoformat(text).replace(tzinfo=ZoneInfo(zone), fold=fold))


def changes_of(zone: str) -> list[int]:
    """The UTC seconds, to the hour, before each change of the zone's offset."""
    hours = [datetime(1985, 1, 1, tzinfo=UTC) + timedelta(hours=n) for n in range(0, 24 * 365 * 50, 24)]
    offsets = [hour.astimezone(ZoneInfo(zone)).utcoffset() for hour in hours]
    return [int(a.timestamp()) for a, x, y in zip(hours, offsets, offsets[1:], strict=False) if x != y] or [0]


CHANGES = {zone: changes_of(zone) for zone in ZONES}


@st.composite
def instants(draw):
    """A zone and an instant, half of them within two days of a change of its clocks."""
    zone = draw(st.sampled_from(ZONES))
    near = st.builds(
        lambda change, rest: change * 10**9 + rest,
        st.sampled_from(CHANGES[zone]),
        st.integers(-48 * HOUR_NS, 48 * HOUR_NS),
    )
    return zone, draw(near | st.integers(0, 4 * 10**18))


@given(where=instants(), window=st.sampled_from(WINDOWS))
@example(where=("America/St_Johns", ns("2006-10-29T02:31")), window="day")
@example(where=("Pacific/Kwajalein", ns("1969-10-01T00:00")), window="day")
@example(where=("America/Toronto", ns("1919-03-31T04:45")), window="day")
def test_periods_cover_time_without_gap_or_overlap(where, window):
    """The first and the last instant of a period have the same period; the next one begins where it ends."""
    zone, at_ns = ZoneInfo(where[0]), where[1]
    period = period_at(window, zone, at_ns)
    assert period.start_ns <= at_ns < period.end_ns
    assert period_at(window, zone, period.start_ns) == period
    assert period_at(window, zone, period.end_ns - 1) == period
    after, before = period_at(window, zone, period.end_ns), period_at(window, zone, period.start_ns - 1)
    assert (before.end_ns, after.start_ns) == (period.start_ns, period.end_ns)
    assert len({before.name, period.name, after.name}) == 3


@given(where=instants())
def test_names_are_what_the_clock_on_the_wall_says(where):
    """Hours, days, weeks and months are named by local time, and a day begins when its date does."""
    zone, at_ns = ZoneInfo(where[0]), where[1]
    local = datetime.fromtimestamp(at_ns // 10**9, zone)
    day = period_at("day", zone, at_ns)
    if where[0] != "America/St_Johns":  # where a date that had begun ended again for an hour
        assert day.name == f"{local:%Y-%m-%d}"
        assert f"{datetime.fromtimestamp(day.start_ns // 10**9 - 1, zone):%Y-%m-%d}" < day.name
        assert period_at("week", zone, at_ns).name == f"{local:%G-W%V}"
        assert period_at("month", zone, at_ns).name == f"{local:%Y-%m}"
    assert period_at("hour", zone, at_ns).name == local.isoformat()[:13] + local.isoformat()[19:25]


@given(zone=st.sampled_from(ZONES), instants=st.lists(st.integers(0, 4 * 10**18)), window=st.sampled_from(WINDOWS))
def test_a_calendar_remembers_without_changing_the_answer(zone, instants, window):
    """Whatever was asked before, in whatever order."""
    calendar = Calendar(window, zone)
    for at_ns in instants:
        assert calendar.period_at(at_ns) == period_at(window, ZoneInfo(zone), at_ns)


@pytest.mark.parametrize(
    ("zone", "day", "hours"),
    [
        ("Europe/Berlin", "2026-03-29", 23),
        ("Europe/Berlin", "2026-10-25", 25),
        ("Europe/Berlin", "2026-11-22", 24),
        ("Australia/Lord_Howe", "2026-04-05", 24.5),
        ("America/Sao_Paulo", "2018-11-04", 23),
        ("America/St_Johns", "2006-04-02", 23),
    ],
)
def test_days_are_as_long_as_their_clocks_make_them(zone, day, hours):
    """23, 24, 24.5 or 25 hours, from the day's first instant on."""
    period = period_at("day", ZoneInfo(zone), ns(f"{day}T12:00", zone))
    assert period.name == day
    assert period.end_ns - period.start_ns == hours * HOUR_NS


def test_a_skipped_midnight_begins_the_day_at_the_jump():
    """In Sao Paulo 2018-11-04 began at 01:00; the jump itself belongs to the new day."""
    period = period_at("day", ZoneInfo("America/Sao_Paulo"), ns("2018-11-04T12:00", "America/Sao_Paulo"))
    assert period.start_ns == ns("2018-11-04T03:00")


def test_the_repeated_hour_is_two_hours():
    """In Berlin 02:00 to 03:00 happens twice on 2026-10-25."""
    berlin = ZoneInfo("Europe/Berlin")
    first = period_at("hour", berlin, ns("2026-10-25T00:30"))
    second = period_at("hour", berlin, ns("2026-10-25T01:30"))
    assert (first.name, second.name) == ("2026-10-25T02+02:00", "2026-10-25T02+01:00")
    assert first.end_ns == second.start_ns == ns("2026-10-25T01:00")


def test_an_hour_that_is_cut_by_half_an_hour():
    """Lord Howe goes back from 02:00 to 01:30: an hour, its repeated half, and the next hour."""
    howe = ZoneInfo("Australia/Lord_Howe")
    change_ns = ns("2026-04-04T15:00")
    before, after = period_at("hour", howe, change_ns - 1), period_at("hour", howe, change_ns)
    assert (before.name, after.name) == ("2026-04-05T01+11:00", "2026-04-05T01+10:30")
    assert (before.end_ns - before.start_ns, after.end_ns - after.start_ns) == (HOUR_NS, HOUR_NS / 2)


def test_hours_follow_offsets_of_minutes():
    """Kathmandu's hours begin a quarter past in UTC."""
    period = period_at("hour", ZoneInfo("Asia/Kathmandu"), ns("2026-11-22T03:14:59"))
    assert (period.name, period.start_ns) == ("2026-11-22T08+05:45", ns("2026-11-22T02:15"))


def test_weeks_begin_on_monday_and_are_named_by_iso():
    """The week of New Year belongs to the year that holds its Thursday."""
    week = period_at("week", ZoneInfo("UTC"), ns("2027-01-01T12:00"))
    assert week == Period("2026-W53", ns("2026-12-28T00:00"), ns("2027-01-04T00:00"))


@pytest.mark.parametrize("window", ["execution", "session", "total"])
def test_other_windows_never_end(window):
    """They are named after themselves."""
    assert period_at(window, ZoneInfo("UTC"), 5) == Period(window, 0, None)


@pytest.mark.parametrize("zone", ["Mars/Olympus", "", "../etc/passwd", "Europe", 5])
def test_an_unknown_zone_is_refused(zone):
    """With a word about what a zone looks like."""
    with pytest.raises(ConfigError, match="timezone: expected an IANA time zone"):
        Calendar("day", zone)
