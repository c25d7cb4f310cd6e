"""`make bench`: every ratio with its goal, in one table; `python -m benchmarks bus pricing` runs only these.

`--json FILE` writes the same as JSON. Exits with 1 when a goal is missed. Each suite has a process of its
own, so that none runs in what another has left behind.
"""

from __future__ import annotations

import json
import sys
from concurrent.futures import ProcessPoolExecutor
from multiprocessing import get_context
from pathlib import Path

from benchmarks.suite import Row, results_of

SUITES = (
    *("imports", "footprint", "bus", "bus_peers", "slow_subscribers"),
    *("pricing", "ledger", "ledger_store", "rate_limits"),
    *("store", "end_to_end", "large_store"),
)


def main() -> int:
    arguments = sys.argv[1:]
    out = Path(arguments.pop(arguments.index("--json") + 1)) if "--json" in arguments else None
    suites = [name for name in arguments if name != "--json"] or SUITES
    rows = []
    for suite in suites:
        for name, goal, figure, met in _in_process(suite):
            rows.append({"suite": suite, "name": name, "goal": goal, "figure": figure, "met": met})
            print(f"{'met   ' if met else 'MISSED'} {suite:<16} {figure:8.2f}   goal {goal:8.2f}   {name}", flush=True)
    if out is not None:
        out.write_text(json.dumps(rows, indent=2))
    return 0 if all(row["met"] for row in rows) else 1


def _in_process(suite: str) -> list[Row]:
    with ProcessPoolExecutor(max_workers=1, mp_context=get_context("spawn")) as pool:
        return pool.submit(results_of, suite).result()


if __name__ == "__main__":
    sys.exit(main())
