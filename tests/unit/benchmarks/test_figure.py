"""What a benchmark prints of the rounds it took."""

from __future__ import annotations

import pickle

import pytest

from benchmarks.figure import Figure, ratio_of


def test_a_ratio_of_medians_with_the_spread_of_its_rounds():
    """One slow round moves the spread, and not the figure."""
    ratio = ratio_of([2.0, 2.0, 9.0], [1.0, 1.0, 1.0])
    assert (ratio, ratio.low, ratio.high) == (2.0, 2.0, 9.0)


def test_rounds_are_compared_with_their_own():
    """What was measured by turns belongs together."""
    with pytest.raises(ValueError, match="zip"):
        ratio_of([1.0], [1.0, 2.0])


def test_it_comes_whole_out_of_the_process_that_measured_it():
    """A suite runs in a process of its own."""
    ratio = pickle.loads(pickle.dumps(Figure(2.0, 1.5, 2.5)))
    assert (ratio, ratio.low, ratio.high) == (2.0, 1.5, 2.5)
