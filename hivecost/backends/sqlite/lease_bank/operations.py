"""What each operation does to the tables."""

from __future__ import annotations

import sqlite3
from collections.abc import Callable
from typing import Any, Final

from hivecost.backends.sqlite.lease_bank import budget_rows, in_doubt
from hivecost.backends.sqlite.lease_bank.audit import list_changes
from hivecost.leasing.operations import (
    Configure,
    Freeze,
    LimitInForce,
    ListBudgets,
    ListChanges,
    ListInDoubt,
    Operation,
    RaiseLimit,
    Refresh,
    Resolve,
    SetLimit,
    Unfreeze,
    UnsetLimit,
)

#: Done with the connection, the operation and the time of the bank.
_DONE_BY: Final[dict[type[Operation[Any]], Callable[[sqlite3.Connection, Any, int], Any]]] = {
    Refresh: lambda *_: None,
    ListInDoubt: lambda connection, *_: in_doubt.list_in_doubt(connection),
    Resolve: lambda connection, it, now_ns: in_doubt.resolve_by_hand(
        connection, it.hold_id, it.billed, by=it.by, now_ns=now_ns
    ),
    ListBudgets: lambda connection, *_: budget_rows.list_budgets(connection),
    ListChanges: lambda connection, it, _: list_changes(connection, it.limit),
    Configure: lambda connection, it, now_ns: budget_rows.configure(
        connection, it.budgets, now_ns, retire=it.retire, who=it.by
    ),
    SetLimit: lambda connection, it, now_ns: budget_rows.set_limit(
        connection, it.budget, it.limit, scope=it.scope, who=it.by, now_ns=now_ns
    ),
    RaiseLimit: lambda connection, it, now_ns: budget_rows.raise_limit(
        connection, it.budget, it.by_amount, scope=it.scope, who=it.by, now_ns=now_ns
    ),
    UnsetLimit: lambda connection, it, now_ns: budget_rows.unset_limit(
        connection, it.budget, scope=it.scope, who=it.by, now_ns=now_ns
    ),
    LimitInForce: lambda connection, it, _: budget_rows.limit_in_force(connection, it.budget, scope=it.scope),
    Freeze: lambda connection, it, now_ns: budget_rows.freeze(
        connection, it.budget, it.reason, who=it.by, now_ns=now_ns
    ),
    Unfreeze: lambda connection, it, now_ns: budget_rows.unfreeze(connection, it.budget, who=it.by, now_ns=now_ns),
}


def perform(connection: sqlite3.Connection, operation: Operation[Any], now_ns: int) -> Any:
    """Do the operation, and return what it gives. Raise ConfigError for one that cannot be."""
    return _DONE_BY[type(operation)](connection, operation, now_ns)
