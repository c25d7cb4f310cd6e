"""Moments at which the fast path could break a promise, one by one."""

from __future__ import annotations

import threading
from collections.abc import Callable
from contextlib import suppress
from itertools import pairwise

import anyio
import anyio.lowlevel
import pytest

from hivecost.bus import BATCH_MAX, Block, DropNewest, DropOldest, EventBus
from hivecost.events import AlertRaised, CustomEvent, EventType, ToolCallCompleted
from hivecost.signals import events_dropped

pytestmark = pytest.mark.anyio


def numbered(number: int) -> CustomEvent:
    return CustomEvent(name=str(number))


def numbers(events) -> list[int]:
    return [int(event.name) for event in events]


def in_a_thread(function: Callable[[], object]) -> None:
    thread = threading.Thread(target=function)
    thread.start()
    thread.join()


async def test_b1_a_subscription_sees_nothing_of_a_thread_that_was_published_before_it():
    """B1: what another thread published is older than what the loop does after it."""
    seen = []
    async with EventBus() as bus:
        await bus.publish(numbered(0))
        in_a_thread(lambda: bus.publish_nowait(numbered(1)))
        bus.subscribe(handler=seen.append)
        await bus.publish(numbered(2))
        await bus.drain()
    assert numbers(seen) == [2]


async def test_b1_who_is_told_of_a_drop_may_publish_and_all_agree_on_the_order():
    """B1: an event published while another one is being queued comes after it, everywhere."""
    first, last, hang = [], [], anyio.Event()
    async with EventBus() as bus:

        async def hanging(event):
            await hang.wait()

        def on_drop(sender, **_):
            bus.publish_nowait(AlertRaised())

        bus.subscribe(handler=lambda event: first.append(event.type))
        bus.subscribe(handler=hanging, event_types=[EventType.CUSTOM], max_queue=1, overflow=DropNewest())
        bus.subscribe(handler=lambda event: last.append(event.type))
        events_dropped.connect(on_drop, sender=bus)
        bus.publish_nowait(numbered(0))
        bus.publish_nowait(numbered(1))
        hang.set()
        await bus.drain()
    assert first == last == [EventType.CUSTOM, EventType.CUSTOM, EventType.ALERT_RAISED]


async def test_b3_who_is_told_of_a_drop_may_publish_and_the_queue_keeps_its_limit():
    """B3: the room that DropOldest makes is taken by the event it was made for."""
    async with EventBus(close_timeout_s=0.01) as bus:

        async def hanging(event):
            await anyio.sleep_forever()

        def on_drop(sender, **_):
            if not told:
                told.append(True)
                bus.publish_nowait(AlertRaised())

        told = []
        bus.subscribe(handler=hanging, max_queue=2, overflow=DropOldest())
        events_dropped.connect(on_drop, sender=bus)
        for number in range(3):
            bus.publish_nowait(numbered(number))
        await anyio.wait_all_tasks_blocked()
        (figures,) = bus.statistics().subscriptions
        assert (figures.published, figures.queued, figures.dropped) == (4, 2, 2)


async def test_b3_drop_oldest_displaces_what_waits_behind_the_event_in_hand():
    """B3: with DropOldest the newest stay, also when the oldest were already taken out of the queue together."""
    gate, seen = anyio.Event(), []

    async def gated(event):
        await gate.wait()
        seen.append(event)

    async with EventBus() as bus:
        bus.subscribe(handler=gated, overflow=DropOldest(), max_queue=3)
        for number in range(3):
            await bus.publish(numbered(number))
        await anyio.wait_all_tasks_blocked()  # 0 is in the handler's hands, 1 and 2 wait behind it
        for number in range(3, 10):
            bus.publish_nowait(numbered(number))
        gate.set()
        await bus.drain()
        assert bus.statistics().dropped == 7
    assert numbers(seen) == [0, 8, 9]


async def test_b3_block_waits_for_room_that_a_thread_has_just_taken():
    """B3: with Block nothing is dropped that could have waited, whoever filled the queue."""
    seen = []
    async with EventBus() as bus:
        bus.subscribe(handler=seen.append, max_queue=1, overflow=Block(timeout_s=60))
        in_a_thread(lambda: bus.publish_nowait(numbered(0)))
        await bus.publish(numbered(1))
        await bus.drain()
    assert numbers(seen) == [0, 1]


async def test_b3_block_waits_again_when_others_took_the_room():
    """B3: a publisher that wakes up to a queue which was filled meanwhile waits on."""
    gate, seen = anyio.Event(), []

    async def gated(event):
        if not gate.is_set():
            await gate.wait()
        seen.append(event)

    async with EventBus() as bus:
        bus.subscribe(handler=gated, event_types=[EventType.CUSTOM], overflow=Block(timeout_s=60), max_queue=4)

        async def fill_again() -> None:
            await gate.wait()
            for number in range(4, 8):
                await bus.publish(numbered(number))

        async with anyio.create_task_group() as group:
            for number in range(4):
                bus.publish_nowait(numbered(number))
            await anyio.wait_all_tasks_blocked()
            group.start_soon(fill_again)
            group.start_soon(bus.publish, numbered(8))
            await anyio.wait_all_tasks_blocked()
            bus.unsubscribe(bus.subscribe(handler=print, event_types=[EventType.TOOL_CALL_COMPLETED]))
            gate.set()
        await bus.drain()
        assert bus.statistics().dropped == 0
    assert sorted(numbers(seen)) == list(range(9))


async def test_b7_a_publisher_that_gave_up_waiting_leaves_nothing_behind():
    """B3, B7: once the time of one is up, its event and those that waited longer leave the line, and are counted."""
    gate = anyio.Event()

    async def gated(event):
        await gate.wait()

    async with EventBus() as bus:
        bus.subscribe(handler=gated, overflow=Block(timeout_s=0.01), max_queue=1)
        bus.publish_nowait(numbered(0))
        await anyio.wait_all_tasks_blocked()
        with anyio.move_on_after(0.001):
            await bus.publish(numbered(1))
        await bus.publish(numbered(2))
        (figures,) = bus.statistics().subscriptions
        assert (figures.in_line, figures.dropped, figures.queued, figures.published) == (0, 2, 1, 3)
        gate.set()


async def test_b5_unsubscribing_while_the_subscriber_pauses_inside_a_long_batch():
    """B5: a subscription may end between any two of its events."""
    seen, other = [], []
    async with EventBus() as bus:
        leaving = bus.subscribe(handler=seen.append)
        bus.subscribe(handler=other.append)
        for number in range(4_000):
            bus.publish_nowait(numbered(number))
        while not seen:
            await anyio.lowlevel.checkpoint()
        bus.unsubscribe(leaving)
        handled = len(seen)
        await bus.drain()
        assert bus.statistics().dropped == 4_000 - handled
    assert 0 < handled == len(seen) < 4_000
    assert len(other) == 4_000


async def test_draining_one_subscription_waits_for_all_lists_in_flight():
    """drain() returns when all that was published before it is handled or lost, displaced events or not."""
    gates, handled = [anyio.Event() for _ in range(4)], []

    async def gated(events):
        await gates[calls.pop()].wait()
        handled.extend(numbers(events))

    calls = [3, 2, 1, 0]
    async with EventBus() as bus:
        subscription = bus.subscribe(handler=gated, batch=True, max_queue=2 * BATCH_MAX + 1)
        for number in range(2 * BATCH_MAX):
            bus.publish_nowait(numbered(number))
        await anyio.wait_all_tasks_blocked()
        at_return = []

        async def drain() -> None:
            await bus.drain(subscription)
            at_return.extend(handled)

        async with anyio.create_task_group() as group:
            group.start_soon(drain)
            await anyio.wait_all_tasks_blocked()
            for number in range(BATCH_MAX + 5):
                bus.publish_nowait(numbered(10_000 + number))
            for gate in gates:
                gate.set()
                await anyio.wait_all_tasks_blocked()
        await bus.drain()
    assert [number for number in handled if number < 10_000] == [n for n in at_return if n < 10_000]


async def test_what_admits_events_may_look_at_the_bus_and_change_their_type():
    """An event that `admit` lets through arrives, as what it lets it through, whatever it does meanwhile."""
    seen = []

    def admit(event):
        bus.statistics()
        return ToolCallCompleted() if event.name == "2" else event

    async with EventBus(admit=admit) as bus:
        bus.subscribe(handler=seen.append, event_types=[EventType.CUSTOM])
        for number in range(5):
            await bus.publish(numbered(number))
        await bus.drain()
    assert numbers(seen) == [0, 1, 3, 4]


async def test_b5_subscribing_and_unsubscribing_on_another_thread_disturbs_no_publisher():
    """B5: subscriptions come and go on a thread while the loop publishes into full queues."""

    def come_and_go() -> None:
        for _ in range(300):
            bus.unsubscribe(bus.subscribe(handler=print, event_types=[EventType.TOOL_CALL_COMPLETED]))

    async with EventBus() as bus:
        for _ in range(10):
            bus.subscribe(handler=lambda event: None, max_queue=2, overflow=DropNewest())
        thread = threading.Thread(target=come_and_go)
        thread.start()
        for number in range(2_000):
            await bus.publish(numbered(number))
        thread.join()
        await bus.drain()
        assert bus.statistics().published == 2_000


async def test_what_a_thread_subscribes_to_it_sees_from_then_on():
    """subscribe() and unsubscribe() hold from their return, on any thread."""
    seen, left = [], []
    async with EventBus() as bus:
        leaving = bus.subscribe(handler=left.append)

        def subscribe_and_publish() -> None:
            bus.subscribe(handler=seen.append)
            bus.unsubscribe(leaving)
            bus.publish_nowait(numbered(0))

        in_a_thread(subscribe_and_publish)
        await bus.publish(numbered(1))
        await bus.drain()
    assert numbers(seen) == [0, 1]
    assert left == []


async def test_b1_what_a_thread_published_before_comes_before():
    """B1: an event that another thread has published goes ahead of what the loop publishes afterwards."""
    seen = []
    async with EventBus() as bus:
        bus.subscribe(handler=seen.append)
        await bus.publish(numbered(0))
        in_a_thread(lambda: bus.publish_nowait(numbered(1)))
        await bus.publish(numbered(2))
        await bus.drain()
    assert numbers(seen) == [0, 1, 2]


async def test_subscribing_on_a_thread_divides_what_that_thread_publishes():
    """A subscription made on a thread sees what that thread publishes after it, one that left what was before."""
    seen = []
    async with EventBus() as bus:
        leaving = bus.subscribe(handler=seen.append)

        def publish_and_subscribe() -> None:
            bus.publish_nowait(numbered(0))
            bus.subscribe(handler=seen.append)
            bus.unsubscribe(leaving)
            bus.publish_nowait(numbered(1))

        in_a_thread(publish_and_subscribe)
        await bus.drain()
        assert bus.statistics().dropped == 1  # 0, which waited for the one that left
    assert numbers(seen) == [1]


async def test_b3_block_loses_nothing_when_kinds_of_events_alternate():
    """B3: the room in a queue is one, whatever comes in."""
    seen = []
    async with EventBus() as bus:
        bus.subscribe(handler=seen.append, overflow=Block(timeout_s=60), max_queue=4)
        for number in range(100):
            await bus.publish(numbered(number) if number % 3 else AlertRaised())
        await bus.drain()
        assert bus.statistics().dropped == 0
    assert len(seen) == 100


async def test_b3_a_subscriber_that_was_busy_once_loses_nothing_to_a_tight_publisher():
    """Whoever only waits for its turn gets it, also when it was at work the last time somebody looked."""
    gate, seen = anyio.Event(), []

    async def gated(event):
        if not gate.is_set():
            await gate.wait()
        seen.append(event)

    async with EventBus() as bus:
        bus.subscribe(handler=gated, max_queue=10, overflow=DropOldest())
        for number in range(10):
            await bus.publish(numbered(number))
            await anyio.wait_all_tasks_blocked()
        await bus.publish(numbered(10))
        await anyio.wait_all_tasks_blocked()
        lost = bus.statistics().dropped
        gate.set()
        await bus.drain()
        for number in range(11, 1_000):
            await bus.publish(numbered(number))
        await bus.drain()
        assert bus.statistics().dropped == lost == 1
    assert numbers(seen)[-1] == 999


async def test_drain_does_not_wait_for_what_is_published_after_it():
    """drain() returns while later events are still being worked on."""
    first, others, seen = anyio.Event(), anyio.Event(), []

    async def gated(event):
        await {"0": first, "1": first}.get(event.name, others).wait()
        seen.append(event)

    async with EventBus() as bus:
        subscription = bus.subscribe(handler=gated)
        await bus.publish(numbered(0))
        await anyio.wait_all_tasks_blocked()
        await bus.publish(numbered(1))
        async with anyio.create_task_group() as group:

            async def drain() -> None:
                with anyio.fail_after(5):
                    await bus.drain(subscription)
                assert numbers(seen) == [0, 1]
                others.set()

            group.start_soon(drain)
            await anyio.wait_all_tasks_blocked()
            for number in range(2, 20):
                await bus.publish(numbered(number))
            first.set()
        await bus.drain()
    assert len(seen) == 20


async def test_b3_block_loses_nothing_to_a_publisher_that_was_there_first():
    """B3: what a publisher knows of the queues ends when another one comes."""
    seen = []
    async with EventBus() as bus:
        await bus.publish(numbered(0))
        bus.subscribe(handler=seen.append, overflow=Block(timeout_s=60), max_queue=4)
        for number in range(1, 100):
            await bus.publish(numbered(number))
        await bus.drain()
    assert numbers(seen) == list(range(1, 100))


async def test_b2_a_list_handler_may_do_with_its_list_what_it_likes():
    """B2: the list is its own; what it removes from it is not missed elsewhere."""
    seen, others = [], []

    def greedy(events):
        while events:
            seen.append(events.pop())

    async with EventBus() as bus:
        bus.subscribe(handler=greedy, batch=True)
        bus.subscribe(handler=others.append)
        bus.subscribe(handler=others.extend, batch=True)
        for number in range(5):
            await bus.publish(numbered(number))
        await bus.drain()
    assert len(seen) == 5
    assert sorted(numbers(others)) == [0, 0, 1, 1, 2, 2, 3, 3, 4, 4]


async def test_b1_who_is_told_of_a_loss_while_the_inbox_is_taken_in_overtakes_nobody():
    """B1: what threads published stays in its order, also when a receiver of a signal publishes meanwhile."""
    seen = []

    def on_drop(sender, **_):
        in_a_thread(lambda: bus.publish_nowait(numbered(3)))
        bus.publish_nowait(numbered(4))

    async with EventBus() as bus:
        leaving = bus.subscribe(handler=print, name="leaving")
        bus.subscribe(handler=seen.append)
        bus.publish_nowait(numbered(0))
        events_dropped.connect(on_drop, sender=bus)

        def unsubscribe_and_publish() -> None:
            bus.unsubscribe(leaving)
            bus.publish_nowait(numbered(1))
            bus.publish_nowait(numbered(2))

        in_a_thread(unsubscribe_and_publish)
        await bus.drain()
        events_dropped.disconnect(on_drop, sender=bus)
    assert numbers(seen) == [0, 1, 2, 3, 4]


async def test_b6_a_handler_that_subscribes_while_the_bus_closes_is_drained_and_stopped():
    """B6: after close() no handler runs, whenever it came."""
    seen = []

    async def late(event):
        for _ in range(5):
            await anyio.wait_all_tasks_blocked()
        seen.append(event)

    async def early(event):
        await anyio.wait_all_tasks_blocked()  # the bus is closing by now
        if event.name == "0":
            bus.subscribe(handler=late)
            await bus.publish(numbered(1))

    async with EventBus() as bus:
        bus.subscribe(handler=early)
        bus.publish_nowait(numbered(0))
    handled = len(seen)
    await anyio.wait_all_tasks_blocked()
    assert handled == len(seen) == 1


async def test_a_list_handler_is_never_called_with_nothing():
    """Of events that are all lost nothing is handed on."""
    gate, calls = anyio.Event(), []

    async def gated(events):
        calls.append(numbers(events))
        await gate.wait()

    async with EventBus() as bus:
        bus.subscribe(handler=gated, batch=True, overflow=DropNewest(), max_queue=2)
        for number in range(8):
            bus.publish_nowait(numbered(number))
            if number % 2:
                await anyio.wait_all_tasks_blocked()
        gate.set()
        await bus.drain()
        bus.publish_nowait(numbered(8))
        await bus.drain()
    assert calls == [[0, 1], [8]]


async def test_b3_who_waits_for_room_gets_it_while_the_handler_is_still_at_its_part():
    """B3: with Block a publisher goes on when there is room, not when all that waited before it is handled."""
    gates = [anyio.Event() for _ in range(5)]

    async def gated(event):
        await gates[int(event.name)].wait()

    async with EventBus() as bus:
        bus.subscribe(handler=gated, overflow=Block(timeout_s=60), max_queue=4)
        for number in range(4):
            await bus.publish(numbered(number))
        await anyio.wait_all_tasks_blocked()
        let_in = anyio.Event()

        async def publish() -> None:
            await bus.publish(numbered(4))
            let_in.set()

        async with anyio.create_task_group() as group:
            group.start_soon(publish)
            await anyio.wait_all_tasks_blocked()
            assert not let_in.is_set()
            gates[0].set()
            gates[1].set()
            await anyio.wait_all_tasks_blocked()
            assert let_in.is_set()
            for gate in gates:
                gate.set()


async def test_b6_what_a_thread_brings_too_late_is_counted_as_lost():
    """B6: a thread that found the bus open, and comes when it is closed, loses an event that is counted."""
    async with EventBus() as bus:
        bus.subscribe(handler=print)
        loop = bus._loop
    in_a_thread(lambda: bus._put_in_inbox(numbered(0), loop))
    await anyio.wait_all_tasks_blocked()
    assert bus.statistics().inbox_dropped == 1
    async with bus:
        await bus.drain()
        assert bus.statistics().published == 0


@pytest.mark.parametrize("how", ["cancelled", "refused"])
async def test_b3_a_publisher_that_leaves_the_line_keeps_nobody_waiting(how):
    """B3, B7: a cancelled publisher leaves its event in line, a refused one nothing; the next has its turn."""
    gate, seen, first = anyio.Event(), [], anyio.CancelScope()

    def admit(event):
        if event.name == "1" and how == "refused":
            raise ValueError("not admitted")
        return event

    async def gated(event):
        await gate.wait()
        if how == "cancelled":
            first.cancel()
        seen.append(event)

    async with EventBus(admit=admit) as bus:
        bus.subscribe(handler=gated, overflow=Block(timeout_s=3_600), max_queue=1)
        await bus.publish(numbered(0))
        await anyio.wait_all_tasks_blocked()

        async def leave() -> None:
            with first, suppress(ValueError):
                await bus.publish(numbered(1))

        async def stay() -> None:
            await bus.publish(numbered(2))

        with anyio.fail_after(5):
            async with anyio.create_task_group() as group:
                group.start_soon(leave)
                await anyio.wait_all_tasks_blocked()
                group.start_soon(stay)
                await anyio.wait_all_tasks_blocked()
                gate.set()
        await bus.drain()
    assert numbers(seen) == ([0, 1, 2] if how == "cancelled" else [0, 2])


@pytest.mark.parametrize("anyio_backend", ["asyncio"])
@pytest.mark.parametrize(("pauses", "turns"), [(0, 1), (1, 1), (3, 3)])
async def test_between_two_lists_the_loop_turns(anyio_backend, pauses, turns):
    """Others have their turn; a handler beside which something was published has let the loop turn by itself."""
    turned, seen = 0, []

    async def handle(_events):
        seen.append(turned)
        for _ in range(pauses):
            await anyio.lowlevel.checkpoint()

    async def count():
        nonlocal turned
        while True:
            bus.publish_nowait(AlertRaised())
            await anyio.lowlevel.checkpoint()
            turned += 1

    async with EventBus() as bus, anyio.create_task_group() as tasks:
        bus.subscribe(handler=handle, batch=True, max_queue=10_000, event_types=[EventType.CUSTOM])
        for number in range(10_000):
            bus.publish_nowait(numbered(number))
        tasks.start_soon(count)
        await bus.drain()
        tasks.cancel_scope.cancel()
    assert len(seen) > 5
    assert {later - earlier for earlier, later in pairwise(seen[1:])} == {turns}


@pytest.mark.parametrize("anyio_backend", ["asyncio"])  # trio's tasks have their turns in any order
async def test_b2_a_publisher_does_not_wait_for_one_that_is_slow_again_at_once(anyio_backend):
    """B2: a full queue that drops is worth waiting for while its handler only waits for its turn."""
    turned = waited = 0

    async def handle(_):
        await anyio.lowlevel.checkpoint()

    async def count():
        nonlocal turned
        while True:
            await anyio.lowlevel.checkpoint()
            turned += 1

    async with EventBus() as bus, anyio.create_task_group() as tasks:
        bus.subscribe(handler=handle, max_queue=20)
        tasks.start_soon(count)
        for number in range(2_000):
            before = turned
            await bus.publish(numbered(number))
            waited += turned - before
            if not number % 40:
                await anyio.lowlevel.checkpoint()
        tasks.cancel_scope.cancel()
    assert bus.statistics().dropped > 500
    assert waited == 0
