"""The event bus: one bounded buffer and one task per subscription, so that nobody waits for anybody else."""

from __future__ import annotations

import itertools
import logging
from collections.abc import Callable, Iterable, Mapping
from functools import partial
from types import TracebackType
from typing import Any, Final, Self

import anyio
import anyio.lowlevel

from hivecost.bus.overflow import DropOldest, Overflow
from hivecost.bus.publishing import Publishing
from hivecost.bus.reporting import report_end, report_failure, report_loss
from hivecost.bus.subscriber import TASK_ENDED, Subscriber
from hivecost.errors import BusClosedError, ConfigError, ReentrancyError
from hivecost.events import Event, EventType
from hivecost.forking import leave_child
from hivecost.loops import current_loop
from hivecost.plain_text import plain_str
from hivecost.subscription import BusStatistics, Subscription, SubscriptionStatistics

MAX_QUEUE: Final = 10_000
#: In `event_types`, the name of some CustomEvents comes behind it.
CUSTOM_PREFIX: Final = f"{EventType.CUSTOM}:"

_log = logging.getLogger("hivecost.bus")


class EventBus(Publishing):
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
        super().__init__(admit)
        self._close_timeout_s = close_timeout_s
        self._cancel_grace_s = cancel_grace_s
        self._leaving: dict[str, Subscriber] = {}  # unsubscribed, but their handler has not returned yet
        self._told_of_closing: set[anyio.Event] = set()
        self._ids = itertools.count(1)
        self._ended_dropped = 0
        self._ended_failed = 0

    # -- lifecycle ---------------------------------------------------------------------------------------------

    async def __aenter__(self) -> Self:
        self._require_own_process()
        self._loop = current_loop()
        self._accepting, self._closing = True, False
        self._here = self._loop.here
        self._wake_scheduled = False
        self._since_turn = 0
        for subscriber in list(self._subscribers.values()):
            if subscriber.reopen():
                subscriber.start(self._loop)
            else:
                self.unsubscribe(subscriber.id)
        return self

    async def __aexit__(
        self, kind: type[BaseException] | None, error: BaseException | None, trace: TracebackType | None
    ) -> None:
        if self._is_forked:
            leave_child(error)
        await self.aclose()

    async def aclose(self, *, timeout_s: float | None = None) -> None:
        """Refuse new events, hand on what was published, then end; always ends, whatever handlers do.

        Waits for handlers for `timeout_s`, or `close_timeout_s`, at most. Raise ReentrancyError inside a handler.
        """
        self._refuse_in_handler("aclose()")
        if not self._accepting or self._closing:
            return
        self._closing = True
        self._tail.close()
        for told in self._told_of_closing:
            told.set()
        with anyio.CancelScope(shield=True):
            with anyio.move_on_after(self._close_timeout_s if timeout_s is None else timeout_s):
                await self._settle_down()
                for subscriber in list(self._leaving.values()):
                    await subscriber.wait_finished()
                await self._settle_down()  # what those published at the end
            self._collect()
            self._accepting = False
            async with anyio.create_task_group() as stopping:
                for subscriber in (*list(self._subscribers.values()), *list(self._leaving.values())):
                    stopping.start_soon(self._stop, subscriber)
        self._see_off()
        self._loop = None

    def _refuse_in_handler(self, what: str) -> None:
        """Raise ReentrancyError in a handler of this bus, and in tasks of it, which `what` would wait for."""
        if self._own_handler() is not None:
            raise ReentrancyError(f"{what} inside a handler would wait for that handler itself; close it from outside")

    async def _stop(self, subscriber: Subscriber) -> None:
        if not await subscriber.stop(self._cancel_grace_s):
            _log.error("subscription %s ignores its cancellation; it was abandoned", subscriber.name)

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
    ) -> Subscription:
        """Call `handler` with each matching event, or with lists of them if `batch`; return the subscription.

        It is its id, a `str`, and can be ended and looked at: see `Subscription`.
        `handler` may be sync (it runs on the loop, so be quick) or async. `event_types` None means all of them, and
        `"custom:deploy"` the CustomEvents whose name is `deploy`; `"custom"` is all CustomEvents.
        `overflow` is what happens past `max_queue` waiting events: DropOldest() unless given, Block() or DropNewest().
        Works before the bus is open, from handlers and from any thread. Raise ConfigError for what cannot work.
        """
        self._require_own_process()
        if not callable(handler):
            raise ConfigError("subscribe(handler=…)", "something callable with an event", got=handler)
        if isinstance(max_queue, bool) or not isinstance(max_queue, int) or max_queue < 1:
            raise ConfigError("subscribe(max_queue=…)", "a whole number of events, 1 or more", got=max_queue)
        given = {"execution_id": execution_id, "session_id": session_id, "node_id": node_id, "agent_id": agent_id}
        subscriber = Subscriber(
            f"sub_{next(self._ids)}",
            handler,
            bus=self,
            name=name or getattr(handler, "__qualname__", type(handler).__qualname__),
            batch=batch,
            overflow=DropOldest() if overflow is None else overflow,
            max_queue=max_queue,
            filters=_checked_filters(given),
            sleepers=self._sleepers,
            collect=self._spread,
            middle=self._middle,
            turns=lambda: self._turns,
            on_failure=partial(report_failure, self),
            on_drop=partial(report_loss, self),
            on_end=self._abandon,
        )
        types, custom_names = _checked_types(event_types)
        self._subscribers[subscriber.id] = subscriber
        self._do_in_order(lambda: self._register(subscriber, types, custom_names))
        return Subscription(
            subscriber.id,
            bus=self,
            statistics=partial(self._statistics_of, subscriber),
            handle_waiting=subscriber.handle_waiting,
        )

    def _do_in_order(self, change: Callable[[], None]) -> None:
        """Make the change after what was published before, on the loop's thread."""
        if self._loop is None or (self._loop.is_here() and not self._middle):
            self._collect()
            change()
        else:
            self._put_in_inbox(change, self._loop)

    def _register(self, subscriber: Subscriber, types: frozenset[EventType], custom_names: frozenset[str]) -> None:
        """Register on the loop's thread, where no publisher is counting on the room in the queues there were."""
        if subscriber.id in self._subscribers:
            self._spread()
            self._routes.add(subscriber, types, custom_names)
            self._tail.close()
            if self._loop is not None and self._accepting:
                subscriber.start(self._loop)

    def unsubscribe(self, subscription_id: str) -> bool:
        """Start no more calls of the handler; count what waits as dropped. Return False when the id is not known.

        A call that is under way goes on to its end.
        """
        subscriber = self._subscribers.pop(subscription_id, None)
        if subscriber is None:
            return False
        self._leaving[subscriber.id] = subscriber
        self._do_in_order(lambda: self._retire(subscriber, "unsubscribed"))
        return True

    def _abandon(self, subscriber: Subscriber) -> None:
        """Retire a subscription whose task ended by itself, because its handler cancelled it."""
        report_end(subscriber)
        self._subscribers.pop(subscriber.id, None)
        self._leaving[subscriber.id] = subscriber
        self._retire(subscriber, TASK_ENDED)

    def _retire(self, subscriber: Subscriber, why: str) -> None:
        self._spread()
        self._routes.remove(subscriber)
        subscriber.end(why)
        self._see_off()

    def _see_off(self) -> None:
        """Forget ended subscriptions whose handler has returned; keep what they lost and how often they failed."""
        for subscriber in [each for each in list(self._leaving.values()) if each.ended and each.is_finished]:
            del self._leaving[subscriber.id]
            figures = subscriber.statistics()
            self._ended_dropped += figures.dropped
            self._ended_failed += figures.failed

    # -- waiting -----------------------------------------------------------------------------------------------

    async def drain(self, subscription_id: str | None = None) -> None:
        """Return when everything published before the call is handled, follow-up events of handlers included.

        With an id, only that subscription is waited for. The last call of one that was unsubscribed may still be under
        way. Handlers that publish for each other without end are waited for without end, as is one that hangs: give it
        a timeout. Raise ReentrancyError inside a handler that would wait for itself.
        """
        self._require_own_process()
        here = self._own_handler()
        if here is not None and subscription_id in (None, here.id):
            raise ReentrancyError("drain() inside a handler would wait for that handler itself")
        if subscription_id is None:
            await self._settle_down()
        elif (subscriber := self._subscribers.get(subscription_id)) is not None:
            self._collect()
            await subscriber.wait_done()

    async def _settle_down(self) -> None:
        self._collect()
        while busy := [subscriber for subscriber in list(self._subscribers.values()) if subscriber.is_busy]:
            for subscriber in busy:
                await subscriber.wait_done()
            # On asyncio a scope cannot cancel who is woken each time the loop turns, unless it asks.
            await anyio.lowlevel.checkpoint_if_cancelled()
            self._collect()

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
        """Wait for the next matching event that is published after the call, and return it.

        Raise TimeoutError after `timeout_s`, and BusClosedError at once when the bus is not open or begins to close.
        """
        if not self._accepting or self._closing:
            raise BusClosedError("the bus is not open; wait inside `async with bus:` (or `async with runtime:`)")
        found: list[Event] = []
        arrived = anyio.Event()

        def take(event: Event) -> None:
            found.append(event)
            arrived.set()

        subscription = self.subscribe(
            event_types=[event_type],
            handler=take,
            session_id=session_id,
            execution_id=execution_id,
            node_id=node_id,
            agent_id=agent_id,
            name=f"wait_for {event_type}",
        )
        self._told_of_closing.add(arrived)
        try:
            with anyio.fail_after(timeout_s):
                await arrived.wait()
                if not found:
                    await self.drain(subscription)  # what was published before the bus began to close
        finally:
            self._told_of_closing.discard(arrived)
            subscription.unsubscribe()
        if not found:
            raise BusClosedError(f"the bus closed before any {event_type} came")
        return found[0]

    def _statistics_of(self, subscriber: Subscriber) -> SubscriptionStatistics:
        if self._here._is_owned():
            self._spread()
        return subscriber.statistics()

    def statistics(self) -> BusStatistics:
        """Return the counts of the bus and of each of its subscriptions."""
        if self._here._is_owned():
            self._spread()
        figures = [subscriber.statistics() for subscriber in list(self._subscribers.values())]
        leaving = [subscriber.statistics() for subscriber in list(self._leaving.values())]
        return BusStatistics(
            published=self._published,
            inbox_dropped=self._inbox.dropped,
            dropped=self._inbox.dropped + self._ended_dropped + sum(f.dropped for f in (*figures, *leaving)),
            failed=self._ended_failed + sum(f.failed for f in (*figures, *leaving)),
            subscriptions=tuple(figures),
        )


def collect(bus: EventBus) -> None:
    """Admit what other threads published so far."""
    bus._collect()  # noqa: SLF001  # the bus does so by itself, but not before whoever counts asks


def refuse_in_handler(bus: EventBus, what: str) -> None:
    """Raise ReentrancyError in a handler of this bus, and in tasks of it, which `what` would wait for."""
    bus._refuse_in_handler(what)  # noqa: SLF001  # the same words as for closing the bus itself


def _checked_types(event_types: Iterable[EventType | str] | None) -> tuple[frozenset[EventType], frozenset[str]]:
    """Return the wanted event types, and the wanted names of CustomEvents."""
    if event_types is None:
        return frozenset(EventType), frozenset()
    if isinstance(event_types, str) or not isinstance(event_types, Iterable):
        raise _types_error("a list of", event_types)
    types: set[EventType] = set()
    custom_names: set[str] = set()
    for event_type in event_types:
        name = plain_str(event_type) if isinstance(event_type, str) else ""
        if name.startswith(CUSTOM_PREFIX) and name != CUSTOM_PREFIX:
            custom_names.add(name.removeprefix(CUSTOM_PREFIX))
            continue
        try:
            types.add(EventType(event_type))
        except (TypeError, ValueError):
            raise _types_error(f"{_near(name)}one of", event_type) from None
    if not types and not custom_names:
        raise ConfigError("subscribe(event_types=…)", "at least one event type, or None for all", got=event_types)
    return frozenset(types), frozenset(custom_names)


def _types_error(expected: str, got: object) -> ConfigError:
    known = ", ".join(EventType)
    key = "subscribe(event_types=…)"
    return ConfigError(key, f"{expected} {known}, or {CUSTOM_PREFIX}NAME for CustomEvents of that name", got=got)


def _near(name: str) -> str:
    from difflib import get_close_matches  # noqa: PLC0415  # only an unknown type needs it

    return "".join(f"{near!r}, or " for near in get_close_matches(name.lower(), map(str, EventType), n=1))


def _checked_filters(given: Mapping[str, str | None]) -> dict[str, str]:
    filters = {field: value for field, value in given.items() if value is not None}
    for field, value in filters.items():
        if not isinstance(value, str):
            raise ConfigError(f"subscribe({field}=…)", "the text to look for, or None for all", got=value)
    return {field: plain_str(value) for field, value in filters.items()}
