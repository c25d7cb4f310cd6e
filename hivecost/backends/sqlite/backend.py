"""A folder with `hivecost.db` in it: its log, its ledger, its fetched rates."""

from __future__ import annotations

from collections.abc import Iterable
from contextlib import AbstractAsyncContextManager
from functools import cached_property
from pathlib import Path

from hivecost.backends.sqlite.lease_bank import SqliteLeaseBank
from hivecost.backends.sqlite.liveness import living
from hivecost.backends.sqlite.log.writer import Store
from hivecost.backends.sqlite.log_state import SQLiteLogState
from hivecost.backends.sqlite.rates import FolderRates
from hivecost.backends.sqlite.reading.ledger_reader import SQLiteLedgerReader
from hivecost.backends.sqlite.reading.log_reader import SQLiteLogReader
from hivecost.clock import SYSTEM_CLOCK, Clock
from hivecost.leasing import DEFAULT_POLICY, LeasedLedger
from hivecost.ledger import Budget, listed_budgets


class SQLiteBackend:
    """A `hivecost.backends.Backend` that lends."""

    def __init__(self, base_path: Path) -> None:
        self._base_path = base_path

    @property
    def name(self) -> str:
        return str(self._base_path)

    @cached_property
    def rates(self) -> FolderRates:
        return FolderRates(self._base_path)

    def reader(self) -> SQLiteLogReader:
        return SQLiteLogReader(self._base_path)

    def writer(self, *, clock: Clock = SYSTEM_CLOCK) -> Store:
        return Store(self._base_path, clock=clock)

    def state(self, *, clock: Clock = SYSTEM_CLOCK) -> SQLiteLogState:
        return SQLiteLogState(self._base_path, clock)

    def ledger(self, budgets: Iterable[Budget] = (), *, clock: Clock = SYSTEM_CLOCK) -> LeasedLedger:
        return LeasedLedger(
            self.lease_bank(clock),
            listed_budgets(budgets),
            clock,
            holds_max=8192,
            close_timeout_s=30.0,
            policy=DEFAULT_POLICY,
        )

    def lease_bank(self, clock: Clock) -> SqliteLeaseBank:
        return SqliteLeaseBank(self._base_path, clock)

    def ledger_reader(self) -> SQLiteLedgerReader:
        return SQLiteLedgerReader(self._base_path)

    def living(self) -> AbstractAsyncContextManager[str]:
        return living(self._base_path)
