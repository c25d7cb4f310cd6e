"""Moments as people write them."""

from __future__ import annotations

from datetime import UTC, datetime
from zoneinfo import ZoneInfo

import pytest
from hypothesis import given
from hypothesis import strategies as st

from hivecost.clock import to_ns
from hivecost.errors import ConfigError
from hivecost.log.instants import instant_ns, range_ns, since_ns, until_ns

ZONES = ["UTC", "Asia/Tokyo", "America/New_York", "Asia/Kathmandu", "Pacific/Apia"]
LOGGED_NS = to_ns(datetime(2026, 11, 22, tzinfo=UTC))


@given(moment=st.one_of(st.dates().map(str), st.datetimes().map(str)), zone=st.sampled_from(ZONES).map(ZoneInfo))
def test_every_date_is_a_moment_in_any_zone(moment, zone):
    """However far away it lies; a day ends after it began."""
    assert -(2**63) <= since_ns(moment, zone) <= until_ns(moment, zone) < 2**63
    assert instant_ns("before", moment) is not None


@pytest.mark.parametrize("zone", ZONES)
def test_the_first_and_the_last_date_mean_everything(zone):
    """`0001-01-01` to `9999-12-31`, as spreadsheets and other programs write it."""
    assert since_ns("0001-01-01", ZoneInfo(zone)) < LOGGED_NS < until_ns("9999-12-31", ZoneInfo(zone))


@pytest.mark.parametrize("moment", ["yesterday", "2026-13-01", "2026-11-22T25:00", ""])
def test_what_is_no_moment_is_named(moment):
    """The error says which option it was and what was expected."""
    with pytest.raises(ConfigError, match="since"):
        since_ns(moment)


@pytest.mark.parametrize(
    ("since", "until", "is_range"),
    [
        ("2026-11-22", "2026-11-22", True),
        ("2026-11-22T12:00", "2026-11-22T12:00", True),
        (None, "1999-01-01", True),
        ("2026-11-22", None, True),
        ("2026-11-22", "2026-11-20", False),
        ("2026-11-22", "2026-11-21", False),
        ("2026-11-22T00:00", "2026-11-21", False),
        ("2026-11-22T08:00", "2026-11-22", True),
        ("2026-11-22T12:00", "2026-11-22T11:59", False),
    ],
)
def test_a_range_does_not_end_before_it_begins(since, until, is_range):
    """An empty answer would look as if nothing had happened."""
    if is_range:
        assert range_ns(since, until) == (since_ns(since), until_ns(until))
    else:
        with pytest.raises(ConfigError, match=f"until: expected a moment after {since}.*, got '{until}'"):
            range_ns(since, until)


def test_a_day_that_its_zone_left_out_is_empty_and_not_inverted():
    """Samoa had no 30 December 2011."""
    first_ns, end_ns = range_ns("2011-12-30", "2011-12-30", ZoneInfo("Pacific/Apia"))
    assert first_ns == end_ns
