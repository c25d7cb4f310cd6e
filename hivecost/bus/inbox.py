"""What other threads published and changed, until the loop takes it in: one wakeup for all of it."""

from __future__ import annotations

import logging
import threading
from collections import deque
from collections.abc import Callable, Iterator
from typing import Final

from hivecost.bus.rounding import reaches_round_number
from hivecost.events import Event
from hivecost.signals import events_dropped

#: Events from other threads that wait for the loop to take them in.
INBOX_MAX: Final = 100_000

#: An event, or a change to who subscribes.
Item = Event | Callable[[], None]

_log = logging.getLogger("hivecost.bus")


class Inbox:
    """Filled from any thread, emptied on the loop's."""

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
        """What is in it now, in the order of its arrival; who takes in meanwhile goes on where this stands."""
        with self._lock:
            self._announced = False
            count = len(self._items)
        for _ in range(count):
            if self._items:
                yield self._items.popleft()

    def drop(self, why: str) -> None:
        """One event is lost: counted and signalled."""
        self.dropped += 1
        if reaches_round_number(self.dropped):
            _log.warning("%d events from other threads are lost (%s)", self.dropped, why)
        events_dropped.announce(self._bus, subscription_id="", name="inbox", count=1, why=why)
