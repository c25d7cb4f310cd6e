"""The one writer of a process: takes whatever is queued and commits it once."""

from __future__ import annotations

import logging
from collections.abc import Sequence
from pathlib import Path
from types import TracebackType
from typing import Self

import anyio
from anyio.abc import TaskGroup

from hivecost.clock import SYSTEM_CLOCK, Clock
from hivecost.errors import StoreError
from hivecost.events import Event
from hivecost.store.append import Appended
from hivecost.store.appender import Appender
from hivecost.store.database import database_path
from hivecost.store.requests import Request, Requests
from hivecost.store.statistics import StoreStatistics, Tally

_log = logging.getLogger(__name__)


class Store:
    """Writes the runtime log of a base path: `async with Store("data") as store: await store.write(events)`.

    Any number of tasks may use it, and any number of processes one base path. While it is not open, nothing runs
    behind it: events queue up, and `write` and `flush` open the database, commit and close it by themselves.

    Opening raises StoreErrors. After that, a fault costs events, which are counted, and not the agent: it is raised
    only where somebody waits for a commit. Past `close_timeout_s`, closing counts what is left as lost.
    """

    def __init__(
        self,
        base_path: str | Path,
        *,
        clock: Clock = SYSTEM_CLOCK,
        queue_max: int = 100_000,
        close_timeout_s: float = 30.0,
    ) -> None:
        self._path = database_path(Path(base_path))
        self._appender = Appender(Path(base_path), clock)
        self._queue_max = queue_max
        self._close_timeout_s = close_timeout_s
        self._requests = Requests()
        self._tally = Tally(self._path)
        self._tasks: TaskGroup | None = None
        self._writing = False
        self._closing = False
        self._wakeup = anyio.Event()
        self._scope: anyio.CancelScope | None = None  # made when it opens: a Store may be made outside of any loop

    async def __aenter__(self) -> Self:
        if self._tasks is not None:
            raise StoreError(f"{self._path}: this Store is open already; make another one")
        await self._appender.open()
        self._closing, self._writing = False, True
        self._scope = scope = anyio.CancelScope(shield=True)
        self._tasks = await anyio.create_task_group().__aenter__()
        self._tasks.start_soon(self._run, scope, name=f"writer of {self._path}")
        return self

    async def __aexit__(
        self, kind: type[BaseException] | None, error: BaseException | None, traceback: TracebackType | None
    ) -> None:
        tasks, self._tasks = self._tasks, None
        if tasks is None:
            return
        self._closing = True
        self._wakeup.set()
        if self._scope is not None:
            self._scope.deadline = anyio.current_time() + self._close_timeout_s
        try:
            # Not told of the caller's error, because a task group would wrap it in a group.
            await tasks.__aexit__(None, None, None)
        finally:
            with anyio.move_on_after(self._close_timeout_s, shield=True):
                await self._appender.close()

    async def write(self, events: Sequence[Event]) -> int:
        """Return after the commit that holds the events, with the number of those that were new.

        Waits for room first. Raises a StoreError when any of them could not be logged; the others are.
        """
        await self._wait_for_room()
        return await self._submit(tuple(events))

    async def record(self, event: Event, *, durable: bool = False) -> None:
        """Queue the event, waiting for room; with `durable`, return after its commit or raise a StoreError."""
        if durable:
            await self.write((event,))
        else:
            await self._wait_for_room()
            self._put(Request((event,)))

    def record_nowait(self, event: Event) -> bool:
        """Queue the event, from the event loop's thread; False, and counted as lost, when the queue is full."""
        if self._requests.events_count >= self._queue_max:
            self._tally.lose(1, StoreError(f"{self._path}: {self._queue_max:,} events wait already; its disk is slow"))
            return False
        self._put(Request((event,)))
        return True

    async def flush(self) -> None:
        """Return after the commit that holds all events queued so far. Raises a StoreError if any was lost."""
        lost_before = self._tally.lost
        await self._submit(())
        if self._tally.lost > lost_before and self._tally.last_error is not None:
            raise self._tally.last_error

    def statistics(self) -> StoreStatistics:
        """The counts as they stand."""
        return self._tally.statistics(queued=self._requests.events_count, queue_max=self._queue_max)

    def _put(self, request: Request) -> None:
        self._requests.put(request)
        self._wakeup.set()

    async def _submit(self, events: tuple[Event, ...]) -> int:
        done = anyio.Event()
        request = Request(events, done)
        self._put(request)
        if not self._writing:
            await self._drain()
        await done.wait()
        if request.error is not None:
            raise request.error
        return request.inserted

    async def _wait_for_room(self) -> None:
        while self._requests.events_count >= self._queue_max:
            if self._requests and not self._writing:
                await self._drain()
            else:
                await self._requests.room()

    async def _run(self, scope: anyio.CancelScope) -> None:
        """The writer task. It ends when closing finds nothing to do, or at the deadline; no other cancellation does."""
        try:
            with scope:
                while not self._closing or self._requests:
                    await self._drain()
                    if not self._closing and not self._requests:
                        self._wakeup = anyio.Event()
                        await self._wakeup.wait()
        finally:
            self._writing = False
            while batch := self._requests.take():
                self._finish(batch, self._given_up())

    async def _drain(self) -> None:
        while batch := self._requests.take():
            outcome: Appended | StoreError = self._given_up()
            try:
                outcome = await self._append(batch)
            finally:
                self._finish(batch, outcome)

    async def _append(self, batch: Sequence[Request]) -> Appended | StoreError:
        events = [event for request in batch for event in request.events]
        try:
            return await self._appender.append(events) if events else Appended([], {}, 0)
        except StoreError as error:
            if str(error) != str(self._tally.last_error):  # a broken disk says the same with every batch
                _log.error("events are lost: %s", error)
            return error
        except Exception as error:
            # A fault of ours costs this batch, never the writer.
            _log.exception("%s: %d events are lost", self._path, len(events))
            return StoreError(f"{self._path}: {error!r}; this is a fault of hivecost, report it")

    def _finish(self, batch: Sequence[Request], outcome: Appended | StoreError) -> None:
        if isinstance(outcome, StoreError):
            self._tally.failed(batch, outcome)
        else:
            if outcome.late and not self._tally.late:
                _log.warning("%s: was pruned; events from before that are counted as late, not logged", self._path)
            self._tally.committed(batch, outcome)
        self._requests.finish(batch)

    def _given_up(self) -> StoreError:
        return StoreError(f"{self._path}: closed before these events were committed")
