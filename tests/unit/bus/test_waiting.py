"""Whoever waits on a bus, or for its end, is let go: by what it waits for, by its deadline, or at once by an error."""

from __future__ import annotations

import anyio
import anyio.lowlevel
import pytest

from hivecost.bus import Block, EventBus
from hivecost.errors import BusClosedError, ReentrancyError
from hivecost.events import CustomEvent, EventType, LLMTurnComplete

pytestmark = pytest.mark.anyio

HOUR_S = 3_600


def numbered(number: int) -> CustomEvent:
    return CustomEvent(name=str(number))


def numbers(events) -> list[int]:
    return [int(event.name) for event in events]


class Relay:
    """Publishes the next number until there are so many; None: without end."""

    def __init__(self, bus: EventBus, most: int | None) -> None:
        self.bus, self.most = bus, most
        self.seen: list[int] = []

    async def __call__(self, event) -> None:
        number = int(event.name)
        self.seen.append(number)
        await anyio.lowlevel.checkpoint()
        if self.most is None or number < self.most:
            await self.bus.publish(numbered(number + 1))


# -- drain -----------------------------------------------------------------------------------------------------------


@pytest.mark.parametrize("how", ["drain", "close"])
async def test_a_chain_of_handlers_is_followed_to_its_end_however_long(how):
    """B6: each link is published by the handler of the one before."""
    async with EventBus() as bus:
        relay = Relay(bus, 200)
        bus.subscribe(handler=relay)
        await bus.publish(numbered(1))
        if how == "drain":
            await bus.drain()
            assert relay.seen == list(range(1, 201))
    assert relay.seen == list(range(1, 201))


async def test_a_cycle_without_end_is_ended_by_the_callers_timeout_and_by_the_deadline_of_closing():
    """drain() goes on while there is progress; B6: closing always ends, and counts what it cut off."""
    with anyio.fail_after(10):
        async with EventBus(close_timeout_s=0.02) as bus:
            relay = Relay(bus, None)
            bus.subscribe(handler=relay)
            await bus.publish(numbered(1))
            with anyio.move_on_after(0.02) as waiting:
                await bus.drain()
            assert waiting.cancelled_caught
            assert len(relay.seen) > 8
    figures = bus.statistics()
    assert relay.seen == list(range(1, len(relay.seen) + 1))
    assert figures.published - len(relay.seen) in (0, 1)
    assert figures.published == figures.subscriptions[0].handled + figures.dropped


async def test_a_drain_leaves_the_loop_to_others_while_its_bus_gives_handlers_up():
    """B6: it returns when the bus has closed, though a handler that ignores its cancellation is still at work."""
    release, drained = anyio.Event(), anyio.Event()

    async def stubborn(event):
        with anyio.CancelScope(shield=True):
            await release.wait()

    async def drain() -> None:
        await bus.drain()
        drained.set()

    with anyio.fail_after(10):
        async with anyio.create_task_group() as group:
            async with EventBus(close_timeout_s=0.02, cancel_grace_s=0.02) as bus:
                bus.subscribe(handler=stubborn)
                await bus.publish(numbered(0))
                group.start_soon(drain)
                await anyio.wait_all_tasks_blocked()
            await drained.wait()
            release.set()


async def test_a_drain_waits_for_what_is_in_line_and_for_nothing_that_comes_later():
    """drain(id) returns when what waited for room at the call is handled, not when it has found room."""
    gates, seen, at_return = [anyio.Event() for _ in range(5)], [], []

    async def gated(event):
        await gates[int(event.name)].wait()
        seen.append(event)

    async def drain() -> None:
        await bus.drain(own)
        at_return.extend(numbers(seen))

    async with EventBus() as bus, anyio.create_task_group() as group:
        own = bus.subscribe(handler=gated, overflow=Block(timeout_s=HOUR_S), max_queue=1)
        for number in range(3):
            bus.publish(numbered(number))
        group.start_soon(drain)
        await anyio.wait_all_tasks_blocked()
        bus.publish(numbered(3))
        bus.publish(numbered(4))
        for gate in gates:
            assert at_return == ([0, 1, 2] if len(seen) >= 3 else [])
            gate.set()
            await anyio.wait_all_tasks_blocked()
    assert numbers(seen) == [0, 1, 2, 3, 4]


async def test_draining_what_is_not_open_returns_at_once():
    """Nothing waits there."""
    bus = EventBus()
    subscription = bus.subscribe(handler=print)
    with anyio.fail_after(10):
        for _ in range(2):
            await bus.drain()
            await bus.drain(subscription)
            async with bus:
                pass


# -- wait_for --------------------------------------------------------------------------------------------------------


async def test_waiting_for_an_event_of_a_bus_that_is_not_open_raises_at_once():
    """Before it was opened, and after it has closed; nothing is left behind. Subscribing stays allowed."""
    bus = EventBus()
    for _ in range(2):
        with pytest.raises(BusClosedError, match="async with"), anyio.fail_after(10):
            await bus.wait_for(EventType.CUSTOM, timeout_s=HOUR_S)
        assert bus.statistics().subscriptions == ()
        async with bus:
            pass
    seen = []
    bus.subscribe(handler=seen.append)
    async with bus:
        await bus.publish(numbered(0))
    assert numbers(seen) == [0]


async def test_who_waits_for_an_event_is_told_when_the_bus_begins_to_close():
    """Outside and in a handler, which closing would wait for in turn; long before any deadline."""
    raised = []

    async def wait() -> None:
        try:
            await bus.wait_for(EventType.ALERT_RAISED, timeout_s=HOUR_S)
        except BusClosedError as error:
            raised.append(str(error))

    async def wait_in_handler(event) -> None:
        await wait()

    async def wait_while_closing(event) -> None:
        await anyio.wait_all_tasks_blocked()
        await wait()

    with anyio.fail_after(10):
        async with anyio.create_task_group() as group, EventBus(close_timeout_s=HOUR_S) as bus:
            bus.subscribe(handler=wait_in_handler, event_types=[EventType.CUSTOM])
            group.start_soon(wait)
            await bus.publish(numbered(0))
            await anyio.wait_all_tasks_blocked()
            bus.subscribe(handler=wait_while_closing, event_types=[EventType.LLM_TURN_COMPLETE])
            await bus.publish(LLMTurnComplete())
    assert sorted(error[:15] for error in raised) == ["the bus closed ", "the bus closed ", "the bus is not "]


async def test_what_was_published_before_the_bus_began_to_close_is_still_given():
    """B6: closing hands it on, to who waits for it too."""
    found = []

    async def wait() -> None:
        found.append(await bus.wait_for(EventType.CUSTOM, timeout_s=HOUR_S))

    with anyio.fail_after(10):
        async with anyio.create_task_group() as group, EventBus() as bus:
            group.start_soon(wait)
            await anyio.wait_all_tasks_blocked()
            bus.publish_nowait(numbered(0))
    assert numbers(found) == [0]


# -- closing from inside ---------------------------------------------------------------------------------------------


@pytest.mark.parametrize("leaves", [False, True])
@pytest.mark.parametrize("in_child", [False, True])
async def test_a_handler_that_closes_its_bus_is_refused_at_once(leaves, in_child):
    """B5: aclose() in a handler, or in a task of it, would wait for itself; the bus goes on."""
    errors, others = [], []

    async def close(event) -> None:
        if leaves:
            bus.unsubscribe(own)
        if in_child:
            async with anyio.create_task_group() as group:
                group.start_soon(close_here)
        else:
            await close_here()

    async def close_here() -> None:
        try:
            await bus.aclose()
        except ReentrancyError as error:
            errors.append(str(error))

    with anyio.fail_after(10):
        async with EventBus(close_timeout_s=HOUR_S) as bus:
            own = bus.subscribe(handler=close)
            bus.subscribe(handler=others.append)
            await bus.publish(numbered(0))
            await anyio.wait_all_tasks_blocked()
            await bus.publish(numbered(1))
    assert len(errors) == (1 if leaves else 2)
    assert "aclose()" in errors[0]
    assert numbers(others) == [0, 1]


async def test_a_handler_may_drain_and_close_another_bus_and_is_none_of_its_handlers():
    """B5, B6: what is refused is waiting for oneself; a bus that closes takes events of its own handlers alone."""
    seen, refused = [], []

    async def forward(event) -> None:
        await second.publish(event)
        await second.drain()
        seen_by_then.append(numbers(seen))
        await second.aclose()
        try:
            await second.publish(event)
        except BusClosedError as error:
            refused.append(error)

    seen_by_then: list[list[int]] = []
    with anyio.fail_after(10):
        async with EventBus(close_timeout_s=HOUR_S) as first, EventBus(close_timeout_s=HOUR_S) as second:
            first.subscribe(handler=forward)
            second.subscribe(handler=seen.append)
            await first.publish(numbered(0))
            await first.drain()
    assert seen_by_then == [[0]]
    assert len(refused) == 1


async def test_closing_takes_the_time_that_it_is_given():
    """aclose(timeout_s=…) goes before the bus' own close_timeout_s, once; nobody waits for a handler longer."""

    async def hang(event) -> None:
        await anyio.sleep_forever()

    bus = EventBus(close_timeout_s=HOUR_S)
    bus.subscribe(handler=hang)
    with anyio.fail_after(10):
        async with bus:
            await bus.publish(numbered(0))
            await bus.aclose(timeout_s=0.01)
    assert (bus.statistics().dropped, bus._close_timeout_s) == (1, HOUR_S)
