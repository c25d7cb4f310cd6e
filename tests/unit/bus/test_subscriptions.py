"""What subscribe() gives, and the events that it is given by name."""

from __future__ import annotations

import copy
import pickle
from contextlib import suppress
from itertools import product

import anyio
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from hivecost.bus import EventBus, Subscription
from hivecost.errors import ConfigError, ReentrancyError
from hivecost.events import CustomEvent, EventType, LLMTurnComplete

pytestmark = pytest.mark.anyio


# -- a subscription is its id, and an object -------------------------------------------------------------------


async def test_a_subscription_is_its_id():
    """It is a `str`, equal to the id in the statistics, and usable wherever an id is asked for."""
    seen = []
    async with EventBus() as bus:
        subscription = bus.subscribe(handler=seen.append)
        assert isinstance(subscription, Subscription)
        assert {subscription: 1}[str(subscription)] == 1
        assert f"{subscription}" == bus.statistics().subscriptions[0].subscription_id
        await bus.publish(CustomEvent())
        await bus.drain(str(subscription))
        assert len(seen) == 1
        assert bus.unsubscribe(str(subscription))
        assert not subscription.unsubscribe()


async def test_a_copy_of_a_subscription_is_a_plain_id():
    """Copies and pickles take no bus with them."""
    subscription = EventBus().subscribe(handler=print)
    for again in (copy.copy(subscription), copy.deepcopy([subscription])[0], pickle.loads(pickle.dumps(subscription))):
        assert (type(again), again) == (str, subscription)


async def test_a_subscription_ends_itself():
    """unsubscribe() starts no more calls, and says whether it was there; the bus has it no more."""
    seen = []
    async with EventBus() as bus:
        subscription = bus.subscribe(handler=seen.append)
        bus.publish_nowait(CustomEvent())
        assert subscription.unsubscribe()
        assert not subscription.unsubscribe()
        await bus.drain()
        assert bus.statistics().subscriptions == ()
    assert seen == []


async def test_leaving_the_block_of_a_subscription_hands_on_what_was_published_in_it():
    """All that was published in the block is handled when it is left, and nothing after it."""
    seen = []

    async def slow(event):
        await anyio.lowlevel.checkpoint()
        seen.append(event.name)

    async with EventBus() as bus:
        async with bus.subscribe(handler=slow) as subscription:
            assert isinstance(subscription, Subscription)
            for name in "abc":
                bus.publish_nowait(CustomEvent(name=name))
            assert seen == []
        assert seen == ["a", "b", "c"]
        await bus.publish(CustomEvent(name="d"))
        await bus.drain()
        assert bus.statistics().subscriptions == ()
    assert seen == ["a", "b", "c"]


async def test_a_block_that_raises_or_is_cancelled_waits_for_no_handler():
    """Its subscription ends at once, whatever its handler does; what waited is counted as dropped."""
    handled = anyio.Event()

    async def hang(event):
        await handled.wait()

    async with EventBus() as bus:
        with anyio.fail_after(10):
            with suppress(ValueError):
                async with bus.subscribe(handler=hang) as raised:
                    bus.publish_nowait(CustomEvent())
                    raise ValueError
            with anyio.CancelScope() as scope:
                async with bus.subscribe(handler=hang) as cancelled:
                    bus.publish_nowait(CustomEvent())
                    bus.publish_nowait(CustomEvent())
                    await anyio.wait_all_tasks_blocked()  # the first is in the handler's hands
                    scope.cancel()
                    await anyio.lowlevel.checkpoint()
            assert bus.statistics().subscriptions == ()
            assert (raised.statistics().dropped, cancelled.statistics().dropped) == (1, 1)
            handled.set()


async def test_a_block_that_is_cancelled_while_it_waits_for_its_handler_unsubscribes():
    """A handler that hangs keeps nobody who has a deadline."""

    async def hang(event):
        await anyio.sleep_forever()

    async with EventBus(close_timeout_s=0.01) as bus:
        with anyio.move_on_after(0.01) as scope:
            async with bus.subscribe(handler=hang):
                await bus.publish(CustomEvent())
        assert scope.cancelled_caught
        assert bus.statistics().subscriptions == ()


async def test_a_subscription_that_its_own_handler_leaves_is_ended():
    """Waiting for itself is refused, as in `drain`; it is unsubscribed all the same."""
    errors = []
    async with EventBus() as bus:

        async def leave(event):
            try:
                await subscription.__aexit__(None, None, None)
            except ReentrancyError as error:
                errors.append(error)

        subscription = bus.subscribe(handler=leave)
        await bus.publish(CustomEvent())
        await bus.drain()
        assert bus.statistics().subscriptions == ()
    assert len(errors) == 1


async def test_a_subscription_has_its_own_statistics():
    """What was just published counts as queued, and the last counts stay when it has ended."""
    async with EventBus() as bus:
        bus.subscribe(handler=print, event_types=[EventType.ALERT_RAISED], name="another")
        subscription = bus.subscribe(handler=lambda event: None, name="mine", max_queue=2)
        for _ in range(3):
            bus.publish_nowait(CustomEvent())
        figures = subscription.statistics()
        assert (figures.name, figures.published, figures.queued, figures.dropped) == ("mine", 3, 2, 1)
        assert figures == bus.statistics().subscriptions[1]
        await bus.drain()
        subscription.unsubscribe()
        await bus.publish(CustomEvent())
        assert (subscription.statistics().handled, subscription.statistics().queued) == (2, 0)


# -- custom events by name -------------------------------------------------------------------------------------


async def test_custom_events_can_be_had_by_name():
    """`custom:NAME` is those of that name, beside built-in types, in the order in which they were published."""
    by_name, both, every = [], [], []
    async with EventBus() as bus:
        bus.subscribe(event_types=["custom:deploy"], handler=by_name.append)
        bus.subscribe(
            event_types=[EventType.LLM_TURN_COMPLETE, "custom:deploy", "custom:roll:back"], handler=both.append
        )
        bus.subscribe(event_types=["custom", "custom:deploy"], handler=every.append)
        events = [
            CustomEvent(name="deploy"),
            LLMTurnComplete(),
            CustomEvent(name="roll:back"),
            CustomEvent(name="deployed"),
            CustomEvent(),
            CustomEvent(name="deploy"),
        ]
        for event in events:
            await bus.publish(event)
        await bus.drain()
    assert by_name == [events[0], events[5]]
    assert both == [*events[:3], events[5]]
    assert every == [event for event in events if event.type == "custom"]


async def test_a_custom_event_is_waited_for_by_name():
    """wait_for() takes the same spelling."""
    async with EventBus() as bus, anyio.create_task_group() as group:

        async def publish() -> None:
            await anyio.wait_all_tasks_blocked()
            for name in ("other", "deploy"):
                await bus.publish(CustomEvent(name=name))

        group.start_soon(publish)
        event = await bus.wait_for("custom:deploy", timeout_s=5)
        assert event.name == "deploy"


@pytest.mark.parametrize(
    ("event_type", "said"),
    [
        ("llm_turn_completed", "expected 'llm_turn_complete', or one of execution_started, "),
        ("LLM_TURN_COMPLETE", "expected 'llm_turn_complete', or one of "),
        ("deploy", "or custom:NAME for CustomEvents of that name, got 'deploy'"),
        ("custom:", "expected 'custom', or one of "),
        (5, "got 5"),
        (["custom"], "got ['custom']"),
        (b"custom:deploy", "got b'custom:deploy'"),
    ],
)
def test_an_unknown_type_is_refused_with_the_near_one(event_type, said):
    """A mistyped built-in type is no custom event: the error names what was meant, and how custom ones are had."""
    bus = EventBus()
    with pytest.raises(ConfigError) as caught:
        bus.subscribe(event_types=["custom:fine", event_type], handler=print)
    assert said in str(caught.value)
    assert bus.statistics().subscriptions == ()


TYPES = ["llm_turn_complete", "custom", "custom:a", "custom:b"]
EVENTS = [
    *(CustomEvent(name=name, session_id=session) for name, session in product(["", "a", "b", "c"], ["s1", "s2"])),
    *(LLMTurnComplete(session_id=session) for session in ("s1", "s2")),
]


@settings(deadline=None)
@given(
    st.lists(
        st.tuples(
            st.lists(st.sampled_from(TYPES), min_size=1, max_size=4), st.sampled_from([None, "s1"]), st.booleans()
        ),
        max_size=4,
    ),
    st.lists(st.sampled_from(EVENTS), max_size=8),
)
async def test_every_subscription_gets_what_it_asked_for_once(wanted, events):
    """Whatever others ask for, filter by, and whoever has left."""
    seen = [[] for _ in wanted]
    async with EventBus() as bus:
        for (types, session_id, leaves), got in zip(wanted, seen, strict=True):
            subscription = bus.subscribe(event_types=types, session_id=session_id, handler=got.append)
            if leaves:
                subscription.unsubscribe()
        for event in events:
            await bus.publish(event)
        await bus.drain()
    for (types, session_id, leaves), got in zip(wanted, seen, strict=True):
        asked = {str(each) for each in types}
        assert got == [
            event
            for event in events
            if not leaves
            and session_id in (None, event.session_id)
            and (event.type in asked or (isinstance(event, CustomEvent) and f"custom:{event.name}" in asked))
        ]


# -- values that no filter names -------------------------------------------------------------------------------


class Incomparable:
    """As an array of numbers: it has no hash, and comparing it gives no answer."""

    __hash__ = None

    def __eq__(self, other):
        raise ValueError("ambiguous")


@pytest.mark.parametrize("odd", [["s"], {"s": 1}, Incomparable()], ids=lambda odd: type(odd).__name__)
async def test_what_is_no_text_matches_no_filter_and_costs_nobody_an_event(odd):
    """In whatever field it stands, on a bus without a runtime that would see to it: all others get their events."""
    everything, filtered, named = [], [], []
    fields = ("session_id", "execution_id", "node_id", "agent_id")
    async with EventBus() as bus:
        bus.subscribe(handler=everything.append)
        for given in (*({field: "s"} for field in fields), dict.fromkeys(fields, "s")):
            bus.subscribe(handler=filtered.append, **given)
        bus.subscribe(handler=named.append, event_types=["custom:s"])
        for field in (*fields, "name"):
            others = {name: "s" for name in fields if name != field} if field in fields else {}
            await bus.publish(CustomEvent(**others, **{field: odd}))
        bus.publish_nowait(CustomEvent(name="s"))
        await bus.drain()
        assert bus.statistics().published == len(everything) == 6
        assert len(named) == 1
        assert len(filtered) == len(fields) * (len(fields) - 1)
