"""`make bench`: every ratio with its goal, in one table; `python -m benchmarks bus pricing` runs only these.

In brackets, where rounds were compared: the least and the greatest of them. `--json FILE` writes the same as JSON.
Exits with 1 when a goal is missed. Each suite has a process of its own, so that none runs in what another has left
behind.
"""

from __future__ import annotations

import argparse
import json
import sys
from pathlib import Path

from benchmarks.ratio import Ratio
from benchmarks.suite import in_process, results_of

SUITES = (
    *("imports", "footprint", "bus", "bus_peers", "slow_subscribers"),
    *("pricing", "ledger", "ledger_store", "rate_limits"),
    *("store", "end_to_end", "large_store"),
)


def main() -> int:
    parser = argparse.ArgumentParser(prog="python -m benchmarks")
    parser.add_argument("suites", nargs="*", metavar="SUITE", help=f"of {', '.join(SUITES)}; all without")
    parser.add_argument("--json", type=Path, metavar="FILE", help="write the rows as JSON too")
    arguments = parser.parse_args()
    if unknown := set(arguments.suites) - set(SUITES):
        parser.error(f"no suite is called {', '.join(sorted(unknown))}")
    rows = []
    for suite in arguments.suites or SUITES:
        for name, goal, figure, met in in_process(results_of, suite):
            spread = [figure.low, figure.high] if isinstance(figure, Ratio) else None
            rows.append({"suite": suite, "name": name, "goal": goal, "figure": figure, "spread": spread, "met": met})
            print(_line(suite, name, goal, figure, met), flush=True)
    if arguments.json is not None:
        arguments.json.write_text(json.dumps(rows, indent=2))
    return 0 if all(row["met"] for row in rows) else 1


def _line(suite: str, name: str, goal: float, figure: float, met: bool) -> str:
    spread = f"({figure.low:.2f} to {figure.high:.2f})" if isinstance(figure, Ratio) else ""
    return f"{'met   ' if met else 'MISSED'} {suite:<16} {figure:8.2f} {spread:<17} goal {goal:8.2f}   {name}"


if __name__ == "__main__":
    sys.exit(main())
