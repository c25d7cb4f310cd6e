"""One suite, as a fresh process imports and runs it, the process, and what several runs of it agree on."""

from __future__ import annotations

import importlib
from collections.abc import Callable, Sequence
from concurrent.futures import ProcessPoolExecutor
from multiprocessing import get_context
from typing import ParamSpec, TypeVar

from benchmarks.figure import Figure

P = ParamSpec("P")
T = TypeVar("T")

#: (name, goal, figure, whether the goal is met)
Row = tuple[str, float, float, bool]


def results_of(suite: str) -> list[Row]:
    """What `benchmarks.<suite>` measures."""
    rows: list[Row] = importlib.import_module(f"benchmarks.{suite}").results()
    return rows


def middle_of(rows: Sequence[Row]) -> tuple[str, float, Figure, bool]:
    """Of an odd number of measurements of a row the one whose figure is in the middle, with the spread of all."""
    name, goal, figure, met = sorted(rows, key=lambda row: row[2])[len(rows) // 2]
    figures = [figure for _, _, figure, _ in rows]
    low = min(figure.low if isinstance(figure, Figure) else figure for figure in figures)
    high = max(figure.high if isinstance(figure, Figure) else figure for figure in figures)
    return name, goal, Figure(figure, low, high), met


def in_process(work: Callable[P, T], *args: P.args, **kwargs: P.kwargs) -> T:
    """What `work` gives in a new process; raises what it raises, and BrokenProcessPool where the process dies."""
    with ProcessPoolExecutor(max_workers=1, mp_context=get_context("spawn")) as pool:
        return pool.submit(work, *args, **kwargs).result()
