"""One subscriber: its queue, its task, and those who wait for it."""

from __future__ import annotations

import inspect
from collections import Counter
from collections.abc import Callable, Iterable, Mapping
from contextlib import AbstractContextManager
from contextvars import Context, ContextVar, copy_context
from typing import Any, Final

import anyio
import anyio.lowlevel

from hivecost.bus.overflow import Block, Overflow
from hivecost.bus.queue import LINE_MAX, Place, Queue
from hivecost.events import Event
from hivecost.handling import enter_handler
from hivecost.loops import Loop, Task, Wakeup
from hivecost.subscription import SubscriptionStatistics

#: List handlers get at most this many events at a time; per-event handlers yield to the loop this often.
BATCH_MAX: Final = 4_000
_YIELD_EVERY: Final = 1_024
#: Why events were lost when their bus was closed before they could be handled.
CLOSED: Final = "the bus closed"
#: The same when its queue, and the line before it, took no more.
QUEUE_FULL: Final = "queue full"
#: The same when a handler cancelled the task that it runs in.
TASK_ENDED: Final = "the subscriber's task ended"

#: The subscriber whose handler the current code runs in.
current_subscriber: ContextVar[Subscriber | None] = ContextVar("hivecost_subscriber", default=None)

OnFailure = Callable[["Subscriber", "Event | list[Event]", Exception], None]
OnDrop = Callable[["Subscriber", int, str], None]
OnEnd = Callable[["Subscriber"], None]


class Subscriber:
    """Hands what is in its queue to the handler, in order, one wakeup for all that waits.

    `collect` brings what was published, and is not in the queue yet, there; `middle` is entered where its queue is in
    between, as nobody may publish then; `turns` counts those of the loop in which
    something was published.
    """

    def __init__(
        self,
        subscription_id: str,
        handler: Callable[[Any], Any],
        *,
        bus: object,
        name: str,
        batch: bool,
        overflow: Overflow,
        max_queue: int,
        filters: Mapping[str, str],
        sleepers: set[Subscriber],
        collect: Callable[[], None],
        middle: AbstractContextManager[None],
        turns: Callable[[], int],
        on_failure: OnFailure,
        on_drop: OnDrop,
        on_end: OnEnd,
    ) -> None:
        self.id = subscription_id
        self.bus = bus
        self.name = name
        self.queue = Queue(max_queue, overflow)
        self.filters = filters
        self.ended = False
        self._why_ended = ""
        self._is_abandoned = False  # its handler ignored its cancellation
        #: Its handler is not at work: what waits only has to be let run.
        self.awaits_turn = True
        self._sleepers = sleepers
        self._collect = collect
        self._middle = middle
        self._turns = turns
        self._handler = handler
        self._on_failure = on_failure
        self._on_drop = on_drop
        self._on_end = on_end
        self._hand_on = self._as_list if batch else self._one_by_one
        self._is_called_with_lists = batch and not _is_async(handler)
        self._hand_each = self._await_each if _is_async(handler) else self._call_each
        self._part_max = BATCH_MAX if batch else _YIELD_EVERY
        self._failed = 0
        self._failures: Counter[type[Exception]] = Counter()
        self._task: Task | None = None
        self._loop: Loop | None = None
        #: That of its task, in which handlers are called.
        self._context: Context | None = None
        self._wakeup: Wakeup | None = None
        self._finished: anyio.Event | None = None
        self._stalled_at: int | None = None  # somebody waited in vain while so many were done
        self._done_waiters: list[tuple[int, Wakeup]] = []

    # -- its queue ---------------------------------------------------------------------------------------------

    def wants(self, event: Event) -> bool:
        """Tell whether every filter matches the event; a field that is no text matches none."""
        return all(
            isinstance(found := getattr(event, field), str) and found == value for field, value in self.filters.items()
        )

    @property
    def may_block(self) -> bool:
        """Publishers may have to wait before its queue."""
        return isinstance(self.queue.overflow, Block)

    @property
    def drops_at_once(self) -> bool:
        """No publisher need wait before it: it would lose events all the same until its handler is done."""
        return not (self.awaits_turn or self.may_block)

    def wake(self) -> None:
        """End its sleep, if it sleeps."""
        self._sleepers.discard(self)
        if self._wakeup is not None:
            self._wakeup.set()

    @property
    def is_tight(self) -> bool:
        """Whether its queue is nearly full only because its task has had no turn; publishers that can wait then do."""
        return self.awaits_turn and self.queue.free < self.queue.spare

    def lines_up(self) -> bool:
        """Tell whether an event that finds this queue full should wait for room."""
        queue = self.queue
        return (
            self.may_block
            and queue.free <= 0
            and len(queue.line) < LINE_MAX
            and not (self._stalled_at == queue.done or self.ended)
            and current_subscriber.get() is not self
        )

    async def wait_for_room(self, place: Place) -> None:
        """Wait as long as `Block` grants; past that the event is lost, and none waits until the subscriber moves."""
        assert isinstance(self.queue.overflow, Block)  # noqa: S101  # lines_up() was asked
        with anyio.move_on_after(self.queue.overflow.timeout_s):
            await place.settled.wait()
        if not place.settled.is_set():
            self._stalled_at = self.queue.done
            self._on_drop(self, self.queue.leave_line(place), QUEUE_FULL)

    # -- handing on --------------------------------------------------------------------------------------------

    @property
    def is_finished(self) -> bool:
        """True once no handler call is running nor will be."""
        return self._finished is None or self._finished.is_set()

    def reopen(self) -> bool:
        """Get ready for another run of the bus; return False while a handler call of the last run has not ended."""
        if not self.is_finished:
            return False
        self.ended, self._is_abandoned, self.awaits_turn = False, False, True
        self._stalled_at, self._task = None, None
        return True

    def start(self, loop: Loop) -> None:
        """Start the subscription's task on the loop, once; an ended subscription stays ended."""
        if self._task is None and not self.ended:
            self._finished = anyio.Event()
            self._loop, self._wakeup = loop, loop.new_wakeup()
            self._task = loop.spawn(self._run, f"hivecost subscription {self.name}")

    async def _run(self) -> None:
        current_subscriber.set(self)
        enter_handler(self.name)
        self._context = copy_context()
        assert self._wakeup is not None  # noqa: S101  # made before the task
        try:
            self._collect()
            while not self.ended:
                if not self.queue.waiting:
                    self.awaits_turn = True
                    self._sleepers.add(self)
                    await self._wakeup.wait()
                    self._collect()
                    continue
                self.awaits_turn, turns = False, self._turns()
                with self._middle:
                    part = self.queue.take(self._part_max, self._awaited())
                await self._hand_on(part)
                del part
                self.queue.in_hand = 0
                self._report_progress()
                self._collect()
                if self.queue.waiting and self._turns() == turns:  # else others had theirs
                    self.awaits_turn = True
                    await anyio.lowlevel.checkpoint()
        finally:
            self._sleepers.discard(self)
            if not self.ended:  # its handler cancelled it
                self._on_end(self)
            self._give_up_in_hand()
            if self._finished is not None:
                self._finished.set()

    def handle_waiting(self) -> bool:
        """Call the handler, a sync one of lists, here with all that waits; return False where its task has to."""
        queue, context = self.queue, self._context
        while queue.pending or queue.line:
            if context is None or queue.line or not (self.awaits_turn and self._is_called_with_lists):
                return False
            self.awaits_turn = False
            try:
                with self._middle:
                    part = queue.take(self._part_max, None)
                context.run(self._call_with_list, part)
            finally:
                queue.in_hand, self.awaits_turn = 0, True
            self._report_progress()
        return True

    def _call_with_list(self, part: list[Event]) -> None:
        events = self.queue.hand_over(part)
        try:
            self._handler(events)
        except Exception as error:  # the edge: a handler's fault is its own
            self._report_failure(events, error)
        except anyio.get_cancelled_exc_class() as error:  # it awaits nothing, so nobody cancelled it
            self._report_failure(events, _foreign(error))

    async def _one_by_one(self, part: list[Event]) -> None:
        events = self.queue.one_by_one(part)
        if not self.queue.is_watched:
            await self._hand_each(events)
            return
        for event in events:
            await self._hand_each((event,))
            self._report_progress()

    async def _await_each(self, events: Iterable[Event]) -> None:
        handler = self._handler
        for event in events:
            try:
                await handler(event)
            except Exception as error:  # the edge: a handler's fault is its own
                self._report_failure(event, error)
            except anyio.get_cancelled_exc_class() as error:
                self._survive_foreign_cancellation(event, error)

    async def _call_each(self, events: Iterable[Event]) -> None:
        handler = self._handler
        for event in events:
            try:
                result = handler(event)
                if result is not None and inspect.isawaitable(result):
                    await result
            except Exception as error:  # the edge: a handler's fault is its own
                self._report_failure(event, error)
            except anyio.get_cancelled_exc_class() as error:
                self._survive_foreign_cancellation(event, error)

    async def _as_list(self, part: list[Event]) -> None:
        events = self.queue.hand_over(part)
        try:
            result = self._handler(events)
            if result is not None and inspect.isawaitable(result):
                await result
        except Exception as error:  # the edge: a handler's fault is its own
            self._report_failure(events, error)
        except anyio.get_cancelled_exc_class() as error:
            self._survive_foreign_cancellation(events, error)

    def count_failures_like(self, error: Exception) -> int:
        """Return how often the handler has raised an error of this class, this time included."""
        self._failures[type(error)] += 1
        return self._failures[type(error)]

    def _report_failure(self, event: Event | list[Event], error: Exception) -> None:
        self._failed += 1
        self._on_failure(self, event, error)

    def _survive_foreign_cancellation(self, event: Event | list[Event], error: BaseException) -> None:
        """Report a CancelledError that a handler got from something that it awaited, as a failure of the handler.

        Raise the error where this subscription's task itself is cancelled.
        """
        if self._task is None or self._task.was_cancelled():
            raise error
        self._report_failure(event, _foreign(error))

    def _report_progress(self) -> None:
        """Let in those who wait for room, and tell those who wait for what was published to be handled."""
        if self.queue.line:
            with self._middle:
                self.queue.let_in()
        if self._done_waiters:
            self._wake_done_waiters()

    def _awaited(self) -> int | None:
        """Return the count of handled events that the next waiter waits for; None without a waiter."""
        return min(target for target, _ in self._done_waiters) if self._done_waiters else None

    def _wake_done_waiters(self) -> None:
        done = self.queue.done
        for target, waiter in self._done_waiters:
            if done >= target:
                waiter.set()
        self._done_waiters = [(target, waiter) for target, waiter in self._done_waiters if done < target]

    @property
    def is_busy(self) -> bool:
        """Something waits for its handler, or is in its hands."""
        return not self.ended and bool(self.queue.pending or self.queue.line)

    async def wait_done(self) -> None:
        """Return when everything that came so far is handled or lost."""
        target = self.queue.accepted
        if self.queue.line:
            last = self.queue.line[-1]
            await last.settled.wait()
            target = last.accepted
        if self.ended or self.queue.done >= target:
            return
        assert self._loop is not None  # noqa: S101  # nothing comes before it is started
        # No Event, which takes four times as long: each turn that a watched budget binds waits here.
        waiter = self._loop.new_wakeup()
        self._done_waiters.append((target, waiter))
        await waiter.wait()

    # -- ending ------------------------------------------------------------------------------------------------

    def end(self, why: str) -> None:
        """Hand nothing on any more; what still waited is counted as lost. Loop thread only."""
        if self.ended:
            return
        self.ended, self._why_ended = True, why
        with self._middle:
            lost = self.queue.clear()
        if lost:
            self._on_drop(self, lost, why)
        while self._done_waiters:
            self._done_waiters.pop()[1].set()
        self.wake()

    def _give_up_in_hand(self) -> None:
        lost = self.queue.give_up_in_hand()
        if lost:
            self._on_drop(self, lost, self._why_ended)

    async def wait_finished(self) -> None:
        """Return when no handler call is running any more; at once in that call, and where it was abandoned."""
        if self._finished is not None and not self._is_abandoned and current_subscriber.get() is not self:
            await self._finished.wait()

    async def stop(self, grace_s: float) -> bool:
        """Cancel the task and wait for it; False when it ignores that for `grace_s` and is abandoned."""
        self.end(CLOSED)
        if self._task is None or self.is_finished or self._is_abandoned or current_subscriber.get() is self:
            return True
        self._why_ended = CLOSED
        self._task.cancel()
        with anyio.move_on_after(grace_s):
            await self.wait_finished()
        self._is_abandoned = not self.is_finished
        self._give_up_in_hand()
        return not self._is_abandoned

    def statistics(self) -> SubscriptionStatistics:
        """Return the counts as they stand."""
        queue = self.queue
        return SubscriptionStatistics(
            subscription_id=self.id,
            name=self.name,
            published=queue.accepted + queue.refused + len(queue.line),
            handled=queue.done - queue.discarded,
            failed=self._failed,
            dropped=queue.dropped,
            queued=queue.pending,
            max_queue=queue.most,
            in_line=len(queue.line),
        )


def _foreign(error: BaseException) -> RuntimeError:
    return RuntimeError(f"the handler awaited something that was cancelled: {error!r}")


def _is_async(handler: Callable[[Any], Any]) -> bool:
    call = getattr(handler, "__call__", None)  # noqa: B004  # the method itself is inspected, not callability
    return inspect.iscoroutinefunction(handler) or inspect.iscoroutinefunction(call)
