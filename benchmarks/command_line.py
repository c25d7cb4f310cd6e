"""How long commands take to answer that a prompt or a newcomer waits for, against Python that does nothing."""

from __future__ import annotations

import tempfile
import time
from pathlib import Path

from benchmarks.figure import ratio_of
from benchmarks.imports import seconds_of
from hivecost.backends.sqlite.log.runtime_log import RuntimeLog
from hivecost.events import Cost, CostStatus, LLMTurnComplete, Usage

ROUNDS = 25
TURNS = 10_000
BARE, DATABASE = ("-c", "pass"), ("-c", "import sqlite3")
#: As the installed `hivecost` does it.
MAIN = ("-c", "from hivecost.cli import main; main()")
#: What is typed → against what, and the goal.
GOALS = {
    ("statusline",): (DATABASE, 3.0),
    ("today",): (BARE, 12.0),
    ("--help",): (BARE, 6.0),
}


def results() -> list[tuple[str, float, float, bool]]:
    """(name, goal, figure, whether the goal is met), of a log with turns of the last two days."""
    with tempfile.TemporaryDirectory() as folder:
        data, bytecode = Path(folder, "data"), str(Path(folder, "bytecode"))
        data.mkdir()
        _fill(data)
        given = {typed: () if typed[0].startswith("--") else ("--data", str(data)) for typed in GOALS}
        runs = {BARE: BARE, DATABASE: DATABASE} | {typed: (*MAIN, *typed, *given[typed]) for typed in GOALS}
        took_s: dict[tuple[str, ...], list[float]] = {name: [] for name in runs}
        for number in range(ROUNDS + 1):  # by turns, so that all see the same machine; the first one compiles
            for name, arguments in runs.items():
                seconds = seconds_of(arguments, bytecode)
                if number:
                    took_s[name].append(seconds)
    rows = []
    for typed, (other, goal) in GOALS.items():
        ratio = ratio_of(took_s[typed], took_s[other])
        on = f" on {TURNS:,} turns" if given[typed] else ""
        rows.append((f"hivecost {' '.join(typed)}{on}, over python {' '.join(other)}", goal, ratio, ratio <= goal))
    return rows


def _fill(data: Path) -> None:
    """Turns of 60 users, 8 agents and 6 models that vary independently, one in fifty without a price."""
    now_ns = time.time_ns()
    log = RuntimeLog(data)
    turns = [
        LLMTurnComplete(
            timestamp_ns=now_ns - number * 17_280_000_000,
            session_id=f"session {number // 20}",
            agent_id=f"agent {number * 7 % 8}",
            user_id=f"user {number * 13 % 60}",
            model=f"model {number * 5 % 6}",
            provider="provider",
            usage=Usage(1_200, 300),
            cost=Cost(status=CostStatus.PRICED, nanousd=3_000_000) if number % 50 else None,
        )
        for number in range(TURNS)
    ]
    for first in range(0, TURNS, 1_000):
        log.append(turns[first : first + 1_000])
    log.close()


if __name__ == "__main__":
    for name, goal, figure, met in results():
        print(f"{'met   ' if met else 'MISSED'} {figure:6.2f} (goal {goal:g})  {name}")
