"""One subscriber: its buffer, its task, its counts."""

from __future__ import annotations

import inspect
from collections import deque
from collections.abc import Callable, Mapping
from contextvars import ContextVar
from typing import Any, Final

import anyio
import anyio.lowlevel

from hivecost.bus.loops import Loop, Task, Wakeup
from hivecost.bus.overflow import Block, DropOldest, Overflow
from hivecost.bus.statistics import SubscriptionStatistics
from hivecost.events import Event

#: List handlers get at most this many events at a time; per-event handlers yield to the loop this often.
BATCH_MAX: Final = 1_000
_YIELD_EVERY: Final = 256
#: Why events were lost when their bus was closed before they could be handled.
CLOSED: Final = "the bus closed"

#: The subscription whose handler the current code runs in.
current_subscription: ContextVar[Subscription | None] = ContextVar("hivecost_subscription", default=None)

OnFailure = Callable[["Subscription", "Event | list[Event]", Exception], None]
OnDrop = Callable[["Subscription", int, str], None]


class Subscription:
    """Events go in at `offer` and out to the handler in order, one wakeup per batch.

    `accepted - done` is what waits or is in the handler's hands, so nothing is lost sight of when the task is
    cancelled in the middle of a batch.
    """

    def __init__(
        self,
        subscription_id: str,
        handler: Callable[[Any], Any],
        *,
        name: str,
        batch: bool,
        overflow: Overflow,
        max_queue: int,
        filters: Mapping[str, str],
        on_failure: OnFailure,
        on_drop: OnDrop,
    ) -> None:
        self.id = subscription_id
        self.name = name
        self.overflow = overflow
        self.max_queue = max_queue
        self.filters = filters
        self.accepted = 0
        self.done = 0
        self.ended = False
        self._handler = handler
        self._run_batch = self._as_list if batch else self._each
        self._is_async = inspect.iscoroutinefunction(handler) or inspect.iscoroutinefunction(
            getattr(handler, "__call__", None)  # noqa: B004  # the method itself is inspected, not callability
        )
        self._on_failure = on_failure
        self._on_drop = on_drop
        self._buffer: deque[Event] = deque()
        self._wakeup = Wakeup()
        self._asleep = False
        self._stalled = False
        self._refused = 0  # dropped before they were accepted
        self._discarded = 0  # dropped after
        self._failed = 0
        self._task: Task | None = None
        self._finished: anyio.Event | None = None
        self._room_waiters: deque[anyio.Event] = deque()
        self._done_waiters: list[tuple[int, anyio.Event]] = []

    # -- taking in ---------------------------------------------------------------------------------------------

    @property
    def pending(self) -> int:
        """Events that wait or are in the handler's hands."""
        return self.accepted - self.done

    @property
    def is_finished(self) -> bool:
        """True once no handler call is running nor will be."""
        return self._finished is None or self._finished.is_set()

    @property
    def is_full(self) -> bool:
        return self.accepted - self.done >= self.max_queue

    def wants(self, event: Event) -> bool:
        """True when every filter matches."""
        return all(getattr(event, field) == value for field, value in self.filters.items())

    def offer(self, event: Event) -> None:
        """Queue the event, or do what the overflow policy says. Loop thread only; never waits."""
        if self.accepted - self.done >= self.max_queue and not self._make_room():
            self._refused += 1
            self._on_drop(self, 1, "queue full")
            return
        self._buffer.append(event)
        self.accepted += 1
        if self._asleep:
            self._asleep = False
            self._wakeup.set()

    def _make_room(self) -> bool:
        """Drop the oldest waiting event where the policy allows it; what the handler holds cannot be dropped."""
        if not isinstance(self.overflow, DropOldest) or not self._buffer:
            return False
        self._buffer.popleft()
        self.done += 1
        self._discarded += 1
        self._on_drop(self, 1, "queue full")
        return True

    def blocks_publisher(self) -> bool:
        """True when a publisher that finds this queue full should wait for it."""
        return (
            isinstance(self.overflow, Block)
            and not (self._stalled or self.ended)
            and current_subscription.get() is not self
        )

    async def wait_for_room(self) -> None:
        """Wait until there is room, as long as `Block` grants; past that, nobody waits until the subscriber moves."""
        assert isinstance(self.overflow, Block)  # noqa: S101  # blocks_publisher() was asked
        with anyio.move_on_after(self.overflow.timeout_s) as scope:
            while self.is_full and not self.ended:
                waiter = anyio.Event()
                self._room_waiters.append(waiter)
                await waiter.wait()
        self._stalled = scope.cancelled_caught

    # -- handing on --------------------------------------------------------------------------------------------

    def start(self, loop: Loop) -> None:
        if self._task is None and not self.ended:
            self._finished = anyio.Event()
            self._task = loop.spawn(self._run, f"hivecost subscription {self.name}")

    async def _run(self) -> None:
        current_subscription.set(self)
        try:
            while not self.ended:
                if not self._buffer:
                    self._asleep = True
                    await self._wakeup.wait()
                    continue
                batch, self._buffer = self._buffer, deque()
                await self._run_batch(batch)
                await anyio.lowlevel.checkpoint()
        finally:
            self._asleep = False
            self.end("the subscriber's task ended")
            if self._finished is not None:
                self._finished.set()

    async def _each(self, batch: deque[Event]) -> None:
        handler, is_async = self._handler, self._is_async
        for position, event in enumerate(batch, 1):
            try:
                if is_async:
                    await handler(event)
                else:
                    result = handler(event)
                    if result is not None and inspect.isawaitable(result):
                        await result
            except Exception as error:  # the edge: a handler's fault is its own
                self._report_failure(event, error)
            except anyio.get_cancelled_exc_class() as error:
                self._survive_foreign_cancellation(event, error)
            self._count_done(1)
            if self.ended:
                return
            if not position % _YIELD_EVERY:
                await anyio.lowlevel.checkpoint()

    async def _as_list(self, batch: deque[Event]) -> None:
        events = list(batch)
        for start in range(0, len(events), BATCH_MAX):
            part = events[start : start + BATCH_MAX]
            try:
                result = self._handler(part)
                if result is not None and inspect.isawaitable(result):
                    await result
            except Exception as error:  # the edge: a handler's fault is its own
                self._report_failure(part, error)
            except anyio.get_cancelled_exc_class() as error:
                self._survive_foreign_cancellation(part, error)
            self._count_done(len(part))
            if self.ended:
                return

    def _report_failure(self, event: Event | list[Event], error: Exception) -> None:
        self._failed += 1
        self._on_failure(self, event, error)

    def _survive_foreign_cancellation(self, event: Event | list[Event], error: BaseException) -> None:
        """A handler that awaited something cancelled raises like one that is cancelled; only the latter ends us."""
        if self._task is None or self._task.was_cancelled():
            raise error
        self._report_failure(event, RuntimeError(f"the handler awaited something that was cancelled: {error!r}"))

    def _count_done(self, count: int) -> None:
        if self.ended:
            return  # already counted as lost
        self.done += count
        self._stalled = False
        if self._room_waiters:
            self._wake_room_waiters(count)
        if self._done_waiters:
            self._wake_done_waiters()

    def _wake_room_waiters(self, count: int) -> None:
        for _ in range(len(self._room_waiters) if not self.pending else min(count, len(self._room_waiters))):
            self._room_waiters.popleft().set()

    def _wake_done_waiters(self) -> None:
        for target, waiter in self._done_waiters:
            if self.done >= target:
                waiter.set()
        self._done_waiters = [(target, waiter) for target, waiter in self._done_waiters if self.done < target]

    async def wait_done(self) -> None:
        """Return when everything accepted so far is handled or lost."""
        target = self.accepted
        if self.done >= target:
            return
        waiter = anyio.Event()
        self._done_waiters.append((target, waiter))
        await waiter.wait()

    # -- ending ------------------------------------------------------------------------------------------------

    def end(self, why: str) -> None:
        """Hand nothing on any more; what was still pending is counted as lost. Loop thread only."""
        if self.ended:
            return
        self.ended = True
        lost, self.done = self.pending, self.accepted
        self._buffer.clear()
        if lost:
            self._discarded += lost
            self._on_drop(self, lost, why)
        for room_waiter in self._room_waiters:
            room_waiter.set()
        self._wake_done_waiters()
        self._wakeup.set()

    async def stop(self, grace_s: float) -> bool:
        """Cancel the task and wait for it; False when it ignores that for `grace_s` and is abandoned."""
        self.end(CLOSED)
        if self._task is None or self._finished is None or current_subscription.get() is self:
            return True
        if not self._finished.is_set():
            self._task.cancel()
        with anyio.move_on_after(grace_s):
            await self._finished.wait()
        return self._finished.is_set()

    def statistics(self) -> SubscriptionStatistics:
        return SubscriptionStatistics(
            subscription_id=self.id,
            name=self.name,
            published=self.accepted + self._refused,
            handled=self.done - self._discarded,
            failed=self._failed,
            dropped=self._refused + self._discarded,
            queued=self.pending,
            max_queue=self.max_queue,
        )
