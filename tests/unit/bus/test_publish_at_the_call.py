"""publish() acts when it is called; what can be awaited after that is room in a full queue, and nothing else."""

from __future__ import annotations

import asyncio
import gc
import threading
from collections.abc import Awaitable, Callable

import anyio
import anyio.lowlevel
import pytest

from hivecost.bus import Block, DropNewest, DropOldest, EventBus, Overflow
from hivecost.errors import BusClosedError
from hivecost.events import CustomEvent

pytestmark = pytest.mark.anyio

COUNT, ROOM = 24, 4
#: Longer than anything takes, however busy the machine is.
PATIENT_S = 60.0


def numbered(number: int) -> CustomEvent:
    return CustomEvent(name=str(number))


def numbers(events) -> list[int]:
    return [int(event.name) for event in events]


def in_a_thread(function: Callable[[], object]) -> None:
    thread = threading.Thread(target=function)
    thread.start()
    thread.join()


# -- pairs of features -----------------------------------------------------------------------------------------------


async def awaited(bus: EventBus, event: CustomEvent) -> None:
    await bus.publish(event)


async def unawaited(bus: EventBus, event: CustomEvent) -> None:
    bus.publish(event)


async def nowait(bus: EventBus, event: CustomEvent) -> None:
    bus.publish_nowait(event)


async def from_thread(bus: EventBus, event: CustomEvent) -> None:
    in_a_thread(lambda: bus.publish(event))


class Subscriber:
    """A handler of one kind, and what it was given."""

    def __init__(self, kind: str) -> None:
        self.kind = kind
        self.seen: list[int] = []

    async def __call__(self, given) -> None:
        self.seen += numbers(given if self.kind == "batch" else [given])
        if self.kind == "hanging":
            await anyio.sleep_forever()
        await anyio.lowlevel.checkpoint()
        if self.kind == "raising":
            raise ValueError("mine")


@pytest.mark.parametrize("ending", ["drain", "close", "cancel publisher"])
@pytest.mark.parametrize("kind", ["plain", "batch", "hanging", "raising"])
@pytest.mark.parametrize("policy", [Block, DropOldest, DropNewest])
@pytest.mark.parametrize("publish", [awaited, unawaited, nowait, from_thread])
async def test_whatever_is_combined_each_event_is_handled_waits_or_is_counted_as_lost(
    publish: Callable[[EventBus, CustomEvent], Awaitable[None]], policy: type[Overflow], kind: str, ending: str
):
    """B1 to B7: published = handled + dropped + waiting, in order, nothing lost that could wait; it ends."""
    subscriber, witness, begun = Subscriber(kind), Subscriber("plain"), []
    timeout_s = 0.01 if kind == "hanging" else PATIENT_S
    overflow = Block(timeout_s) if policy is Block else policy()

    async def publish_all() -> None:
        for number in range(COUNT):
            begun.append(number)
            await publish(bus, numbered(number))

    with anyio.fail_after(PATIENT_S):
        async with EventBus(close_timeout_s=timeout_s) as bus:
            bus.subscribe(handler=subscriber, batch=kind == "batch", overflow=overflow, max_queue=ROOM)
            witnessed = bus.subscribe(handler=witness)
            async with anyio.create_task_group() as publishers:
                publishers.start_soon(publish_all)
                if ending == "cancel publisher":
                    await anyio.wait_all_tasks_blocked()
                    publishers.cancel_scope.cancel()
            if ending == "drain":
                with anyio.move_on_after(timeout_s):
                    await bus.drain()
            bus._collect()  # what threads have published
            figures, others = bus.statistics().subscriptions
            assert figures.published == others.published == bus.statistics().published == len(begun)
            assert figures.published == figures.handled + figures.dropped + figures.queued + figures.in_line
            assert figures.queued <= ROOM
            if kind == "hanging":  # for which closing does not wait long enough for anybody else on a busy machine
                await bus.drain(witnessed)
    figures, others = bus.statistics().subscriptions
    assert (figures.queued, figures.in_line) == (0, 0)
    assert figures.published == figures.handled + figures.dropped == len(begun)
    assert witness.seen == begun
    assert (others.handled, others.dropped) == (len(begun), 0)
    assert subscriber.seen == sorted(set(subscriber.seen))
    assert len(subscriber.seen) == figures.handled + (kind == "hanging")
    if kind != "hanging" and isinstance(overflow, Block) and publish in (awaited, unawaited):
        assert subscriber.seen == begun
    gc.collect()  # a coroutine that nobody awaited would warn, and warnings are errors


# -- one by one ------------------------------------------------------------------------------------------------------


@pytest.mark.parametrize("overflow", [Block(), DropOldest(), DropNewest()], ids=lambda o: type(o).__name__)
async def test_a_forgotten_await_publishes_at_once_also_where_a_queue_is_full(overflow):
    """The event is with those who have room before anything else happens, and counted with those who have none."""
    async with EventBus() as bus:
        bus.subscribe(handler=lambda event: None, overflow=overflow, max_queue=10)
        bus.subscribe(handler=lambda event: None)
        for number in range(1, 3_001):
            bus.publish(numbered(number))
            assert bus.statistics().published == number
        full, roomy = bus.statistics().subscriptions
        assert (roomy.published, roomy.queued) == (3_000, 3_000)
        assert (full.published, full.queued, full.in_line + full.dropped) == (3_000, 10, 2_990)
        assert (full.dropped == 0) == isinstance(overflow, Block)
        await bus.drain()
        full, _ = bus.statistics().subscriptions
        assert full.handled + full.dropped == 3_000


async def test_b3_the_line_before_a_full_queue_has_a_limit_and_what_it_does_not_take_is_counted(monkeypatch):
    """B3: a publisher that never waits fills queue and line; the rest is lost at once."""
    monkeypatch.setattr("hivecost.bus.subscriber.LINE_MAX", 5)
    gate, seen = anyio.Event(), []

    async def gated(event):
        await gate.wait()
        seen.append(event)

    async with EventBus() as bus:
        bus.subscribe(handler=gated, overflow=Block(timeout_s=60), max_queue=2)
        for number in range(20):
            bus.publish(numbered(number))
        (figures,) = bus.statistics().subscriptions
        assert (figures.queued, figures.in_line, figures.dropped) == (2, 5, 13)
        gate.set()
        await bus.drain()
    assert numbers(seen) == list(range(7))


async def test_b1_what_waits_in_line_is_overtaken_by_nobody():
    """B1: publish_nowait() and other threads find the queue full as long as anybody waits for room in it."""
    gates, seen = [anyio.Event() for _ in range(20)], []

    async def gated(event):
        await gates[len(seen)].wait()
        seen.append(event)

    async with EventBus() as bus:
        bus.subscribe(handler=gated, overflow=Block(timeout_s=60), max_queue=2)
        for number in range(5):
            bus.publish(numbered(number))
        for turn in range(3):
            gates[turn].set()
            await anyio.wait_all_tasks_blocked()
            bus.publish_nowait(numbered(100 + turn))
            in_a_thread(lambda turn=turn: bus.publish(numbered(200 + turn)))
            await anyio.lowlevel.checkpoint()
        for gate in gates:
            gate.set()
        await bus.drain()
        (figures,) = bus.statistics().subscriptions
    assert numbers(seen) == sorted(numbers(seen))
    assert numbers(seen)[:5] == [0, 1, 2, 3, 4]
    assert figures.published == figures.handled + figures.dropped == 11


async def test_what_publish_gives_can_be_awaited_later_twice_as_a_task_or_closed(anyio_backend_name):
    """It is an awaitable like any other, whether there is anything to wait for or not."""
    gate, seen = anyio.Event(), []

    async def gated(event):
        await gate.wait()
        seen.append(event)

    async with EventBus() as bus:
        bus.subscribe(handler=gated, overflow=Block(timeout_s=60), max_queue=1)
        endings = [bus.publish(numbered(number)) for number in range(6)]
        endings.pop().close()
        with pytest.raises(KeyError):
            endings.pop().throw(KeyError())
        async with anyio.create_task_group() as group:
            for ending in endings:
                group.start_soon(lambda ending=ending: ending)
            await anyio.wait_all_tasks_blocked()
            gate.set()
        for ending in endings:
            await ending
        if anyio_backend_name == "asyncio":
            await asyncio.gather(*(bus.publish(numbered(number)) for number in range(6, 20)))
        await bus.drain()
        assert bus.statistics().dropped == 0
    assert numbers(seen) == list(range(20 if anyio_backend_name == "asyncio" else 6))


async def test_publish_refuses_at_the_call(anyio_backend_name):
    """A closed bus, and what is no event, are errors of the call, awaited or not, on any thread."""
    errors = []

    def publish_in_thread() -> None:
        try:
            bus.publish(numbered(0))
        except BusClosedError as error:
            errors.append(error)

    async with EventBus() as bus:
        with pytest.raises(TypeError, match="hivecost events"):
            bus.publish({"type": "custom"})
    with pytest.raises(BusClosedError):
        bus.publish(numbered(0))
    in_a_thread(publish_in_thread)
    assert len(errors) == 1


async def test_b6_a_thread_that_publishes_while_the_bus_closes_is_refused_or_counted():
    """B6: what publish() took is handled or counted as lost; the rest it refuses."""
    seen, refused, taken = [], [], []
    is_under_way = threading.Event()

    def publish() -> None:
        for number in range(100_000):
            try:
                bus.publish(numbered(number))
            except BusClosedError:
                refused.append(number)
                return
            taken.append(number)
            is_under_way.set()

    async with EventBus() as bus:
        bus.subscribe(handler=seen.append, max_queue=1_000_000)
        thread = threading.Thread(target=publish)
        thread.start()
        await anyio.to_thread.run_sync(is_under_way.wait)
    await anyio.to_thread.run_sync(thread.join)
    await anyio.wait_all_tasks_blocked()
    figures = bus.statistics()
    assert len(taken) == figures.published + figures.inbox_dropped
    assert figures.published == len(seen) == figures.subscriptions[0].handled
    assert numbers(seen) == list(range(len(seen)))
