"""What `benchmarks.instructions` counts: the other suites' workloads, by name and in two sizes.

`python -m benchmarks.counted NAME ITEMS` runs one. Each function imports only what it runs, because start-up is slow
under valgrind.
"""
# ruff: noqa: PLC0415

from __future__ import annotations

import asyncio
import os
import shutil
import sqlite3
import sys
import tempfile
from collections.abc import Callable
from contextlib import closing
from functools import partial
from pathlib import Path
from typing import TYPE_CHECKING, NamedTuple

from benchmarks import bus
from hivecost.events import LLMTurnComplete

if TYPE_CHECKING:
    from hivecost.log.turn_rows import Row

SUBSCRIBERS = (1, 4, 16)
BATCH = 1_000


class Workload(NamedTuple):
    """Runs so many items; the two sizes differ in items and in nothing else."""

    run: Callable[[int], object]
    small: int = 2_000
    large: int = 6_000


def _events(events: int) -> None:
    for number in range(events):
        bus._turn(number)


def _to_bus(run: bus.Run, subscribers: int, events: int) -> None:
    asyncio.run(run(subscribers, events))


def _handled_lists(events: int) -> None:
    """The handler alone: the same event, in lists."""
    count, batch = bus.Count(), [bus._turn(0)] * BATCH
    for _ in range(events // BATCH):
        count.many(batch)


def _sums_on_dicts(pairs: int) -> None:
    from benchmarks.ledger import seconds_in_dicts

    seconds_in_dicts(pairs)


def _in_memory(pairs: int) -> None:
    from benchmarks import ledger

    for _ in range(pairs // ledger.PAIRS):
        ledger._seconds_in_ledger()


def _in_lease(pairs: int) -> None:
    """Reserve and settle alone: the process ends at once, and brings nothing to the database."""
    asyncio.run(_spend(pairs, closing=False))


def _in_lease_and_closed(pairs: int) -> None:
    """And brought to the database, all at once."""
    asyncio.run(_spend(pairs, closing=True))


async def _spend(pairs: int, *, closing: bool) -> None:
    from benchmarks import ledger_store
    from benchmarks.ledger import WHO
    from hivecost.backends import Ledger

    ledger_store.PAIRS = pairs  # the process is its own
    with tempfile.TemporaryDirectory() as folder:
        async with Ledger.open(folder, budgets=ledger_store.BUDGETS) as ledger:
            (await ledger.reserve(WHO, nanousd=10_000, tokens=1_000)).settle(nanousd=7_000, tokens=800)
            ledger_store._seconds_in_lease(ledger)
            if not closing:
                shutil.rmtree(folder)
                os._exit(0)


def _prices(turns: int) -> None:
    from benchmarks import pricing
    from hivecost.pricing import PriceBook

    pricing._ours_s(PriceBook(), [("openai", "gpt-4o")], turns)


def _prices_by_genai(turns: int) -> None:
    from benchmarks import pricing

    pricing._theirs_s([("openai", "gpt-4o")], turns)


def _turns(turns: int) -> list[LLMTurnComplete]:
    from benchmarks import store

    return [store.turn(number) for number in range(turns)]


def _rows(turns: int) -> list[Row]:
    from hivecost.log.turn_rows import turn_row

    return [turn_row(turn) for turn in _turns(turns)]


def _inserted(turns: int, *, summed: bool = False) -> None:
    """The rows alone, or with the sums, in transactions that are committed."""
    from benchmarks import store
    from hivecost.backends.sqlite.log.inserts import TURNS, insert
    from hivecost.backends.sqlite.log.rollups import fold_turns

    events = _turns(turns)
    with tempfile.TemporaryDirectory() as folder:
        asyncio.run(store._make_tables(folder))
        with closing(sqlite3.connect(Path(folder, "hivecost.db"))) as connection:
            for start in range(0, turns, BATCH):
                with connection:
                    insert(connection, TURNS, events[start : start + BATCH])
                    if summed:
                        fold_turns(connection, start)


def _stored(turns: int) -> None:
    from benchmarks import store

    asyncio.run(store._seconds_in_store(_turns(turns), BATCH))


def _gated(turns: int) -> None:
    """Whole turns on three hard budgets: asked, held, settled, priced and published. Logging is `stored`."""
    asyncio.run(_through_the_gate(turns))


async def _through_the_gate(turns: int) -> None:
    import hivecost as hc

    budgets = [
        hc.Budget("total", "$1_000_000"),
        hc.Budget("org day", "$1_000_000", window="day", match={"org": "acme"}),
        hc.Budget("run", "10_000_000_000 tokens", window="execution"),
    ]
    usage = hc.Usage(input_tokens=1_200, output_tokens=300)
    with tempfile.TemporaryDirectory() as folder:
        runtime = hc.AgentRuntime(folder, budgets=budgets, config=hc.RuntimeConfig(log=False))

        @runtime.entry_point("agent")
        async def agent(ctx: hc.Execution, _: object) -> None:
            for _ in range(turns):
                async with ctx.turn(model="gpt-4o", input_tokens=1_200, max_tokens=800) as turn:
                    turn.settle(usage)

        async with runtime:
            await runtime.trigger_and_wait("agent", org_id="acme")


_WAYS: dict[str, bus.Run] = {
    "calls": bus._direct,
    "lists": partial(bus._bus, batch=True),
    "awaits": bus._direct_async,
    "async": partial(bus._bus, batch=False),
}
WORKLOADS = {
    **{f"{way} {n}": Workload(partial(_to_bus, run, n)) for way, run in _WAYS.items() for n in SUBSCRIBERS},
    "event": Workload(_events),
    "handled lists": Workload(_handled_lists),
    "dicts": Workload(_sums_on_dicts),
    "memory": Workload(_in_memory, 5_000, 15_000),
    "lease": Workload(_in_lease, 500, 2_000),
    "closed": Workload(_in_lease_and_closed, 500, 2_000),
    "gated": Workload(_gated, 500, 2_000),
    "price": Workload(_prices),
    "calc_price": Workload(_prices_by_genai, 100, 300),
    "turns": Workload(_turns),
    "rows": Workload(_rows),
    "inserted": Workload(_inserted),
    "summed": Workload(partial(_inserted, summed=True)),
    "stored": Workload(_stored),
}


if __name__ == "__main__":
    WORKLOADS[sys.argv[1]].run(int(sys.argv[2]))
