"""The runtime log, durable, against plain sqlite3 that commits the same rows, indexes and sums in batches as large.

The plain one gets its rows ready-made as tuples; ours makes them from events, and goes through its queue, its thread,
its lock and its checkpoints.
"""

from __future__ import annotations

import asyncio
import sqlite3
import tempfile
import time
from collections.abc import Sequence
from pathlib import Path
from statistics import median, quantiles
from time import perf_counter

from benchmarks.figure import ratio_of
from hivecost.backends.sqlite import Store
from hivecost.backends.sqlite.log.append import Appended
from hivecost.backends.sqlite.log.inserts import TURNS, insert_sql
from hivecost.backends.sqlite.log.rollups import fold_turns
from hivecost.backends.sqlite.log.runtime_log import RuntimeLog
from hivecost.events import Cost, CostStatus, Event, LLMTurnComplete, Usage
from hivecost.log.turn_rows import Row, turn_row
from hivecost.runtime.switch_interval import switch_interval

Result = tuple[str, float, float, bool]

ROUNDS = 5
#: Events in a batch → events in a round, and the goal.
BATCHES = {1: (200, 0.2), 10: (2_000, 0.3), 100: (5_000, 0.5), 1_000: (12_000, 0.8)}
WAITERS, EVENTS_EACH = 1_000, 5

BUSY_TURNS, BUSY_S = 1_000, 0.003
#: Of `RuntimeConfig(switch_interval_s=…)`; None is Python's own.
SWITCH_INTERVALS_S = (None, 0.0005)

SLOW_COMMIT_S, OFFERED_PER_S, SLOW_SECONDS = 0.020, 5_000, 2.0
QUEUE_MAX = 2_000


def results() -> list[Result]:
    """(name, goal, figure, whether the goal is met); figures are medians of one run."""
    rows = [_batches(size, events, goal) for size, (events, goal) in BATCHES.items()]
    return [*rows, _waiters(), *(_beside_a_busy_loop(interval_s) for interval_s in SWITCH_INTERVALS_S), *_slow_disk()]


def turn(number: int) -> LLMTurnComplete:
    """A turn as a runtime logs it: 100 executions run at once, each has three nodes and one model."""
    execution = number % 100 + number // 1_000 * 100
    return LLMTurnComplete(
        session_id=f"session_20261122_080000_{execution:08x}",
        execution_id=f"exec_{execution:016x}",
        node_id=("plan", "search", "answer")[number % 3],
        agent_id=f"agent-{execution % 5}",
        user_id=f"user-{execution % 20}",
        org_id="acme",
        model=("gpt-4o", "claude-sonnet-4-5")[execution % 2],
        provider=("openai", "anthropic")[execution % 2],
        usage=USAGE,
        cost=COST,
        latency_ms=850,
        stop_reason="stop",
    )


USAGE = Usage(1_200, 300, 800)
COST = Cost(
    status=CostStatus.PRICED,
    nanousd=5_000_000,
    source="genai-prices",
    rate="input=2.5 output=10 cache_read=1.25",
    snapshot="genai-prices-0.2.3-1a2b3c4d",
    input_nanousd=2_000_000,
    output_nanousd=3_000_000,
)


def _batches(size: int, events: int, goal: float) -> Result:
    ours_s, plain_s = [], []
    for _ in range(ROUNDS):  # by turns, so that both see the same machine
        turns = [turn(number) for number in range(events)]
        ours_s.append(asyncio.run(_seconds_in_store(turns, size)))
        plain_s.append(seconds_in_sqlite(turns, size))
    ratio = ratio_of(plain_s, ours_s)
    name = f"durable, batches of {size:,}: {events / median(ours_s):,.0f} turns/s, of plain sqlite3"
    return name, goal, ratio, ratio >= goal


def _waiters() -> Result:
    ours_s, plain_s = [], []
    for _ in range(ROUNDS):
        turns = [turn(number) for number in range(WAITERS * EVENTS_EACH)]
        ours_s.append(asyncio.run(_seconds_of_waiters(turns)))
        plain_s.append(seconds_in_sqlite(turns, WAITERS))
    ratio = ratio_of(plain_s, ours_s)
    name = (
        f"{WAITERS:,} tasks that each wait for their commit: {len(turns) / median(ours_s):,.0f} turns/s, "
        "of plain group commit"
    )
    return name, 0.5, ratio, ratio >= 0.5


def _beside_a_busy_loop(switch_interval_s: float | None) -> Result:
    """A loop whose every turn is 3 ms of Python, and with each the writer's wait for the interpreter begins anew."""
    turns = [turn(number) for number in range(BUSY_TURNS)]
    idle_s, busy_s = [], []
    for _ in range(ROUNDS):
        with switch_interval(switch_interval_s):
            idle_s.append(asyncio.run(_seconds_in_store(turns, BUSY_TURNS)))
            busy_s.append(asyncio.run(_seconds_in_busy_loop(turns)))
    ratio = ratio_of(idle_s, busy_s)
    asked = "" if switch_interval_s is None else f" (switch_interval_s={switch_interval_s})"
    name = f"{BUSY_TURNS:,} turns committed beside a loop that never rests{asked}, of the rate beside one that does"
    return name, 0.1, ratio, ratio >= 0.1


async def _seconds_in_busy_loop(turns: Sequence[LLMTurnComplete]) -> float:
    async def work() -> None:
        while True:
            until_s = perf_counter() + BUSY_S
            while perf_counter() < until_s:
                pass
            await asyncio.sleep(0)

    busy = asyncio.create_task(work())
    try:
        return await _seconds_in_store(turns, len(turns))
    finally:
        busy.cancel()


async def _seconds_in_store(turns: Sequence[LLMTurnComplete], size: int) -> float:
    with tempfile.TemporaryDirectory() as folder:
        async with Store(folder) as store:
            started_s = perf_counter()
            for start in range(0, len(turns), size):
                await store.write(turns[start : start + size])
            return perf_counter() - started_s


async def _seconds_of_waiters(turns: Sequence[LLMTurnComplete]) -> float:
    async def produce(number: int, store: Store) -> None:
        for event in turns[number::WAITERS]:
            await store.record(event, durable=True)

    with tempfile.TemporaryDirectory() as folder:
        async with Store(folder) as store:
            started_s = perf_counter()
            await asyncio.gather(*(produce(number, store) for number in range(WAITERS)))
            return perf_counter() - started_s


def seconds_in_sqlite(turns: Sequence[LLMTurnComplete], size: int) -> float:
    """Committing the same rows and sums with plain sqlite3, WAL and synchronous=FULL."""
    rows: list[Row] = [turn_row(event) for event in turns]
    with tempfile.TemporaryDirectory() as folder:
        asyncio.run(_make_tables(folder))
        connection = sqlite3.connect(Path(folder, "hivecost.db"), isolation_level=None)
        connection.execute("PRAGMA synchronous = FULL")
        started_s = perf_counter()
        for start in range(0, len(rows), size):
            connection.execute("BEGIN IMMEDIATE")
            connection.executemany(insert_sql(TURNS), rows[start : start + size])
            fold_turns(connection, start)
            connection.execute("COMMIT")
        elapsed_s = perf_counter() - started_s
        connection.close()
    return elapsed_s


async def _make_tables(folder: str) -> None:
    async with Store(folder):
        pass


def _slow_disk() -> list[Result]:
    """A disk whose every commit takes 20 ms longer: commits are larger, and nobody who records an event notices."""
    quick_p99_ns, _, _ = asyncio.run(_recording())
    real = RuntimeLog.append

    def slow(self: RuntimeLog, events: Sequence[Event]) -> Appended:
        time.sleep(SLOW_COMMIT_S)
        return real(self, events)

    RuntimeLog.append = slow  # type: ignore[method-assign]  # the disk is slow
    try:
        slow_p99_ns, kept_up, queued_max = asyncio.run(_recording())
    finally:
        RuntimeLog.append = real  # type: ignore[method-assign]  # and is not any more
    spread = slow_p99_ns / quick_p99_ns
    queued = queued_max / QUEUE_MAX
    offered = f"{OFFERED_PER_S:,} turns/s on a disk of {1_000 * SLOW_COMMIT_S:.0f} ms a commit"
    return [
        (f"{offered}: committed, of those offered", 0.95, kept_up, kept_up >= 0.95),
        (f"{offered}: p99 of recording one, over that on the disk as it is", 2.0, spread, spread <= 2.0),
        (f"{offered}: most that ever waited, of the queue's limit", 1.0, queued, queued <= 1.0),
    ]


async def _recording() -> tuple[float, float, int]:
    """(p99 of recording an event in ns, share of the offered that was committed by the end, most that waited)."""
    took_ns, queued_max, offered = [], 0, int(OFFERED_PER_S * SLOW_SECONDS)
    with tempfile.TemporaryDirectory() as folder:
        async with Store(folder, queue_max=QUEUE_MAX) as store:
            started_s = perf_counter()
            for number in range(offered):
                event = turn(number)
                before_ns = time.perf_counter_ns()
                store.record_nowait(event)
                took_ns.append(time.perf_counter_ns() - before_ns)
                if number % 10 == 9:
                    queued_max = max(queued_max, store.statistics().queued)
                    await asyncio.sleep(max(0.0, started_s + number / OFFERED_PER_S - perf_counter()))
            written = store.statistics().written + 2 * SLOW_COMMIT_S * OFFERED_PER_S  # two commits may be under way
    return quantiles(took_ns, n=100)[98], min(1.0, written / offered), queued_max


if __name__ == "__main__":
    for name, goal, figure, met in results():
        print(f"{'met   ' if met else 'MISSED'} {figure:6.2f} (goal {goal:g})  {name}")
