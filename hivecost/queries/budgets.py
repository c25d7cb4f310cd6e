"""The hard budgets that a ledger knows, and who changed what: for those who only look, and open no ledger."""

from __future__ import annotations

from pathlib import Path

from hivecost.ledger import OwnLimit
from hivecost.queries.reader import reading
from hivecost.store import BudgetChange, BudgetState
from hivecost.store.ledger.own_limits import LOAD_OVERRULED, overruled_of
from hivecost.store.ledger.records import LOAD_BUDGETS, LOAD_CHANGES, budget_of, change_of, checked_count


async def load_budgets(base_path: str | Path) -> list[BudgetState]:
    """All hard budgets that were ever configured here, by name; [] where there is no ledger. Raises StoreErrors."""
    async with reading(Path(base_path)) as log:
        return [budget_of(row) for row in await log.rows(LOAD_BUDGETS, {})]


async def load_overruled_limits(base_path: str | Path, *, limit: int = 1_000) -> list[OwnLimit]:
    """The limits of single values that operators set, by budget and value, so many at most. Raises StoreErrors."""
    async with reading(Path(base_path)) as log:
        return [overruled_of(row) for row in await log.rows(LOAD_OVERRULED, {"limit": checked_count(limit)})]


async def load_budget_changes(base_path: str | Path, *, limit: int = 100) -> list[BudgetChange]:
    """The newest entries of the audit trail, the newest first. Raises StoreErrors, and ConfigError for the limit."""
    async with reading(Path(base_path)) as log:
        return [change_of(row) for row in await log.rows(LOAD_CHANGES, {"limit": checked_count(limit)})]
