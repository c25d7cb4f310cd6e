"""Handing on what waits without its task: `subscription.handle_waiting()`."""

from __future__ import annotations

import asyncio
import threading

import anyio
import pytest

from hivecost.bus import BATCH_MAX, Block, EventBus
from hivecost.errors import ReentrancyError
from hivecost.events import CustomEvent
from hivecost.loops import current_loop

pytestmark = pytest.mark.anyio


async def test_what_was_published_before_the_loops_turn_is_handled_at_once():
    """By this thread and by others, in order, in one list; its task finds nothing to do any more."""
    handled = []
    async with EventBus() as bus:
        subscription = bus.subscribe(handler=handled.append, batch=True)
        await bus.drain()
        await current_loop().turn()
        for number in range(3):
            bus.publish_nowait(CustomEvent(name=f"e{number}"))
        thread = threading.Thread(target=bus.publish_nowait, args=(CustomEvent(name="e3"),))
        thread.start()
        thread.join()
        await current_loop().turn()
        assert subscription.handle_waiting()
        assert sorted(event.name for events in handled for event in events) == ["e0", "e1", "e2", "e3"]
        assert subscription.handle_waiting()
        await bus.drain()
        assert subscription.statistics().handled == 4
    assert sum(map(len, handled)) == 4


async def test_more_than_a_list_takes_comes_in_several():
    """None is longer than any that its task would give."""
    handled, count = [], 2 * BATCH_MAX + 1
    async with EventBus() as bus:
        subscription = bus.subscribe(handler=handled.append, batch=True, max_queue=count)
        await current_loop().turn()
        await current_loop().turn()
        for _ in range(count):
            bus.publish_nowait(CustomEvent())
        bus.statistics()  # puts them into the queue, before anybody has had a turn
        assert subscription.handle_waiting()
        assert sum(map(len, handled)) == count
        assert len(handled) > 2
        assert max(map(len, handled)) <= BATCH_MAX


async def test_the_fault_of_a_handler_is_its_own(anyio_backend_name):
    """It is counted, as a cancellation that nobody asked for is, and whoever had it called goes on."""
    faults = [ValueError("no"), asyncio.CancelledError() if anyio_backend_name == "asyncio" else OSError()]

    def handle(_):
        if faults:
            raise faults.pop()

    async with EventBus() as bus:
        subscription = bus.subscribe(handler=handle, batch=True)
        await current_loop().turn()
        await current_loop().turn()
        for _ in range(3):
            bus.publish_nowait(CustomEvent())
            bus.statistics()
            assert subscription.handle_waiting()
        figures = subscription.statistics()
        assert (figures.failed, figures.handled, figures.queued) == (2, 3, 0)
        await bus.publish(CustomEvent())
        await bus.drain(subscription)
        assert subscription.statistics().handled == 4


async def test_a_handler_is_not_called_inside_of_itself_and_is_in_its_own_context():
    """What it publishes is handled next; there, waiting for itself is refused as anywhere."""
    said = []

    def handle(events):
        if len(said) < 2:
            bus.publish_nowait(CustomEvent(name="again"))
            bus.statistics()
        said.append(subscription.handle_waiting())
        with pytest.raises(ReentrancyError):
            bus.drain(subscription).send(None)

    async with EventBus() as bus:
        subscription = bus.subscribe(handler=handle, batch=True)
        await current_loop().turn()
        await current_loop().turn()
        bus.publish_nowait(CustomEvent())
        bus.statistics()
        assert subscription.handle_waiting()
        assert said == [False] * 3


async def test_whoever_waits_for_what_was_handled_at_once_is_told():
    """`drain` returns then, too."""
    async with EventBus() as bus:
        subscription = bus.subscribe(handler=lambda _: None, batch=True)
        await current_loop().turn()
        await current_loop().turn()
        async with anyio.create_task_group() as tasks:
            bus.publish_nowait(CustomEvent())
            tasks.start_soon(bus.drain, subscription)
            await current_loop().turn()
            assert subscription.handle_waiting()


async def test_it_has_to_be_waited_for_where_its_task_or_others_come_first():
    """A task that is not there yet, a handler that is at work, and publishers in line before a full queue."""
    at_work, goes_on = anyio.Event(), anyio.Event()

    async def handle(_):
        at_work.set()
        await goes_on.wait()

    bus = EventBus()
    early = bus.subscribe(handler=lambda _: None, batch=True)
    async with bus:
        slow = bus.subscribe(handler=handle, batch=True, max_queue=1, overflow=Block(5))
        bus.publish_nowait(CustomEvent())
        bus.statistics()
        assert not early.handle_waiting()
        await at_work.wait()
        assert not slow.handle_waiting()
        async with anyio.create_task_group() as tasks:
            tasks.start_soon(bus.publish, CustomEvent())
            await anyio.wait_all_tasks_blocked()
            assert not slow.handle_waiting()
            goes_on.set()
        await bus.drain()
        assert early.handle_waiting()
        assert slow.handle_waiting()
