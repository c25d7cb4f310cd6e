"""What a period is on course for: exact where every day is alike, and better than a straight line where nights are."""

from __future__ import annotations

from math import cos, pi
from random import Random

import pytest
from hypothesis import given
from hypothesis import strategies as st

from hivecost.log.periods import QUARTER_HOUR_NS
from hivecost.reports.course import DAY_QUARTERS, Course, course

DAY_NS = DAY_QUARTERS * QUARTER_HOUR_NS
#: The day that is looked at.
TODAY = 20_000


def load(amount_of, days=8):
    """What is spent in each quarter-hour of the days up to and with today."""
    first = (TODAY - days + 1) * DAY_QUARTERS
    return {quarter: amount_of(quarter) for quarter in range(first, (TODAY + 1) * DAY_QUARTERS)}


def at(spent, hours, *, end_days=1):
    """The course of a period that began today, so many hours later."""
    start, now = TODAY * DAY_NS, TODAY * DAY_NS + int(hours * 4 * QUARTER_HOUR_NS)
    past = {quarter: amount for quarter, amount in spent.items() if quarter < now // QUARTER_HOUR_NS}
    used = sum(amount for quarter, amount in past.items() if quarter >= TODAY * DAY_QUARTERS)
    part = (now % QUARTER_HOUR_NS) / QUARTER_HOUR_NS
    used += round(part * spent[now // QUARTER_HOUR_NS])
    past[now // QUARTER_HOUR_NS] = round(part * spent[now // QUARTER_HOUR_NS])
    return course(used, 100, start, start + end_days * DAY_NS, now, start, past)


@given(st.integers(1, 10**9), st.floats(1, 23.9), st.integers(1, 20))
def test_a_constant_load_is_exact(amount, hours, days):
    """At any time of day, over a day or several."""
    if hours * 24 < days * 24:
        hours = min(max(hours, days), 23.9)
    found = at(load(lambda _: amount), hours, end_days=days)
    if found.method:
        assert found.method == "profile"
        assert found.projected == pytest.approx(amount * DAY_QUARTERS * days, abs=amount / 100 + 2)


@pytest.mark.parametrize("hours", [2, 5, 8, 11, 14, 17, 20, 23])
def test_days_and_nights_are_foreseen_better_than_by_a_straight_line(hours):
    """The level of the days varies, their shape does not."""
    random = Random(hours)
    ours = linear = 0.0
    for _ in range(40):
        levels = [random.uniform(0.7, 1.4) for _ in range(8)]

        def amount(quarter, levels=levels):
            level = levels[quarter // DAY_QUARTERS - TODAY + 7]
            return round(10**6 * level * (1 - 0.9 * cos(2 * pi * (quarter % DAY_QUARTERS) / DAY_QUARTERS)))

        spent = load(amount)
        today = {quarter: cost for quarter, cost in spent.items() if quarter >= TODAY * DAY_QUARTERS}
        truth, used = (
            sum(today.values()),
            sum(cost for q, cost in today.items() if q < TODAY * DAY_QUARTERS + hours * 4),
        )
        ours += abs(at(spent, hours).projected - truth)
        linear += abs(used * 24 / hours - truth)
    assert ours <= linear


def test_a_day_is_at_most_four_times_those_before():
    """And at least a quarter: one burst at night says little of the rest."""
    busy = load(lambda quarter: 1_000 if quarter < TODAY * DAY_QUARTERS else 100_000)
    used = 12 * 4 * 100_000
    assert at(busy, 12) == Course("profile", used + 12 * 4 * 4_000)
    idle = load(lambda quarter: 1_000 if quarter < TODAY * DAY_QUARTERS else 0)
    assert at(idle, 12) == Course("profile", 12 * 4 * 250)


def test_with_few_days_before_it_is_a_straight_line():
    """Fewer than three."""
    assert at(load(lambda _: 100, days=3), 6) == Course("linear", 96 * 100)
    assert at(load(lambda _: 100, days=4), 6).method == "profile"


def test_too_early_is_nothing():
    """Less than a 24th of the period, or fewer than 20 turns."""
    assert at(load(lambda _: 100), 0.99) == Course("", None)
    assert course(100, 19, 0, DAY_NS, DAY_NS // 2, 0, {}) == Course("", None)
    assert course(100, 20, 0, DAY_NS, DAY_NS // 2, 0, {}) == Course("linear", 200)
