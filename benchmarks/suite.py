"""One suite, as a fresh process imports and runs it, and the process."""

from __future__ import annotations

import importlib
from collections.abc import Callable
from concurrent.futures import ProcessPoolExecutor
from multiprocessing import get_context
from typing import ParamSpec, TypeVar

P = ParamSpec("P")
T = TypeVar("T")

#: (name, goal, figure, whether the goal is met)
Row = tuple[str, float, float, bool]


def results_of(suite: str) -> list[Row]:
    """What `benchmarks.<suite>` measures."""
    rows: list[Row] = importlib.import_module(f"benchmarks.{suite}").results()
    return rows


def in_process(work: Callable[P, T], *args: P.args, **kwargs: P.kwargs) -> T:
    """What `work` gives in a new process; raises what it raises, and BrokenProcessPool where the process dies."""
    with ProcessPoolExecutor(max_workers=1, mp_context=get_context("spawn")) as pool:
        return pool.submit(work, *args, **kwargs).result()
