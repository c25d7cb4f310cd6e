"""What waits to be written: requests in order, taken together."""

from __future__ import annotations

from collections import deque
from collections.abc import Sequence
from typing import Final

import anyio

from hivecost.errors import StoreError
from hivecost.events import Event

#: A batch closes with the request that reaches this; larger transactions are no faster.
BATCH_EVENTS_MAX: Final = 4096


class Request:
    """Events that somebody wants logged, and what became of them."""

    __slots__ = ("done", "error", "events", "inserted")

    def __init__(self, events: Sequence[Event], done: anyio.Event | None = None) -> None:
        self.events = events
        #: Set when the commit that holds the events is through, or can never be; None when nobody waits.
        self.done = done
        self.inserted = 0
        self.error: StoreError | None = None


class Requests:
    """The queue. `events_count` is what it holds, the batches taken and not yet finished included."""

    def __init__(self) -> None:
        self._waiting: deque[Request] = deque()
        self._room = anyio.Event()
        self.events_count = 0

    def __bool__(self) -> bool:
        return bool(self._waiting)

    def put(self, request: Request) -> None:
        self._waiting.append(request)
        self.events_count += len(request.events)

    def take(self) -> list[Request]:
        """The next batch; empty when nothing waits. Call `finish` when it is through."""
        batch: list[Request] = []
        count = 0
        while self._waiting and count < BATCH_EVENTS_MAX:
            request = self._waiting.popleft()
            count += len(request.events)
            batch.append(request)
        return batch

    def finish(self, batch: Sequence[Request]) -> None:
        """Answer those who wait for these, and wake those who wait for room."""
        for request in batch:
            self.events_count -= len(request.events)
            if request.done is not None:
                request.done.set()
        self._room.set()
        self._room = anyio.Event()

    async def room(self) -> None:
        """Return when the next batch is finished."""
        await self._room.wait()
