"""What other threads published, until the loop takes it in: one wakeup for all of it."""

from __future__ import annotations

import logging
import threading
from collections import deque
from typing import Final

from hivecost.bus.rounding import is_round
from hivecost.events import Event
from hivecost.signals import events_dropped

#: Events from other threads that wait for the loop to take them in.
INBOX_MAX: Final = 100_000

_log = logging.getLogger("hivecost.bus")


class Inbox:
    """Filled from any thread, emptied on the loop's."""

    def __init__(self, bus: object) -> None:
        self.dropped = 0
        self._bus = bus
        self._lock = threading.Lock()
        self._events: deque[Event] = deque()
        self._announced = False

    def __bool__(self) -> bool:
        return bool(self._events)

    def put(self, event: Event) -> bool:
        """Keep the event, if there is room; True when the loop is to be told, which it was not yet."""
        if len(self._events) >= INBOX_MAX:
            self.drop("the inbox is full: the loop takes nothing in")
            return False
        with self._lock:
            self._events.append(event)
            announced, self._announced = self._announced, True
        return not announced

    def take(self) -> deque[Event]:
        """Everything in it, in the order of its arrival."""
        with self._lock:
            events, self._events = self._events, deque()
            self._announced = False
        return events

    def drop(self, why: str) -> None:
        """One event is lost: counted and signalled."""
        self.dropped += 1
        if is_round(self.dropped):
            _log.warning("%d events from other threads are lost (%s)", self.dropped, why)
        events_dropped.announce(self._bus, subscription_id="", name="inbox", count=1, why=why)
