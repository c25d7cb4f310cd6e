"""What the ledger's tables say of budgets and of who changed them: to an open ledger, and to those who only look."""

from __future__ import annotations

import sqlite3
from collections.abc import Sequence
from typing import Any, Final

import msgspec

from hivecost.clock import to_datetime
from hivecost.errors import ConfigError, StoreCorruptError
from hivecost.ledger import BudgetChange, BudgetState

LOAD_BUDGETS: Final = """
    SELECT name, limit_amount, configured_amount, unit, time_window, timezone, attributes, shadow, coalesce(frozen, '')
    FROM ledger_budgets ORDER BY name"""

LOAD_CHANGES: Final = """
    SELECT at_ns, who, what, subject, detail FROM ledger_changes ORDER BY id DESC LIMIT :limit"""


def list_budgets(connection: sqlite3.Connection) -> list[BudgetState]:
    """All hard budgets that were ever configured, by name."""
    return [budget_of(row) for row in connection.execute(LOAD_BUDGETS)]


def list_changes(connection: sqlite3.Connection, limit: int) -> list[BudgetChange]:
    """The newest entries of the audit trail, the newest first. Raises ConfigError."""
    return [change_of(row) for row in connection.execute(LOAD_CHANGES, {"limit": checked_count(limit)})]


def budget_of(row: Sequence[Any]) -> BudgetState:
    """What a row of LOAD_BUDGETS says. Raises StoreCorruptError."""
    name, limit, configured_limit, unit, window, timezone, attributes, shadow, frozen = row
    return BudgetState(
        name=name,
        limit=limit,
        configured_limit=configured_limit,
        unit=unit,
        window=window,
        timezone=timezone,
        attributes=attributes_of(attributes),
        shadow=bool(shadow),
        frozen=frozen,
    )


def attributes_of(text: str) -> tuple[str, ...]:
    """The account attributes of a budget, as its row has them. Raises StoreCorruptError."""
    try:
        return msgspec.json.decode(text, type=tuple[str, ...])
    except msgspec.DecodeError as error:
        problem = f"a budget in the ledger is damaged: {error}; restore a backup of hivecost.db"
        raise StoreCorruptError(problem) from error


def change_of(row: Sequence[Any]) -> BudgetChange:
    """What a row of LOAD_CHANGES says."""
    at_ns, who, what, subject, detail = row
    return BudgetChange(at=to_datetime(at_ns), who=who, what=what, subject=subject, detail=detail)


def checked_count(limit: object) -> int:
    """How many entries to read at most. Raises ConfigError: to SQLite, a limit below zero is none."""
    if type(limit) is not int or limit < 1:
        raise ConfigError("limit", "a whole number, 1 or more", got=limit)
    return min(limit, 2**63 - 1)  # SQLite knows 64 bits
