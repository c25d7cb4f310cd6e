"""`make bench`: every ratio with its goal, in one table; `python -m benchmarks bus pricing` runs only these.

All suites run three times, one after the other, and a row shows the figure in the middle: a stretch of some minutes in
which the machine is busy or slow decides none. In brackets is the least and the greatest of all rounds. `--passes 1`
is for a quick look, `--json FILE` writes the same as JSON. Exits with 1 when a goal is missed. Each suite has a process
of its own, so that none runs in what another has left behind.

`python -m benchmarks rivals` is an experiment beside them, which `make rivals` runs.
"""

from __future__ import annotations

import argparse
import json
import sys
from collections.abc import Sequence
from pathlib import Path

from benchmarks.figure import Figure
from benchmarks.rivals import experiment
from benchmarks.suite import Row, in_process, middle_of, results_of

SUITES = (
    *("imports", "command_line", "footprint", "bus", "bus_peers", "slow_subscribers"),
    *("pricing", "holds", "steps", "ledger", "ledger_store", "rate_limits", "compaction"),
    *("store", "end_to_end", "large_store", "flat_sums", "attach"),
)


def main() -> int:
    if sys.argv[1:2] == ["rivals"]:
        return experiment.main(sys.argv[2:])
    parser = argparse.ArgumentParser(prog="python -m benchmarks")
    parser.add_argument("suites", nargs="*", metavar="SUITE", help=f"of {', '.join(SUITES)}; all without")
    parser.add_argument("--passes", type=int, default=3, choices=(1, 3, 5), help="how often each is run; 3 without")
    parser.add_argument("--json", type=Path, metavar="FILE", help="write the rows as JSON too")
    arguments = parser.parse_args()
    if unknown := set(arguments.suites) - set(SUITES):
        parser.error(f"no suite is called {', '.join(sorted(unknown))}")
    suites = arguments.suites or SUITES
    passes = [_run(suites, f"pass {number} of {arguments.passes}") for number in range(1, arguments.passes + 1)]
    rows = [
        (suite, *middle_of(measured))
        for suite in suites
        for measured in zip(*(each[suite] for each in passes), strict=True)
    ]
    print(*(_line(*row) for row in rows), sep="\n")
    if arguments.json is not None:
        arguments.json.write_text(json.dumps([_as_json(*row) for row in rows], indent=2))
    return 0 if all(met for *_, met in rows) else 1


def _run(suites: Sequence[str], what: str) -> dict[str, list[Row]]:
    rows = {}
    for suite in suites:
        print(f"{what}: {suite}", file=sys.stderr, flush=True)
        rows[suite] = in_process(results_of, suite)
    return rows


def _as_json(suite: str, name: str, goal: float, figure: Figure, met: bool) -> dict[str, object]:
    spread = [figure.low, figure.high]
    return {"suite": suite, "name": name, "goal": goal, "figure": figure, "spread": spread, "met": met}


def _line(suite: str, name: str, goal: float, figure: Figure, met: bool) -> str:
    spread = f"({figure.low:,.2f} to {figure.high:,.2f})" if figure.low < figure.high else ""
    return f"{'met   ' if met else 'MISSED'} {suite:<16} {figure:9,.2f} {spread:<22} goal {goal:9,.2f}   {name}"


if __name__ == "__main__":
    sys.exit(main())
