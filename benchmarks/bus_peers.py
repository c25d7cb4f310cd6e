"""Publish to handled, against other buses and queues: the same fresh events, the same handlers, by turns in one run.

`python -m benchmarks.bus_peers` prints the events per second of each, median and spread.
"""

from __future__ import annotations

import asyncio
import gc
import sys
from collections.abc import Awaitable, Callable
from itertools import repeat
from statistics import median
from time import process_time
from typing import Any, NamedTuple

import aiopubsub
import anyio
import bubus
import pyee.asyncio
from blinker import Signal

from benchmarks.bus import Count, Run, _bus, _direct_async, _turn
from benchmarks.figure import ratio_of
from hivecost.events import LLMTurnComplete

ROUNDS = 5
SUBSCRIBERS = (1, 4, 16)
#: Handler calls in one measurement of a quick bus; the number of events follows from it.
CALLS = 16_000
QUEUE_MAX = 10_000
#: The loop that a publisher of fire-and-forget handlers waits after so many events.
PAUSE_EVERY = 500


class Contender(NamedTuple):
    run: Run
    #: Of CALLS; slow ones make do with less.
    share: float = 1.0
    backend: str = "asyncio"


async def _blinker(subscribers: int, events: int) -> float:
    counts, signal = _counts(subscribers), Signal()
    receivers = [_receiver(count) for count in counts]
    for receiver in receivers:
        signal.connect(receiver)
    started_s = process_time()
    for number in range(events):
        await signal.send_async(None, event=_turn(number))
    return _elapsed(started_s, counts, events)


def _receiver(count: Count) -> Callable[..., Awaitable[None]]:
    async def receive(sender: object, event: LLMTurnComplete) -> None:
        await count.awaited(event)

    return receive


async def _pyee(subscribers: int, events: int) -> float:
    counts, emitter = _counts(subscribers), pyee.asyncio.AsyncIOEventEmitter()
    for count in counts:
        emitter.on("turn", count.awaited)
    started_s = process_time()
    for number in range(events):
        emitter.emit("turn", _turn(number))
        if not number % PAUSE_EVERY:
            await emitter.wait_for_complete()
    await emitter.wait_for_complete()
    return _elapsed(started_s, counts, events)


async def _aiopubsub(subscribers: int, events: int) -> float:
    counts, hub, listeners = _counts(subscribers), aiopubsub.Hub(), []
    publisher = aiopubsub.Publisher(hub, prefix=aiopubsub.Key("agent"))
    for number, count in enumerate(counts):
        listeners.append(aiopubsub.Subscriber(hub, str(number)))
        listeners[-1].add_async_listener(aiopubsub.Key("agent", "turn"), _listener(count))
    key = aiopubsub.Key("turn")
    started_s = process_time()
    for number in range(events):
        publisher.publish(key, _turn(number))
    while any(count.events < events for count in counts):  # noqa: ASYNC110  # it has nothing to wait for
        await asyncio.sleep(0)
    elapsed_s = _elapsed(started_s, counts, events)
    for listener in listeners:
        await listener.remove_all_listeners()
    return elapsed_s


def _listener(count: Count) -> Callable[..., Awaitable[None]]:
    async def listen(key: aiopubsub.Key, event: LLMTurnComplete) -> None:
        await count.awaited(event)

    return listen


class Carrier(bubus.BaseEvent[None]):
    """bubus carries its own events only."""

    turn: Any


async def _bubus(subscribers: int, events: int) -> float:
    counts, bus = _counts(subscribers), bubus.EventBus()
    for number, count in enumerate(counts):
        bus.on("Carrier", _carried(count, number))
    started_s = process_time()
    for number in range(events):
        await bus.dispatch(Carrier(turn=_turn(number)))
    elapsed_s = _elapsed(started_s, counts, events)
    await bus.stop(clear=True)
    return elapsed_s


def _carried(count: Count, number: int) -> Callable[..., Awaitable[None]]:
    async def handle(event: Carrier) -> None:
        await count.awaited(event.turn)

    handle.__name__ = f"handle_{number}"  # it warns of handlers that share a name
    return handle


async def _queues(subscribers: int, events: int) -> float:
    counts = _counts(subscribers)
    queues: list[asyncio.Queue[LLMTurnComplete]] = [asyncio.Queue(QUEUE_MAX) for _ in counts]

    async def consume(queue: asyncio.Queue[LLMTurnComplete], count: Count) -> None:
        for _ in repeat(None, events):
            await count.awaited(await queue.get())

    started_s = process_time()
    async with asyncio.TaskGroup() as group:
        for queue, count in zip(queues, counts, strict=True):
            group.create_task(consume(queue, count))
        for number in range(events):
            event = _turn(number)
            for queue in queues:
                await queue.put(event)
    return _elapsed(started_s, counts, events)


async def _streams(subscribers: int, events: int) -> float:
    counts = _counts(subscribers)
    streams = [anyio.create_memory_object_stream[LLMTurnComplete](QUEUE_MAX) for _ in counts]

    async def consume(incoming: Any, count: Count) -> None:
        with incoming:
            async for event in incoming:
                await count.awaited(event)

    started_s = process_time()
    async with anyio.create_task_group() as group:
        for (_, incoming), count in zip(streams, counts, strict=True):
            group.start_soon(consume, incoming, count)
        for number in range(events):
            event = _turn(number)
            for outgoing, _ in streams:
                await outgoing.send(event)
        for outgoing, _ in streams:
            outgoing.close()
    return _elapsed(started_s, counts, events)


async def _hivecost(subscribers: int, events: int) -> float:
    return await _bus(subscribers, events, batch=False)


async def _hivecost_lists(subscribers: int, events: int) -> float:
    return await _bus(subscribers, events, batch=True)


def _counts(subscribers: int) -> list[Count]:
    return [Count() for _ in range(subscribers)]


def _elapsed(started_s: float, counts: list[Count], events: int) -> float:
    elapsed_s = process_time() - started_s
    assert all(count.events == events for count in counts)
    return elapsed_s


PEERS = {
    "blinker.send_async": Contender(_blinker),
    "pyee": Contender(_pyee, 0.25),
    "aiopubsub": Contender(_aiopubsub, 0.25),
    "bubus": Contender(_bubus, 0.01),
    "asyncio.Queue": Contender(_queues),
    "anyio memory streams": Contender(_streams, 0.25),
}
OURS = {"hivecost": Contender(_hivecost), "hivecost, lists": Contender(_hivecost_lists)}
LIMIT = {"direct awaits": Contender(_direct_async)}
LOOPS = ("trio",) if sys.platform == "win32" else ("uvloop", "trio")
#: Under another loop: of a loop of awaits there.
LOOP_GOAL = 0.5


def results() -> list[tuple[str, float, float, bool]]:
    """(name, goal, figure, whether the goal is met); the figure is our events per second over theirs."""
    rows: list[tuple[str, float, float, bool]] = []
    for subscribers in SUBSCRIBERS:
        rates = measure({**OURS, **PEERS}, subscribers)
        for peer in PEERS:
            ratio = ratio_of(rates["hivecost"], rates[peer])
            rows.append((f"async handlers, {subscribers} subscribers, over {peer}", 1.0, ratio, ratio > 1.0))
    for backend in LOOPS:
        for subscribers in SUBSCRIBERS:
            rates = measure(_under(backend), subscribers)
            ratio = ratio_of(rates["hivecost"], rates["direct awaits"])
            name = f"async handlers under {backend}, {subscribers} subscribers, of a loop of awaits"
            rows.append((name, LOOP_GOAL, ratio, ratio >= LOOP_GOAL))
    return rows


def _under(backend: str) -> dict[str, Contender]:
    return {name: contender._replace(backend=backend) for name, contender in (OURS | LIMIT).items()}


def measure(contenders: dict[str, Contender], subscribers: int) -> dict[str, list[float]]:
    """The rates of each, all of them once in every round."""
    rates: dict[str, list[float]] = {name: [] for name in contenders}
    for _ in range(ROUNDS):
        for name, (run, share, backend) in contenders.items():
            events = max(20, int(CALLS * share / subscribers))
            gc.collect()
            rates[name].append(events / _run(backend, run, subscribers, events))
    return rates


def _run(backend: str, run: Run, subscribers: int, events: int) -> float:
    if backend == "uvloop":
        return anyio.run(run, subscribers, events, backend="asyncio", backend_options={"use_uvloop": True})
    return anyio.run(run, subscribers, events, backend=backend)


def main() -> None:
    everybody = {**LIMIT, **OURS, **PEERS}
    tables = {"asyncio": everybody} | {backend: _under(backend) for backend in LOOPS}
    for backend, contenders in tables.items():
        print(f"{'events/s under ' + backend:<24}" + "".join(f"{n:>12} subscribers" for n in SUBSCRIBERS))
        columns = [measure(contenders, subscribers) for subscribers in SUBSCRIBERS]
        for name in contenders:
            print(f"{name:<24}" + "".join(_cell(column[name]) for column in columns))


def _cell(rates: list[float]) -> str:
    return f"{median(rates):>15,.0f} ±{(max(rates) - min(rates)) / median(rates) / 2:>5.0%} "


if __name__ == "__main__":
    main()
