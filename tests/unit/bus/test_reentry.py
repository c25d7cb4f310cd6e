"""A finalizer or a signal handler that publishes in the middle of the bus's own work, in the same thread."""

from __future__ import annotations

import itertools

import anyio
import pytest

import hivecost as hc
from hivecost.bus import Block, DropNewest, DropOldest, EventBus

pytestmark = pytest.mark.anyio


#: Those that the bus runs through.
FILES = tuple(f"bus/{name}.py" for name in ("publishing", "tail", "inbox", "routes", "queue", "middle", "bus"))


def turn(name):
    return hc.LLMTurnComplete(event_id=name, execution_id="e", model="m")


def note(name):
    return hc.CustomEvent(event_id=name, name="n")


STEPS = {
    "first of its kind": lambda bus: bus.publish_nowait(note("mine")),
    "after another kind": lambda bus: (bus.publish_nowait(turn("before")), bus.publish_nowait(note("mine"))),
    "awaited": lambda bus: bus.publish(note("mine")),
    "handed on": lambda bus: (bus.publish_nowait(note("mine")), bus._collect()),
    "full": lambda bus: [bus.publish_nowait(note(f"mine {number}")) for number in range(7)],
    "subscribed": lambda bus: bus.unsubscribe(bus.subscribe(handler=len, name="another")),
}
POLICIES = {"block": Block(0.01), "drop oldest": DropOldest(), "drop newest": DropNewest()}


@pytest.mark.parametrize("anyio_backend", ["asyncio"])  # no line of these waits for a loop
@pytest.mark.parametrize("kind", [turn, note])
@pytest.mark.parametrize("policy", POLICIES)
@pytest.mark.parametrize("step", STEPS)
async def test_a_finalizer_at_every_line(at_line, step, policy, kind):
    """Its event reaches those who want it, once; so do all others, and every count is as it should be."""
    for number in itertools.count(1):
        turns, everything = [], []
        async with EventBus() as bus:
            bus.subscribe(event_types=[hc.EventType.LLM_TURN_COMPLETE], handler=turns.append, name="turns")
            bus.subscribe(handler=everything.append, overflow=POLICIES[policy], max_queue=5, name="everything")
            bus.subscribe(execution_id="e", handler=lambda event: None, name="filtered")
            await bus.drain()
            with at_line(FILES, number, lambda bus=bus: bus.publish_nowait(kind("theirs"))) as finalizer:
                STEPS[step](bus)
            with anyio.fail_after(10):
                await bus.drain()
            figures = {each.name: each for each in bus.statistics().subscriptions}
        assert all(isinstance(event, hc.LLMTurnComplete) for event in turns)
        for figure in figures.values():
            assert figure.published == figure.handled + figure.dropped
            assert figure.handled <= figure.published
        seen = [event.event_id for event in everything]
        assert len(seen) == len(set(seen)) == figures["everything"].handled
        came = finalizer.lines >= number
        published = came + {"after another kind": 2, "full": 7, "subscribed": 0}.get(step, 1)
        if step != "full":
            assert ("theirs" in seen) == came
            assert ("mine" in seen) == (step != "subscribed")
            assert turns == [event for event in everything if isinstance(event, hc.LLMTurnComplete)]
        assert figures["everything"].published == published
        if not came:
            break
    assert number > 3


async def test_the_collector_at_its_busiest(busiest_collector):
    """Turns that are dropped publish their end from the garbage collector, wherever it runs; nothing is lost."""
    seen = []

    class Dropped:
        def __init__(self, bus):
            self.bus, self.itself = bus, self

        def __del__(self):
            self.bus.publish_nowait(turn(f"{id(self)}"))

    async with EventBus() as bus:
        bus.subscribe(handler=seen.extend, batch=True, max_queue=100_000)
        with busiest_collector():
            for number in range(1_000):
                Dropped(bus)
                bus.publish_nowait(note(str(number)) if number % 2 else turn(f"turn {number}"))
                if number % 10 == 0:
                    await anyio.sleep(0)
        await bus.drain()
        assert len(seen) == 2_000 == bus.statistics().published
        assert [event.event_id for event in seen if isinstance(event, hc.CustomEvent)] == [
            str(number) for number in range(1, 1_000, 2)
        ]
