"""The bus keeps B1 to B7 on asyncio and on trio."""

from __future__ import annotations

import asyncio
import gc
import threading
from collections import Counter
from contextlib import suppress

import anyio
import pytest

from hivecost.bus import Block, DropNewest, DropOldest, EventBus
from hivecost.errors import BusClosedError, ConfigError, ReentrancyError
from hivecost.events import CustomEvent, EventType, LLMTurnComplete
from hivecost.signals import events_dropped, subscriber_failed

pytestmark = pytest.mark.anyio


def numbered(number: int, **fields) -> CustomEvent:
    return CustomEvent(name=str(number), **fields)


def numbers(events) -> list[int]:
    return [int(event.name) for event in events]


async def hang(event) -> None:
    await anyio.sleep_forever()


async def test_b1_every_subscription_sees_the_same_order_under_concurrent_publishers():
    """B1: whatever the interleaving of publishers, all subscriptions agree on one order, each publisher's own kept."""
    seen: list[list[str]] = [[], [], []]
    async with EventBus() as bus:

        async def slow(event):
            await anyio.lowlevel.checkpoint()
            seen[0].append(event.name)

        bus.subscribe(handler=slow)
        bus.subscribe(handler=lambda event: seen[1].append(event.name))
        bus.subscribe(handler=lambda events: seen[2].extend(e.name for e in events), batch=True)

        async def publisher(who: str) -> None:
            for i in range(100):
                await bus.publish(CustomEvent(name=f"{who}{i}"))
                await anyio.lowlevel.checkpoint()

        async with anyio.create_task_group() as group:
            for who in "abcd":
                group.start_soon(publisher, who)
        await bus.drain()
    assert seen[0] == seen[1] == seen[2]
    for who in "abcd":
        assert [name for name in seen[0] if name[0] == who] == [f"{who}{i}" for i in range(100)]


async def test_b1_threads_keep_their_order_and_lose_nothing():
    """B1: each thread's events arrive once and in its own order, and all subscriptions agree."""
    first: list[str] = []
    second: list[str] = []
    async with EventBus() as bus:
        bus.subscribe(handler=lambda event: first.append(event.name))
        bus.subscribe(handler=lambda event: second.append(event.name))

        def publish(who: int) -> None:
            for i in range(500):
                bus.publish_nowait(CustomEvent(name=f"{who}-{i}"))

        threads = [threading.Thread(target=publish, args=(who,)) for who in range(4)]
        for thread in threads:
            thread.start()
        for i in range(200):
            await bus.publish(CustomEvent(name=f"9-{i}"))
            await anyio.lowlevel.checkpoint()
        for thread in threads:
            await anyio.to_thread.run_sync(thread.join)
        await bus.drain()
    assert first == second
    assert Counter(name.split("-")[0] for name in first) == {"0": 500, "1": 500, "2": 500, "3": 500, "9": 200}
    for who in "0123":
        assert [n for n in first if n.startswith(who + "-")] == [f"{who}-{i}" for i in range(500)]


async def test_b2_a_hanging_and_a_raising_subscriber_change_nothing_for_others():
    """B2: the healthy subscriber gets everything while one hangs for ever and one raises each time."""
    seen: list[str] = []

    def explode(event):
        raise ValueError("mine")

    async with EventBus(close_timeout_s=0.05) as bus:
        bus.subscribe(handler=hang, max_queue=5)
        raising = bus.subscribe(handler=explode)
        healthy = bus.subscribe(handler=lambda event: seen.append(event.name))
        for i in range(100):
            await bus.publish(numbered(i))
        await bus.drain(healthy)
        assert len(seen) == 100
        await bus.drain(raising)
        hanging, exploding, _ = bus.statistics().subscriptions
        assert (hanging.queued, hanging.dropped, hanging.handled) == (5, 95, 0)
        assert (exploding.failed, exploding.handled) == (100, 100)


async def test_b3_drop_oldest_keeps_the_newest_and_counts_the_rest():
    """B3: with DropOldest the longest-queued give way; every loss is counted and signalled."""
    gate, seen = anyio.Event(), []
    lost: list[int] = []

    async def gated(event):
        await gate.wait()
        seen.append(event)

    def on_drop(sender, *, count, **_):
        lost.append(count)

    async with EventBus() as bus:
        events_dropped.connect(on_drop, sender=bus)
        bus.subscribe(handler=gated, overflow=DropOldest(), max_queue=3)
        await bus.publish(numbered(0))
        await anyio.wait_all_tasks_blocked()  # 0 is in the handler's hands
        for i in range(1, 10):
            bus.publish_nowait(numbered(i))
        gate.set()
        await bus.drain()
        (figures,) = bus.statistics().subscriptions
    assert numbers(seen) == [0, 8, 9]
    assert figures.dropped == sum(lost) == 7
    assert figures.published == 10
    assert figures.handled == 3


async def test_b3_drop_newest_keeps_what_was_accepted():
    """B3: with DropNewest what came first stays."""
    gate, seen = anyio.Event(), []

    async def gated(event):
        await gate.wait()
        seen.append(event)

    async with EventBus() as bus:
        bus.subscribe(handler=gated, overflow=DropNewest(), max_queue=3)
        for i in range(10):
            bus.publish_nowait(numbered(i))
        gate.set()
        await bus.drain()
        (figures,) = bus.statistics().subscriptions
    assert numbers(seen) == [0, 1, 2]
    assert (figures.dropped, figures.queued, figures.max_queue) == (7, 0, 3)


async def test_b3_block_waits_for_room_and_loses_nothing():
    """B3: with Block the publisher goes at the subscriber's pace."""
    seen: list[CustomEvent] = []
    most_queued = 0
    async with EventBus() as bus:

        async def slow(event):
            nonlocal most_queued
            await anyio.lowlevel.checkpoint()
            most_queued = max(most_queued, bus.statistics().subscriptions[0].queued)
            seen.append(event)

        bus.subscribe(handler=slow, overflow=Block(timeout_s=30), max_queue=4)

        async def publisher(first: int) -> None:
            for i in range(first, first + 50):
                await bus.publish(numbered(i))

        async with anyio.create_task_group() as group:
            group.start_soon(publisher, 0)
            group.start_soon(publisher, 1000)
        await bus.drain()
        assert bus.statistics().dropped == 0
    assert sorted(numbers(seen)) == [*range(50), *range(1000, 1050)]
    assert most_queued <= 4


async def test_b3_a_blocked_publisher_waits_once_and_then_drops():
    """B3: past the deadline the new event is dropped, and nobody pays the wait again until the subscriber moves."""
    gate, seen = anyio.Event(), []

    async def gated(event):
        await gate.wait()
        seen.append(event)

    async with EventBus() as bus:
        bus.subscribe(handler=gated, overflow=Block(timeout_s=0.01), max_queue=2)
        with anyio.fail_after(5):
            for i in range(1_000):  # at 10 ms each this would take 10 s
                await bus.publish(numbered(i))
        gate.set()
        await bus.drain()
        assert numbers(seen) == [0, 1]
        await bus.publish(numbered(7))
        await bus.drain()
        assert numbers(seen) == [0, 1, 7]
        assert bus.statistics().dropped == 998


async def test_b3_a_tight_publisher_does_not_starve_a_subscriber_with_a_small_queue():
    """A subscriber that merely waits for its turn loses nothing, though its queue is shorter than the burst."""
    seen = []
    async with EventBus() as bus:
        bus.subscribe(handler=seen.append, max_queue=10)
        for i in range(1_000):
            await bus.publish(numbered(i))
        await bus.drain()
    assert numbers(seen) == list(range(1_000))


async def test_b4_a_failing_handler_is_counted_announced_and_gets_the_next_event():
    """B4: an error costs one event, and says whose it was."""
    failures, seen = [], []

    def on_failure(sender, **facts):
        failures.append(facts)

    async def sometimes(event):
        if event.name == "1":
            raise KeyError("boom")
        seen.append(event)

    async with EventBus() as bus:
        subscriber_failed.connect(on_failure, sender=bus)
        bus.subscribe(handler=sometimes, name="sometimes")
        for i in range(3):
            await bus.publish(numbered(i))
        await bus.drain()
        assert bus.statistics().failed == 1
    assert numbers(seen) == [0, 2]
    (failure,) = failures
    assert failure["name"] == "sometimes"
    assert isinstance(failure["error"], KeyError)
    assert failure["event"].name == "1"


async def test_b4_a_handler_that_awaits_something_cancelled_lives_on(anyio_backend_name):
    """B4: a CancelledError that was not meant for the subscriber is a failure like any other."""
    if anyio_backend_name == "trio":
        seen = []
        async with EventBus() as bus:

            async def with_scope(event):
                with anyio.CancelScope() as scope:
                    scope.cancel()
                    await anyio.sleep(1)
                seen.append(event)

            bus.subscribe(handler=with_scope)
            await bus.publish(numbered(1))
            await bus.publish(numbered(2))
            await bus.drain()
        assert numbers(seen) == [1, 2]
        return
    import asyncio

    seen = []

    async def awaits_a_cancelled_task(event):
        if event.name == "0":
            task = asyncio.ensure_future(asyncio.sleep(10))
            task.cancel()
            await task
        seen.append(event)

    async with EventBus() as bus:
        bus.subscribe(handler=awaits_a_cancelled_task)
        await bus.publish(numbered(0))
        await bus.publish(numbered(1))
        await bus.drain()
        assert bus.statistics().failed == 1
    assert numbers(seen) == [1]


async def test_b5_handlers_publish_subscribe_and_unsubscribe_without_deadlock():
    """B5: hundreds of handlers that publish at once, into full queues too, go through."""
    echoes, once = [], []
    async with EventBus() as bus:
        turn_types = [EventType.LLM_TURN_COMPLETE]

        async def echo(event):
            await bus.publish(CustomEvent(name="echo"))

        for _ in range(20):
            bus.subscribe(event_types=turn_types, handler=echo, overflow=Block(0.5))
        bus.subscribe(event_types=[EventType.CUSTOM], handler=echoes.append)
        own: list[str] = []

        async def only_once(event):
            once.append(event)
            bus.unsubscribe(own[0])
            bus.subscribe(event_types=turn_types, handler=once.append)

        own.append(bus.subscribe(event_types=turn_types, handler=only_once))
        for _ in range(10):
            await bus.publish(LLMTurnComplete(model="m"))
        await bus.drain()
        assert len(echoes) == 200
        assert len(once) == 1
        await bus.publish(LLMTurnComplete(model="m"))
        await bus.drain()
        assert len(once) == 2


async def test_b5_a_handler_that_fills_its_own_queue_is_not_deadlocked():
    """B5: publishing into one's own full blocking queue drops, counted, instead of waiting for oneself."""
    seen = []
    async with EventBus() as bus:

        async def fill(event):
            seen.append(event)
            if event.name == "0":
                for i in range(1, 10):
                    await bus.publish(numbered(i))

        bus.subscribe(handler=fill, overflow=Block(timeout_s=60), max_queue=4)
        with anyio.fail_after(5):
            await bus.publish(numbered(0))
            await bus.drain()
        assert numbers(seen[:4]) == [0, 1, 2, 3]
        assert bus.statistics().dropped == 10 - len(seen) > 0


async def test_b5_drain_inside_a_handler_is_refused_by_name():
    """B5: what could only deadlock raises instead."""
    errors = []
    async with EventBus() as bus:

        async def drains(event):
            try:
                await bus.drain()
            except ReentrancyError as error:
                errors.append(error)

        bus.subscribe(handler=drains)
        await bus.publish(numbered(0))
        await bus.drain()
    assert len(errors) == 1


async def test_b6_closing_hands_on_all_that_was_published_and_what_handlers_add():
    """B6: leaving the bus waits for handlers, and for the events they publish meanwhile."""
    seen = []
    async with EventBus() as bus:

        async def follow_up(event):
            await anyio.lowlevel.checkpoint()
            await bus.publish(numbered(1_000 + int(event.name)))

        bus.subscribe(event_types=[EventType.CUSTOM], handler=seen.append)

        async def on_turn(event):
            await anyio.lowlevel.checkpoint()
            await bus.publish(CustomEvent(name="5"))

        bus.subscribe(event_types=[EventType.LLM_TURN_COMPLETE], handler=on_turn)
        for _ in range(50):
            await bus.publish(LLMTurnComplete(model="m"))
    assert len(seen) == 50
    with pytest.raises(BusClosedError):
        await bus.publish(numbered(0))


async def test_b6_closing_ends_when_a_handler_never_does_and_counts_the_loss():
    """B6: past its deadline close() gives up: in-flight and queued events are counted as lost."""

    with anyio.fail_after(10):
        async with EventBus(close_timeout_s=0.05) as bus:
            bus.subscribe(handler=hang)
            for i in range(5):
                await bus.publish(numbered(i))
    (figures,) = bus.statistics().subscriptions
    assert (figures.handled, figures.dropped) == (0, 5)


async def test_b6_closing_ends_even_when_a_handler_swallows_its_cancellation():
    """B6: a handler that catches every cancellation is abandoned after its grace."""
    release = threading.Event()

    async def stubborn(event):
        while not release.is_set():
            try:
                await anyio.sleep(0.01)
            except BaseException:
                await anyio.lowlevel.cancel_shielded_checkpoint()

    with anyio.fail_after(10):
        async with EventBus(close_timeout_s=0.02, cancel_grace_s=0.05) as bus:
            bus.subscribe(handler=stubborn)
            await bus.publish(numbered(0))
    assert bus.statistics().dropped == 1
    release.set()
    await anyio.sleep(0.05)  # lets the stubborn one go before the loop ends
    gc.collect()


async def test_b6_closing_under_an_outer_cancellation_still_drains():
    """B6: a cancelled owner does not cost its events."""
    seen = []
    with anyio.CancelScope() as scope:
        async with EventBus() as bus:

            async def handler(event):
                await anyio.lowlevel.checkpoint()
                seen.append(event)

            bus.subscribe(handler=handler)
            for i in range(10):
                bus.publish_nowait(numbered(i))
            scope.cancel()
            await anyio.sleep(1)
    assert numbers(seen) == list(range(10))


async def test_b7_cancelling_the_publisher_divides_no_event():
    """B7: an event reaches all subscriptions, also if publish() is cancelled while it waits for room."""
    gate = anyio.Event()
    fast, slow = [], []

    async def gated(event):
        await gate.wait()
        slow.append(event)

    async with EventBus() as bus:
        bus.subscribe(handler=fast.append)
        bus.subscribe(handler=gated, overflow=Block(timeout_s=60), max_queue=3)
        begun = []
        with anyio.CancelScope() as scope:

            async def publisher() -> None:
                for i in range(10):
                    begun.append(i)
                    await bus.publish(numbered(i))

            async with anyio.create_task_group() as group:
                group.start_soon(publisher)
                await anyio.wait_all_tasks_blocked()
                scope.cancel()
        gate.set()
        await bus.drain()
    assert begun == [0, 1, 2, 3]
    assert numbers(fast) == numbers(slow) == begun


async def test_filters_select_by_attribution_and_type():
    """A filtered subscription sees just its own; filters combine."""
    mine, both = [], []
    async with EventBus() as bus:
        bus.subscribe(handler=mine.append, execution_id="e1")
        bus.subscribe(event_types=["llm_turn_complete"], handler=both.append, session_id="s1", node_id="n1")
        for session in ("s1", "s2"):
            for execution in ("e1", "e2"):
                for node in ("n1", "n2"):
                    where = {"session_id": session, "execution_id": execution, "node_id": node}
                    await bus.publish(LLMTurnComplete(**where))
                    await bus.publish(CustomEvent(**where))
        await bus.drain()
    assert len(mine) == 8
    assert {event.execution_id for event in mine} == {"e1"}
    assert [(e.type, e.session_id, e.node_id) for e in both] == [(EventType.LLM_TURN_COMPLETE, "s1", "n1")] * 2


async def test_wait_for_gives_the_next_match_or_times_out():
    """wait_for() returns the event, and leaves no subscription behind."""
    async with EventBus() as bus:
        async with anyio.create_task_group() as group:

            async def publish() -> None:
                await anyio.wait_all_tasks_blocked()
                await bus.publish(CustomEvent(name="other", execution_id="x"))
                await bus.publish(CustomEvent(name="right", execution_id="e"))

            group.start_soon(publish)
            event = await bus.wait_for(EventType.CUSTOM, timeout_s=5, execution_id="e")
        assert event.name == "right"
        with pytest.raises(TimeoutError):
            await bus.wait_for(EventType.CUSTOM, timeout_s=0.01)
        assert bus.statistics().subscriptions == ()


async def test_subscribing_before_opening_and_from_a_thread():
    """A subscription may be made before the bus opens and on another thread."""
    early, late = [], []
    bus = EventBus()
    bus.subscribe(handler=early.append)
    with pytest.raises(BusClosedError, match="async with"):
        await bus.publish(numbered(0))
    async with bus:
        await anyio.to_thread.run_sync(lambda: bus.subscribe(handler=late.append))
        await bus.publish(numbered(1))
        await bus.drain()
    assert numbers(early) == numbers(late) == [1]


async def test_unsubscribing_stops_calls_and_counts_what_waited():
    """After unsubscribe() no handler call starts; False for an unknown id."""
    seen = []
    async with EventBus() as bus:
        subscription = bus.subscribe(handler=seen.append)
        for i in range(3):
            bus.publish_nowait(numbered(i))
        assert bus.unsubscribe(subscription)
        assert not bus.unsubscribe(subscription)
        await bus.drain()
        assert bus.statistics().dropped == 3
    assert seen == []


@pytest.mark.parametrize("batch", [False, True])
async def test_what_a_handler_works_on_while_it_unsubscribes_is_not_lost(batch, caplog):
    """B5: it goes on to its end, and a handler that takes one event and leaves is no loss to anybody."""
    seen = []
    async with EventBus() as bus:

        async def once(given):
            bus.unsubscribe(subscription)
            await anyio.lowlevel.checkpoint()
            seen.append(given)

        subscription = bus.subscribe(handler=once, batch=batch)
        await bus.publish(numbered(0))
        await anyio.wait_all_tasks_blocked()
        assert bus.statistics().dropped == 0
    assert len(seen) == 1
    assert bus.statistics().dropped == 0
    assert not caplog.records


async def test_who_is_unsubscribed_and_never_done_loses_the_event_in_hand_when_the_bus_closes():
    """B6: it is counted, and only then; failures after the end are counted, too."""
    go_on = anyio.Event()

    async def fail(event):
        await go_on.wait()
        raise ValueError("mine")

    async with EventBus(close_timeout_s=0.05) as bus:
        for handler in (hang, fail):
            subscription = bus.subscribe(handler=handler)
            bus.publish_nowait(numbered(0))
            bus.publish_nowait(numbered(1))
            await anyio.wait_all_tasks_blocked()
            bus.unsubscribe(subscription)
        assert (bus.statistics().dropped, bus.statistics().failed) == (2, 0)
        go_on.set()
        await anyio.wait_all_tasks_blocked()
        assert (bus.statistics().dropped, bus.statistics().failed) == (2, 1)
    assert (bus.statistics().dropped, bus.statistics().failed) == (3, 1)


async def test_a_drain_ends_with_the_subscription_that_it_waits_for():
    """Unsubscribing one that hangs frees whoever waits for it."""

    with anyio.fail_after(10):
        async with EventBus(close_timeout_s=0.05) as bus, anyio.create_task_group() as tasks:
            subscription = bus.subscribe(handler=hang)
            await bus.publish(numbered(0))
            tasks.start_soon(bus.drain, subscription)
            await anyio.wait_all_tasks_blocked()
            bus.unsubscribe(subscription)


async def test_a_drain_does_not_wait_for_one_that_ended_while_it_waited_for_another():
    """Neither when that is unsubscribed, nor when the bus closes and cancels both."""
    go_on = anyio.Event()

    async def gated(event):
        await go_on.wait()

    with anyio.fail_after(10):
        async with anyio.create_task_group() as tasks, EventBus(close_timeout_s=0.05) as bus:
            bus.subscribe(handler=gated)
            ending = bus.subscribe(handler=hang)
            await bus.publish(numbered(0))
            tasks.start_soon(bus.drain)
            await anyio.wait_all_tasks_blocked()
            bus.unsubscribe(ending)
            go_on.set()
        async with anyio.create_task_group() as tasks, EventBus(close_timeout_s=0.05) as bus:
            for _ in range(3):
                bus.subscribe(handler=hang)
            await bus.publish(numbered(0))
            tasks.start_soon(bus.drain)
            await anyio.wait_all_tasks_blocked()


async def test_b6_closing_waits_for_the_last_call_of_one_that_was_unsubscribed():
    """B6: until its deadline, as for others, and hands on what it publishes at the end."""
    seen = []

    async def once(event):
        bus.unsubscribe(subscription)
        await anyio.sleep(0.02)
        await bus.publish(LLMTurnComplete())

    async with EventBus() as bus:
        subscription = bus.subscribe(handler=once)
        bus.subscribe(handler=seen.append, event_types=[EventType.LLM_TURN_COMPLETE])
        await bus.publish(numbered(0))
        await anyio.wait_all_tasks_blocked()
    assert (len(seen), bus.statistics().dropped) == (1, 0)


async def test_b4_an_abandoned_handler_that_fails_later_is_counted():
    """B4, B6: who ignored its cancellation has lost the event, and may still fail; the next closing leaves it alone."""
    release = anyio.Event()

    async def stubborn(event):
        bus.unsubscribe(subscription)
        while not release.is_set():
            with suppress(anyio.get_cancelled_exc_class()), anyio.CancelScope(shield=True):
                await release.wait()
        raise ValueError("mine")

    async with EventBus(close_timeout_s=0.02, cancel_grace_s=0.02) as bus:
        subscription = bus.subscribe(handler=stubborn)
        await bus.publish(numbered(0))
        await anyio.wait_all_tasks_blocked()
    bus.close_timeout_s = bus.cancel_grace_s = 3_600
    with anyio.fail_after(10):
        async with bus:
            pass
    release.set()
    await anyio.wait_all_tasks_blocked()
    assert (bus.statistics().dropped, bus.statistics().failed) == (1, 1)


@pytest.mark.parametrize("anyio_backend", ["asyncio"])
async def test_b3_what_a_handler_loses_that_leaves_and_cancels_its_own_task_is_said_as_it_was(anyio_backend):
    """B3: once, with the reason, and never fewer than before."""
    told, seen = [], []

    def on_drop(sender, *, count, why, **_):
        told.append((count, why))

    async def leave(event):
        thread = threading.Thread(target=lambda: seen.append((bus.unsubscribe(subscription), bus.statistics().dropped)))
        thread.start()
        thread.join()
        asyncio.current_task().cancel()
        await anyio.lowlevel.checkpoint()

    async with EventBus() as bus:
        events_dropped.connect(on_drop, sender=bus)
        subscription = bus.subscribe(handler=leave, max_queue=4)
        for number in range(6):
            bus.publish_nowait(numbered(number))
        await anyio.wait_all_tasks_blocked()
        assert seen == [(True, 2)]
        assert sum(count for count, _ in told) == bus.statistics().dropped == 6
        assert "the bus closed" not in {why for _, why in told}


@pytest.mark.parametrize("anyio_backend", ["asyncio"])
async def test_b4_a_handler_that_cancels_its_own_task_does_not_vanish_without_a_word(anyio_backend, caplog):
    """B4: nothing can undo it, so it is said once, by the handler's name."""

    async def leaves(event):
        asyncio.current_task().cancel()

    async with EventBus() as bus:
        bus.subscribe(handler=leaves, name="leaves")
        for number in range(3):
            await bus.publish(numbered(number))
            await anyio.wait_all_tasks_blocked()
    assert caplog.messages == ["handler leaves cancelled the task that called it: its subscription has ended"]


def test_b6_closing_leaves_alone_what_was_abandoned_on_a_loop_that_is_gone():
    """B6: it always ends."""

    async def stubborn(event):
        while True:
            with suppress(asyncio.CancelledError):
                await asyncio.sleep(3_600)

    bus = EventBus(close_timeout_s=0.02, cancel_grace_s=0.02)
    bus.subscribe(handler=stubborn)

    async def first() -> None:
        async with bus:
            await bus.publish(numbered(0))

    async def second() -> None:
        async with bus:
            pass

    async def forget() -> None:
        nonlocal bus
        del bus
        gc.collect()

    loop = asyncio.new_event_loop()
    loop.run_until_complete(first())
    loop.close()
    asyncio.run(second())
    asyncio.run(second())
    assert bus.statistics().dropped == 1
    asyncio.run(forget())


@pytest.mark.parametrize(
    ("arguments", "message"),
    [
        ({"handler": None}, "handler"),
        ({"handler": 5}, "callable"),
        ({"handler": print, "event_types": ["nonsense"]}, "llm_turn_complete"),
        ({"handler": print, "event_types": "custom"}, "a list of"),
        ({"handler": print, "event_types": []}, "at least one"),
        ({"handler": print, "max_queue": 0}, "1 or more"),
        ({"handler": print, "max_queue": True}, "whole number"),
        ({"handler": print, "session_id": ["s1"]}, "session_id"),
    ],
)
def test_what_cannot_work_is_refused_at_once(arguments, message):
    """subscribe() names what is wrong with its arguments."""
    with pytest.raises(ConfigError, match=message):
        EventBus().subscribe(**arguments)


async def test_what_is_no_event_is_refused_by_the_publisher():
    """A dict on the bus is an error where it is published, not in some handler."""
    async with EventBus() as bus:
        bus.subscribe(handler=print)
        with pytest.raises(TypeError, match="hivecost events"):
            await bus.publish({"type": "custom"})
        with pytest.raises(TypeError, match="hivecost events"):
            bus.publish_nowait(None)


async def test_b3_a_full_inbox_counts_and_signals_its_losses(monkeypatch):
    """B3: what other threads publish past the inbox's limit is counted, signalled and logged; the rest arrives."""
    monkeypatch.setattr("hivecost.bus.buffers.INBOX_MAX", 5)
    seen, lost = [], []

    def on_drop(sender, *, name, count, **_):
        lost.append((name, count))

    async with EventBus() as bus:
        events_dropped.connect(on_drop, sender=bus)
        bus.subscribe(handler=seen.append)

        def flood() -> None:
            for i in range(8):
                bus.publish_nowait(numbered(i))

        thread = threading.Thread(target=flood)
        thread.start()
        thread.join()  # the loop takes nothing in meanwhile
        await bus.drain()
        assert bus.statistics().inbox_dropped == 3
    assert numbers(seen) == [0, 1, 2, 3, 4]
    assert lost == [("inbox", 1)] * 3
