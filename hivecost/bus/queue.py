"""What waits for one handler, and what becomes of one event too many."""

from __future__ import annotations

from collections import deque
from collections.abc import Iterator
from itertools import chain, islice
from operator import length_hint

from hivecost.bus.overflow import DropOldest, Overflow
from hivecost.events import Event


class Queue:
    """Runs of events that wait, the part that is handed on, and counts of all that came and went. Loop thread only.

    A run is shared with other queues, so nobody changes it. What is handed on stays in sight until it is done, so that
    it counts, and nothing is lost unsaid when its handler is cancelled in the middle of it.
    """

    def __init__(self, most: int, overflow: Overflow) -> None:
        self.most = most
        self.overflow = overflow
        self.waiting = 0  # events in `_runs`
        self.in_hand = 0  # events that the handler works on
        self.accepted = 0
        self.refused = 0  # dropped before they were accepted
        self.discarded = 0  # dropped after
        self._runs: deque[list[Event]] = deque()
        self._offset = 0  # so many of the first run are gone
        self._part: Iterator[Event] = iter(())  # what it has left comes before the runs, one by one

    @property
    def pending(self) -> int:
        """Events that wait or are in the handler's hands."""
        return self.waiting + self.in_hand + length_hint(self._part)

    @property
    def free(self) -> int:
        """How many more events it takes."""
        return self.most - self.pending

    @property
    def done(self) -> int:
        """How many of the accepted events are handled or lost."""
        return self.accepted - self.pending

    @property
    def dropped(self) -> int:
        return self.refused + self.discarded

    # -- in ----------------------------------------------------------------------------------------------------

    def take_in(self, events: list[Event]) -> int:
        """Queue events, which nobody changes any more, as far as the policy lets it; gives how many were lost."""
        lost = max(0, self.pending + len(events) - self.most)
        if lost:
            events = self._fit(events, lost)
        if events:
            self._runs.append(events)
            self.waiting += len(events)
            self.accepted += len(events)
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
        """So many of those that wait longest wait no more."""
        self.waiting -= count
        self._offset += count
        while self._runs and self._offset >= len(self._runs[0]):
            self._offset -= len(self._runs.popleft())

    # -- out ---------------------------------------------------------------------------------------------------

    def take(self, most: int, until: int | None) -> list[Event]:
        """The next part: a run as it is, or of short ones as many as make a part; not to be changed.

        At least one event must wait. With `until`, nothing that comes after so many accepted ones, unless all do.
        """
        if until is not None and until > self.accepted - self.waiting:
            most = min(most, until - (self.accepted - self.waiting))
        part, end = self._runs[0], self._offset + most
        if len(self._runs) > 1 and len(part) - self._offset < most // 4:
            part = list(islice(chain.from_iterable(self._runs), self._offset, end))
        elif self._offset or end < len(part):
            part = part[self._offset : end]
        self._pass_by(len(part))
        return part

    def hand_over(self, part: list[Event]) -> list[Event]:
        """All of it at once, in a list of the handler's own, to do with as it likes."""
        self.in_hand = len(part)
        return part.copy()

    def one_by_one(self, part: list[Event]) -> Iterator[Event]:
        """The same, but until its turn comes an event may still be dropped."""
        self._part, self.in_hand = iter(part), 1
        return self._part

    def clear(self) -> int:
        """Drop everything but what is in the handler's hands; gives how many events it were."""
        lost = self.pending - self.in_hand
        _skip(self._part, lost)  # whoever goes through it comes to its end
        self._runs.clear()
        self.waiting = self._offset = 0
        self.discarded += lost
        return lost

    def give_up_in_hand(self) -> int:
        """The handler will not be done with them; gives how many they were."""
        lost, self.in_hand = self.in_hand, 0
        self.discarded += lost
        return lost


def _skip(part: Iterator[Event], count: int) -> None:
    deque(islice(part, count), maxlen=0)
