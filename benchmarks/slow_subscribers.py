"""Slow, hanging and raising subscribers beside quick ones: what the publisher and the quick ones feel of them.

Each run offers OFFERED_PER_S events a second; runs with and without a bad subscriber take turns.
"""

from __future__ import annotations

import asyncio
import logging
import os
from collections.abc import Callable, Iterator
from contextlib import contextmanager
from functools import partial
from pathlib import Path
from statistics import median, quantiles
from time import perf_counter, perf_counter_ns
from typing import Any, NamedTuple

from benchmarks.bus import _turn
from benchmarks.figure import ratio_of
from hivecost.bus import DropNewest, DropOldest, EventBus
from hivecost.events import LLMTurnComplete

OFFERED_PER_S = 2_000
RUN_S = 0.8
ROUNDS = 7
GOAL = 2.0
SLOW_S = 0.01
#: Soon full: a slow one falls behind by 1,900 events a second.
SLOW_QUEUE_MAX = 200
TICK_S = 0.001


class P99(NamedTuple):
    """In microseconds."""

    publish: float
    #: From publish() to the quick handlers.
    handled: float


class Quick:
    """A subscriber that notes how late it hears of each event; an event's `latency_ms` is its number."""

    def __init__(self, published_ns: list[int]) -> None:
        self.late_ns: list[int] = []
        self._published_ns = published_ns

    def one(self, event: LLMTurnComplete) -> None:
        self.late_ns.append(perf_counter_ns() - self._published_ns[event.latency_ms])

    async def awaited(self, event: LLMTurnComplete) -> None:
        self.one(event)

    def many(self, events: list[LLMTurnComplete]) -> None:
        for event in events:
            self.one(event)


async def _slow(event: LLMTurnComplete) -> None:
    await asyncio.sleep(SLOW_S)


async def _hanging(event: LLMTurnComplete) -> None:
    await asyncio.Event().wait()


async def _raising(event: LLMTurnComplete) -> None:
    raise ValueError("as in each event")


def _nobody(bus: EventBus) -> None:
    pass


def _one_more(bus: EventBus, **how: Any) -> None:
    bus.subscribe(max_queue=SLOW_QUEUE_MAX, name="the bad one", **how)


BAD: dict[str, Callable[[EventBus], None]] = {
    "a 10 ms handler, DropOldest": partial(_one_more, handler=_slow, overflow=DropOldest()),
    "a 10 ms handler, DropNewest": partial(_one_more, handler=_slow, overflow=DropNewest()),
    "a hanging handler": partial(_one_more, handler=_hanging),
    "a raising handler": partial(_one_more, handler=_raising),
}


def results() -> list[tuple[str, float, float, bool]]:
    """(name, goal, figure, whether the goal is met); the figure is a median of p99s over that without the bad one."""
    runs = measure()
    quiet = runs.pop("nobody")
    rows: list[tuple[str, float, float, bool]] = []
    for name, some in runs.items():
        for what, field in (("publish()", "publish"), ("publish to handled of others", "handled")):
            ratio = ratio_of([getattr(p99, field) for p99 in some], [getattr(p99, field) for p99 in quiet])
            rows.append((f"p99 of {what}, with {name}", GOAL, ratio, ratio <= GOAL))
    return rows


def measure() -> dict[str, list[P99]]:
    """Those of each round."""
    runs: dict[str, list[P99]] = {"nobody": [], **{name: [] for name in BAD}}
    with _log_to_nowhere():
        for _ in range(ROUNDS):
            for name, some in runs.items():
                some.append(asyncio.run(_offer(BAD.get(name, _nobody))))
    return runs


async def _offer(subscribe_bad: Callable[[EventBus], None]) -> P99:
    events = int(OFFERED_PER_S * RUN_S)
    published_ns = [0] * events
    took_ns = []
    quick = [Quick(published_ns) for _ in range(3)]
    async with EventBus(close_timeout_s=0.05) as bus:
        subscribe_bad(bus)
        ids = [bus.subscribe(handler=quick[0].one), bus.subscribe(handler=quick[1].awaited)]
        ids.append(bus.subscribe(handler=quick[2].many, batch=True))
        started_s = perf_counter()
        for number in range(events):
            while perf_counter() < started_s + number / OFFERED_PER_S:  # noqa: ASYNC110  # a clock has no event
                await asyncio.sleep(TICK_S)
            event = _turn(number)
            published_ns[number] = perf_counter_ns()
            await bus.publish(event)
            took_ns.append(perf_counter_ns() - published_ns[number])
        for subscription_id in ids:
            await bus.drain(subscription_id)
    assert all(len(one.late_ns) == events for one in quick)
    late_ns = [ns for one in quick for ns in one.late_ns]
    return P99(quantiles(took_ns, n=100)[98] / 1_000, quantiles(late_ns, n=100)[98] / 1_000)


@contextmanager
def _log_to_nowhere() -> Iterator[None]:
    """Errors are formatted, as they are wherever somebody reads them."""
    logger = logging.getLogger("hivecost")
    with Path(os.devnull).open("w") as nowhere:
        handler = logging.StreamHandler(nowhere)
        logger.addHandler(handler)
        try:
            yield
        finally:
            logger.removeHandler(handler)


if __name__ == "__main__":
    for name, some in measure().items():
        publish, handled = median(p99.publish for p99 in some), median(p99.handled for p99 in some)
        print(f"{name:<28} p99 of publish() {publish:8.1f} µs, of publish to handled {handled:8.1f} µs")
