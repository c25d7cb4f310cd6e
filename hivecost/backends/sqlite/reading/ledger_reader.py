"""LedgerReader over the embedded database and the journals of the processes that spend there."""

from __future__ import annotations

from collections.abc import Sequence
from pathlib import Path

from hivecost.backends.asking import checked_limit
from hivecost.backends.sqlite.lease_bank.budget_rows import LOAD_BUDGETS, budget_of
from hivecost.backends.sqlite.lease_bank.own_limits import LOAD_OVERRULED, overruled_of
from hivecost.backends.sqlite.lease_bank.status import read_accounts, read_accounts_of, read_doubts, read_holders
from hivecost.backends.sqlite.reading.source import Source
from hivecost.ledger import Account, AccountStatus, BudgetState, DoubtfulHold, Holder, OwnLimit


class SQLiteLedgerReader:
    """A `hivecost.ledger.LedgerReader` of a folder."""

    def __init__(self, base_path: Path) -> None:
        self._base_path = base_path
        self._source = Source(base_path)

    def budgets(self) -> list[BudgetState]:
        return [budget_of(row) for row in self._source.select(LOAD_BUDGETS, {})]

    def status(self, at_ns: int) -> list[AccountStatus]:
        return read_accounts(self._base_path, at_ns)

    def status_of(self, accounts: Sequence[Account]) -> dict[Account, AccountStatus]:
        return read_accounts_of(self._base_path, accounts)

    def in_doubt(self, at_ns: int) -> list[DoubtfulHold]:
        return read_doubts(self._base_path, at_ns)

    def holders(self, budget: str) -> dict[tuple[str, str], list[Holder]]:
        return read_holders(self._base_path, budget)

    def own_limits(self, *, limit: int = 1_000) -> list[OwnLimit]:
        return [overruled_of(row) for row in self._source.select(LOAD_OVERRULED, {"limit": checked_limit(limit)})]
