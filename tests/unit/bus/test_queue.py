"""A queue against a model of it, whatever comes in and whenever its handler takes something out."""

from __future__ import annotations

from collections.abc import Iterator

from hypothesis import given
from hypothesis import strategies as st

from hivecost.bus import Block, DropNewest, DropOldest, Overflow
from hivecost.bus.queue import Queue
from hivecost.events import CustomEvent, Event

steps = st.one_of(
    st.tuples(st.just("come"), st.integers(1, 6)),
    st.tuples(st.just("take"), st.integers(1, 6), st.one_of(st.none(), st.integers(0, 40))),
    st.tuples(st.sampled_from(["next", "finish", "clear", "give_up"])),
)


class Model:
    """What the queue should hold: the events that wait, the first of them perhaps in a part, and the one in hand."""

    def __init__(self, most: int, overflow: Overflow) -> None:
        self.queue = Queue(most, overflow)
        self.most, self.drops_oldest = most, isinstance(overflow, DropOldest)
        self.waiting: list[int] = []
        self.part: Iterator[Event] = iter(())
        self.is_busy = False
        self.published = self.handled = self.lost = 0

    def come(self, count: int) -> None:
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
        lost = len(self.waiting)
        assert self.queue.clear() == lost
        self.lost += lost
        self.waiting = []

    def give_up(self) -> None:
        """Only who hands nothing on any more does."""
        self.clear()
        assert self.queue.give_up_in_hand() == self.is_busy
        self.lost += self.is_busy
        self.is_busy = False

    def check(self) -> None:
        queue = self.queue
        assert queue.pending == len(self.waiting) + self.is_busy <= self.most
        assert queue.free == self.most - queue.pending
        assert queue.dropped == self.lost
        assert queue.accepted + queue.refused == self.published == self.handled + self.lost + queue.pending
        assert queue.done - queue.discarded == self.handled
        assert len(queue._runs) <= queue.waiting


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
