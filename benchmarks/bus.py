"""Publish to handled, against a plain loop that calls or awaits the same handlers."""

from __future__ import annotations

import asyncio
import threading
from collections.abc import Callable, Coroutine
from functools import partial
from statistics import quantiles
from time import perf_counter_ns, process_time
from typing import Any

from benchmarks.figure import Figure, ratio_of
from hivecost.bus import Block, EventBus
from hivecost.events import LLMTurnComplete, Usage

ROUNDS, EVENTS = 31, 20_000
#: Handler calls in one measurement, at most: with many subscriptions fewer events make as many.
CALLS = 320_000
LIST_GOALS = {1: 0.65, 4: 0.9, 16: 1.0, 256: 1.0}
ASYNC_GOALS = {1: 0.65, 4: 0.7, 16: 0.8, 256: 0.8}
THREADS = 4
THREADS_GOAL = 1.0


#: Publishes so many events to so many subscribers and gives the CPU seconds until all are handled.
Run = Callable[[int, int], Coroutine[Any, Any, float]]


class Count:
    """A subscriber that does next to nothing, so that what is measured is the way to it."""

    def __init__(self) -> None:
        self.events = 0

    def one(self, event: LLMTurnComplete) -> None:
        self.events += 1

    def many(self, events: list[LLMTurnComplete]) -> None:
        for _ in events:
            self.events += 1

    async def awaited(self, event: LLMTurnComplete) -> None:
        self.events += 1


def results() -> list[tuple[str, float, float, bool]]:
    """(name, goal, figure, whether the goal is met); figures are medians of one run."""
    rows: list[tuple[str, float, float, bool]] = []
    for subscribers, goal in LIST_GOALS.items():
        ratio = _ratio(partial(_bus, batch=True), _direct, subscribers)
        rows.append((f"list handlers, {subscribers} subscribers, of a loop of calls", goal, ratio, ratio >= goal))
    for subscribers, goal in ASYNC_GOALS.items():
        ratio = _ratio(partial(_bus, batch=False), _direct_async, subscribers)
        rows.append((f"async handlers, {subscribers} subscribers, of a loop of awaits", goal, ratio, ratio >= goal))
    ratio = _ratio(_bus_from_threads, _call_soon_threadsafe, 1)
    name = f"publish from {THREADS} threads, over call_soon_threadsafe for each event"
    rows.append((name, THREADS_GOAL, ratio, ratio >= THREADS_GOAL))
    spread = asyncio.run(_publisher_p99())
    rows.append(("publish with 4 subscribers, p99 over its median", 10.0, spread, spread <= 10.0))
    return rows


def _ratio(ours: Run, theirs: Run, subscribers: int) -> Figure:
    """Our rate over theirs, measured by turns."""
    events = min(EVENTS, CALLS // subscribers)
    ours_s, theirs_s = [], []
    for _ in range(ROUNDS):
        ours_s.append(asyncio.run(ours(subscribers, events)))
        theirs_s.append(asyncio.run(theirs(subscribers, events)))
    return ratio_of(theirs_s, ours_s)


def _turn(number: int) -> LLMTurnComplete:
    return LLMTurnComplete(
        session_id="s", execution_id="e", node_id="n", agent_id="a", model="gpt-4o", usage=USAGE, latency_ms=number
    )


USAGE = Usage(1_200, 300)


async def _bus(subscribers: int, events: int, *, batch: bool) -> float:
    counts = [Count() for _ in range(subscribers)]
    async with EventBus() as bus:
        for count in counts:
            handler: Any = count.many if batch else count.awaited
            bus.subscribe(handler=handler, batch=batch, overflow=Block(), max_queue=10_000)
        started_s = process_time()
        for number in range(events):
            await bus.publish(_turn(number))
        await bus.drain()
        elapsed_s = process_time() - started_s
    assert all(count.events == events for count in counts)
    return elapsed_s


async def _direct(subscribers: int, events: int) -> float:
    counts = [Count() for _ in range(subscribers)]
    handlers = [count.one for count in counts]
    started_s = process_time()
    for number in range(events):
        event = _turn(number)
        for handler in handlers:
            handler(event)
    return process_time() - started_s


async def _direct_async(subscribers: int, events: int) -> float:
    counts = [Count() for _ in range(subscribers)]
    handlers = [count.awaited for count in counts]
    started_s = process_time()
    for number in range(events):
        event = _turn(number)
        for handler in handlers:
            await handler(event)
    return process_time() - started_s


async def _bus_from_threads(subscribers: int, events: int) -> float:
    counts = [Count() for _ in range(subscribers)]
    async with EventBus() as bus:
        for count in counts:
            bus.subscribe(handler=count.many, batch=True, overflow=Block(), max_queue=events)
        started_s = process_time()
        await _in_threads(bus.publish_nowait, events)
        await bus.drain()
        elapsed_s = process_time() - started_s
    assert all(count.events == events for count in counts)
    return elapsed_s


async def _call_soon_threadsafe(subscribers: int, events: int) -> float:
    counts = [Count() for _ in range(subscribers)]
    loop = asyncio.get_running_loop()

    def publish(event: LLMTurnComplete) -> None:
        for count in counts:
            loop.call_soon_threadsafe(count.one, event)

    started_s = process_time()
    await _in_threads(publish, events)
    await asyncio.sleep(0)
    elapsed_s = process_time() - started_s
    assert all(count.events == events for count in counts)
    return elapsed_s


async def _in_threads(publish: Callable[[LLMTurnComplete], None], events: int) -> None:
    """Fresh events from THREADS threads; returns when the last of them is published."""
    loop, ended = asyncio.get_running_loop(), asyncio.Event()
    running = threading.Semaphore(THREADS - 1)

    def publish_part() -> None:
        for number in range(events // THREADS):
            publish(_turn(number))
        if not running.acquire(blocking=False):
            loop.call_soon_threadsafe(ended.set)

    threads = [threading.Thread(target=publish_part) for _ in range(THREADS)]
    for thread in threads:
        thread.start()
    await ended.wait()
    for thread in threads:
        thread.join()


async def _publisher_p99() -> float:
    took_ns = []
    async with EventBus() as bus:
        for _ in range(4):
            bus.subscribe(handler=Count().many, batch=True)
        for number in range(EVENTS):
            event = _turn(number)
            started_ns = perf_counter_ns()
            await bus.publish(event)
            took_ns.append(perf_counter_ns() - started_ns)
            if not number % 100:
                await asyncio.sleep(0)
    cuts = quantiles(took_ns, n=100)
    return cuts[98] / cuts[49]


if __name__ == "__main__":
    for name, goal, figure, met in results():
        print(f"{'met   ' if met else 'MISSED'} {figure:6.2f} (goal {goal:g})  {name}")
