"""What waits for one handler, and what becomes of one event too many."""

from __future__ import annotations

from collections import deque
from collections.abc import Iterator
from itertools import chain, islice
from operator import length_hint
from typing import Final

import anyio

from hivecost.bus.overflow import Block, DropOldest, Overflow
from hivecost.events import Event

#: Events that may wait in line before one full queue that blocks.
LINE_MAX: Final = 10_000
#: A queue that drops is nearly full when it has room for so many, or for a quarter of what it may hold.
_SPARE_MAX: Final = 64


class Place:
    """An event's place in the line before a full queue."""

    __slots__ = ("accepted", "event", "settled")

    def __init__(self, event: Event) -> None:
        self.event = event
        #: It is in the queue, or lost.
        self.settled = anyio.Event()
        #: How many events the queue had accepted then.
        self.accepted = 0

    def settle(self, accepted: int) -> None:
        """End the wait of the event, which is in the queue or lost; `accepted` is the queue's count by then."""
        self.accepted = accepted
        self.settled.set()


class Queue:
    """Segments of events that wait, the part that is handed on, and counts of all that came and went. Loop thread only.

    A segment is shared with other queues, so nobody changes it. What is handed on stays in sight until it is done, so
    that it counts, and nothing is lost unsaid when its handler is cancelled in the middle of it.
    """

    def __init__(self, most: int, overflow: Overflow) -> None:
        self.most = most
        self.overflow = overflow
        self.waiting = 0  # events in `_segments`
        self.in_hand = 0  # events that the handler works on
        self.accepted = 0
        self.refused = 0  # dropped before they were accepted
        self.discarded = 0  # dropped after
        #: Events that wait for room. While there are any, nothing overtakes them: the queue is full for all others.
        self.line: deque[Place] = deque()
        #: Publishers that can wait do so when there is less room than this, so that several of them overfill nothing.
        self.spare = 0 if isinstance(overflow, Block) else max(1, min(_SPARE_MAX, most // 4))
        self._segments: deque[list[Event]] = deque()
        self._offset = 0  # so many of the first segment are gone
        self._part: Iterator[Event] = iter(())  # what it has left comes before the segments, one by one
        #: Whoever goes through it looks at the line after each event; else it ends when somebody lines up.
        self.is_watched = False

    @property
    def pending(self) -> int:
        """Events that wait or are in the handler's hands."""
        return self.waiting + self.in_hand + length_hint(self._part)

    @property
    def free(self) -> int:
        """How many more events it takes; none or less: whatever comes has to wait or is lost."""
        return self.most - self.pending - len(self.line)

    @property
    def done(self) -> int:
        """How many of the accepted events are handled or lost."""
        return self.accepted - self.pending

    @property
    def dropped(self) -> int:
        """How many events were dropped, before they were accepted or after."""
        return self.refused + self.discarded

    # -- in ----------------------------------------------------------------------------------------------------

    def take_in(self, events: list[Event]) -> int:
        """Queue events, which nobody changes any more, as far as the policy lets it; gives how many were lost."""
        if self.line:
            self.let_in()
        lost = max(0, self.pending + len(events) - self.most)
        if lost:
            events = self._fit(events, lost)
        if events:
            self._append(events)
        return lost

    def _append(self, events: list[Event]) -> None:
        self._segments.append(events)
        self.waiting += len(events)
        self.accepted += len(events)

    def line_up(self, event: Event) -> Place:
        """Give the event the last place in line. The queue must be full."""
        if not self.is_watched:
            self._put_back()
        place = Place(event)
        self.line.append(place)
        return place

    def _put_back(self) -> None:
        """End the part that is handed on one by one with the event in hand; the rest waits again, before all others."""
        rest = list(self._part)
        if rest:
            if self._offset:
                self._segments[0], self._offset = self._segments[0][self._offset :], 0
            self._segments.appendleft(rest)
            self.waiting += len(rest)

    def let_in(self) -> None:
        """Let in as many of the events in line as there is room for, those that wait longest first."""
        places = [self.line.popleft() for _ in range(min(self.most - self.pending, len(self.line)))]
        if places:
            before = self.accepted
            self._append([place.event for place in places])
            for position, place in enumerate(places, before + 1):
                place.settle(position)

    def leave_line(self, place: Place) -> int:
        """Drop it, and those before it, which wait longer; gives how many events they were."""
        lost = 0
        while not place.settled.is_set():
            self.line.popleft().settle(self.accepted)
            lost += 1
        self.refused += lost
        return lost

    def _fit(self, events: list[Event], lost: int) -> list[Event]:
        """Drop so many: DropOldest those that wait longest, as what the handler holds cannot be, else the last."""
        if isinstance(self.overflow, DropOldest):
            lost -= self._displace(lost)
            kept = events[lost:]
        else:
            kept = events[: len(events) - lost]
        self.refused += lost
        return kept

    def _displace(self, most: int) -> int:
        dropped = min(most, length_hint(self._part))
        _skip(self._part, dropped)
        waited = min(most - dropped, self.waiting)
        self._pass_by(waited)
        self.discarded += dropped + waited
        return dropped + waited

    def _pass_by(self, count: int) -> None:
        """Take off so many of the events that wait longest."""
        self.waiting -= count
        self._offset += count
        while self._segments and self._offset >= len(self._segments[0]):
            self._offset -= len(self._segments.popleft())

    # -- out ---------------------------------------------------------------------------------------------------

    def take(self, most: int, until: int | None) -> list[Event]:
        """Take the next part: a segment as it is, or as many short ones as make a part; the list must not be changed.

        At least one event must wait. With `until`, nothing that comes after so many accepted ones, unless all do.
        """
        if until is not None and until > self.accepted - self.waiting:
            most = min(most, until - (self.accepted - self.waiting))
        part, end = self._segments[0], self._offset + most
        if len(self._segments) > 1 and len(part) - self._offset < most // 4:
            part = list(islice(chain.from_iterable(self._segments), self._offset, end))
        elif self._offset or end < len(part):
            part = part[self._offset : end]
        self._pass_by(len(part))
        return part

    def hand_over(self, part: list[Event]) -> list[Event]:
        """Hand over the whole part at once, in a list of the handler's own, to do with as it likes."""
        self.in_hand = len(part)
        return part.copy()

    def one_by_one(self, part: list[Event]) -> Iterator[Event]:
        """Iterate over a part, from which events may still be dropped until their turn comes."""
        self._part, self.in_hand, self.is_watched = iter(part), 1, bool(self.line)
        return self._part

    def clear(self) -> int:
        """Drop everything but what is in the handler's hands; gives how many events it were."""
        lost = self.pending - self.in_hand
        _skip(self._part, lost)  # whoever goes through it comes to its end
        self._segments.clear()
        self.waiting = self._offset = 0
        self.discarded += lost
        return lost + (self.leave_line(self.line[-1]) if self.line else 0)

    def give_up_in_hand(self) -> int:
        """Count the events in hand as lost, because the handler will not finish them; return their number."""
        lost, self.in_hand = self.in_hand, 0
        self.discarded += lost
        return lost


def _skip(part: Iterator[Event], count: int) -> None:
    deque(islice(part, count), maxlen=0)
