"""The budgets that were used, those that a ledger knows, and who changed what: for those who only look."""

from __future__ import annotations

from pathlib import Path

from hivecost.queries.reader import reading
from hivecost.store import BudgetChange, BudgetDefinition, BudgetState
from hivecost.store.definitions import LOAD_DEFINITIONS, definition_of
from hivecost.store.ledger.records import LOAD_BUDGETS, LOAD_CHANGES, budget_of, change_of, checked_count


async def load_budgets(base_path: str | Path) -> list[BudgetState]:
    """All hard budgets that were ever configured here, by name; [] where there is no ledger. Raises StoreErrors."""
    async with reading(Path(base_path)) as log:
        return [budget_of(row) for row in await log.rows(LOAD_BUDGETS, {})]


async def load_definitions(base_path: str | Path) -> list[BudgetDefinition]:
    """The budgets of every mode that were ever used here, as written down last, by name. Raises StoreErrors."""
    async with reading(Path(base_path)) as log:
        return [definition_of(row) for row in await log.rows(LOAD_DEFINITIONS, {})]


async def load_budget_changes(base_path: str | Path, *, limit: int = 100) -> list[BudgetChange]:
    """The newest entries of the audit trail, the newest first. Raises StoreErrors, and ConfigError for the limit."""
    async with reading(Path(base_path)) as log:
        return [change_of(row) for row in await log.rows(LOAD_CHANGES, {"limit": checked_count(limit)})]
