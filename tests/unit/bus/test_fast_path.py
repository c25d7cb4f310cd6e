"""The bus keeps its promises where it is fast: against a model, whatever publishers, subscribers and loops do.

When an overflow policy is applied is the bus' affair, so the model knows what may be lost, not what is: only from a
full queue, from the right end of it, each loss told, and nothing that a publisher would have waited for.
"""

from __future__ import annotations

import logging
import threading
from collections import deque
from collections.abc import Coroutine, Iterable, Iterator

import anyio
import anyio.lowlevel
import msgspec
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from hivecost.bus import Block, BusStatistics, DropNewest, DropOldest, EventBus, Overflow
from hivecost.events import CustomEvent, Event, LLMTurnComplete, ToolCallCompleted
from hivecost.signals import events_dropped

KINDS = (CustomEvent, LLMTurnComplete, ToolCallCompleted)
#: What handlers publish in their turn; who publishes does not subscribe to it.
ECHO = 2


@pytest.fixture(scope="module", autouse=True)
def _quiet() -> Iterator[None]:
    logger = logging.getLogger("hivecost.bus")
    level = logger.level
    logger.setLevel(logging.CRITICAL)
    yield
    logger.setLevel(level)


class Spec(msgspec.Struct, frozen=True):
    """What kind of subscriber it is."""

    is_list: bool
    is_async: bool
    gated: bool
    kinds: frozenset[int]
    session_id: str | None
    execution_id: str | None
    overflow: Overflow
    max_queue: int
    echoes: bool
    fails_every: int
    leaves_at: int
    brings_another: bool


class Watched:
    """A subscription, and the model of it: what may still come, what was handled, what was lost."""

    def __init__(self, play: Play, spec: Spec) -> None:
        self.play, self.spec = play, spec
        self.to_come: deque[int] = deque()
        self.published = 0
        self.returned = 0
        self.failed = 0
        self.told_lost = 0
        self.ended = False
        self.gate = anyio.Event()
        handler = {
            (False, False): lambda event: self.handle([event]),
            (True, False): self.handle,
            (False, True): self.handle_one_async,
            (True, True): self.handle_async,
        }[spec.is_list, spec.is_async]
        self.id = play.bus.subscribe(
            event_types=[KINDS[kind].type for kind in sorted(spec.kinds)],
            handler=handler,
            batch=spec.is_list,
            overflow=spec.overflow,
            max_queue=spec.max_queue,
            session_id=spec.session_id,
            execution_id=spec.execution_id,
        )

    # -- the model ---------------------------------------------------------------------------------------------

    def wants(self, event: Event) -> bool:
        return (
            KINDS.index(type(event)) in self.spec.kinds
            and self.spec.session_id in (None, event.session_id)
            and self.spec.execution_id in (None, event.execution_id)
        )

    def accept(self, number: int) -> None:
        self.published += 1
        self.to_come.append(number)

    def begin(self, events: list[Event]) -> None:
        for place, event in enumerate(events):
            lost = self.skip_to(int(event.task_id))
            if lost and place and isinstance(self.spec.overflow, DropOldest):
                self.play.faults.append(f"{self.id} lost {lost}, which did not wait longest")
            self.check_lost(lost)

    def skip_to(self, number: int) -> list[int]:
        if number not in self.to_come:
            self.play.faults.append(f"{self.id} is called with {number}, with {list(self.to_come)} to come")
            return []
        return [self.to_come.popleft() for _ in range(self.to_come.index(number) + 1)][:-1]

    def check_lost(self, lost: Iterable[int]) -> None:
        if isinstance(self.spec.overflow, Block) and (owed := self.play.may_wait.intersection(lost)):
            self.play.faults.append(f"{self.id} lost {owed}, which could have waited")

    def finish(self, events: list[Event]) -> None:
        self.returned += len(events)

    def end(self) -> None:
        self.ended = True
        self.gate.set()

    # -- the handlers ------------------------------------------------------------------------------------------

    def handle(self, events: list[Event]) -> None:
        self.begin(events)
        try:
            for echo in self.echoes(events):
                self.play.publish_nowait(echo)
            self.act()
        finally:
            self.finish(events)

    async def handle_one_async(self, event: Event) -> None:
        await self.handle_async([event])

    async def handle_async(self, events: list[Event]) -> None:
        self.begin(events)
        try:
            if self.spec.gated:
                await self.gate.wait()
            for echo in self.echoes(events):
                await self.play.publish(echo)
            self.act()
        finally:
            self.finish(events)

    def echoes(self, events: list[Event]) -> list[Event]:
        if not self.spec.echoes:
            return []
        return [self.play.new_event(ECHO, event.session_id, event.execution_id) for event in events]

    def act(self) -> None:
        spec, calls = self.spec, self.returned + 1
        if spec.brings_another and calls == 1:
            self.play.subscribe(msgspec.structs.replace(spec, brings_another=False, gated=False))
        if spec.leaves_at and calls >= spec.leaves_at:
            self.play.unsubscribe(self)
        if spec.fails_every and calls % spec.fails_every == 0:
            self.failed += not self.ended
            raise ValueError("mine")


class Play:
    """One run of a bus through a plan, and the model beside it."""

    def __init__(self, plan: list[tuple], *, admits: bool, has_line: bool) -> None:
        self.plan, self.admits, self.has_line = plan, admits, has_line
        self.bus = EventBus(admit=self.admit if admits else None)
        self.live: list[Watched] = []
        self.all: list[Watched] = []
        self.accepted: list[int] = []
        self.may_wait: set[int] = set()
        self.faults: list[str] = []
        self.from_thread: dict[int, list[Watched]] = {}
        self.scopes: list[anyio.CancelScope] = []
        self.numbers = 0

    async def run(self) -> None:
        events_dropped.connect(self.on_loss, sender=self.bus)
        try:
            with anyio.fail_after(30):
                async with self.bus, anyio.create_task_group() as self.publishers:
                    for name, *arguments in self.plan:
                        done = getattr(self, name)(*arguments)
                        if done is not None:
                            await done
                    self.open_gates()
        finally:
            events_dropped.disconnect(self.on_loss, sender=self.bus)
        for watched in self.all:
            if not watched.ended:
                watched.check_lost(watched.to_come)
            assert watched.published == watched.returned + watched.told_lost
        assert self.faults == []
        self.compare(self.bus.statistics())

    def on_loss(self, sender: EventBus, *, subscription_id: str, count: int, why: str, **_) -> None:
        """Whoever loses an event is full, with nothing lost beyond need."""
        (watched,) = (watched for watched in self.all if watched.id == subscription_id)
        watched.told_lost += count
        for figures in sender.statistics().subscriptions if why == "queue full" else ():
            if figures.subscription_id == subscription_id and figures.queued != figures.max_queue:
                self.faults.append(f"{subscription_id} lost {count} with {figures.queued} waiting")

    # -- steps -------------------------------------------------------------------------------------------------

    def subscribe(self, spec: Spec) -> None:
        if len(self.live) < 5:
            watched = Watched(self, spec)
            self.live.append(watched)
            self.all.append(watched)

    def leave(self, which: int) -> None:
        if self.live:
            self.unsubscribe(self.live[which % len(self.live)])

    def nowait(self, count: int, *where) -> None:
        for _ in range(count):
            self.publish_nowait(self.new_event(*where))

    def in_thread(self, count: int, *where) -> None:
        if not self.admits:
            return self.nowait(count, *where)

        def publish() -> None:
            for _ in range(count):
                event = self.new_event(*where)
                self.from_thread[int(event.task_id)] = [w for w in self.live if w.wants(event)]
                self.bus.publish_nowait(event)

        thread = threading.Thread(target=publish)
        thread.start()
        thread.join()
        return None

    def forgotten(self, count: int, *where) -> None:
        for _ in range(count):
            self.begin_publishing(self.new_event(*where))

    def in_task(self, count: int, *where) -> None:
        self.publishers.start_soon(self.publish_all, count, where)

    def cancel_publishers(self) -> None:
        for scope in self.scopes:
            scope.cancel()
        self.scopes.clear()

    async def turns(self, count: int) -> None:
        for _ in range(count):
            await anyio.lowlevel.checkpoint()

    async def drain(self) -> None:
        self.open_gates()
        owed = [(watched, watched.published) for watched in self.live]
        await self.bus.drain()
        for watched, published in owed:
            if watched.returned + watched.told_lost < published:
                self.faults.append(f"drain() returned while {watched.id} still had {list(watched.to_come)} to come")
        if self.from_thread:
            self.faults.append(f"drain() left {list(self.from_thread)} of another thread where they were")

    async def settle(self) -> None:
        await anyio.wait_all_tasks_blocked()

    def close_gates(self) -> None:
        for watched in self.live:
            if watched.gate.is_set():
                watched.gate = anyio.Event()

    def open_gates(self) -> None:
        for watched in self.live:
            watched.gate.set()

    def look(self) -> None:
        """The figures are right at any moment."""
        self.nowait(1, 0, "s1", "e1")  # takes in what threads published
        self.compare(self.bus.statistics())

    def compare(self, figures: BusStatistics) -> None:
        assert figures.published == len(self.accepted)
        assert figures.dropped == sum(watched.told_lost for watched in self.all)
        for ours, theirs in zip(self.live, figures.subscriptions, strict=True):
            assert (theirs.published, theirs.handled) == (ours.published, ours.returned)
            assert (theirs.dropped, theirs.failed) == (ours.told_lost, ours.failed)
            assert theirs.published == theirs.handled + theirs.dropped + theirs.queued + theirs.in_line
            assert theirs.queued <= theirs.max_queue

    # -- publishing --------------------------------------------------------------------------------------------

    def new_event(self, kind: int, session_id: str, execution_id: str) -> Event:
        self.numbers += 1
        return KINDS[kind](task_id=str(self.numbers), session_id=session_id, execution_id=execution_id)

    def publish_nowait(self, event: Event) -> None:
        self.bus.publish_nowait(event)
        self.check_accepted(event)

    def begin_publishing(self, event: Event) -> Coroutine[None, None, None]:
        if self.has_line:
            self.may_wait.add(int(event.task_id))
        ending = self.bus.publish(event)
        self.check_accepted(event)
        return ending

    async def publish(self, event: Event) -> None:
        await self.begin_publishing(event)

    def check_accepted(self, event: Event) -> None:
        if not self.admits:
            self.accept(event)
        if self.accepted[-1] != int(event.task_id):
            self.faults.append(f"{event.task_id} was not accepted when publishing it returned")
        if self.from_thread:
            self.faults.append(f"{event.task_id} overtook {list(self.from_thread)} of another thread")

    async def publish_all(self, count: int, where: tuple) -> None:
        with anyio.CancelScope() as scope:
            self.scopes.append(scope)
            for _ in range(count):
                await self.publish(self.new_event(*where))

    def admit(self, event: Event) -> Event:
        self.accept(event)
        return event

    def accept(self, event: Event) -> None:
        number = int(event.task_id)
        self.accepted.append(number)
        now = [watched for watched in self.live if watched.wants(event)]
        for watched in self.from_thread.pop(number, now):
            if not watched.ended:
                watched.accept(number)

    def unsubscribe(self, watched: Watched) -> None:
        if watched in self.live:
            self.live.remove(watched)
            self.bus.unsubscribe(watched.id)
            watched.end()


specs = st.builds(
    Spec,
    is_list=st.booleans(),
    is_async=st.booleans(),
    gated=st.booleans(),
    kinds=st.sampled_from([{0, 1, 2}, {0}, {0, 1}, {1, 2}]).map(frozenset),
    session_id=st.sampled_from([None, None, None, "s1"]),
    execution_id=st.sampled_from([None, None, None, "e1"]),
    overflow=st.sampled_from([Block(timeout_s=60), DropNewest(), DropOldest()]),
    max_queue=st.sampled_from([1, 2, 3, 4, 8, 100]),
    echoes=st.booleans(),
    fails_every=st.sampled_from([0, 0, 2]),
    leaves_at=st.sampled_from([0, 0, 1, 4]),
    brings_another=st.booleans(),
).map(lambda spec: msgspec.structs.replace(spec, echoes=spec.echoes and ECHO not in spec.kinds))
where = (st.sampled_from([0, 0, 1, 2]), st.sampled_from(["s1", "s2"]), st.sampled_from(["e1", "e2"]))
steps = st.one_of(
    st.tuples(st.just("subscribe"), specs),
    st.tuples(st.sampled_from(["nowait", "in_thread", "in_task", "forgotten"]), st.integers(1, 8), *where),
    st.tuples(st.just("turns"), st.integers(1, 5)),
    st.tuples(st.just("leave"), st.integers(0, 9)),
    st.tuples(st.sampled_from(["drain", "look", "settle", "open_gates", "close_gates", "cancel_publishers"])),
)


@pytest.mark.parametrize("backend", ["asyncio", "trio"])
@settings(max_examples=200, deadline=None)
@given(
    plan=st.lists(steps, min_size=4, max_size=30),
    first=st.lists(specs, min_size=1, max_size=3),
    admits=st.booleans(),
    sizes=st.sampled_from([(64, 1000, 256), (1, 3, 2), (3, 2, 1)]),
    line_max=st.sampled_from([10_000, 10_000, 2, 0]),
)
def test_each_subscription_sees_exactly_what_was_published_while_it_was_there(
    backend, plan, first, admits, sizes, line_max
):
    """B1, B3, B5, B7: all of it, in order, less the counted drops; never over max_queue; figures right at any time."""
    with pytest.MonkeyPatch.context() as patched:
        patched.setattr("hivecost.bus.publishing._LOOK_PAUSE", sizes[0])
        patched.setattr("hivecost.bus.subscriber.BATCH_MAX", sizes[1])
        patched.setattr("hivecost.bus.subscriber._YIELD_EVERY", sizes[2])
        patched.setattr("hivecost.bus.subscriber.LINE_MAX", line_max)
        play = Play([*(("subscribe", spec) for spec in first), *plan], admits=admits, has_line=line_max > 100)
        anyio.run(play.run, backend=backend)
