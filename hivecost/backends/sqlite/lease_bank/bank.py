"""The bank of a base path: SQLite in one file, shared by the processes of one machine."""

from __future__ import annotations

import logging
import math
import sqlite3
from collections.abc import Callable, Sequence
from contextlib import ExitStack
from functools import partial
from pathlib import Path
from typing import Any, TypeVar

import anyio

from hivecost.backends.sqlite.database import CLOSE_GRACE_S, database_path
from hivecost.backends.sqlite.faults import named_faults, to_store_error
from hivecost.backends.sqlite.lease_bank.database import LedgerDatabase
from hivecost.backends.sqlite.lease_bank.status import read_accounts, read_remaining
from hivecost.backends.sqlite.os_lock import lock_error, run_locked
from hivecost.clock import Clock
from hivecost.errors import HiveCostError, StoreError, StoreMovedError
from hivecost.leasing.bank import LeasePolicy, Opened, Poll
from hivecost.leasing.batch import Batch, Committed
from hivecost.leasing.journal import Journal
from hivecost.leasing.operations import Operation
from hivecost.ledger import Account, AccountStatus, Budget, Unit
from hivecost.threads import kept_threads, run_in_thread

T = TypeVar("T")

_log = logging.getLogger(__name__)


class SqliteLeaseBank:
    """A `hivecost.leasing.LeaseBank`: who writes has the base path's OS lock. Its clock is the process's own."""

    def __init__(self, base_path: Path, clock: Clock) -> None:
        self._base_path = base_path
        self._clock = clock
        self._database = LedgerDatabase(base_path, clock)
        self._journal: Journal | None = None
        self._threads = ExitStack()

    @property
    def name(self) -> str:
        return str(self._base_path)

    async def open(self, budgets: Sequence[Budget], *, holds_max: int, policy: LeasePolicy) -> Opened:
        open_database = partial(self._open, budgets, holds_max=holds_max, policy=policy)
        with named_faults(database_path(self._base_path)):
            journal = await run_locked(self._base_path, open_database)
        self._journal = journal
        self._threads.enter_context(kept_threads())
        return Opened(self._database.process_id, journal)

    async def sync(self, batch: Batch, operations: Sequence[Operation[Any]]) -> Committed:
        with named_faults(database_path(self._base_path)):
            return await run_locked(self._base_path, partial(self._database.sync, batch, operations), make=False)

    async def poll(self) -> Poll:
        with named_faults(database_path(self._base_path)):
            return await run_in_thread(self._database.poll)

    async def status(self) -> list[AccountStatus]:
        return await self._read(partial(read_accounts, self._base_path, self._clock.now_ns()))

    async def remaining(self, accounts: Sequence[Account]) -> dict[Unit, int]:
        return await self._read(partial(read_remaining, self._base_path, accounts))

    async def close(self, batch: Batch | None, *, timeout_s: float) -> None:
        """Close under the lock; after `timeout_s` as soon as that is free, and the next one who comes recovers us."""
        self._threads.close()
        timeout_s = max(timeout_s, CLOSE_GRACE_S)
        with anyio.CancelScope(deadline=anyio.current_time() + timeout_s, shield=True) as closing:
            try:
                await self._close_locked(partial(self._close, batch))
            except OSError as error:  # there is no thread to close it in, or the lock cannot be opened
                self._abandon(to_store_error(error, database_path(self._base_path)))
        if closing.cancelled_caught:
            self._abandon(lock_error(self._base_path, timeout_s))

    def forked(self) -> None:
        self._database.let_go()

    async def _read(self, read: Callable[[], T]) -> T:
        """Return what `read` reads in a thread, without the lock: no writer waits for it."""
        with named_faults(database_path(self._base_path)):
            return await run_in_thread(read)

    def _open(self, budgets: Sequence[Budget], *, holds_max: int, policy: LeasePolicy) -> Journal:
        try:
            return self._database.open(budgets, holds_max=holds_max, share=policy.share)
        except BaseException:
            self._database.close()
            raise

    async def _close_locked(self, close: Callable[[], None]) -> None:
        try:
            await run_locked(self._base_path, close, make=False, give_up=False, timeout_s=math.inf)
        except StoreMovedError:
            await run_in_thread(close)  # nobody else opens that file any more

    def _abandon(self, error: StoreError) -> None:
        """Release the journal's lock, so that the next process to open the ledger recovers this one as a dead one."""
        _log.error("the ledger could not be closed in order, and will be recovered: %s", error)
        self._database.let_go()

    def _close(self, batch: Batch | None) -> None:
        """Leave the bank; whatever fails is logged, and recovered from the journal when the ledger is next opened."""
        try:
            self._database.leave(batch)
        except (HiveCostError, sqlite3.Error, OSError) as error:
            _log.error("%s: the ledger could not be closed in order, and will be recovered: %s", self._base_path, error)
        finally:
            self._database.close()
            self._database.let_go()
            if self._journal is not None:
                self._journal.close()
