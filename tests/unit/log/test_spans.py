"""Spans as people write them: whole days and weeks on the clocks of a zone, moments, and what is past of hours."""

from __future__ import annotations

import time
from datetime import UTC, datetime
from zoneinfo import ZoneInfo

import pytest
from hypothesis import given
from hypothesis import strategies as st

from hivecost.clock import to_ns
from hivecost.errors import ConfigError
from hivecost.log.spans import Span, local_zone, span_of

NOW = datetime(2026, 11, 18, 22, 30, tzinfo=UTC)  # a Wednesday; in Kathmandu it is Thursday


def span(text, zone="UTC", now=NOW):
    return span_of("since", text, to_ns(now), ZoneInfo(zone))


def between(first, end, zone="UTC"):
    clock = ZoneInfo(zone)
    return Span(*(to_ns(datetime.fromisoformat(text).replace(tzinfo=clock)) for text in (first, end)))


@pytest.mark.parametrize(
    ("text", "first", "end"),
    [
        ("today", "2026-11-18", "2026-11-19"),
        ("this day", "2026-11-18", "2026-11-19"),
        ("Yesterday", "2026-11-17", "2026-11-18"),
        ("this week", "2026-11-16", "2026-11-23"),
        ("last  week", "2026-11-09", "2026-11-16"),
        ("this month", "2026-11-01", "2026-12-01"),
        ("last month", "2026-10-01", "2026-11-01"),
        ("last year", "2025-01-01", "2026-01-01"),
        ("2026", "2026-01-01", "2027-01-01"),
        ("2026-12", "2026-12-01", "2027-01-01"),
        ("2026-W53", "2026-12-28", "2027-01-04"),
        ("2026-02-28", "2026-02-28", "2026-03-01"),
        ("1d", "2026-11-18", "2026-11-18T22:30"),
        ("7d", "2026-11-12", "2026-11-18T22:30"),
        ("last 7 days", "2026-11-12", "2026-11-18T22:30"),
        ("2w", "2026-11-05", "2026-11-18T22:30"),
        ("24h", "2026-11-17T22:30", "2026-11-18T22:30"),
        ("now", "2026-11-18T22:30", "2026-11-18T22:30"),
        ("2026-11-18T08:00", "2026-11-18T08:00", "2026-11-18T08:00"),
        ("2026-11-18 08:00:01", "2026-11-18T08:00:01", "2026-11-18T08:00:01"),
    ],
)
def test_what_people_write(text, first, end):
    """In whatever case, with whatever blanks."""
    assert span(text) == between(first, end)


def test_days_are_those_of_the_zone():
    """It is another day there, and days have 23 or 25 hours where clocks change."""
    assert span("today", "Asia/Kathmandu") == between("2026-11-19", "2026-11-20", "Asia/Kathmandu")
    long = span("2026-10-25", "Europe/Berlin")
    assert long.end_ns - long.first_ns == 25 * 3600 * 10**9
    skipped = span("2026-09-06", "America/Santiago")  # it begins at 01:00
    assert skipped.end_ns - skipped.first_ns == 23 * 3600 * 10**9


def test_a_moment_with_an_offset_is_what_it_says():
    assert span("2026-11-18T08:00+01:00", "Asia/Kathmandu") == span("2026-11-18T07:00")


@pytest.mark.parametrize(
    "text", ["", "soon", "0d", "7", "-7d", "2026-13", "2026-W54", "2026-02-30", "last 0 days", "7x"]
)
def test_anything_else_is_named(text):
    """With what was asked for, and what can be written."""
    with pytest.raises(ConfigError, match="since: expected"):
        span(text)


@given(st.text(max_size=12))
def test_no_text_is_a_fault(text):
    """It means a span that does not end before it begins, or is named."""
    try:
        found = span(text)
    except ConfigError:
        return
    assert found.first_ns <= found.end_ns


def test_a_moment_that_is_two_or_none_is_asked_back():
    """Rather than taking one of them."""
    with pytest.raises(ConfigError, match=r"show it twice: 2026-10-25T02:30:00\+02:00 or 2026-10-25T02:30:00\+01:00"):
        span("2026-10-25T02:30", "Europe/Berlin")
    with pytest.raises(ConfigError, match="jump over it"):
        span("2026-03-29T02:30", "Europe/Berlin")


@pytest.mark.parametrize(
    ("said", "zone"), [("Asia/Kathmandu", "Asia/Kathmandu"), (":Europe/Berlin", "Europe/Berlin"), ("XYZ+3:17", "UTC")]
)
def test_this_machines_zone(monkeypatch, said, zone):
    """As TZ says it; UTC for rules that have no name, which each report says."""
    monkeypatch.setenv("TZ", said)
    assert local_zone() == zone
    monkeypatch.undo()
    time.tzset()
    ZoneInfo(local_zone())
