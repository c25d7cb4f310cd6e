"""One subscriber: its buffer, its task, its counts."""

from __future__ import annotations

import inspect
from collections import Counter, deque
from collections.abc import Callable, Iterator, Mapping
from contextvars import ContextVar
from itertools import islice
from operator import length_hint
from typing import Any, Final

import anyio
import anyio.lowlevel

from hivecost.bus.loops import Loop, Task, Wakeup
from hivecost.bus.overflow import Block, DropOldest, Overflow
from hivecost.bus.statistics import SubscriptionStatistics
from hivecost.events import Event

#: List handlers get at most this many events at a time; per-event handlers yield to the loop this often.
BATCH_MAX: Final = 4_000
_YIELD_EVERY: Final = 1_000
#: A publisher that waits for room looks again after so long, while a slow handler works through its events.
_LOOK_AGAIN_S: Final = 0.002
#: Why events were lost when their bus was closed before they could be handled.
CLOSED: Final = "the bus closed"

#: The subscription whose handler the current code runs in.
current_subscription: ContextVar[Subscription | None] = ContextVar("hivecost_subscription", default=None)

OnFailure = Callable[["Subscription", "Event | list[Event]", Exception], None]
OnDrop = Callable[["Subscription", int, str], None]
OnEnd = Callable[["Subscription"], None]


class Subscription:
    """Events go into `buffer` and out to the handler in order, one wakeup per batch.

    `collect` brings what was published, and is not in the buffer yet, there. The batch in flight stays on the
    subscription, so nothing is lost sight of when the task is cancelled in the middle of it.
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
        sleepers: set[Subscription],
        collect: Callable[[], None],
        on_failure: OnFailure,
        on_drop: OnDrop,
        on_end: OnEnd,
    ) -> None:
        self.id = subscription_id
        self.name = name
        self.overflow = overflow
        self.max_queue = max_queue
        self.filters = filters
        self.buffer: deque[Event] = deque()
        self.ended = False
        self._sleepers = sleepers
        self._collect = collect
        self._handler = handler
        self._is_list = batch
        self._is_async = inspect.iscoroutinefunction(handler) or inspect.iscoroutinefunction(
            getattr(handler, "__call__", None)  # noqa: B004  # the method itself is inspected, not callability
        )
        self._on_failure = on_failure
        self._on_drop = on_drop
        self._on_end = on_end
        self._batch: Iterator[Event] = iter(())  # what it has left is still to be handled
        self._part: Iterator[Event] = iter(())  # and this before it, one by one
        self._in_hand = 0  # events that the handler works on
        self._taken = 0  # events that left the buffer, for the handler or for good
        self._refused = 0  # dropped before they were accepted
        self._discarded = 0  # dropped after
        self._failed = 0
        self._failures: Counter[type[Exception]] = Counter()
        self._task: Task | None = None
        self._wakeup: Wakeup | None = None
        self._finished: anyio.Event | None = None
        self._stalled_at: int | None = None  # somebody waited in vain while so many were done
        self._room_waiters: deque[anyio.Event] = deque()
        self._done_waiters: list[tuple[int, anyio.Event]] = []

    # -- taking in ---------------------------------------------------------------------------------------------

    @property
    def pending(self) -> int:
        """Events that wait or are in the handler's hands."""
        return len(self.buffer) + self._in_hand + length_hint(self._part) + length_hint(self._batch)

    @property
    def _accepted(self) -> int:
        return self._taken + len(self.buffer)

    @property
    def _done(self) -> int:
        return self._taken + len(self.buffer) - self.pending

    @property
    def dropped(self) -> int:
        """Events that it lost."""
        return self._refused + self._discarded

    @property
    def is_finished(self) -> bool:
        """True once no handler call is running nor will be."""
        return self._finished is None or self._finished.is_set()

    @property
    def free(self) -> int:
        """How many more events it takes."""
        return self.max_queue - self.pending

    @property
    def is_full(self) -> bool:
        return self.pending >= self.max_queue

    def wants(self, event: Event) -> bool:
        """True when every filter matches."""
        return all(getattr(event, field) == value for field, value in self.filters.items())

    @property
    def awaits_turn(self) -> bool:
        """Its handler is not at work: what waits only has to be let run."""
        return not self._in_hand

    def offer(self, event: Event) -> bool:
        """Queue the event, or do what the overflow policy says; False when one was lost. Loop thread only."""
        was_full = self.is_full
        if was_full and not self._make_room():
            self._refused += 1
            return False
        self.buffer.append(event)
        return not was_full

    def wake(self) -> None:
        """End its sleep, if it sleeps."""
        self._sleepers.discard(self)
        if self._wakeup is not None:
            self._wakeup.set()

    def _make_room(self) -> bool:
        """Drop the oldest waiting event where the policy allows it; what the handler holds cannot be dropped."""
        if not isinstance(self.overflow, DropOldest):
            return False
        if next(self._part, None) is None and next(self._batch, None) is None:
            if not self.buffer:
                return False
            self.buffer.popleft()
            self._taken += 1
        self._discarded += 1
        return True

    def blocks_publisher(self) -> bool:
        """True when a publisher that finds this queue full should wait for it."""
        return (
            isinstance(self.overflow, Block)
            and not (self._stalled_at == self._done or self.ended)
            and current_subscription.get() is not self
        )

    async def wait_for_room(self) -> None:
        """Wait until there is room, as long as `Block` grants; past that, nobody waits until the subscriber moves."""
        assert isinstance(self.overflow, Block)  # noqa: S101  # blocks_publisher() was asked
        with anyio.move_on_after(self.overflow.timeout_s) as scope:
            while self.is_full and not self.ended:
                waiter = anyio.Event()
                self._room_waiters.append(waiter)
                try:
                    with anyio.move_on_after(_LOOK_AGAIN_S):
                        await waiter.wait()
                finally:
                    if not waiter.is_set():
                        self._room_waiters.remove(waiter)
        if scope.cancelled_caught:
            self._stalled_at = self._done

    # -- handing on --------------------------------------------------------------------------------------------

    def reopen(self) -> bool:
        """Ready for another run of the bus; False while a handler call of the last run still ignores its end."""
        if not self.is_finished:
            return False
        self.ended, self._stalled_at, self._task = False, None, None
        return True

    def start(self, loop: Loop) -> None:
        if self._task is None and not self.ended:
            self._finished = anyio.Event()
            self._wakeup = loop.new_wakeup()
            self._task = loop.spawn(self._run, f"hivecost subscription {self.name}")

    async def _run(self) -> None:
        current_subscription.set(self)
        assert self._wakeup is not None  # noqa: S101  # made before the task
        try:
            while not self.ended:
                self._collect()
                if not self.buffer:
                    self._sleepers.add(self)
                    await self._wakeup.wait()
                    continue
                await self._run_batch(self._take())
                self._collect()
                if self.buffer:
                    await anyio.lowlevel.checkpoint()
        finally:
            self._sleepers.discard(self)
            if not self.ended:  # its handler cancelled it
                self._on_end(self)
            if self._finished is not None:
                self._finished.set()

    def _take(self) -> list[Event]:
        """Everything that waits, but nothing that comes after what somebody waits for."""
        if self._done_waiters:
            awaited = min(target for target, _ in self._done_waiters) - self._taken
            if 0 < awaited < len(self.buffer):
                self._taken += awaited
                return [self.buffer.popleft() for _ in range(awaited)]
        batch = list(self.buffer)
        self.buffer.clear()
        self._taken += len(batch)
        return batch

    async def _run_batch(self, batch: list[Event]) -> None:
        hand_on = self._as_list if self._is_list else self._await_each if self._is_async else self._call_each
        size = BATCH_MAX if self._is_list else _YIELD_EVERY
        self._batch = iter(batch)
        while part := list(islice(self._batch, size)):
            await hand_on(part)
            self._in_hand = 0
            self._report_progress()
            if length_hint(self._batch):
                await anyio.lowlevel.checkpoint()

    async def _await_each(self, part: list[Event]) -> None:
        handler, self._part, self._in_hand = self._handler, iter(part), 1
        for event in self._part:
            try:
                await handler(event)
            except Exception as error:  # the edge: a handler's fault is its own
                self._report_failure(event, error)
            except anyio.get_cancelled_exc_class() as error:
                self._survive_foreign_cancellation(event, error)

    async def _call_each(self, part: list[Event]) -> None:
        handler, self._part, self._in_hand = self._handler, iter(part), 1
        for event in self._part:
            try:
                result = handler(event)
                if result is not None and inspect.isawaitable(result):
                    await result
            except Exception as error:  # the edge: a handler's fault is its own
                self._report_failure(event, error)
            except anyio.get_cancelled_exc_class() as error:
                self._survive_foreign_cancellation(event, error)

    async def _as_list(self, part: list[Event]) -> None:
        self._in_hand = len(part)
        try:
            result = self._handler(part)
            if result is not None and inspect.isawaitable(result):
                await result
        except Exception as error:  # the edge: a handler's fault is its own
            self._report_failure(part, error)
        except anyio.get_cancelled_exc_class() as error:
            self._survive_foreign_cancellation(part, error)

    def count_failures_like(self, error: Exception) -> int:
        """How often it has raised an error of this class, this time included."""
        self._failures[type(error)] += 1
        return self._failures[type(error)]

    def _report_failure(self, event: Event | list[Event], error: Exception) -> None:
        self._failed += 1
        self._on_failure(self, event, error)

    def _survive_foreign_cancellation(self, event: Event | list[Event], error: BaseException) -> None:
        """A handler that awaited something cancelled raises like one that is cancelled; only the latter ends us."""
        if self._task is None or self._task.was_cancelled():
            raise error
        self._report_failure(event, RuntimeError(f"the handler awaited something that was cancelled: {error!r}"))

    def _report_progress(self) -> None:
        """Tell those who wait for room, or for what they published to be handled."""
        for _ in range(min(self.free, len(self._room_waiters))):
            self._room_waiters.popleft().set()
        if self._done_waiters:
            self._wake_done_waiters()

    def _wake_done_waiters(self) -> None:
        done = self._done
        for target, waiter in self._done_waiters:
            if done >= target:
                waiter.set()
        self._done_waiters = [(target, waiter) for target, waiter in self._done_waiters if done < target]

    async def wait_done(self) -> None:
        """Return when everything accepted so far is handled or lost."""
        target = self._accepted
        if self._done >= target:
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
        lost = self.pending
        self._taken += len(self.buffer)
        self.buffer.clear()
        self._in_hand = 0
        for left in (self._part, self._batch):
            deque(left, maxlen=0)  # whoever goes through it comes to its end
        if lost:
            self._discarded += lost
            self._on_drop(self, lost, why)
        while self._room_waiters:
            self._room_waiters.popleft().set()
        self._wake_done_waiters()
        self.wake()

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
            published=self._accepted + self._refused,
            handled=self._done - self._discarded,
            failed=self._failed,
            dropped=self.dropped,
            queued=self.pending,
            max_queue=self.max_queue,
        )
