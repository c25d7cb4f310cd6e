"""From a turn to its committed row: priced, counted by budgets, logged, rolled up; saturated, and at offered rates."""

from __future__ import annotations

import asyncio
import resource
import tempfile
import time
import tracemalloc
from collections.abc import Callable, Coroutine
from functools import partial
from statistics import median, quantiles
from time import perf_counter, perf_counter_ns, process_time
from typing import Any

import hivecost as hc
from benchmarks.figure import ratio_of
from benchmarks.store import seconds_in_sqlite
from benchmarks.suite import in_process
from hivecost.events import Event
from hivecost.runtime.intake import admit_turn

Result = tuple[str, float, float, bool]

ROUNDS, EVENTS = 31, 10_000
GATED_ROUNDS, GATED = 11, 2_000
#: Offered per second → the goals for the p99 from publish to commit in ms, and for CPU in µs an event.
OFFERED = {1_000: (100.0, 600.0), 10_000: (1_000.0, 250.0), 50_000: (10_000.0, 150.0)}
OFFERED_SECONDS = 1.5
EVENT_BYTES_MAX = 2_000
EXECUTIONS, TURNS_EACH = 10_000, 3
EXECUTIONS_GOALS = (60.0, 600.0)  # seconds, MB

USAGE = hc.Usage(1_200, 300, 800)
BUDGETS = [
    hc.Budget("run", "$1_000", window="execution", mode="hard"),
    hc.Budget("user day", "$1_000_000", window="day", per="user", mode="stop_after"),
]
CONFIG: dict[str, Any] = {"runaway": "off"}
#: With Python's own 5 ms the thread that commits waits for a loop that never rests: see docs/performance.md.
SWITCH_INTERVAL_S = 0.0005
PRICES = hc.PriceBook()


def results() -> list[Result]:
    """(name, goal, figure, whether the goal is met); figures are medians of one run."""
    rows = [
        _saturated("published turns, saturated", _published, ROUNDS, EVENTS, 0.6),
        _saturated(
            f"published turns, saturated (switch_interval_s={SWITCH_INTERVAL_S})",
            partial(_published, config=CONFIG | {"switch_interval_s": SWITCH_INTERVAL_S}),
            *(ROUNDS, EVENTS, 0.8),
        ),
        _saturated(
            "turns through the gate with a hard budget, saturated", _through_the_gate, GATED_ROUNDS, GATED, 0.15
        ),
    ]
    for rate, (latency_ms, cpu_us) in OFFERED.items():
        rows += asyncio.run(_offered(rate, latency_ms, cpu_us))
    size = _bytes_of_an_event()
    rows.append(("bytes of memory for an event that waits", EVENT_BYTES_MAX, size, size <= EVENT_BYTES_MAX))
    return rows + _many_executions()


def _runtime(folder: str, config: dict[str, Any] = CONFIG) -> hc.AgentRuntime:
    return hc.AgentRuntime(folder, budgets=BUDGETS, config=config)


def _turn(number: int) -> hc.LLMTurnComplete:
    execution = number % 100 + number // 1_000 * 100
    return hc.LLMTurnComplete(
        session_id=f"session_20261122_080000_{execution:08x}",
        execution_id=f"exec_{execution:016x}",
        node_id=("plan", "search", "answer")[number % 3],
        agent_id=f"agent-{execution % 5}",
        user_id=f"user-{execution % 20}",
        org_id="acme",
        model="gpt-4o",
        provider="openai",
        usage=USAGE,
        latency_ms=850,
        stop_reason="stop",
    )


def as_logged(events: int) -> list[hc.LLMTurnComplete]:
    """The same turns as a runtime logs them, with their costs: both sides write the same rows."""
    return [admit_turn(_turn(number), PRICES) for number in range(events)]


def _saturated(
    name: str, run: Callable[[str, int], Coroutine[Any, Any, float]], rounds: int, events: int, goal: float
) -> Result:
    ours_s, plain_s = [], []
    for _ in range(rounds):  # by turns, so that both see the same machine
        with tempfile.TemporaryDirectory() as folder:
            ours_s.append(asyncio.run(run(folder, events)))
        plain_s.append(seconds_in_sqlite(as_logged(events), 1_000))
    ratio = ratio_of(plain_s, ours_s)
    rate = events / median(ours_s)
    return f"{name}: {rate:,.0f}/s, of the rows in plain sqlite3 by 1,000", goal, ratio, ratio >= goal


async def _published(folder: str, events: int, config: dict[str, Any] = CONFIG) -> float:
    """As an adapter tells them: priced on the bus, counted by the watched budget, logged."""
    async with _runtime(folder, config) as runtime:
        await runtime.bus.publish(_turn(events))  # what is made once is made
        await runtime.flush()
        turns = [_turn(number) for number in range(events)]
        started_s = perf_counter()
        for number, turn in enumerate(turns):
            await runtime.bus.publish(turn)
            if not number % 1_000:
                await asyncio.sleep(0)
        await runtime.flush()
        return perf_counter() - started_s


async def _through_the_gate(folder: str, events: int) -> float:
    """As agents take them: a hold in the ledger before, its settlement after."""
    runtime = _runtime(folder)
    each = events // 100

    @runtime.entry_point("agent")
    async def agent(ctx: hc.Execution, _: Any) -> None:
        for _number in range(each):
            async with ctx.turn("gpt-4o", input_tokens=1_200, max_tokens=800, provider="openai") as turn:
                turn.settle(USAGE)

    async with runtime:
        started_s = perf_counter()
        ids = [await runtime.trigger("agent", user_id=f"user-{number % 20}") for number in range(100)]
        for execution_id in ids:
            await runtime.wait(execution_id)
        await runtime.flush()
        return perf_counter() - started_s


async def _offered(rate: int, latency_goal_ms: float, cpu_goal_us: float) -> list[Result]:
    latencies_ms: list[float] = []
    took_ns: list[int] = []
    with tempfile.TemporaryDirectory() as folder:
        runtime = _runtime(folder)
        write = runtime.log._write

        async def timed(events: list[Event]) -> None:
            await write(events)
            now_ns = time.time_ns()
            latencies_ms.extend((now_ns - event.timestamp_ns) / 1e6 for event in events)

        runtime.log._write = timed  # type: ignore[method-assign]  # where commits return
        async with runtime:
            used_s = process_time()
            await _publish_at(runtime, rate, took_ns)
            await runtime.flush()
            cpu_us = 1e6 * (process_time() - used_s) / len(took_ns)
    assert len(latencies_ms) == len(took_ns)
    p99_ms, spread = quantiles(latencies_ms, n=100)[98], quantiles(took_ns, n=100)[98] / median(took_ns)
    name = f"{rate:,} turns/s offered"
    latency = f"{name}: from publish to commit, p99 in ms (p50 {median(latencies_ms):,.1f} ms)"
    publisher = f"{name}: publishing one, p99 over its median ({median(took_ns) / 1e3:.1f} µs)"
    return [
        (latency, latency_goal_ms, p99_ms, p99_ms <= latency_goal_ms),
        (publisher, 10.0, spread, spread <= 10.0),
        (f"{name}: CPU in µs a turn", cpu_goal_us, cpu_us, cpu_us <= cpu_goal_us),
    ]


async def _publish_at(runtime: hc.AgentRuntime, rate: int, took_ns: list[int]) -> None:
    """Some every few milliseconds, as fast as the rate says; a publisher that falls behind does not make up for it."""
    started_s, at_once = perf_counter(), max(rate // 500, 1)
    for number in range(int(rate * OFFERED_SECONDS)):
        event = _turn(number)
        before_ns = perf_counter_ns()
        await runtime.bus.publish(event)
        took_ns.append(perf_counter_ns() - before_ns)
        if number % at_once == at_once - 1:
            await asyncio.sleep(max(0.0, started_s + number / rate - perf_counter()))


def _bytes_of_an_event() -> float:
    tracemalloc.start()
    before, _ = tracemalloc.get_traced_memory()
    turns = [_turn(number) for number in range(10_000)]
    after, _ = tracemalloc.get_traced_memory()
    tracemalloc.stop()
    return (after - before) / len(turns)


def _many_executions() -> list[Result]:
    """In a process of its own, whose peak of memory is theirs alone."""
    seconds, peak_mb = in_process(_seconds_and_peak_mb)
    name = f"{EXECUTIONS:,} executions at once, {TURNS_EACH} turns each through the gate, to the last commit"
    seconds_goal, peak_goal_mb = EXECUTIONS_GOALS
    return [
        (f"{name}: seconds", seconds_goal, seconds, seconds <= seconds_goal),
        (f"{name}: peak RSS in MB", peak_goal_mb, peak_mb, peak_mb <= peak_goal_mb),
    ]


def _seconds_and_peak_mb() -> tuple[float, float]:
    with tempfile.TemporaryDirectory() as folder:
        seconds = asyncio.run(_all_at_once(folder))
    return seconds, resource.getrusage(resource.RUSAGE_SELF).ru_maxrss / 1024


async def _all_at_once(folder: str) -> float:
    """None takes its second turn before all have taken their first."""
    runtime = _runtime(folder)
    all_started, all_ended, started, ended = asyncio.Event(), asyncio.Event(), 0, 0

    @runtime.entry_point("agent")
    async def agent(ctx: hc.Execution, _: Any) -> None:
        nonlocal started, ended
        started += 1
        if started == EXECUTIONS:
            all_started.set()
        await all_started.wait()
        for _number in range(TURNS_EACH):
            async with ctx.turn("gpt-4o", input_tokens=1_200, max_tokens=800, provider="openai") as turn:
                turn.settle(USAGE)
        ended += 1
        if ended == EXECUTIONS:
            all_ended.set()

    started_s = perf_counter()
    async with runtime:
        for number in range(EXECUTIONS):
            await runtime.trigger("agent", user_id=f"user-{number % 20}")
        await all_ended.wait()
        await runtime.flush()
    return perf_counter() - started_s


if __name__ == "__main__":
    for name, goal, figure, met in results():
        print(f"{'met   ' if met else 'MISSED'} {figure:8.2f} (goal {goal:g})  {name}")
