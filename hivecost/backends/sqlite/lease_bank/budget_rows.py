"""The rows of budgets, in force for all processes."""

from __future__ import annotations

import json
import sqlite3
from collections.abc import Iterable, Mapping, Sequence
from typing import Any, Final, NamedTuple

from hivecost.backends.sqlite.lease_bank.audit import record_change, require_text
from hivecost.backends.sqlite.lease_bank.definitions import define
from hivecost.backends.sqlite.lease_bank.own_limits import (
    HAS_OWN_LIMITS,
    account_attributes_of,
    configure_own,
    own_limit,
    set_own,
    unset_own,
)
from hivecost.backends.sqlite.statements import LEDGER, statement
from hivecost.errors import ConfigError
from hivecost.leasing.batch import BudgetRow
from hivecost.ledger import Budget, BudgetState, Unit
from hivecost.ledger.amounts import format_exactly, overrun_reason, parse_amount, raise_amount
from hivecost.ledger.budget import Limit
from hivecost.ledger.own_limits import LimitKey, format_key, key_of_scope
from hivecost.ledger.period import Window

LOAD_BUDGETS: Final = statement(LEDGER, "budgets")
LOAD_BUDGET_ROWS: Final = statement(LEDGER, "budget_rows", has_own_limits=HAS_OWN_LIMITS)


def configure(
    connection: sqlite3.Connection,
    budgets: Iterable[Budget],
    now_ns: int,
    *,
    retire: Iterable[str] = (),
    who: str = "configuration",
) -> None:
    """Bring the budgets into force, and take those out of it that are `retire`d; what was spent stays.

    A limit that an operator set stays until another one is configured. Raise ConfigError for a budget that now counts
    in another unit, window, time zone or per other attributes.
    """
    budgets = tuple(budgets)
    define(connection, budgets, now_ns)
    for name in retire:
        record_change(connection, "retire", name, "", who=who, now_ns=now_ns)
    for budget in budgets:
        counts = (budget.counted_unit, budget.window, budget.timezone, json.dumps(budget.account_attributes))
        row = connection.execute(
            "SELECT unit, time_window, timezone, attributes, configured_amount FROM ledger_budgets WHERE name = ?",
            [budget.name],
        ).fetchone()
        if row is None:
            connection.execute(
                "INSERT INTO ledger_budgets VALUES (?, ?, ?, ?, ?, ?, ?, ?, NULL)",
                [budget.name, *counts, budget.limit_amount, budget.limit_amount, budget.shadow],
            )
        else:
            _check_counts_alike(budget.name, row[:4], counts)
            connection.execute("UPDATE ledger_budgets SET shadow = ? WHERE name = ?", [budget.shadow, budget.name])
        if row is None or row[4] != budget.limit_amount:
            connection.execute(
                "UPDATE ledger_budgets SET limit_amount = ?1, configured_amount = ?1 WHERE name = ?2",
                [budget.limit_amount, budget.name],
            )
            detail = format_exactly(budget.limit_amount, budget.counted_unit)
            record_change(connection, "configure", budget.name, detail, who=who, now_ns=now_ns)
        configure_own(connection, budget, who=who, now_ns=now_ns)


def list_budgets(connection: sqlite3.Connection) -> list[BudgetState]:
    """Return all hard budgets that were ever configured, by name."""
    return [budget_of(row) for row in connection.execute(LOAD_BUDGETS)]


def budget_of(row: Sequence[Any]) -> BudgetState:
    """Return the budget that a row of LOAD_BUDGETS describes. Raise StoreCorruptError where it is damaged."""
    name, limit, configured_limit, unit, window, timezone, attributes, shadow, frozen = row
    return BudgetState(
        name=name,
        limit=limit,
        configured_limit=configured_limit,
        unit=unit,
        window=window,
        timezone=timezone,
        attributes=account_attributes_of(attributes),
        shadow=bool(shadow),
        frozen=frozen,
    )


def budget_rows(connection: sqlite3.Connection) -> dict[str, BudgetRow]:
    """Return all budgets that were ever configured."""
    rows = connection.execute(LOAD_BUDGET_ROWS)
    return {name: BudgetRow(limit, frozen, bool(has_own)) for name, limit, frozen, has_own in rows}


def first_configured_ns(connection: sqlite3.Connection, budget: str) -> int:
    """Return when the budget first came into force here, to count since then; 0 where the audit trail lacks that."""
    row = connection.execute(
        "SELECT at_ns FROM ledger_changes WHERE what = 'configure' AND subject = ? ORDER BY id LIMIT 1", [budget]
    ).fetchone()
    return 0 if row is None else int(row[0])


def set_limit(
    connection: sqlite3.Connection,
    budget: str,
    limit: Limit,
    *,
    scope: Mapping[str, str] | None = None,
    who: str,
    now_ns: int,
) -> int:
    """Give a budget, or with `scope` one value of its attributes, another limit; that limit. Raise ConfigError.

    In the budget's unit if `limit` names none.
    """
    place = _place(connection, budget, scope)
    amount = parse_amount(limit, place.unit, key=f"budget {budget!r}.limit")
    _put_limit(connection, place, amount)
    detail = place.said(format_exactly(amount, place.unit))
    record_change(connection, "set_limit", budget, detail, who=who, now_ns=now_ns)
    return amount


def raise_limit(
    connection: sqlite3.Connection,
    budget: str,
    by_amount: Limit,
    *,
    scope: Mapping[str, str] | None = None,
    who: str,
    now_ns: int,
) -> int:
    """Raise the limit in force by an amount, in the budget's unit if that names none. Gives the new limit.

    Raise ConfigError.
    """
    place = _place(connection, budget, scope)
    after = raise_amount(place.limit, by_amount, place.unit, key=f"budget {budget!r}: amount")
    _put_limit(connection, place, after)
    amounts = f"by {format_exactly(after - place.limit, place.unit)} to {format_exactly(after, place.unit)}"
    record_change(connection, "raise_limit", budget, place.said(amounts), who=who, now_ns=now_ns)
    return after


def unset_limit(
    connection: sqlite3.Connection, budget: str, *, scope: Mapping[str, str] | None = None, who: str, now_ns: int
) -> int:
    """Take an operator's limit back: what is configured is in force again; that limit. Raise ConfigError."""
    place = _place(connection, budget, scope)
    if not place.key:
        done = connection.execute(
            "UPDATE ledger_budgets SET limit_amount = configured_amount"
            " WHERE name = ? AND limit_amount <> configured_amount",
            [budget],
        ).rowcount
    else:
        done = unset_own(connection, budget, place.key)
    after = _place(connection, budget, scope).limit
    if done:
        detail = place.said(f"{format_exactly(place.limit, place.unit)}, now {format_exactly(after, place.unit)}")
        record_change(connection, "unset_limit", budget, detail, who=who, now_ns=now_ns)
    return after


def limit_in_force(connection: sqlite3.Connection, budget: str, *, scope: Mapping[str, str] | None = None) -> int:
    """Return the limit of a budget, or of one value of its attributes. Raise ConfigError for an unknown one."""
    return _place(connection, budget, scope).limit


def freeze(connection: sqlite3.Connection, budget: str, reason: str, *, who: str, now_ns: int) -> None:
    """Grant nothing more on a budget. Raise ConfigError for no such budget, and for no reason."""
    _budget(connection, budget)
    require_text(reason, "reason", "why, for those who find it frozen")
    connection.execute("UPDATE ledger_budgets SET frozen = ? WHERE name = ?", [reason, budget])
    record_change(connection, "freeze", budget, reason, who=who, now_ns=now_ns)


def freeze_for_bill(
    connection: sqlite3.Connection, budget: str, unit: Unit, *, billed: int, held: int, now_ns: int
) -> None:
    """Freeze the budget if a bill was above its hold, until an operator has looked. Shadow budgets go on."""
    (shadow,) = connection.execute("SELECT shadow FROM ledger_budgets WHERE name = ?", [budget]).fetchone()
    if billed > held and not shadow:
        freeze(connection, budget, overrun_reason(billed, held, unit), who="hivecost", now_ns=now_ns)


def unfreeze(connection: sqlite3.Connection, budget: str, *, who: str, now_ns: int) -> bool:
    """Grant again; False if it was not frozen. Raise ConfigError for no such budget."""
    _budget(connection, budget)
    done = connection.execute(
        "UPDATE ledger_budgets SET frozen = NULL WHERE name = ? AND frozen IS NOT NULL", [budget]
    ).rowcount
    if done:
        record_change(connection, "unfreeze", budget, "", who=who, now_ns=now_ns)
    return bool(done)


class _Place(NamedTuple):
    """Whose limit it is: a budget's, or that of some values of its attributes."""

    budget: str
    unit: Unit
    limit: int
    #: Empty for the budget itself.
    key: LimitKey
    attributes: tuple[str, ...]

    def said(self, amounts: str) -> str:
        """Return the amounts for the audit, with the account values that they belong to."""
        return f"{format_key(self.attributes, self.key)}: {amounts}" if self.key else amounts


def _place(connection: sqlite3.Connection, budget: str, scope: Mapping[str, str] | None) -> _Place:
    """Return where the limit of a budget, or of a scope, is, and what it is. Raise ConfigError."""
    unit, limit, window, attributes = _budget(connection, budget)
    if scope is None:
        return _Place(budget, unit, limit, (), attributes)
    key = key_of_scope(budget, window, attributes, scope)
    own = own_limit(connection, budget, window, key)
    return _Place(budget, unit, limit if own is None else own, key, attributes)


def _put_limit(connection: sqlite3.Connection, place: _Place, amount: int) -> None:
    if place.key:
        set_own(connection, place.budget, place.key, amount)
    else:
        connection.execute("UPDATE ledger_budgets SET limit_amount = ? WHERE name = ?", [amount, place.budget])


def _budget(connection: sqlite3.Connection, budget: str) -> tuple[Unit, int, Window, tuple[str, ...]]:
    """Return how a budget counts, and its limit in force.

    Raise ConfigError, naming those there are, where there is no such budget.
    """
    names = [name for (name,) in connection.execute("SELECT name FROM ledger_budgets ORDER BY name")]
    if not isinstance(budget, str) or budget not in names:
        listed = ", ".join(map(repr, names)) or "no budgets: none with mode='hard' was ever configured here"
        raise ConfigError("budget", f"one of {listed}", got=budget)
    unit, limit, window, attributes = connection.execute(
        "SELECT unit, limit_amount, time_window, attributes FROM ledger_budgets WHERE name = ?", [budget]
    ).fetchone()
    return unit, limit, window, account_attributes_of(attributes)


def _check_counts_alike(name: str, before: tuple[str, ...], now: tuple[str, ...]) -> None:
    for field, old, new in zip(("limit", "window", "timezone", "per"), before, now, strict=True):
        if old != new:
            expected = f"{old!r}, in which its money was counted; a budget that counts anew needs a new name"
            raise ConfigError(f"budget {name!r}.{field}", expected, got=new)
