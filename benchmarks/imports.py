"""`import hivecost` against importing what it is built on, each in a process of its own."""

from __future__ import annotations

import subprocess
import sys
from statistics import median
from time import perf_counter

ROUNDS = 15


def results() -> list[tuple[str, float, float, bool]]:
    """(name, goal, figure, whether the goal is met); the figure is a ratio of medians of one run."""
    base_s, ours_s, theirs_s = [], [], []
    for _ in range(ROUNDS):
        base_s.append(_seconds("pass"))
        ours_s.append(_seconds("import hivecost"))
        theirs_s.append(_seconds("import aiosqlite, anyio, msgspec, blinker"))
    ratio = (median(ours_s) - median(base_s)) / (median(theirs_s) - median(base_s))
    return [("import hivecost, over aiosqlite, anyio, msgspec and blinker", 1.5, ratio, ratio <= 1.5)]


def _seconds(code: str) -> float:
    started_s = perf_counter()
    subprocess.run([sys.executable, "-c", code], check=True)
    return perf_counter() - started_s
