"""The budgets that were used, those that a ledger knows, and who changed what: for those who only look."""

from __future__ import annotations

from collections.abc import Sequence
from pathlib import Path
from typing import Final

from hivecost.backends.sqlite.lease_bank.audit import LOAD_CHANGES, change_of, checked_count
from hivecost.backends.sqlite.lease_bank.budget_rows import LOAD_BUDGETS, budget_of
from hivecost.backends.sqlite.lease_bank.definitions import LOAD_DEFINITIONS, definition_of
from hivecost.backends.sqlite.lease_bank.own_limits import LOAD_OVERRULED, overruled_of
from hivecost.backends.sqlite.reading.connection import reading
from hivecost.errors import EventFormatError, StoreCorruptError
from hivecost.events import BudgetExceeded, decode_json
from hivecost.ledger import BudgetChange, BudgetState, OwnLimit
from hivecost.log.records import BudgetDefinition

#: A runtime writes its budgets down one after the other.
_ONE_START_NS: Final = 60 * 10**9

#: From the newest event back, as far as it takes.
LOAD_REFUSALS: Final = """
    SELECT payload FROM events
    WHERE type = 'budget_exceeded' AND json_extract(payload, '$.budget') = :budget
    ORDER BY id DESC LIMIT :limit"""


async def load_budgets(base_path: str | Path) -> list[BudgetState]:
    """All hard budgets that were ever configured here, by name; [] where there is no ledger. Raises StoreErrors."""
    async with reading(Path(base_path)) as log:
        return [budget_of(row) for row in await log.rows(LOAD_BUDGETS, {})]


async def load_definitions(base_path: str | Path) -> list[BudgetDefinition]:
    """The budgets of every mode that were ever used here, as written down last, by name. Raises StoreErrors."""
    async with reading(Path(base_path)) as log:
        return [definition_of(row) for row in await log.rows(LOAD_DEFINITIONS, {})]


def in_last_start(definitions: Sequence[BudgetDefinition]) -> frozenset[str]:
    """The names of those that the runtime or the Ledger has which started last here; others may have the rest."""
    newest_ns = max((known.last_seen_ns for known in definitions), default=0)
    return frozenset(known.budget.name for known in definitions if newest_ns - known.last_seen_ns <= _ONE_START_NS)


async def load_refusals(base_path: str | Path, budget: str, *, limit: int = 10) -> list[BudgetExceeded]:
    """What the budget stopped last, as it was logged, the newest first. Raises StoreErrors."""
    async with reading(Path(base_path)) as log:
        rows = await log.rows(LOAD_REFUSALS, {"budget": budget, "limit": limit})
    try:
        events = [decode_json(payload) for (payload,) in rows]
    except EventFormatError as error:
        raise StoreCorruptError(f"an event in the log is damaged: {error}; restore a backup of hivecost.db") from error
    return [event for event in events if isinstance(event, BudgetExceeded)]


async def load_overruled_limits(base_path: str | Path, *, limit: int = 1_000) -> list[OwnLimit]:
    """The limits of single values that operators set, by budget and value, so many at most. Raises StoreErrors."""
    async with reading(Path(base_path)) as log:
        return [overruled_of(row) for row in await log.rows(LOAD_OVERRULED, {"limit": checked_count(limit)})]


async def load_budget_changes(base_path: str | Path, *, limit: int = 100) -> list[BudgetChange]:
    """The newest entries of the audit trail, the newest first. Raises StoreErrors, and ConfigError for the limit."""
    async with reading(Path(base_path)) as log:
        return [change_of(row) for row in await log.rows(LOAD_CHANGES, {"limit": checked_count(limit)})]
