"""Committing batches when the disk may be full, failing or held by a stranger for a while."""

from __future__ import annotations

import sqlite3
from collections.abc import Callable, Sequence
from concurrent.futures import Future
from functools import partial
from pathlib import Path
from typing import Final

from hivecost.backends.sqlite.database import database_path
from hivecost.backends.sqlite.faults import is_transient, named_faults, to_store_error
from hivecost.backends.sqlite.log.append import Appended
from hivecost.backends.sqlite.log.runtime_log import RuntimeLog
from hivecost.backends.sqlite.log.summing.upkeep import Commit, Upkeep
from hivecost.backends.sqlite.os_lock import run_locked, start_locked
from hivecost.clock import Clock
from hivecost.errors import StoreCorruptError, StoreError, StoreLockedError, StoreMovedError, StoreVersionError
from hivecost.events import Event
from hivecost.loops import Loop
from hivecost.threads import run_in_thread

#: How long a batch waits before each new attempt.
RETRY_WAITS_S: Final = (0.05, 0.25, 1.0)
#: Between two slices, so that writers who wait for the lock have it in between.
_PAUSE_S: Final = 0.01
#: Between two slices of summing, over what one took: a tenth of a core at most.
_REST: Final = 9


class Appender:
    """The async face of a RuntimeLog. Every method may wait for the OS lock; all errors are StoreErrors.

    A database that turned out to be corrupt, or newer than we are, is not tried again until `open`.
    """

    def __init__(self, base_path: Path, clock: Clock) -> None:
        self._base_path = base_path
        self._path = database_path(base_path)
        self._clock = clock
        self._log = RuntimeLog(base_path)
        self._keep_open = False
        self._fatal: StoreError | None = None
        self._upkeep: Upkeep | None = None

    @property
    def rest_s(self) -> float:
        """How long to gather events before the next commit: above 0 while a reader lets the WAL grow."""
        return self._log.rest_s

    @property
    def has_old_rows(self) -> bool:
        """Whether a migration left rows to be moved."""
        return self._log.has_old_rows

    @property
    def has_unsummed(self) -> bool:
        """Whether there may have been hours to sum when it was opened."""
        return self._log.has_unsummed

    async def move_old_rows(self) -> None:
        """Move them, a slice at a time; others have the lock in between. Stopped anywhere, the next one goes on."""
        while self._keep_open and self.has_old_rows:
            pause_s = _PAUSE_S
            try:
                await run_locked(self._base_path, self._move_slice, make=False)
            except StoreLockedError:  # as events do, it waits for whoever keeps the database from being written
                pause_s = RETRY_WAITS_S[-1]
            except (sqlite3.Error, OSError) as error:
                raise to_store_error(error, self._path) from error
            await self._clock.sleep(max(pause_s, self.rest_s))

    def _move_slice(self) -> None:
        if self._keep_open:  # asked under the lock, as in `_append`
            self._log.move_slice()

    async def keep_sums(self) -> None:
        """Sum the hours and days that are over, a slice at a time, until none is left.

        Reading them holds up nobody, and others have the lock between two commits. Stopped anywhere, the next one goes
        on. Raise StoreErrors.
        """
        self._upkeep = upkeep = Upkeep(self._base_path)
        while self._keep_open:
            started_s = self._clock.monotonic_s()
            try:
                with named_faults(self._path):
                    read = await run_in_thread(partial(upkeep.read, self._clock.now_ns()))
                    if read.is_last:
                        return
                    if read.commit is not None:
                        await run_locked(self._base_path, partial(self._commit_sums, read.commit), make=False)
                pause_s = _REST * (self._clock.monotonic_s() - started_s)
            except StoreLockedError:  # as events do, it waits for whoever keeps the database from being written
                pause_s = RETRY_WAITS_S[-1]
            await self._clock.sleep(max(_PAUSE_S, pause_s, self.rest_s))

    def stop_sums(self) -> None:
        """Let the hour that is being read wait for the next who opens it."""
        if self._upkeep is not None:
            self._upkeep.stop()

    def _commit_sums(self, commit: Commit) -> None:
        if self._keep_open:  # asked under the lock, as in `_append`
            self._log.commit(commit)

    async def open(self) -> None:
        """Make or migrate the database, and keep it open until `close`."""
        try:
            await run_locked(self._base_path, self._log.open)
        except (sqlite3.Error, OSError) as error:
            raise to_store_error(error, self._path) from error
        self._keep_open, self._fatal = True, None

    def attempt(self, loop: Loop, events: Sequence[Event], then: Callable[[], object]) -> Future[Appended]:
        """Commit the events at once if nothing is in the way; `then` tells the loop of the end.

        Without a result in it by then, hand it to `append`, which sees to the rest.
        """
        if self._fatal is None:
            work = partial(self._append, events)
            return start_locked(loop, self._base_path, work, then, make=not self._keep_open)
        loop.call_soon(then)
        return Future()

    async def append(self, events: Sequence[Event], tried: Future[Appended] | None = None) -> Appended:
        """Commit the events, with new attempts while the fault may pass; opens for the batch when not open."""
        waits_s = iter(RETRY_WAITS_S)
        while self._fatal is None:
            try:
                if tried is not None and tried.done():
                    first, tried = tried, None
                    return first.result()
                return await run_locked(self._base_path, partial(self._append, events), make=not self._keep_open)
            except StoreError as error:
                raise self._remembered(error) from None
            except (sqlite3.Error, OSError) as error:
                wait_s = next(waits_s, None) if is_transient(error) else None
                if wait_s is None:
                    raise self._remembered(to_store_error(error, self._path)) from error
            await self._clock.sleep(wait_s)
        # Each batch that met it would add its frames, and its events with them.
        raise self._fatal.with_traceback(None)

    async def close(self) -> None:
        """Close the database under the lock; when cancelled, that is done without us as soon as the lock is free."""
        self._keep_open = False
        try:
            await run_locked(self._base_path, self._log.close, make=False, give_up=False)
        except StoreMovedError:
            await run_in_thread(self._log.close)  # nobody else opens that file any more
        except (sqlite3.Error, OSError) as error:
            raise to_store_error(error, self._path) from error

    def _append(self, events: Sequence[Event]) -> Appended:
        # Asked under the lock: whoever waited for it behind `close` leaves nothing open.
        return self._log.append(events) if self._keep_open else self._log.append_once(events)

    def _remembered(self, error: StoreError) -> StoreError:
        if isinstance(error, StoreCorruptError | StoreVersionError):
            self._fatal = error
        return error
