"""One subscriber: its buffer, its task, its counts."""

from __future__ import annotations

import inspect
from collections import Counter, deque
from collections.abc import Callable, Coroutine, Iterator, Mapping
from contextvars import ContextVar
from itertools import chain, islice
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
_YIELD_EVERY: Final = 1_024
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
    """Runs of events come in, and go to the handler in order, one wakeup for all that wait.

    A run is shared with the other subscriptions, so nobody changes it. `collect` brings in what was published and is
    not here yet. The part in flight stays on the subscription, so nothing is lost sight of when the task is cancelled
    in the middle of it.
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
        self.waiting = 0  # events in `_runs`
        self.ended = False
        self._sleepers = sleepers
        self._collect = collect
        self._handler = handler
        self._on_failure = on_failure
        self._on_drop = on_drop
        self._on_end = on_end
        self._hand_on: Callable[[list[Event]], Coroutine[Any, Any, None]] = (
            self._as_list if batch else self._await_each if _is_async(handler) else self._call_each
        )
        self._part_max = BATCH_MAX if batch else _YIELD_EVERY
        self._runs: deque[list[Event]] = deque()
        self._offset = 0  # so many of the first run are gone
        self._part: Iterator[Event] = iter(())  # what it has left comes before them, one by one
        self._in_hand = 0  # events that the handler works on
        self._accepted = 0
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
        return self.waiting + self._in_hand + length_hint(self._part)

    @property
    def _done(self) -> int:
        return self._accepted - self.pending

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

    @property
    def drops_at_once(self) -> bool:
        """No publisher need wait before it: it would lose events all the same until its handler is done."""
        return not (self.awaits_turn or isinstance(self.overflow, Block))

    def take_in(self, events: list[Event]) -> int:
        """Queue events, which nobody changes any more, as far as the overflow policy lets it.

        Gives how many were lost. Loop thread only.
        """
        lost = max(0, self.pending + len(events) - self.max_queue)
        if lost:
            events = self._fit(events, lost)
        self._runs.append(events)
        self.waiting += len(events)
        self._accepted += len(events)
        return lost

    def _fit(self, events: list[Event], lost: int) -> list[Event]:
        """Drop so many: DropOldest those that wait longest, as what the handler holds cannot be, else the last."""
        if isinstance(self.overflow, DropOldest):
            lost -= self._displace(lost)
            kept = events[lost:]
        else:
            kept = events[: len(events) - lost]
        self._refused += lost
        return kept

    def _displace(self, most: int) -> int:
        dropped = min(most, length_hint(self._part))
        _skip(self._part, dropped)
        waited = min(most - dropped, self.waiting)
        self._pass_by(waited)
        self._discarded += dropped + waited
        return dropped + waited

    def _pass_by(self, count: int) -> None:
        """So many of those that wait longest wait no more."""
        self.waiting -= count
        self._offset += count
        while self._runs and self._offset >= len(self._runs[0]):
            self._offset -= len(self._runs.popleft())

    def wake(self) -> None:
        """End its sleep, if it sleeps."""
        self._sleepers.discard(self)
        if self._wakeup is not None:
            self._wakeup.set()

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
            self._collect()
            while not self.ended:
                if self.waiting:
                    await self._hand_on(self._take())
                    self._in_hand = 0
                    self._report_progress()
                    self._collect()
                    if self.waiting:
                        await anyio.lowlevel.checkpoint()
                else:
                    self._sleepers.add(self)
                    await self._wakeup.wait()
                    self._collect()
        finally:
            self._sleepers.discard(self)
            if not self.ended:  # its handler cancelled it
                self._on_end(self)
            if self._finished is not None:
                self._finished.set()

    def _take(self) -> list[Event]:
        """The next part for the handler: a run as it is, or of short ones as many as make a part."""
        most = self._part_max
        if self._done_waiters:  # nothing that comes after what somebody waits for
            awaited = min(target for target, _ in self._done_waiters) - (self._accepted - self.waiting)
            most = min(most, awaited) if awaited > 0 else most
        part = self._runs[0]
        if self._offset or len(part) > most or (len(self._runs) > 1 and len(part) < most // 4):
            part = list(islice(chain.from_iterable(self._runs), self._offset, self._offset + most))
        self._pass_by(len(part))
        return part

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
        events = part.copy()  # its own, to do with as it likes
        self._in_hand = len(events)
        try:
            result = self._handler(events)
            if result is not None and inspect.isawaitable(result):
                await result
        except Exception as error:  # the edge: a handler's fault is its own
            self._report_failure(events, error)
        except anyio.get_cancelled_exc_class() as error:
            self._survive_foreign_cancellation(events, error)

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
        self._runs.clear()
        self.waiting = self._offset = self._in_hand = 0
        _skip(self._part, lost)  # whoever goes through it comes to its end
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


def _is_async(handler: Callable[[Any], Any]) -> bool:
    call = getattr(handler, "__call__", None)  # noqa: B004  # the method itself is inspected, not callability
    return inspect.iscoroutinefunction(handler) or inspect.iscoroutinefunction(call)


def _skip(part: Iterator[Event], count: int) -> None:
    deque(islice(part, count), maxlen=0)
