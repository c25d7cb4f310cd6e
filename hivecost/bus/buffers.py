"""What was published and is in no queue yet: the tail on the loop's thread, the inbox of all others."""

from __future__ import annotations

import threading
from collections import deque
from collections.abc import Callable, Iterator
from typing import Final

from hivecost.bus.reporting import report_inbox_loss
from hivecost.events import Event, EventType

#: Events from other threads that wait for the loop to take them in.
INBOX_MAX: Final = 100_000

#: An event, or a change to who subscribes.
Item = Event | Callable[[], None]


class Tail:
    """Segments: events of one class, in the order in which they were published. Loop thread only, but for `close()`.

    What was published last, kept once for all subscriptions until one of them looks. A publisher appends to one list,
    however many subscribe, and subscriptions share it when it is handed on.
    """

    __slots__ = ("kind", "room", "segment", "segments")

    def __init__(self) -> None:
        self.segments: list[tuple[EventType, list[Event]]] = []
        #: The class of the events of the last segment; None: there is none.
        self.kind: type[Event] | None = None
        self.segment: list[Event] = []
        #: How long the last segment may grow before somebody looks at the queues.
        self.room = 0

    def begin(self, event: Event) -> None:
        """Begin a segment with this event, which is of another class than those before."""
        self.room -= len(self.segment)
        self.kind, self.segment = type(event), [event]
        self.segments.append((event.type, self.segment))

    def take(self) -> list[tuple[EventType, list[Event]]]:
        """Return all segments; there are none any more."""
        segments = self.segments
        self.room -= len(self.segment)
        self.segments, self.segment, self.kind = [], [], None
        return segments

    def close(self) -> None:
        """Make the next publisher look at the queues first. From any thread."""
        self.room = 0


class Inbox:
    """What other threads published and changed; one wakeup of the loop for all of it. Emptied on the loop's thread."""

    def __init__(self, bus: object) -> None:
        self.dropped = 0
        self._bus = bus
        self._lock = threading.RLock()  # a finalizer or a signal handler may publish in the middle of it
        self._items: deque[Item] = deque()
        self._announced = False

    def __bool__(self) -> bool:
        return bool(self._items)

    def put(self, item: Item) -> bool:
        """Keep it, if it is a change or there is room; True when the loop is to be told, which it was not yet."""
        if isinstance(item, Event) and len(self._items) >= INBOX_MAX:
            self.drop("the inbox is full: the loop takes nothing in")
            return False
        with self._lock:
            self._items.append(item)
            announced, self._announced = self._announced, True
        return not announced

    def take(self) -> Iterator[Item]:
        """Yield what is waiting now, in order of arrival; a taker that comes in between goes on from the same place."""
        with self._lock:
            self._announced = False
            count = len(self._items)
        for _ in range(count):
            if self._items:
                yield self._items.popleft()

    def drop(self, why: str) -> None:
        """Count and signal one event as lost."""
        self.dropped += 1
        report_inbox_loss(self._bus, self.dropped, why)
