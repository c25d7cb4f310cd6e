"""Usages add up, count by count."""

from __future__ import annotations

import pytest
from hypothesis import given
from hypothesis import strategies as st

import hivecost as hc
from hivecost.events import USAGE_FIELDS

COUNTS = st.integers(0, 1_000)


@st.composite
def usages(draw):
    reads, writes, hour = draw(COUNTS), draw(COUNTS), draw(COUNTS)
    parts = {name: draw(COUNTS) for name in USAGE_FIELDS}
    return hc.Usage(
        **parts
        | {
            "input_tokens": 10_000,
            "output_tokens": 10_000,
            "cache_read_tokens": reads + 1_000,
            "cache_write_tokens": writes + hour,
            "cache_write_1h_tokens": hour,
        }
    )


@given(st.lists(usages(), max_size=5))
def test_every_count_is_summed(given_usages):
    """None is left out, and `sum()` needs no start."""
    total = sum(given_usages, hc.Usage())
    for name in USAGE_FIELDS:
        assert getattr(total, name) == sum(getattr(usage, name) for usage in given_usages)
    assert sum(given_usages) == (total if given_usages else 0)


def test_only_usages_are_added():
    """A number is none, and counts that no turn can have are refused."""
    with pytest.raises(TypeError):
        hc.Usage() + 1
    with pytest.raises(TypeError):
        1 + hc.Usage()
    with pytest.raises(hc.UsageInvalidError):
        hc.Usage(input_tokens=10**9) + hc.Usage(input_tokens=1)
