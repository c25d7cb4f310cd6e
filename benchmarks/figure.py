"""What the suites measure, and how far it spreads."""

from __future__ import annotations

from collections.abc import Sequence
from statistics import median
from typing import Self


class Figure(float):
    """What is in the middle of several measurements; `low` and `high` are the least and the greatest of them."""

    low: float
    high: float

    def __new__(cls, figure: float, low: float, high: float) -> Self:
        middle = super().__new__(cls, figure)
        middle.low, middle.high = low, high
        return middle

    def __reduce__(self) -> tuple[type[Figure], tuple[float, float, float]]:
        return Figure, (float(self), self.low, self.high)


def ratio_of(some: Sequence[float], others: Sequence[float]) -> Figure:
    """Of what was measured by turns, so that both of a round saw the same machine, which the next may not."""
    rounds = [one / other for one, other in zip(some, others, strict=True)]
    return Figure(median(rounds), min(rounds), max(rounds))
