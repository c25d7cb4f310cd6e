"""The one task of a Ledger that goes to the database: everybody who waits is served by the same transaction."""

from __future__ import annotations

import logging
import sqlite3
from collections.abc import Callable, Container
from functools import partial
from pathlib import Path
from typing import Any, Final

import anyio

from hivecost.errors import HiveCostError, LedgerUnavailableError, StoreError, StoreMovedError, StoreVersionError
from hivecost.ledger import Refusal
from hivecost.loops import current_loop, run_on
from hivecost.store.database import database_path
from hivecost.store.faults import to_store_error
from hivecost.store.ledger.batch import Ask, Committed
from hivecost.store.ledger.database import Errand, LedgerDatabase
from hivecost.store.ledger.desk import Desk
from hivecost.store.os_lock import run_locked
from hivecost.store.threads import kept_threads, run_in_thread

_log = logging.getLogger(__name__)

#: How often a process looks whether others wait for what it has leased.
BEAT_S: Final = 0.05
#: The same, while it has leased nothing.
_IDLE_BEAT_S: Final = 1.0
#: Settlements are in the journal at once, and in the database after so many beats.
_COMMIT_BEATS: Final = 4
#: A lease that nobody has used for so many beats goes back.
_IDLE_BEATS: Final = 20
#: How long a reservation waits for others to return what they do not need.
RETURN_TIMEOUT_S: Final = 0.5
#: What is leased is not this process's own any more.
_LOST: Final = (StoreMovedError, StoreVersionError)


#: Done with what an errand gave, before anything else is decided by what was committed with it.
Then = Callable[[Any, Committed], None]


class _Waiting:
    """Somebody who waits for the next transaction."""

    def __init__(self, wish: Ask | Errand, then: Then | None = None) -> None:
        self.wish = wish
        self.then = then
        self.done = anyio.Event()
        self.result: Any = None
        self.deadline = anyio.current_time() + RETURN_TIMEOUT_S

    def finish(self, result: Any) -> None:
        self.result = result
        self.done.set()


class Visitor:
    """Runs in a task of its own until `stop`. Whoever waits may be cancelled; the transaction never is."""

    def __init__(self, base_path: Path, database: LedgerDatabase, desk: Desk) -> None:
        self._base_path = base_path
        self._database = database
        self._desk = desk
        self._loop = current_loop()
        self._waiting: list[_Waiting] = []
        self._wakeup = anyio.Event()
        self._stopping = False
        self._scope: anyio.CancelScope | None = None
        self._has_changed = False
        self._failing = False
        self._has_requested = False
        self._last_change = -1
        self._beats = 0

    async def ask(self, ask: Ask) -> Refusal | None:
        """None once leases cover the reservation, or did for a moment. Raises LedgerUnavailableError."""
        refusal: Refusal | None = await self._wait(ask)
        return refusal

    async def do(self, errand: Errand, then: Then | None = None) -> Any:
        """What the errand gives, once it is durable and `then` was called; it is, also when nobody waits any more.

        Raises the errand's HiveCostError, or LedgerUnavailableError.
        """
        return await self._wait(errand, then)

    def wake(self) -> None:
        """Visit now. From any thread."""
        if self._loop.is_here():
            self._wakeup.set()
        else:
            self._loop.call_threadsafe(self.wake)

    def stop(self, timeout_s: float) -> None:
        """Make `run` return after the visit that is on its way, or without it after `timeout_s`."""
        self._stopping = True
        if self._scope is not None:
            self._scope.deadline = anyio.current_time() + timeout_s
        self.wake()

    def orphan(self) -> None:
        """Nobody runs it in this process."""
        self._stopping = True

    async def run(self) -> None:
        """Visit whenever there is a reason. Whoever cancels its surroundings may still settle, and wait for it."""
        try:
            with kept_threads(), anyio.CancelScope(shield=True) as self._scope:
                woken = await self._rest()
                while not self._stopping:
                    await self._beat(woken=woken)
                    woken = await self._rest()
        finally:
            self._stopping = True
            self._fail(LedgerUnavailableError("the ledger was closed meanwhile"))

    async def _wait(self, wish: Ask | Errand, then: Then | None = None) -> Any:
        """The answer, also to whoever asks on another event loop."""
        if self._stopping:
            raise LedgerUnavailableError("the ledger is not open")
        if not self._loop.is_here():
            return await run_on(self._loop, lambda: self._wait(wish, then))
        waiting = _Waiting(wish, then)
        self._waiting.append(waiting)
        self.wake()
        try:
            await waiting.done.wait()
        finally:
            if waiting in self._waiting:
                self._waiting.remove(waiting)
        if isinstance(waiting.result, HiveCostError):
            raise waiting.result
        return waiting.result

    async def _rest(self) -> bool:
        """Until the next beat; True when woken before it."""
        is_busy = (
            self._has_changed
            or self._desk.has_leases
            or self._desk.has_news
            or self._desk.has_unread_limits
            or self._waiting
            or self._has_requested
        )
        with anyio.move_on_after(BEAT_S if is_busy else _IDLE_BEAT_S):
            await self._wakeup.wait()
        woken = self._wakeup.is_set()
        self._wakeup = anyio.Event()
        return woken

    async def _beat(self, *, woken: bool) -> None:
        try:
            if woken:
                await self._visit()
            elif (contested := await self._reasons()) is not None:
                await self._visit(contested)
        except LedgerUnavailableError as error:
            self._fail(error)
        except Exception as error:
            # The edge: a fault of ours costs those who wait, never the ledger.
            _log.exception("%s: the ledger's visit failed", self._base_path)
            self._fail(LedgerUnavailableError(f"{self._base_path}: {error!r}; this is a fault of hivecost, report it"))

    async def _reasons(self) -> set[int] | None:
        """The leases to return at this beat; None when there is no reason to visit."""
        self._beats += 1
        try:
            contested, last_change = await run_in_thread(self._database.peek)
        except _LOST as error:
            raise self._unavailable(error) from error
        except (sqlite3.Error, OSError):
            return set()  # a visit works all the same, or says what is wrong
        if self._beats % _IDLE_BEATS == 0:
            contested |= self._desk.idle_rows()
        if self._has_changed or last_change != self._last_change:
            # Under another limit nobody keeps more than it needs.
            contested |= self._desk.leased_rows()
        reasons = (
            contested,
            last_change != self._last_change,
            self._waiting,
            self._has_requested,
            self._desk.has_unread_limits,
            self._desk.has_news and (self._beats % _COMMIT_BEATS == 0 or self._desk.is_crowded),
        )
        return contested if any(reasons) else None

    async def _visit(self, contested: Container[int] = ()) -> None:
        """One transaction for all that is new and for all who wait."""
        asking = [(waiting, waiting.wish) for waiting in self._waiting if isinstance(waiting.wish, Ask)]
        others = [(waiting, waiting.wish) for waiting in self._waiting if not isinstance(waiting.wish, Ask)]
        batch = self._desk.collect([ask for _, ask in asking], contested)
        visit = partial(self._database.visit, batch, [errand for _, errand in others])
        try:
            committed, results = await run_locked(self._base_path, visit, make=False)
        except BaseException as error:
            self._desk.put_back(batch)
            if not isinstance(error, StoreError | sqlite3.Error | OSError):
                raise
            raise self._unavailable(error) from error
        self._has_changed = committed.last_change != self._last_change
        self._failing, self._last_change, self._has_requested = False, committed.last_change, False
        self._desk.apply(batch, committed)
        for (waiting, _), result in zip(others, results, strict=True):
            if waiting.then is not None and not isinstance(result, HiveCostError):
                waiting.then(result, committed)
            self._finish(waiting, result)
        for (waiting, _), answer in zip(asking, committed.answers, strict=True):
            self._has_requested |= answer.worth_waiting
            if not answer.worth_waiting or anyio.current_time() >= waiting.deadline:
                self._finish(waiting, answer.refusal)

    def _finish(self, waiting: _Waiting, result: Any) -> None:
        waiting.finish(result)
        if waiting in self._waiting:
            self._waiting.remove(waiting)

    def _fail(self, error: LedgerUnavailableError) -> None:
        for waiting in list(self._waiting):
            self._finish(waiting, error)

    def _unavailable(self, error: StoreError | sqlite3.Error | OSError) -> LedgerUnavailableError:
        named = error if isinstance(error, StoreError) else to_store_error(error, database_path(self._base_path))
        if not self._failing:
            _log.error("the ledger cannot be reached, nothing more is granted: %s", named)
        self._failing = True
        if isinstance(error, _LOST):
            self._desk.poison(str(error))
        return LedgerUnavailableError(str(named))
