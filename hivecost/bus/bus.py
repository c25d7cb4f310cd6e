"""The event bus: one bounded buffer and one task per subscription, so that nobody waits for anybody else."""

from __future__ import annotations

import itertools
import logging
from collections.abc import Callable, Coroutine, Iterable, Mapping
from functools import partial
from threading import get_ident
from types import TracebackType
from typing import Any, Final, Self

import anyio
import anyio.lowlevel

from hivecost.bus.announcements import announce_failure, announce_loss
from hivecost.bus.done import DONE
from hivecost.bus.inbox import Inbox
from hivecost.bus.loops import Loop, current_loop
from hivecost.bus.overflow import DropOldest, Overflow
from hivecost.bus.routes import Routes
from hivecost.bus.statistics import BusStatistics
from hivecost.bus.subscription import Subscription, current_subscription
from hivecost.bus.tail import Tail
from hivecost.errors import BusClosedError, ConfigError, ReentrancyError
from hivecost.events import Event, EventType

MAX_QUEUE: Final = 10_000
#: drain() follows chains of handlers that publish this deep.
_DRAIN_ROUNDS: Final = 8
#: A publisher that never waits yields after so many events, so that they are handled while they are in the caches.
_RUN_MAX: Final = 1_024
#: While a queue that blocks is full, so many events go the careful way before room is looked for in all of them again.
_LOOK_PAUSE: Final = 64
#: A publisher that finds a full queue yields this often before anything is dropped; waking up takes one or two.
_TURNS_GRANTED: Final = 3

_log = logging.getLogger("hivecost.bus")


class EventBus:
    """Carries events from any number of publishers to any number of subscriptions.

    `async with EventBus() as bus` opens it; leaving drains it for at most `close_timeout_s`, then counts the rest as
    lost. Each subscription sees events in the order in which publish() accepted them. Runs on asyncio and trio.
    `admit`, if given, sees each event once before it is queued and returns what is queued (an AgentRuntime prices
    turns there).
    """

    def __init__(
        self,
        *,
        admit: Callable[[Event], Event] | None = None,
        close_timeout_s: float = 10.0,
        cancel_grace_s: float = 1.0,
    ) -> None:
        self.close_timeout_s = close_timeout_s
        self.cancel_grace_s = cancel_grace_s
        self._admit = admit
        self._routes = Routes()
        self._sleepers: set[Subscription] = set()
        self._wake_scheduled = False
        self._tail = Tail()
        self._room_till_turn = False  # found beside a busy subscriber that drops, which may be done by the next turn
        self._look_pause = 0
        self._since_turn = 0
        self._open_thread_id = 0
        self._subscriptions: dict[str, Subscription] = {}
        self._leaving: list[Subscription] = []  # unsubscribed, but their handler has not returned yet
        self._ids = itertools.count(1)
        self._loop: Loop | None = None
        self._accepting = False
        self._closing = False
        self._inbox = Inbox(self)
        self._published = 0
        self._ended_dropped = 0
        self._ended_failed = 0

    # -- lifecycle ---------------------------------------------------------------------------------------------

    async def __aenter__(self) -> Self:
        self._loop = current_loop()
        self._accepting, self._closing = True, False
        self._open_thread_id = get_ident()
        self._wake_scheduled = False
        self._since_turn = 0
        for subscription in list(self._subscriptions.values()):
            if subscription.reopen():
                subscription.start(self._loop)
            else:
                self.unsubscribe(subscription.id)
        return self

    async def __aexit__(
        self, kind: type[BaseException] | None, error: BaseException | None, trace: TracebackType | None
    ) -> None:
        await self.aclose()

    async def aclose(self) -> None:
        """Refuse new events, hand on what was published, then end; always ends, whatever handlers do."""
        if not self._accepting or self._closing:
            return
        self._closing = True
        self._tail.close()
        with anyio.CancelScope(shield=True):
            with anyio.move_on_after(self.close_timeout_s):
                await self._settle_down()
            self.collect()
            self._accepting = False
            async with anyio.create_task_group() as stopping:
                for subscription in (*list(self._subscriptions.values()), *self._leaving):
                    stopping.start_soon(self._stop, subscription)
        self._leaving.clear()
        self._loop = None

    async def _stop(self, subscription: Subscription) -> None:
        if not await subscription.stop(self.cancel_grace_s):
            _log.error("subscription %s ignores its cancellation; it was abandoned", subscription.name)

    # -- subscribing -------------------------------------------------------------------------------------------

    def subscribe(
        self,
        *,
        event_types: Iterable[EventType | str] | None = None,
        handler: Callable[[Any], Any],
        batch: bool = False,
        overflow: Overflow | None = None,
        max_queue: int = MAX_QUEUE,
        session_id: str | None = None,
        execution_id: str | None = None,
        node_id: str | None = None,
        agent_id: str | None = None,
        name: str = "",
    ) -> str:
        """Call `handler` with each matching event, or with lists of them if `batch`; gives the subscription's id.

        `handler` may be sync (it runs on the loop, so be quick) or async. `event_types` None means all of them.
        `overflow` is what happens past `max_queue` waiting events: DropOldest() unless given, Block() or DropNewest().
        Works before the bus is open, from handlers and from any thread. Raises ConfigError for what cannot work.
        """
        if not callable(handler):
            raise ConfigError("subscribe(handler=…)", "something callable with an event", got=handler)
        if isinstance(max_queue, bool) or not isinstance(max_queue, int) or max_queue < 1:
            raise ConfigError("subscribe(max_queue=…)", "a whole number of events, 1 or more", got=max_queue)
        given = {"execution_id": execution_id, "session_id": session_id, "node_id": node_id, "agent_id": agent_id}
        subscription = Subscription(
            f"sub_{next(self._ids)}",
            handler,
            name=name or getattr(handler, "__qualname__", type(handler).__qualname__),
            batch=batch,
            overflow=DropOldest() if overflow is None else overflow,
            max_queue=max_queue,
            filters=_checked_filters(given),
            sleepers=self._sleepers,
            collect=self._spread,
            on_failure=partial(announce_failure, self),
            on_drop=partial(announce_loss, self),
            on_end=self._abandon,
        )
        types = _checked_types(event_types)
        self._subscriptions[subscription.id] = subscription
        self._do_in_order(lambda: self._register(subscription, types))
        return subscription.id

    def _do_in_order(self, change: Callable[[], None]) -> None:
        """After what was published before, on the loop's thread."""
        if self._loop is None or self._loop.is_here():
            self.collect()
            change()
        else:
            self._put_in_inbox(change, self._loop)

    def _register(self, subscription: Subscription, types: frozenset[EventType]) -> None:
        """On the loop's thread, where no publisher is counting on the room in the queues there were."""
        if subscription.id in self._subscriptions:
            self._spread()
            self._routes.add(subscription, types)
            self._tail.close()
            if self._loop is not None and self._accepting:
                subscription.start(self._loop)

    def unsubscribe(self, subscription_id: str) -> bool:
        """No call starts after this; what still waited is counted as dropped. False when the id is not known."""
        subscription = self._subscriptions.pop(subscription_id, None)
        if subscription is None:
            return False
        self._do_in_order(lambda: self._retire(subscription, "unsubscribed"))
        return True

    def _abandon(self, subscription: Subscription) -> None:
        """Its task ended by itself, because its handler cancelled it."""
        self._subscriptions.pop(subscription.id, None)
        self._retire(subscription, "the subscriber's task ended")

    def _retire(self, subscription: Subscription, why: str) -> None:
        self._spread()
        self._routes.remove(subscription)
        subscription.end(why)
        figures = subscription.statistics()
        self._ended_dropped += figures.dropped
        self._ended_failed += figures.failed
        self._leaving = [s for s in (*self._leaving, subscription) if not s.is_finished]

    # -- publishing --------------------------------------------------------------------------------------------

    def publish(self, event: Event) -> Coroutine[Any, Any, None]:
        """`await bus.publish(event)` queues it with every matching subscription, in one step that nothing can divide.

        Waits only before a full queue, as its policy says. Raises BusClosedError when the bus is not open.
        """
        tail = self._tail
        if len(tail.run) < tail.room and get_ident() == self._open_thread_id:
            # As in publish_nowait(), written out: it is a call less on the path of every event.
            if self._admit is not None:
                event = self._admit(event)  # first, because it may look at the bus itself
            if type(event) is not tail.kind:
                self._begin_run(event)
            tail.run.append(event)
            return DONE
        return self._publish_carefully(event)

    async def _publish_carefully(self, event: Event) -> None:
        loop = self._require_open()
        self._routes.require_event(event)
        if not loop.is_here():
            self._put_in_inbox(event, loop)
            return
        self.collect()
        if self._since_turn >= _RUN_MAX:
            self._wake()  # before the publisher comes back, not after
            await anyio.lowlevel.checkpoint()
            self.collect()
        if not self._find_room():
            await self._wait_for_room(event)
        self._require_open()
        self._accept(event)

    def _full_for(self, event: Event) -> list[Subscription]:
        return [subscription for subscription in self._routes.matching(event) if subscription.queue.free <= 0]

    async def _wait_for_room(self, event: Event) -> None:
        for _ in range(_TURNS_GRANTED):  # a subscriber that merely waits for its turn gets it
            full = self._full_for(event)
            if not any(subscription.awaits_turn for subscription in full):
                break
            await anyio.lowlevel.checkpoint()
            self.collect()
        while blocking := [subscription for subscription in self._full_for(event) if subscription.blocks_publisher()]:
            await blocking[0].wait_for_room()
            self.collect()

    def publish_nowait(self, event: Event) -> None:
        """The same without ever waiting, from any thread: a full queue drops as its policy says (Block: the newest)."""
        tail = self._tail
        if len(tail.run) < tail.room and get_ident() == self._open_thread_id:
            # So many events may come without a look at any queue, and no other thread has published meanwhile.
            if self._admit is not None:
                event = self._admit(event)
            if type(event) is not tail.kind:
                self._begin_run(event)
            tail.run.append(event)
            return
        loop = self._require_open()
        self._routes.require_event(event)
        if loop.is_here():
            self.collect()
            self._find_room()
            self._accept(event)
        else:
            self._put_in_inbox(event, loop)

    def _accept(self, event: Event) -> None:
        if self._admit is not None:
            event = self._admit(event)
        if type(event) is not self._tail.kind:
            self._begin_run(event)
        self._tail.run.append(event)

    def _begin_run(self, event: Event) -> None:
        """The event is of another class than the one before, or the first since the tail was handed on."""
        self._routes.require_event(event)
        self._tail.begin(type(event))
        if self._inbox:  # another thread may have closed the tail just while it was begun
            self._tail.close()
        self._wake_soon()

    def _wake_soon(self) -> None:
        if not self._wake_scheduled and self._loop is not None:
            self._wake_scheduled = True
            self._loop.call_soon(self._wake)

    def _wake(self) -> None:
        """Hand the tail on and wake who has something to do: once for all that is published until the loop turns."""
        self._wake_scheduled = False
        self._spread()
        self._since_turn = 0
        for subscription in [subscription for subscription in self._sleepers if subscription.queue.waiting]:
            subscription.wake()

    def _spread(self) -> None:
        """Put what was published into the queues that it goes to; what they have no room for is lost there."""
        if not self._tail.runs:
            return
        losses = []
        for event_type, events in self._tail.take():
            self._published += len(events)
            self._since_turn += len(events)
            losses += self._routes.spread(event_type, events)
        if self._room_till_turn or self._inbox:
            self._tail.close()
        for subscription, count in losses:  # last, because who is told may publish
            announce_loss(self, subscription, count, "queue full")

    def _require_open(self) -> Loop:
        loop = self._loop
        if loop is None or not self._accepting or (self._closing and current_subscription.get() is None):
            raise BusClosedError("the bus is not open; publish inside `async with bus:` (or `async with runtime:`)")
        return loop

    def _find_room(self) -> bool:
        """How many events may come without a look at any queue; False: somebody is to be looked at now.

        Loop thread only, with all that was published handed on; other threads may subscribe and publish meanwhile.
        """
        if not self._accepting or self._closing:
            return False
        if self._look_pause:
            self._look_pause -= 1
            return False
        room, self._room_till_turn = _RUN_MAX, False
        for subscription in list(self._subscriptions.values()):
            free = subscription.queue.free
            if free >= room:
                continue
            if subscription.drops_at_once:
                self._room_till_turn = True
            else:
                room = free
        self._tail.room = room
        if not room:
            self._look_pause = _LOOK_PAUSE
        if self._inbox:
            self._tail.close()
        return room > 0

    def _put_in_inbox(self, item: Event | Callable[[], None], loop: Loop) -> None:
        tell = self._inbox.put(item)
        self._tail.close()
        if tell:
            loop.call_threadsafe(self._take_inbox)

    def _take_inbox(self) -> None:
        """Deliver what other threads published, and do what they changed, in their order."""
        if not self._inbox:
            return
        for item in self._inbox.take():
            if not isinstance(item, Event):
                item()
                continue
            try:
                self._accept(item)
            except Exception as error:  # the edge: its publisher is gone, and those behind it must go on
                self._inbox.drop(f"{error!r}")

    def collect(self) -> None:
        """Take in at once what was published so far, by other threads too. Loop thread only."""
        self._take_inbox()
        self._spread()

    # -- waiting -----------------------------------------------------------------------------------------------

    async def drain(self, subscription_id: str | None = None) -> None:
        """Return when everything published before the call is handled, follow-up events of handlers included.

        With an id, only that subscription is waited for. Raises ReentrancyError inside a handler that would wait
        for itself.
        """
        here = current_subscription.get()
        if here is not None and subscription_id in (None, here.id):
            raise ReentrancyError("drain() inside a handler would wait for that handler itself")
        if subscription_id is None:
            await self._settle_down()
        elif subscription_id in self._subscriptions:
            self.collect()
            await self._subscriptions[subscription_id].wait_done()

    async def _settle_down(self) -> None:
        for _ in range(_DRAIN_ROUNDS):
            self.collect()
            subscriptions = list(self._subscriptions.values())
            if not any(subscription.queue.pending for subscription in subscriptions):
                return
            for subscription in subscriptions:
                await subscription.wait_done()

    async def wait_for(
        self,
        event_type: EventType | str,
        *,
        timeout_s: float,
        session_id: str | None = None,
        execution_id: str | None = None,
        node_id: str | None = None,
        agent_id: str | None = None,
    ) -> Event:
        """The next matching event that is published after the call. Raises TimeoutError after `timeout_s`."""
        found: list[Event] = []
        arrived = anyio.Event()

        def take(event: Event) -> None:
            found.append(event)
            arrived.set()

        subscription_id = self.subscribe(
            event_types=[event_type],
            handler=take,
            session_id=session_id,
            execution_id=execution_id,
            node_id=node_id,
            agent_id=agent_id,
            name=f"wait_for {event_type}",
        )
        try:
            with anyio.fail_after(timeout_s):
                await arrived.wait()
        finally:
            self.unsubscribe(subscription_id)
        return found[0]

    def statistics(self) -> BusStatistics:
        """Counts of the bus and of each of its subscriptions."""
        if get_ident() == self._open_thread_id:
            self._spread()
        figures = tuple(subscription.statistics() for subscription in list(self._subscriptions.values()))
        return BusStatistics(
            published=self._published,
            inbox_dropped=self._inbox.dropped,
            dropped=self._inbox.dropped + self._ended_dropped + sum(f.dropped for f in figures),
            failed=self._ended_failed + sum(f.failed for f in figures),
            subscriptions=figures,
        )


def _checked_types(event_types: Iterable[EventType | str] | None) -> frozenset[EventType]:
    if event_types is None:
        return frozenset(EventType)
    known = ", ".join(EventType)
    if isinstance(event_types, str):
        raise ConfigError("subscribe(event_types=…)", f"a list of: {known}", got=event_types)
    try:
        types = frozenset(EventType(event_type) for event_type in event_types)
    except (TypeError, ValueError):
        raise ConfigError("subscribe(event_types=…)", f"a list of: {known}", got=event_types) from None
    if not types:
        raise ConfigError("subscribe(event_types=…)", "at least one event type, or None for all", got=event_types)
    return types


def _checked_filters(given: Mapping[str, str | None]) -> dict[str, str]:
    filters = {field: value for field, value in given.items() if value is not None}
    for field, value in filters.items():
        if not isinstance(value, str):
            raise ConfigError(f"subscribe({field}=…)", "the text to look for, or None for all", got=value)
    return filters
