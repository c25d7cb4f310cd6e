"""`make bench`: every ratio with its goal, in one table; `python -m benchmarks bus pricing` runs only these.

`--json FILE` writes the same as JSON. Exits with 1 when a goal is missed. Each suite has a process of its
own, so that none runs in what another has left behind.
"""

from __future__ import annotations

import argparse
import json
import sys
from pathlib import Path

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
            rows.append({"suite": suite, "name": name, "goal": goal, "figure": figure, "met": met})
            print(f"{'met   ' if met else 'MISSED'} {suite:<16} {figure:8.2f}   goal {goal:8.2f}   {name}", flush=True)
    if arguments.json is not None:
        arguments.json.write_text(json.dumps(rows, indent=2))
    return 0 if all(row["met"] for row in rows) else 1


if __name__ == "__main__":
    sys.exit(main())
