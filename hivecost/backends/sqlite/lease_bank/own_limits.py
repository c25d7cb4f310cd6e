"""The rows of limits that single values of a budget's attributes have of their own: each is found by its key."""

from __future__ import annotations

import json
import sqlite3
from collections.abc import Sequence
from typing import Any, Final

import msgspec

from hivecost.backends.sqlite.lease_bank.audit import record_change
from hivecost.backends.sqlite.statements import LEDGER, statement
from hivecost.errors import StoreCorruptError
from hivecost.ledger import Budget, OwnLimit
from hivecost.ledger.account import Account
from hivecost.ledger.amounts import format_exactly
from hivecost.ledger.own_limits import LimitKey, format_key, keys_of
from hivecost.ledger.period import Window

#: Whether values of a budget have limits of their own at all: most often none has, and none is looked for.
HAS_OWN_LIMITS: Final = "EXISTS (SELECT 1 FROM ledger_own_limits WHERE budget = name)"
LOAD_OWN_LIMIT: Final = statement(LEDGER, "own_limit")
LOAD_CONFIGURED: Final = statement(LEDGER, "configured_limits")
LOAD_OVERRULED: Final = statement(LEDGER, "overruled_limits")


def account_attributes_of(text: str) -> tuple[str, ...]:
    """Return the account attributes of a budget, read from its row. Raise StoreCorruptError where it is damaged."""
    try:
        return msgspec.json.decode(text, type=tuple[str, ...])
    except msgspec.DecodeError as error:
        problem = f"a budget in the ledger is damaged: {error}; restore a backup of hivecost.db"
        raise StoreCorruptError(problem) from error


def pack_key(key: LimitKey) -> str:
    """Return the key in the form in which the tables store it."""
    return json.dumps(key)


def unpack_key(packed: str) -> LimitKey:
    """Return the key that the tables store in this form. Raise StoreCorruptError where it is damaged."""
    try:
        return msgspec.json.decode(packed, type=LimitKey)
    except msgspec.DecodeError as error:
        problem = f"an account or a limit in the ledger is damaged: {error}; restore a backup of hivecost.db"
        raise StoreCorruptError(problem) from error


def overruled_of(row: Sequence[Any]) -> OwnLimit:
    """Return the limit that a row of LOAD_OVERRULED describes. Raise StoreCorruptError where it is damaged."""
    budget, packed, attributes, unit, limit, configured_limit = row
    key, names = unpack_key(packed), account_attributes_of(attributes)
    if len(key) != len(names):
        raise StoreCorruptError(
            f"a limit of budget {budget!r} in the ledger is damaged; restore a backup of hivecost.db"
        )
    return OwnLimit(
        budget=budget, scope=format_key(names, key), unit=unit, limit=limit, configured_limit=configured_limit
    )


def own_limit(connection: sqlite3.Connection, budget: str, window: Window, key: LimitKey) -> int | None:
    """Return the limit of their own that the accounts of a key have; None where that of their budget holds."""
    for one in keys_of(window, key):
        row = connection.execute(LOAD_OWN_LIMIT, {"budget": budget, "account_values": pack_key(one)}).fetchone()
        if row is not None:
            return int(row[0])
    return None


def own_limit_of_account(connection: sqlite3.Connection, account: Account) -> int | None:
    """Return the limit of its own that an account has; None where that of its budget holds."""
    return own_limit(connection, account.budget.name, account.budget.window, account.values)


def configure_own(connection: sqlite3.Connection, budget: Budget, *, who: str, now_ns: int) -> None:
    """Bring the limits of single values into force. One that an operator set stays until another is configured."""
    wanted = {pack_key(key): (key, amount) for key, amount in budget.own_limits.items()}
    before: dict[str, int] = dict(connection.execute(LOAD_CONFIGURED, {"budget": budget.name}))
    for packed, (key, amount) in wanted.items():
        if before.get(packed) != amount:
            connection.execute(
                "INSERT INTO ledger_own_limits VALUES (?1, ?2, ?3, ?3)"
                " ON CONFLICT DO UPDATE SET limit_amount = ?3, configured_amount = ?3",
                [budget.name, packed, amount],
            )
            detail = f"{format_key(budget.account_attributes, key)}: {format_exactly(amount, budget.counted_unit)}"
            record_change(connection, "configure", budget.name, detail, who=who, now_ns=now_ns)
    for packed in before.keys() - wanted.keys():
        delete_own(connection, budget.name, packed)
        detail = f"{format_key(budget.account_attributes, unpack_key(packed))}: that of the budget"
        record_change(connection, "configure", budget.name, detail, who=who, now_ns=now_ns)


def set_own(connection: sqlite3.Connection, budget: str, key: LimitKey, amount: int) -> None:
    """Set an operator's limit for a key; the configured one is kept beside it."""
    connection.execute(
        "INSERT INTO ledger_own_limits VALUES (?1, ?2, ?3, NULL) ON CONFLICT DO UPDATE SET limit_amount = ?3",
        [budget, pack_key(key), amount],
    )


def unset_own(connection: sqlite3.Connection, budget: str, key: LimitKey) -> bool:
    """Take an operator's limit back; False if there was none."""
    place = [budget, pack_key(key)]
    overruled = connection.execute(
        "SELECT configured_amount FROM ledger_own_limits"
        " WHERE budget = ? AND account_values = ? AND limit_amount IS NOT configured_amount",
        place,
    ).fetchone()
    if overruled is None:
        return False
    if overruled[0] is None:
        delete_own(connection, *place)
    else:
        connection.execute(
            "UPDATE ledger_own_limits SET limit_amount = configured_amount WHERE budget = ? AND account_values = ?",
            place,
        )
    return True


def delete_own(connection: sqlite3.Connection, budget: str, packed: str) -> None:
    """Delete the limit of these values, for which the budget's own is in force then."""
    connection.execute("DELETE FROM ledger_own_limits WHERE budget = ? AND account_values = ?", [budget, packed])
