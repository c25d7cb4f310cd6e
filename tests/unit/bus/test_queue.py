"""A queue against a model of it, whatever comes in and whenever its handler takes something out."""

from __future__ import annotations

from collections.abc import Iterator

from hypothesis import given
from hypothesis import strategies as st

from hivecost.bus import Block, DropNewest, DropOldest, Overflow
from hivecost.bus.queue import Place, Queue
from hivecost.events import CustomEvent, Event

steps = st.one_of(
    st.tuples(st.just("come"), st.integers(1, 6)),
    st.tuples(st.just("take"), st.integers(1, 6), st.one_of(st.none(), st.integers(0, 40))),
    st.tuples(st.sampled_from(["line_up", "line_up", "let_in", "next", "finish", "clear", "give_up"])),
    st.tuples(st.just("leave_line"), st.integers(0, 3)),
)


class Model:
    """What the queue should hold: the event in hand, those that wait, perhaps in a part, and those in line behind."""

    def __init__(self, most: int, overflow: Overflow) -> None:
        self.queue = Queue(most, overflow)
        self.most, self.drops_oldest = most, isinstance(overflow, DropOldest)
        self.has_line = isinstance(overflow, Block)
        self.line: list[tuple[int, Place]] = []
        self.waiting: list[int] = []
        self.part: Iterator[Event] = iter(())
        self.is_busy = False
        self.published = self.handled = self.lost = 0

    def line_up(self) -> None:
        if self.has_line and self.queue.free <= 0:
            self.line.append((self.published, self.queue.line_up(CustomEvent(name=str(self.published)))))
            self.published += 1

    def let_in(self) -> None:
        places = self.advance_line()
        self.queue.let_in()
        assert [place.accepted for place in places] == self.last_accepted(len(places))

    def advance_line(self) -> list[Place]:
        count = min(len(self.line), self.most - self.is_busy - len(self.waiting))
        entering, self.line = self.line[:count], self.line[count:]
        self.waiting += [number for number, _ in entering]
        return [place for _, place in entering]

    def last_accepted(self, count: int) -> list[int]:
        return list(range(self.queue.accepted - count + 1, self.queue.accepted + 1))

    def leave_line(self, which: int) -> None:
        if which < len(self.line):
            _, place = self.line[which]
            assert self.queue.leave_line(place) == which + 1
            assert self.queue.leave_line(place) == 0
            self.lost += which + 1
            del self.line[: which + 1]

    def come(self, count: int) -> None:
        self.advance_line()
        numbers = list(range(self.published, self.published + count))
        self.published += count
        lost = max(0, self.is_busy + len(self.waiting) + count - self.most)
        self.lost += lost
        self.waiting = (
            [*self.waiting, *numbers][lost:] if self.drops_oldest else [*self.waiting, *numbers[: count - lost]]
        )
        events = [CustomEvent(name=str(number)) for number in numbers]
        assert self.queue.take_in(events) == lost
        assert [event.name for event in events] == [str(number) for number in numbers]

    def take(self, most: int, until: int | None) -> None:
        if not self.is_busy and self.waiting:
            part = self.queue.take(most, until)
            assert 0 < len(part) <= most
            assert [int(event.name) for event in part] == self.waiting[: len(part)]
            self.part = self.queue.one_by_one(part)
            self.next()

    def next(self) -> None:
        """The handler is done with the event in its hand, if there is one, and gets the next of its part."""
        self.handled += self.is_busy
        event = next(self.part, None)
        self.is_busy = event is not None
        if event is None:
            self.queue.in_hand = 0
        else:
            assert int(event.name) == self.waiting.pop(0)

    def finish(self) -> None:
        while self.is_busy:
            self.next()

    def clear(self) -> None:
        lost = len(self.waiting) + len(self.line)
        assert self.queue.clear() == lost
        self.lost += lost
        self.waiting, self.line = [], []

    def give_up(self) -> None:
        """Only who hands nothing on any more does."""
        self.clear()
        assert self.queue.give_up_in_hand() == self.is_busy
        self.lost += self.is_busy
        self.is_busy = False

    def check(self) -> None:
        queue = self.queue
        assert queue.pending == len(self.waiting) + self.is_busy <= self.most
        assert queue.free == self.most - queue.pending - len(self.line)
        assert [int(place.event.name) for place in queue.line] == [number for number, _ in self.line]
        assert not any(place.settled.is_set() for place in queue.line)
        assert queue.dropped == self.lost
        assert queue.accepted + queue.refused + len(queue.line) == self.published
        assert self.published == self.handled + self.lost + queue.pending + len(queue.line)
        assert queue.done - queue.discarded == self.handled
        assert len(queue._segments) <= queue.waiting


@given(
    plan=st.lists(steps, max_size=40),
    most=st.integers(1, 8),
    overflow=st.sampled_from([Block(), DropNewest(), DropOldest()]),
)
def test_b3_a_queue_holds_what_its_policy_keeps_in_order_and_counts_the_rest(plan, most, overflow):
    """B3: never over its limit, never more memory than what waits, every event handled, waiting or counted as lost."""
    model = Model(most, overflow)
    for name, *arguments in plan:
        getattr(model, name)(*arguments)
        model.check()
