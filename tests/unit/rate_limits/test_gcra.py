from __future__ import annotations

from math import inf

import pytest
from hypothesis import given
from hypothesis import strategies as st

from hivecost.rate_limits.gcra import Gcra

GAPS_S = st.one_of(st.just(0.0), st.floats(0, 5))


def empty_at(takes):
    """The textbook recursion: the bucket drains from when the cost comes, or from when it would have been empty."""
    at_s = -inf
    for taken_s, amount in takes:
        at_s = max(at_s, taken_s) + amount / 10
    return at_s


@given(st.lists(st.tuples(GAPS_S, st.integers(0, 40), st.none() | st.integers(0, 40), st.integers(0, 9)), max_size=30))
def test_a_correction_is_as_if_the_right_amount_had_been_taken(steps):
    """In whatever order and however late the corrections come; nothing is refunded that has drained already."""
    bucket, now_s, history, open_takes = Gcra(10, 1.0, 10), 0.0, [], []
    for gap_s, amount, actual, which in steps:
        now_s += gap_s
        open_takes.append((bucket.take(now_s, amount), len(history)))
        history.append((now_s, amount))
        assert bucket.empty_at_s == pytest.approx(empty_at(history), abs=1e-6)
        if actual is not None:
            take, place = open_takes.pop(which % len(open_takes))
            history[place] = (history[place][0], actual)
            assert bucket.correct(take, actual)
            assert not bucket.correct(take, 0)
            assert bucket.empty_at_s == pytest.approx(empty_at(history), abs=1e-6)
    assert bucket.open_takes == len(open_takes)


@given(
    burst=st.integers(1, 20),
    asks=st.lists(st.tuples(GAPS_S, st.integers(1, 20)), max_size=40),
)
def test_any_window_holds_at_most_a_burst_more_than_the_limit(burst, asks):
    """For amounts up to the burst, each taken as soon as it is ready."""
    bucket, now_s, grants = Gcra(10, 1.0, burst), 0.0, []
    for gap_s, asked in asks:
        amount = min(asked, burst)
        now_s = max(now_s + gap_s, bucket.ready_at_s(amount))
        bucket.take(now_s, amount)
        grants.append((now_s, amount))
    for start_s, _ in grants:
        for end_s, _ in grants:
            held = sum(amount for at_s, amount in grants if start_s <= at_s <= end_s)
            assert end_s < start_s or held <= burst + 10 * (end_s - start_s) + 1e-6


def test_more_than_a_burst_is_granted_when_the_bucket_is_empty():
    """And the next one waits until it has drained, as for any other."""
    bucket = Gcra(10, 1.0, 10)
    bucket.take(0.0, 5)
    assert bucket.ready_at_s(30) == 0.5
    bucket.take(0.5, 30)
    assert bucket.ready_at_s(10) == pytest.approx(3.5)
    assert bucket.level(1.5) == 20


def test_a_late_correction_refunds_nothing_that_has_drained():
    """The bucket was empty when the second take came, so the first one's bill changes nothing any more."""
    bucket = Gcra(10, 1.0, 10)
    first = bucket.take(0.0, 10)
    second = bucket.take(5.0, 10)
    bucket.correct(second, 10)
    bucket.correct(first, 0)
    assert bucket.empty_at_s == pytest.approx(6.0)
