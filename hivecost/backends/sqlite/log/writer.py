"""The one writer of a process: takes whatever is queued and commits it once."""

from __future__ import annotations

import logging
from collections.abc import Sequence
from concurrent.futures import Future
from functools import partial
from pathlib import Path
from types import TracebackType
from typing import Final, Self

import anyio
from anyio.abc import TaskGroup

from hivecost.backends.places import scheme_of
from hivecost.backends.sqlite.database import CLOSE_GRACE_S, database_path
from hivecost.backends.sqlite.lease_bank.definitions import record_definitions
from hivecost.backends.sqlite.log.append import Appended
from hivecost.backends.sqlite.log.appender import Appender
from hivecost.backends.sqlite.log.batches import Batch, Batches
from hivecost.backends.sqlite.log.deletion import delete_session
from hivecost.backends.sqlite.log.repricings import write_repricings
from hivecost.backends.sqlite.log.retention import prune
from hivecost.backends.sqlite.log.statistics import Tally
from hivecost.backends.sqlite.log.summing.tags import name_tags
from hivecost.clock import SYSTEM_CLOCK, Clock
from hivecost.errors import ConfigError, StoreError, StoreLockedError
from hivecost.events import Event
from hivecost.forking import leave_child, tell_children
from hivecost.ledger import Budget
from hivecost.log.records import Pruned, Repricing, StoreStatistics
from hivecost.loops import Loop, current_loop
from hivecost.threads import kept_threads

#: Who hands over so many at once does not wait for those that others bring until the loop turns.
_BEGIN_AT_ONCE: Final = 256
#: The pause before what somebody keeps from being written is tried again.
_TRY_AGAIN_S: Final = 0.25
#: How often to look whether hours are over.
_SUM_EVERY_NS: Final = 60 * 10**9
_NOTHING: Final = Appended([], {}, 0)

_log = logging.getLogger(__name__)


class Store:
    """Writes the runtime log of a base path: `async with Store("data") as store: await store.write(events)`.

    Any number of tasks may use it, and any number of processes one base path. While it is not open, nothing runs
    behind it: events queue up, and `write` and `flush` open the database, commit and close it by themselves, one
    after the other.

    Opening raises StoreErrors. After that, a fault costs events, which are counted, and not the agent: it is raised
    only where somebody waits for a commit. A StoreLockedError costs none: another program keeps the database from
    being written for so long that nobody is left waiting, and the events stay queued for when it lets go.
    Past `close_timeout_s`, closing counts what is left as lost.
    """

    def __init__(
        self,
        base_path: str | Path,
        *,
        clock: Clock = SYSTEM_CLOCK,
        queue_max: int = 100_000,
        close_timeout_s: float = 30.0,
    ) -> None:
        if scheme_of(base_path):
            raise ConfigError("base_path", "a folder; `hivecost.backends.open_backend` writes to a URL", got=base_path)
        self._base_path = Path(base_path)
        self._path = database_path(self._base_path)
        self._clock = clock
        self._appender = Appender(Path(base_path), clock)
        self._queue_max = queue_max
        #: How long leaving the block waits for what is queued; then it is counted as lost.
        self.close_timeout_s = close_timeout_s
        self._batches = Batches()
        self._tally = Tally()
        self._lost_at_flush = 0
        self._tasks: TaskGroup | None = None
        self._loop: Loop | None = None  # while commits may be begun on it
        self._attempt: Future[Appended] | None = None  # to commit the oldest batch
        self._under_way = False
        self._is_resting = False
        self._writing = False
        self._closing = False
        self._wakeup = anyio.Event()
        self._alone = anyio.Lock()  # held by the one who commits while no writer runs
        # Made when it opens: a Store may be made outside of any loop.
        self._scope: anyio.CancelScope | None = None
        self._moving: anyio.CancelScope | None = None
        #: Set by the first commit after this instant.
        self._sums_due: anyio.Event | None = None
        self._sum_after_ns = 0
        self._is_forked = False
        tell_children(self)

    def _forked(self) -> None:
        """Mark that this process is a forked child of the one that uses the Store; an unused Store may be used here."""
        if self._tasks is not None or self._writing or self._batches:
            self._is_forked, self._batches = True, Batches()
        self._alone = anyio.Lock()

    def _require_own_process(self) -> None:
        if self._is_forked:
            raise StoreError(f"{self._path}: this Store belongs to the parent process; in a forked child, make another")

    async def __aenter__(self) -> Self:
        self._require_own_process()
        async with self._alone:
            if self._tasks is not None:
                raise StoreError(f"{self._path}: this Store is open already; make another one")
            await self._appender.open()
            self._closing, self._writing, self._loop = False, True, current_loop()
            self._scope = scope = anyio.CancelScope(shield=True)
            self._moving = moving = anyio.CancelScope()
            self._tasks = await anyio.create_task_group().__aenter__()
            self._tasks.start_soon(self._run, scope, name=f"writer of {self._path}")
            self._tasks.start_soon(self._keep_up, moving, name=f"upkeep of {self._path}")
        return self

    async def __aexit__(
        self, kind: type[BaseException] | None, error: BaseException | None, traceback: TracebackType | None
    ) -> None:
        if self._is_forked:
            leave_child(error)
            return
        tasks, self._tasks = self._tasks, None
        if tasks is None:
            return
        self._closing = True
        self._wakeup.set()
        if self._moving is not None:
            self._moving.cancel()
            self._appender.stop_sums()
        deadline = anyio.current_time() + self.close_timeout_s
        if self._scope is not None:
            self._scope.deadline = deadline
        try:
            # Not told of the caller's error, because a task group would wrap it in a group.
            await tasks.__aexit__(None, None, None)
        finally:
            deadline = max(deadline, anyio.current_time() + CLOSE_GRACE_S)
            with anyio.CancelScope(deadline=deadline, shield=True):
                await self._appender.close()

    async def write(self, events: Sequence[Event]) -> int:
        """Return after the commit that holds the events, with the number of those that were new.

        Waits for room first. Raise a StoreError when any of them could not be logged; the others are.
        """
        if self._is_full:
            await self._wait_for_room(len(events))
        return await self._submit(tuple(events))

    async def record(self, event: Event, *, durable: bool = False) -> None:
        """Queue the event, waiting for room; with `durable`, return after its commit or raise a StoreError."""
        if self._is_full:
            await self._wait_for_room(1)
        if durable:
            await self._submit((event,))
        else:
            self._put((event,))

    def record_nowait(self, event: Event) -> bool:
        """Queue the event, from the event loop's thread; False, and counted as lost, when the queue is full."""
        if self._is_full:
            self._tally.lose(StoreError(f"{self._path}: {self._queue_max:,} events wait already; its disk is slow"))
            return False
        self._put((event,))
        return True

    async def flush(self) -> None:
        """Return after the commit that holds all events queued so far.

        Raise a StoreError if any was lost since the last flush, whoever has been told of it.
        """
        lost_before = self._lost_at_flush
        await self._submit(())
        self._lost_at_flush = self._tally.lost
        if self._tally.lost > lost_before and self._tally.last_error is not None:
            raise self._tally.last_error

    def statistics(self) -> StoreStatistics:
        """Return the counts as they stand."""
        return self._tally.statistics(queued=self._batches.events_count, queue_max=self._queue_max)

    async def prune(self, before_ns: int, *, dry_run: bool = False, compact: bool = False) -> Pruned:
        """Delete turns and events from before this instant, as `prune` of `log/retention.py` says."""
        return await prune(self._base_path, before_ns, dry_run=dry_run, vacuum=compact, clock=self._clock)

    async def reprice(self, repricings: Sequence[Repricing]) -> None:
        """Commit them in one transaction; those whose turn is gone are left out. Raise StoreErrors."""
        await write_repricings(self._base_path, repricings)

    async def delete(self, session_id: str) -> bool:
        """Delete all that is logged of a session; return False when nothing was. Raise StoreErrors."""
        return await delete_session(self._base_path, session_id)

    async def define(self, budgets: Sequence[Budget], at_ns: int) -> None:
        """Keep what these budgets are now, durably. Raise StoreErrors."""
        await record_definitions(self._base_path, budgets, at_ns)

    async def sum_tags(self, names: Sequence[str]) -> None:
        """Keep sums by these tags too, durably. Raise StoreErrors."""
        await name_tags(self._base_path, names)

    @property
    def _is_full(self) -> bool:
        return self._batches.events_count >= self._queue_max

    def _put(self, events: tuple[Event, ...]) -> Batch:
        if self._is_forked:
            self._require_own_process()
        batch = self._batches.put(events)
        if len(events) >= _BEGIN_AT_ONCE:
            self._begin()
        if not self._under_way:
            self._wakeup.set()
        return batch

    async def _submit(self, events: tuple[Event, ...]) -> int:
        batch = self._put(events)
        stop = len(batch.events)
        if not self._writing:
            await self._commit_alone(batch)
        await batch.wait()
        return batch.inserted(stop - len(events), stop)

    async def _wait_for_room(self, count: int) -> None:
        """Return when there is room for so many events more, which a StoreLockedError counts as lost."""
        try:
            while self._is_full and self._batches:
                if self._writing:
                    await self._batches.oldest.wait()
                else:
                    await self._commit_alone(self._batches.oldest)
        except StoreLockedError as error:
            for _ in range(count):
                self._tally.lose(error)
            raise

    def _begin(self) -> None:
        """Commit the oldest batch in a thread, unless that is under way or the writer task has to see to it."""
        while self._loop is not None and self._attempt is None and self._batches and not self._is_resting:
            events = self._batches.close_oldest().events
            if events:
                self._attempt = self._appender.attempt(self._loop, events, partial(self._end, self._batches.oldest))
                self._under_way = True
            else:
                self._finish_oldest(_NOTHING)

    def _end(self, batch: Batch) -> None:
        """End an attempt; if it went well, begin the next without waiting for any task."""
        attempt = self._attempt
        if batch.is_finished or attempt is None:
            return  # it was given up
        self._under_way = False
        if attempt.done() and attempt.exception() is None:
            self._attempt = None
            self._finish_oldest(attempt.result())
            self._is_resting = self._appender.rest_s > 0
            self._begin()
        if not self._under_way:
            self._wakeup.set()

    async def _run(self, scope: anyio.CancelScope) -> None:
        """Run the writer task.

        It ends when closing finds nothing to do, or at the deadline; no other cancellation ends it.
        """
        try:
            with kept_threads(), scope:
                while not self._closing or self._batches:
                    self._begin()
                    if self._attempt is not None and not self._under_way:
                        await self._commit_patiently(self._attempt)
                        self._attempt = None
                    elif self._is_resting:
                        await self._gather()
                    elif not self._closing or self._batches:
                        await self._rest()
        finally:
            self._loop = None
            try:
                with anyio.CancelScope(shield=True):
                    while self._under_way:
                        await self._rest()
            finally:
                self._give_up()

    async def _keep_up(self, scope: anyio.CancelScope) -> None:
        """Move old rows and sum hours until the store closes; the next one to be opened goes on.

        Hours are summed at once, and from time to time after commits. Nothing depends on it, because readers see what
        is left as well.
        """
        try:
            with scope:
                if self._appender.has_old_rows:
                    await self._appender.move_old_rows()
                if self._appender.has_unsummed:
                    await self._appender.keep_sums()
                while True:
                    self._sum_after_ns = self._clock.now_ns() + _SUM_EVERY_NS
                    self._sums_due = anyio.Event()
                    await self._sums_due.wait()
                    await self._appender.keep_sums()
        except StoreError as error:
            _log.error("the log is read a little slower until it is opened again: %s", error)
        except Exception:
            # A fault of ours costs time, never the writer.
            _log.exception("%s: it is read a little slower until it is opened again", self._path)

    async def _gather(self) -> None:
        """Let more events come before the next commit, unless it closes."""
        if not self._closing:
            await self._clock.sleep(self._appender.rest_s)
        self._is_resting = False

    async def _rest(self) -> None:
        self._wakeup = anyio.Event()
        await self._wakeup.wait()

    def _give_up(self) -> None:
        self._writing, self._under_way, self._attempt = False, False, None
        while self._batches:
            given_up = StoreError(f"{self._path}: closed before these events were committed")
            self._finish_oldest(_nothing_of(self._batches.oldest.events, given_up))

    async def _commit_patiently(self, tried: Future[Appended] | None) -> None:
        """Commit the oldest batch, however long another program keeps it waiting; nobody else waits with it."""
        batch = self._batches.oldest
        while not batch.is_finished:
            try:
                await self._commit_oldest(tried)
            except StoreLockedError as error:
                tried = None
                if str(error) != str(self._tally.last_error):
                    _log.error("events wait to be logged: %s", error)
                self._tally.last_error = error
                self._batches.postpone(error)
                await self._clock.sleep(_TRY_AGAIN_S)

    async def _commit_alone(self, batch: Batch) -> None:
        """Commit what is queued up to this batch, if nobody has; whoever is cancelled leaves it to the next.

        So does whoever gets a StoreLockedError.
        """
        async with self._alone:
            while not self._writing and not batch.is_finished:
                await self._commit_oldest()

    async def _commit_oldest(self, tried: Future[Appended] | None = None) -> None:
        # It leaves the queue when its end is known: a cancelled commit may be tried again, rows are never doubled.
        self._finish_oldest(await self._append(self._batches.close_oldest().events, tried))

    async def _append(self, events: Sequence[Event], tried: Future[Appended] | None) -> Appended:
        try:
            return await self._appender.append(events, tried) if events else _NOTHING
        except StoreLockedError:
            raise
        except StoreError as error:
            if str(error) != str(self._tally.last_error):  # a broken disk says the same with every batch
                _log.error("events are lost: %s", error)
            return _nothing_of(events, error)
        except Exception as error:
            # A fault of ours costs this batch, never the writer.
            _log.exception("%s: %d events are lost", self._path, len(events))
            return _nothing_of(events, StoreError(f"{self._path}: {error!r}; this is a fault of hivecost, report it"))

    def _finish_oldest(self, appended: Appended) -> None:
        if appended.late and not self._tally.late:
            _log.warning("%s: was pruned; events from before that are counted as late, not logged", self._path)
        events = self._batches.oldest.events
        errors = {index: self._named(events[index], fault) for index, fault in appended.faults.items()}
        self._tally.finished(appended, errors)
        if self._sums_due is not None and self._clock.now_ns() >= self._sum_after_ns:
            self._sums_due.set()
        self._batches.finish_oldest(appended.inserted, errors)

    def _named(self, event: Event, fault: Exception) -> StoreError:
        if isinstance(fault, StoreError):
            return fault
        event_id = event.event_id if isinstance(event, Event) else None  # it may be no event at all
        culprit = repr(event_id) if isinstance(event_id, str) else f"of type {type(event).__name__}"
        return StoreError(f"{self._path}: event {culprit:.100} cannot be logged: {fault}")


def _nothing_of(events: Sequence[Event], error: StoreError) -> Appended:
    """Return the result of a batch that is lost: no event was inserted, each has the error."""
    return Appended([False] * len(events), dict.fromkeys(range(len(events)), error), 0)
