"""What `hivecost run` adds to a call of a model, and to the start of each Python."""

from __future__ import annotations

import json
import subprocess
import sys
import tempfile
from pathlib import Path

from benchmarks.figure import Figure, ratio_of
from hivecost.testing import Behaviour, ProviderEmulator

ROOT = Path(__file__).parents[1]
CALL_MS, START = 1.0, 2.0
CHUNKS = 40
#: Measured → as it is called in the table, and what it may be in ms.
CALLS = {
    "sync": ("a call", CALL_MS),
    "async": ("an async call", CALL_MS),
    "sync stream": (f"a stream of {CHUNKS} chunks", 2 * CALL_MS),
    "async stream": (f"an async stream of {CHUNKS} chunks", 2 * CALL_MS),
}


def results() -> list[tuple[str, float, float, bool]]:
    """(name, goal, figure, whether the goal is met); figures are medians of one run."""
    measured = _measured()
    rows = []
    for name, (what, goal) in CALLS.items():
        added = _middle(measured[name])
        rows.append((f"ms that the hook adds to {what} of openai's client", goal, added, added <= goal))
    ratio = ratio_of(measured["hooked start"], measured["start"])
    rows.append(("python -c pass with the hook, over the same without", START, ratio, ratio <= START))
    return rows


def _middle(figures: list[float]) -> Figure:
    middle = sorted(figures)[len(figures) // 2]
    return Figure(middle, min(figures), max(figures))


def _measured() -> dict[str, list[float]]:
    """What `attached_calls` prints under `hivecost run`."""
    behaviour = Behaviour(text="word" * CHUNKS)
    with tempfile.TemporaryDirectory() as folder, ProviderEmulator(behaviour) as provider:
        command = (sys.executable, "-m", "benchmarks.attached_calls", provider.openai_base_url)
        finished = subprocess.run(
            [*(sys.executable, "-m", "hivecost", "run", "--budget", "$1_000", "--data", folder), "--", *command],
            cwd=ROOT,
            check=True,
            capture_output=True,
            text=True,
        )
    measured: dict[str, list[float]] = json.loads(finished.stdout)
    return measured


if __name__ == "__main__":
    for name, goal, figure, met in results():
        print(f"{'met   ' if met else 'MISSED'} {figure:6.2f} (goal {goal:g})  {name}")
