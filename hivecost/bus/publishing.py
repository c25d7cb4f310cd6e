"""From publish() to the queues: the way that an event takes, and what a publisher waits for."""

from __future__ import annotations

from collections.abc import Callable, Coroutine, Sequence
from functools import partial
from typing import Any, Final

import anyio
import anyio.lowlevel

from hivecost.bus.buffers import Inbox, Tail
from hivecost.bus.completed import COMPLETED, Later
from hivecost.bus.queue import Place
from hivecost.bus.reporting import report_loss
from hivecost.bus.routes import Routes
from hivecost.bus.subscriber import CLOSED, QUEUE_FULL, Subscriber, current_subscriber
from hivecost.errors import BusClosedError
from hivecost.events import Event, EventType
from hivecost.forking import tell_children
from hivecost.loops import Loop, nowhere

#: A publisher that never waits yields after so many events, so that they are handled while they are in the caches.
_SEGMENT_MAX: Final = 1_024
#: While a queue that blocks is full, so many events go the careful way before room is looked for in all of them again.
_LOOK_PAUSE: Final = 64
#: A publisher yields this often to a subscriber that has nearly no room left; waking up takes one or two.
_TURNS_GRANTED: Final = 3
_TYPES: Final = frozenset(EventType)


class Publishing:
    """The half of an EventBus that publishers see.

    An event goes to the end of the tail, one list for everybody, and from there into the queues: when the loop turns
    next, or as soon as somebody looks. While nothing needs a closer look, that append is all that publishing is.
    """

    def __init__(self, admit: Callable[[Event], Event] | None) -> None:
        self._admit = admit
        self._routes = Routes()
        self._subscribers: dict[str, Subscriber] = {}
        self._sleepers: set[Subscriber] = set()
        self._wake_scheduled = False
        self._turns = 0  # of the loop, in which something was published
        self._tail = Tail()
        self._passed_over: list[Subscriber] = []  # busy, and full before the room that was found is used up
        self._look_pause = 0
        self._since_turn = 0
        self._here = nowhere()  # then the thread where it was opened
        self._loop: Loop | None = None
        self._accepting = False
        self._closing = False
        self._inbox = Inbox(self)
        self._middle = _Middle(self)
        self._published = 0
        self._is_forked = False
        tell_children(self)

    def _forked(self) -> None:
        """Mark that this process is a forked child of the one that opened the bus: its tasks and loop are not here."""
        if self._loop is None:
            self._inbox = Inbox(self)  # a thread of the parent may hold the lock of the other one
            return
        self._is_forked = True
        self._loop, self._here, self._accepting = None, nowhere(), False
        self._tail, self._inbox = Tail(), Inbox(self)

    def publish(self, event: Event) -> Coroutine[Any, Any, None]:
        """Queue it with every matching subscription, at the call: it is published, awaited or not, from any thread.

        `await bus.publish(event)` only waits for room where a full queue's policy is `Block`, and lets handlers have
        their turn; cancelling that changes nothing. Raise BusClosedError when the bus is not open.
        """
        tail = self._tail
        if len(tail.segment) < tail.room and self._here._is_owned():
            # As in publish_nowait(), written out: it is a call less on the path of every event.
            if self._admit is not None:
                event = self._admit(event)  # first, because it may look at the bus itself
            tail.segment.append(event) if type(event) is tail.kind else self._begin_segment(event)
            return COMPLETED
        return self._publish_carefully(event)

    def _publish_carefully(self, event: Event) -> Coroutine[Any, Any, None]:
        loop = self._require_open()
        _require_event(event)
        if self._middle or not loop.is_here():
            self._put_in_inbox(event, loop)
            return COMPLETED
        tail = self._tail
        if 0 < len(tail.segment) == tail.room and self._since_turn + tail.room >= _SEGMENT_MAX - 1:
            self._accept(event)  # at the last of the places that were found: one segment with those before
            return Later(self._yield)
        self._collect()
        if self._find_room():
            self._accept(event)
            return Later(self._yield) if self._since_turn >= _SEGMENT_MAX else COMPLETED
        return self._deliver(event)

    async def _yield(self) -> None:
        self._wake()  # before the publisher comes back, not after
        await anyio.lowlevel.checkpoint()

    def _deliver(self, event: Event) -> Coroutine[Any, Any, None]:
        """Deliver past the tail, because it is this publisher who waits in line where a queue is full."""
        if self._admit is not None:
            event = self._admit(event)
            _require_event(event)
            self._spread()  # what was published by who admits it
        self._published += 1
        self._since_turn += 1
        alone, places, tight, losses = [event], [], [], []
        with self._middle:
            for subscriber in self._routes.matching(event):
                if subscriber.lines_up():
                    places.append((subscriber, subscriber.queue.line_up(event)))
                    continue
                if subscriber.queue.take_in(alone):
                    losses.append(subscriber)
                if subscriber.is_tight:
                    tight.append(subscriber)
            self._wake_soon()
        for subscriber in losses:  # last, because who is told may publish
            report_loss(self, subscriber, 1, QUEUE_FULL)
        return Later(partial(self._wait_for_room, places, tight)) if places or tight else COMPLETED

    async def _wait_for_room(self, places: Sequence[tuple[Subscriber, Place]], tight: Sequence[Subscriber]) -> None:
        for _ in range(_TURNS_GRANTED):  # a subscriber that merely waits for its turn gets it
            if not any(subscriber.is_tight for subscriber in tight):
                break
            await self._yield()
            self._collect()
        for subscriber, place in places:
            await subscriber.wait_for_room(place)

    def publish_nowait(self, event: Event) -> None:
        """Publish without ever waiting, from any thread: a full queue drops as its policy says (Block: the newest)."""
        tail = self._tail
        if len(tail.segment) < tail.room and self._here._is_owned():
            # So many events may come without a look at any queue, and no other thread has published meanwhile.
            if self._admit is not None:
                event = self._admit(event)
            tail.segment.append(event) if type(event) is tail.kind else self._begin_segment(event)
            return
        loop = self._require_open()
        _require_event(event)
        if loop.is_here() and not self._middle:
            self._collect()
            self._find_room()
            self._accept(event)
        else:
            self._put_in_inbox(event, loop)

    def _accept(self, event: Event) -> None:
        if self._admit is not None:
            event = self._admit(event)
        tail = self._tail
        # In one line, here and above: between its parts nobody comes who publishes, too.
        tail.segment.append(event) if type(event) is tail.kind else self._begin_segment(event)

    def _begin_segment(self, event: Event) -> None:
        """Begin a segment for an event of another class than the last, or the first since the tail was handed on."""
        _require_event(event)
        with self._middle:
            self._tail.begin(event)
            if self._inbox:  # another thread may have closed the tail just while it was begun
                self._tail.close()
            self._wake_soon()

    def _wake_soon(self) -> None:
        if not self._wake_scheduled and self._loop is not None:
            self._wake_scheduled = True
            self._loop.call_soon(self._wake_in_turn)

    def _wake_in_turn(self) -> None:
        self._turns += 1
        self._wake()

    def _wake(self) -> None:
        """Hand the tail on and wake who has something to do: once for all that is published until the loop turns."""
        self._wake_scheduled = False
        self._spread()
        self._since_turn = 0
        for subscriber in [subscriber for subscriber in self._sleepers if subscriber.queue.waiting]:
            subscriber.wake()

    def _spread(self) -> None:
        """Put what was published into the queues that it goes to; what they have no room for is lost there."""
        if self._passed_over and any(subscriber.awaits_turn for subscriber in self._passed_over):
            self._passed_over = []
            self._tail.close()  # now it is worth a publisher's while to wait for it
        if not self._tail.segments:
            return
        losses = []
        with self._middle:
            for event_type, events in self._tail.take():
                self._published += len(events)
                self._since_turn += len(events)
                losses += self._routes.spread(event_type, events)
            if self._inbox:
                self._tail.close()
        for subscriber, count in losses:  # last, because who is told may publish
            report_loss(self, subscriber, count, QUEUE_FULL)

    def _require_open(self) -> Loop:
        loop = self._loop
        if loop is None or not self._accepting or (self._closing and self._own_handler() is None):
            self._require_own_process()
            raise BusClosedError("the bus is not open; publish inside `async with bus:` (or `async with runtime:`)")
        return loop

    def _require_own_process(self) -> None:
        if self._is_forked:
            raise BusClosedError("this bus belongs to the parent process; in a forked child, make another one")

    def _own_handler(self) -> Subscriber | None:
        """Return the subscription of this bus in whose handler, or a task of it, the calling code runs; else None."""
        here = current_subscriber.get()
        return here if here is not None and here.bus is self and not here.is_finished else None

    def _find_room(self) -> bool:
        """Find how many events may come without a look at any queue; return False if the next one needs a look.

        Loop thread only, with all that was published handed on; other threads may subscribe and publish meanwhile.
        """
        if not self._accepting or self._closing:
            return False
        if self._look_pause:
            self._look_pause -= 1
            return False
        with self._middle:
            return self._look_for_room()

    def _look_for_room(self) -> bool:
        room, self._passed_over, tightest = _SEGMENT_MAX, [], None
        for subscriber in list(self._subscribers.values()):
            free = subscriber.queue.free - subscriber.queue.spare
            if free >= room:
                continue
            if subscriber.drops_at_once:
                self._passed_over.append(subscriber)
            else:
                room, tightest = free, subscriber
        self._tail.room = room - 1  # whoever takes the last place lets others have their turn
        if room <= 0 and tightest is not None and tightest.may_block:
            self._look_pause = _LOOK_PAUSE  # one that drops is passed over as soon as it is at work
        if self._inbox:
            self._tail.close()
        return room > 0

    def _put_in_inbox(self, item: Event | Callable[[], None], loop: Loop) -> None:
        tell = self._inbox.put(item)
        self._tail.close()
        if tell:
            loop.call_threadsafe(self._collect)

    def _take_inbox(self) -> None:
        """Deliver what other threads published, and do what they changed, in their order."""
        if not self._inbox:
            return
        for item in self._inbox.take():
            if not isinstance(item, Event):
                item()
                continue
            if not self._accepting:
                self._inbox.drop(CLOSED)  # its publisher looked just before
                continue
            try:
                self._accept(item)
            except Exception as error:  # the edge: its publisher is gone, and those behind it must go on
                self._inbox.drop(f"{error!r}")

    def _collect(self) -> None:
        """Take in at once what was published so far, by other threads too. Loop thread only.

        In the middle of the bus's own work, which a finalizer may come into, it is taken in a moment later.
        """
        if not self._middle:
            self._take_inbox()
            self._spread()


def _require_event(event: Event) -> None:
    """Raise TypeError for what is no event."""
    if getattr(type(event), "type", None) not in _TYPES:
        raise TypeError(f"the bus carries hivecost events, got {event!r:.100}")


class _Middle:
    """To be entered while what is queued is divided between lists and counts. Loop thread only.

    The garbage collector may run a finalizer in any line of it, and the interpreter a signal handler, in the same
    thread. For those the bus is not on its own thread then: what they publish waits in the inbox.
    """

    __slots__ = ("_bus", "_depth", "_nowhere")

    def __init__(self, bus: Publishing) -> None:
        self._bus = bus
        self._depth = 0
        self._nowhere = nowhere()

    def __bool__(self) -> bool:
        return self._depth > 0

    def __enter__(self) -> None:
        self._depth += 1
        self._bus._here = self._nowhere  # noqa: SLF001  # it is a part of the bus

    def __exit__(self, *_: object) -> None:
        self._depth -= 1
        loop = self._bus._loop  # noqa: SLF001
        if not self._depth and loop is not None:
            self._bus._here = loop.here  # noqa: SLF001
