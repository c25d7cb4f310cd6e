from __future__ import annotations

import pytest
from hypothesis import given
from hypothesis import strategies as st

from hivecost.rate_limits.sliding_window import SlidingWindow

GAPS_NS = st.one_of(st.just(0), st.integers(0, 3_000_000_000), st.integers(0, 300_000))


@given(limit=st.integers(1, 6), asks=st.lists(st.tuples(GAPS_NS, st.integers(1, 6)), max_size=60))
def test_grants_exactly_what_the_window_has_room_for(limit, asks):
    """The same answers as a list of all grants, looked through each time."""
    window, now_ns, log = SlidingWindow(limit, 1.0), 0, []
    for gap_ns, amount in asks:
        now_ns += gap_ns
        held = sum(n for at_ns, n in log if at_ns + 10**9 > now_ns)
        assert window.try_take(now_ns / 1e9, amount) == (held + amount <= limit)
        if held + amount <= limit:
            log.append((now_ns, amount))
    assert window.granted_total == sum(n for _, n in log)


@pytest.mark.parametrize("limit", [3, 5_000])
@given(data=st.data())
def test_ready_at_is_when_it_is_granted(limit, data, most_in_any_window):
    """Asking again at `ready_at_s` succeeds, and no window ever holds more than the limit, merged entries included."""
    window, now_s, grants = SlidingWindow(limit, 1.0), 0.0, []
    for gap_ns, share in data.draw(st.lists(st.tuples(GAPS_NS, st.floats(0, 1)), max_size=40)):
        now_s += gap_ns / 1e9
        amount = max(1, int(share * limit))
        if not window.try_take(now_s, amount):
            ready_s = window.ready_at_s(amount)
            assert ready_s > now_s
            now_s = ready_s
            assert window.try_take(now_s, amount)
        grants.append((now_s, amount))
    assert most_in_any_window(grants, 1.0) <= limit


def test_a_large_limit_keeps_few_entries():
    """100,000 grants in one window take about a thousand entries, and the window still lets all of them go."""
    window = SlidingWindow(100_000, 1.0)
    assert all(window.try_take(n / 100_000) for n in range(100_000))
    assert not window.try_take(0.99999)
    assert len(window._grants) <= 1100
    assert window.try_take(2.0, 100_000)
