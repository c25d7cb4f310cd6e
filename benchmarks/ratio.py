"""What the suites measure, and how far it spreads."""

from __future__ import annotations

from collections.abc import Sequence
from statistics import median
from typing import Self


class Ratio(float):
    """The median of the rounds' ratios; `low` and `high` are the least and the greatest of them."""

    low: float
    high: float

    def __new__(cls, figure: float, low: float, high: float) -> Self:
        ratio = super().__new__(cls, figure)
        ratio.low, ratio.high = low, high
        return ratio

    def __reduce__(self) -> tuple[type[Ratio], tuple[float, float, float]]:
        return Ratio, (float(self), self.low, self.high)


def ratio_of(some: Sequence[float], others: Sequence[float]) -> Ratio:
    """Of what was measured by turns, so that both of a round saw the same machine, which the next may not."""
    rounds = [one / other for one, other in zip(some, others, strict=True)]
    return Ratio(median(rounds), min(rounds), max(rounds))
