"""What `benchmarks.profiles` looks at: saturated workloads of the other suites, for as long as a profiler needs.

`python -m benchmarks.profiled NAME…` runs them one after another.
"""

from __future__ import annotations

import asyncio
import sys
import tempfile
from collections.abc import Awaitable, Callable
from time import perf_counter

from benchmarks import end_to_end
from benchmarks.ledger import WHO
from benchmarks.ledger_store import BUDGETS
from hivecost.backends import Ledger
from hivecost.pricing import PriceBook

SECONDS = 10.0
#: Printed at the end.
DONE = "all of it ran"
TURNS, GATED, PAIRS = 20_000, 2_000, 40_000


async def _published(folder: str) -> None:
    """Publish, price, count against budgets, log and roll up."""
    await end_to_end._published(folder, TURNS)


async def _through_the_gate(folder: str) -> None:
    """The same with a hold in the ledger before each turn."""
    await end_to_end._through_the_gate(folder, GATED)


async def _in_lease(folder: str) -> None:
    """Reserve and settle over four accounts, committed when the journal fills up."""
    async with Ledger.open(folder, budgets=BUDGETS) as ledger:
        for pair in range(PAIRS):
            (await ledger.reserve(WHO, nanousd=10_000, tokens=1_000)).settle(nanousd=7_000, tokens=800)
            if not pair % 50:
                await asyncio.sleep(0)


WORKLOADS: dict[str, Callable[[str], Awaitable[None]]] = {
    "published": _published,
    "gate": _through_the_gate,
    "lease": _in_lease,
}


def warm_up() -> None:
    """What a process does once is left out of its profile: see `benchmarks.stacks`."""
    PriceBook().price("gpt-4o", end_to_end.USAGE, provider="openai")


def run(name: str) -> None:
    """Again and again, each time on a new file."""
    until_s = perf_counter() + SECONDS
    while perf_counter() < until_s:
        with tempfile.TemporaryDirectory() as folder:
            asyncio.run(_awaited(WORKLOADS[name](folder)))


async def _awaited(work: Awaitable[None]) -> None:
    await work


if __name__ == "__main__":
    warm_up()
    for name in sys.argv[1:]:
        run(name)
    print(DONE)
