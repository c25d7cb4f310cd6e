"""Importing hivecost, bare and with its runtime, against what it is built on, each in a process of its own."""

from __future__ import annotations

import os
import subprocess
import sys
import tempfile
from collections.abc import Sequence
from statistics import median
from time import perf_counter

ROUNDS = 15
PEERS = "aiosqlite, anyio, msgspec, blinker"
#: What is imported → the goal.
GOALS = {"import hivecost": 1.5, "from hivecost import AgentRuntime": 3.0}


def results() -> list[tuple[str, float, float, bool]]:
    """(name, goal, figure, whether the goal is met); figures are medians of one run."""
    codes = ("pass", f"import {PEERS}", *GOALS)
    took_s: dict[str, list[float]] = {code: [] for code in codes}
    with tempfile.TemporaryDirectory() as bytecode:
        for code in codes:
            seconds_of(("-c", code), bytecode)  # compiles, as installing does
        for _ in range(ROUNDS):  # by turns, so that all see the same machine
            for code in codes:
                took_s[code].append(seconds_of(("-c", code), bytecode))
    base_s, theirs_s, *ours_s = (median(some) for some in took_s.values())
    rows = []
    for (code, goal), seconds in zip(GOALS.items(), ours_s, strict=True):
        ratio = (seconds - base_s) / (theirs_s - base_s)
        rows.append((f"{code}, over {PEERS}", goal, ratio, ratio <= goal))
    return rows


def seconds_of(arguments: Sequence[str], bytecode: str, **variables: str) -> float:
    """How long a Python takes from its start to its end, with its bytecode in a folder of its own."""
    env = os.environ | {"PYTHONDONTWRITEBYTECODE": "", "PYTHONPYCACHEPREFIX": bytecode} | variables
    started_s = perf_counter()
    subprocess.run([sys.executable, *arguments], env=env, check=True, stdout=subprocess.DEVNULL)
    return perf_counter() - started_s


if __name__ == "__main__":
    for name, goal, figure, met in results():
        print(f"{'met   ' if met else 'MISSED'} {figure:6.2f} (goal {goal:g})  {name}")
