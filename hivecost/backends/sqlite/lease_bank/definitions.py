"""The budgets that were ever used on a base path, of every mode, as they were written down last."""

from __future__ import annotations

import logging
import sqlite3
from collections.abc import Iterable, Sequence
from contextlib import closing
from pathlib import Path
from typing import Any, Final

import msgspec

from hivecost.backends.sqlite.database import begin, database_path, open_writer
from hivecost.backends.sqlite.faults import named_faults
from hivecost.backends.sqlite.os_lock import run_locked
from hivecost.backends.sqlite.statements import LEDGER, statement
from hivecost.errors import ConfigError, StoreCorruptError
from hivecost.ledger import Budget
from hivecost.log.records import BudgetDefinition

_log = logging.getLogger("hivecost.budgets")

#: What a budget counts, and how: all that is read again. What it does about it may be more than this version knows, or,
#: with a limit that was changed meanwhile, no budget that could be written down.
_READ: Final = ("name", "limit", "unit", "window", "timezone", "match", "per", "limits", "mode", "shadow")

LOAD_DEFINITIONS: Final = statement(LEDGER, "definitions")
_DEFINED_MODE: Final = """
    SELECT iif(json_valid(definition), json_extract(definition, '$.mode'), NULL)
    FROM budget_definitions WHERE name = ?"""
_DEFINE: Final = """
    INSERT INTO budget_definitions VALUES (:name, :definition, :now_ns, :now_ns)
    ON CONFLICT DO UPDATE SET
        definition = excluded.definition, last_seen_ns = max(last_seen_ns, excluded.last_seen_ns)"""


def define(connection: sqlite3.Connection, budgets: Iterable[Budget], now_ns: int) -> None:
    """Keep what these budgets are now; inside a transaction. One that becomes hard is said in the log."""
    for budget in budgets:
        if budget.mode == "hard":
            _tell_of_change(connection, budget)
        definition = msgspec.json.encode(budget).decode()
        connection.execute(_DEFINE, {"name": budget.name, "definition": definition, "now_ns": now_ns})


def _tell_of_change(connection: sqlite3.Connection, budget: Budget) -> None:
    """Warn that the ledger counts from now on a budget that was not hard before: its past is not known here."""
    row = connection.execute(_DEFINED_MODE, [budget.name]).fetchone()
    if row is None or row[0] not in ("observe", "stop_after"):
        return
    before = "" if budget.window == "execution" else f", which does not know what was spent on it as {row[0]}"
    _log.warning(
        "budget %r is hard now, and was %s here: its money is held in the ledger%s; mode=%r keeps it as it was",
        *(budget.name, row[0], before, row[0]),
    )


async def record_definitions(base_path: Path, budgets: Sequence[Budget], now_ns: int) -> None:
    """Keep what these budgets are now, durably. Raise StoreErrors."""

    def record() -> None:
        with closing(open_writer(base_path)) as connection:
            begin(connection)
            define(connection, budgets, now_ns)
            connection.execute("COMMIT")

    with named_faults(database_path(base_path)):
        await run_locked(base_path, record)


def definition_of(row: Sequence[Any]) -> BudgetDefinition:
    """Return the definition that a row of LOAD_DEFINITIONS describes. Raise StoreCorruptError where it is damaged."""
    text, first_seen_ns, last_seen_ns, retired_ns = row
    try:
        fields = msgspec.json.decode(text, type=dict[str, Any])
        budget = Budget(**{name: fields[name] for name in _READ if name in fields})
    except (msgspec.DecodeError, ConfigError, TypeError) as error:
        problem = f"the definition of a budget is damaged: {error}; restore a backup of hivecost.db"
        raise StoreCorruptError(problem) from error
    return BudgetDefinition(
        budget=budget,
        first_seen_ns=first_seen_ns,
        last_seen_ns=last_seen_ns,
        is_retired=budget.mode == "hard" and retired_ns is not None and retired_ns >= last_seen_ns,
    )
