"""Machine instructions of the hot paths: what a busy machine does not move.

`python -m benchmarks.instructions` prints tables as Markdown, which docs/performance.md sums up, after some minutes;
`--json FILE` writes the counts of all workloads too. Each workload of `benchmarks.counted` runs in two sizes, each in
a process of its own: the difference of the two counts is what the items between them took, without start-up.
Instructions say nothing of caches, of disks, and of what the kernel does.
"""

from __future__ import annotations

import argparse
import json
import os
import subprocess
import sys
import tempfile
from collections.abc import Mapping
from concurrent.futures import ThreadPoolExecutor
from functools import partial
from pathlib import Path

from benchmarks.cachegrind import ValgrindMissingError, instructions_of
from benchmarks.counted import SUBSCRIBERS, WORKLOADS

#: Rows of (what, an instruction count for each of the columns).
Table = list[tuple[str, list[float]]]


def main() -> int:
    parser = argparse.ArgumentParser(prog="python -m benchmarks.instructions")
    parser.add_argument("--json", type=Path, metavar="FILE", help="write the instructions for an item of each workload")
    out: Path | None = parser.parse_args().json
    try:
        each = counted()
    except ValgrindMissingError as error:
        print(error, file=sys.stderr)
        return 1
    except subprocess.CalledProcessError as error:
        print(error.stderr, file=sys.stderr)
        return 1
    print(*tables(each), sep="\n\n")
    if out is not None:
        out.write_text(json.dumps(each, indent=2))
    return 0


def counted() -> dict[str, float]:
    """Workload → instructions for each of its items."""
    with tempfile.TemporaryDirectory() as bytecode, ThreadPoolExecutor(os.cpu_count()) as pool:
        each = pool.map(partial(_each, bytecode=Path(bytecode)), WORKLOADS)
        return dict(zip(WORKLOADS, each, strict=True))


def _each(name: str, bytecode: Path) -> float:
    workload, command = WORKLOADS[name], ["-m", "benchmarks.counted", name]
    small, large = (instructions_of([*command, str(size)], bytecode) for size in (workload.small, workload.large))
    return (large - small) / (workload.large - workload.small)


def tables(each: Mapping[str, float]) -> list[str]:
    """Markdown, a table for each of the hot paths."""
    return [
        markdown("instructions for each event", [f"{n} subscriber{'s' * (n > 1)}" for n in SUBSCRIBERS], _bus(each)),
        markdown("of these", ["instructions"], _parts_of_the_bus(each)),
        markdown("a turn in the ledger, four accounts", ["instructions"], _ledger(each)),
        markdown("the price of a turn", ["instructions"], _pricing(each)),
        markdown("a turn in the store, by 1,000", ["instructions"], _store(each)),
    ]


def markdown(title: str, columns: list[str], rows: Table) -> str:
    lines = [f"| {title} | {' | '.join(columns)} |", "|---|" + "---:|" * len(columns)]
    return "\n".join(lines + [f"| {what} | {' | '.join(map(rounded, counts))} |" for what, counts in rows])


def rounded(count: float) -> str:
    """To three digits: the fourth moves from run to run."""
    return f"{float(f'{count:.3g}'):,.0f}"


def _bus(each: Mapping[str, float]) -> Table:
    ways = {
        "calls": "a loop that calls the handlers",
        "lists": "the bus, list handlers",
        "awaits": "a loop that awaits the handlers",
        "async": "the bus, `async` handlers",
    }
    return [(title, [each[f"{way} {n}"] for n in SUBSCRIBERS]) for way, title in ways.items()]


def _parts_of_the_bus(each: Mapping[str, float]) -> Table:
    """An event costs so much once, and so much more for each subscription."""
    first, last = SUBSCRIBERS[0], SUBSCRIBERS[-1]
    slope = {
        way: (each[f"{way} {last}"] - each[f"{way} {first}"]) / (last - first) for way in ("lists", "awaits", "async")
    }
    return [
        ("making the event", [each["event"]]),
        ("`publish()`, and what is done once for all, lists", [each["lists 1"] - each["event"] - slope["lists"]]),
        ("`publish()`, and what is done once for all, `async`", [each["async 1"] - each["event"] - slope["async"]]),
        ("each subscription with lists", [slope["lists"]]),
        ("its handler alone", [each["handled lists"]]),
        ("each subscription with an `async` handler", [slope["async"]]),
        ("its handler and coroutine alone", [slope["awaits"]]),
    ]


def _ledger(each: Mapping[str, float]) -> Table:
    return [
        ("the same checks and sums on dicts", [each["dicts"]]),
        ("reserve and settle in memory", [each["memory"]]),
        ("reserve and settle in a lease, with lock and journal", [each["lease"]]),
        ("bringing it from the journal to the database, later and with 2,000 others", [each["closed"] - each["lease"]]),
        ("a whole turn on three hard budgets, with all that the runtime does but logging", [each["gated"]]),
    ]


def _pricing(each: Mapping[str, float]) -> Table:
    return [("`PriceBook.price`", [each["price"]]), ("genai-prices' `calc_price`", [each["calc_price"]])]


def _store(each: Mapping[str, float]) -> Table:
    return [
        ("the row from the event", [each["rows"] - each["turns"]]),
        ("binding and inserting it, with 4 indexes, and its part of the commit", [each["inserted"] - each["rows"]]),
        ("the four rollups", [each["summed"] - each["inserted"]]),
        ("checks, queue, thread and lock", [each["stored"] - each["summed"]]),
        ("all of it", [each["stored"] - each["turns"]]),
    ]


if __name__ == "__main__":
    sys.exit(main())
