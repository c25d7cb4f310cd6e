"""One suite, as a fresh process imports and runs it."""

from __future__ import annotations

import importlib

#: (name, goal, figure, whether the goal is met)
Row = tuple[str, float, float, bool]


def results_of(suite: str) -> list[Row]:
    """What `benchmarks.<suite>` measures."""
    rows: list[Row] = importlib.import_module(f"benchmarks.{suite}").results()
    return rows
