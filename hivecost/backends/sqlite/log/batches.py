"""What waits to be written: events in batches, each of which is one commit."""

from __future__ import annotations

from collections import deque
from collections.abc import Mapping, Sequence
from typing import Final

import anyio

from hivecost.errors import StoreError, StoreLockedError
from hivecost.events import Event

#: A batch closes with the events that reach this; larger transactions are no faster.
BATCH_EVENTS_MAX: Final = 4096


class Batch:
    """Events that are committed together, and what became of them. All who wait for one commit share one wakeup."""

    __slots__ = ("_done", "_errors", "_inserted", "_postponed", "events", "is_finished")

    def __init__(self) -> None:
        self.events: list[Event] = []
        self.is_finished = False
        self._inserted: Sequence[bool] = ()
        self._errors: Mapping[int, StoreError] = {}
        self._postponed: StoreLockedError | None = None
        self._done: anyio.Event | None = None  # made by the first who waits

    async def wait(self) -> None:
        """Return when the commit is through, or can never be.

        Raise the StoreLockedError of `postpone`, when that is called first: the events still wait for their commit.
        """
        if not self.is_finished:
            if self._done is None:
                self._done = anyio.Event()
            await self._done.wait()
            if not self.is_finished and self._postponed is not None:
                raise self._postponed.with_traceback(None)

    def postpone(self, error: StoreLockedError) -> None:
        """Let those who wait now wait no longer, and the events stay."""
        done, self._done, self._postponed = self._done, None, error
        if done is not None:
            done.set()

    def inserted(self, start: int, stop: int) -> int:
        """Return how many of these events were new. Raise the StoreError of the first that could not be logged."""
        if self._errors:
            for index in range(start, stop):
                if index in self._errors:
                    # Each who raised it would add their frames, and what those hold.
                    raise self._errors[index].with_traceback(None)
        return sum(self._inserted[start:stop])

    def finish(self, inserted: Sequence[bool], errors: Mapping[int, StoreError]) -> None:
        """Answer all who wait: for each event whether its row is new, and by index why it cannot be logged."""
        self._inserted, self._errors, self.is_finished = inserted, errors, True
        if self._done is not None:
            self._done.set()


class Batches:
    """The queue. `events_count` is what it holds; a batch is in it until it is finished."""

    def __init__(self) -> None:
        self._unfinished: deque[Batch] = deque()
        self._open: Batch | None = None  # the last, while it takes more events
        self.events_count = 0

    def __bool__(self) -> bool:
        return bool(self._unfinished)

    @property
    def oldest(self) -> Batch:
        """The batch that is finished next. Raises IndexError when nothing waits."""
        return self._unfinished[0]

    def put(self, events: Sequence[Event]) -> Batch:
        """Add the events to the open batch, and return the batch that has the last of them."""
        batch = self._open
        if batch is None:
            batch = self._open = Batch()
            self._unfinished.append(batch)
        batch.events.extend(events)
        self.events_count += len(events)
        if len(batch.events) >= BATCH_EVENTS_MAX:
            self._open = None
        return batch

    def postpone(self, error: StoreLockedError) -> None:
        """Raise the error where somebody waits for a commit; everything stays in the queue."""
        for batch in self._unfinished:
            batch.postpone(error)

    def close_oldest(self) -> Batch:
        """Return the batch to commit next, and close it: later events go into another."""
        batch = self.oldest
        if batch is self._open:
            self._open = None
        return batch

    def finish_oldest(self, inserted: Sequence[bool], errors: Mapping[int, StoreError]) -> None:
        """Answer those who wait for it."""
        batch = self._unfinished.popleft()
        if batch is self._open:
            self._open = None
        self.events_count -= len(batch.events)
        batch.finish(inserted, errors)
