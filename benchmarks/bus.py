"""Publish to handled, against a plain loop that calls or awaits the same handlers."""

from __future__ import annotations

import asyncio
from collections.abc import Awaitable, Callable
from statistics import median, quantiles
from time import perf_counter_ns, process_time
from typing import Any

from hivecost.bus import Block, EventBus
from hivecost.events import LLMTurnComplete, Usage

ROUNDS, EVENTS = 9, 20_000
LIST_GOALS = {1: 0.65, 4: 0.9, 16: 1.0}
ASYNC_GOALS = {1: 0.65, 4: 0.7, 16: 0.8}


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
    """(name, goal, figure, whether the goal is met); the figure is a ratio of medians of one run."""
    rows = []
    for subscribers, goal in LIST_GOALS.items():
        ratio = _ratio(lambda n=subscribers: _bus(n, batch=True), lambda n=subscribers: _direct(n))
        rows.append((f"list handlers, {subscribers} subscribers, of a loop of calls", goal, ratio, ratio >= goal))
    for subscribers, goal in ASYNC_GOALS.items():
        ratio = _ratio(lambda n=subscribers: _bus(n, batch=False), lambda n=subscribers: _direct_async(n))
        rows.append((f"async handlers, {subscribers} subscribers, of a loop of awaits", goal, ratio, ratio >= goal))
    spread = asyncio.run(_publisher_p99())
    rows.append(("publish with 4 subscribers, p99 over its median", 10.0, spread, spread <= 10.0))
    return rows


def _ratio(ours: Callable[[], Awaitable[float]], theirs: Callable[[], Awaitable[float]]) -> float:
    """Our rate over theirs, measured by turns."""
    ours_s, theirs_s = [], []
    for _ in range(ROUNDS):
        ours_s.append(asyncio.run(_awaited(ours)))
        theirs_s.append(asyncio.run(_awaited(theirs)))
    return median(theirs_s) / median(ours_s)


async def _awaited(run: Callable[[], Awaitable[float]]) -> float:
    return await run()


def _turn(number: int) -> LLMTurnComplete:
    return LLMTurnComplete(
        session_id="s", execution_id="e", node_id="n", agent_id="a", model="gpt-4o", usage=USAGE, latency_ms=number
    )


USAGE = Usage(1_200, 300)


async def _bus(subscribers: int, *, batch: bool) -> float:
    counts = [Count() for _ in range(subscribers)]
    async with EventBus() as bus:
        for count in counts:
            handler: Any = count.many if batch else count.awaited
            bus.subscribe(handler=handler, batch=batch, overflow=Block(), max_queue=10_000)
        started_s = process_time()
        for number in range(EVENTS):
            await bus.publish(_turn(number))
        await bus.drain()
        elapsed_s = process_time() - started_s
    assert all(count.events == EVENTS for count in counts)
    return elapsed_s


async def _direct(subscribers: int) -> float:
    counts = [Count() for _ in range(subscribers)]
    handlers = [count.one for count in counts]
    started_s = process_time()
    for number in range(EVENTS):
        event = _turn(number)
        for handler in handlers:
            handler(event)
    return process_time() - started_s


async def _direct_async(subscribers: int) -> float:
    counts = [Count() for _ in range(subscribers)]
    handlers = [count.awaited for count in counts]
    started_s = process_time()
    for number in range(EVENTS):
        event = _turn(number)
        for handler in handlers:
            await handler(event)
    return process_time() - started_s


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
