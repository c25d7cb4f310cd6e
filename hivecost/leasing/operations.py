"""What is asked of a bank and changed there over all processes: values, done in the same transaction as a sync."""

from __future__ import annotations

from collections.abc import Mapping
from typing import Generic, TypeVar

import msgspec

from hivecost.ledger import Budget, BudgetChange, BudgetState, DoubtfulHold, Limit, Unit

R = TypeVar("R")


class Operation(msgspec.Struct, Generic[R], frozen=True):
    """One thing to do; `R` is what it gives. A bank raises ConfigError for one that cannot be, and changes nothing."""


class Refresh(Operation[None], frozen=True):
    """Do nothing besides the sync itself, which commits what is new and brings what is in force."""


class ListInDoubt(Operation[list[DoubtfulHold]], frozen=True):
    """List the holds in doubt of all processes, oldest first."""


class Resolve(Operation[None], frozen=True):
    """Settle a hold that is in doubt at what it really cost; a unit that is not billed is charged as it was held."""

    hold_id: str
    billed: Mapping[Unit, int]
    by: str


class ListBudgets(Operation[list[BudgetState]], frozen=True):
    """List the budgets that were ever configured, as they are in force, by name."""


class ListChanges(Operation[list[BudgetChange]], frozen=True):
    """List the newest entries of the audit trail, the newest first."""

    limit: int


class Configure(Operation[None], frozen=True):
    """Bring configured budgets into force, and take those out of it that are retired; all of it, or nothing."""

    budgets: tuple[Budget, ...] = ()
    retire: tuple[str, ...] = ()
    by: str = "configuration"


class SetLimit(Operation[int], frozen=True):
    """Give a budget, or one value of its attributes, another limit. Gives that limit."""

    budget: str
    limit: Limit
    by: str
    scope: Mapping[str, str] | None = None


class RaiseLimit(Operation[int], frozen=True):
    """Raise the limit in force by an amount. Gives the new limit."""

    budget: str
    by_amount: Limit
    by: str
    scope: Mapping[str, str] | None = None


class UnsetLimit(Operation[int], frozen=True):
    """Take back what an operator set. Gives the limit that is in force again."""

    budget: str
    by: str
    scope: Mapping[str, str] | None = None


class LimitInForce(Operation[int], frozen=True):
    """Give the limit of a budget, or of one value of its attributes."""

    budget: str
    scope: Mapping[str, str] | None = None


class Freeze(Operation[None], frozen=True):
    """Grant nothing more on a budget."""

    budget: str
    reason: str
    by: str


class Unfreeze(Operation[bool], frozen=True):
    """Grant again. Gives False if it was not frozen."""

    budget: str
    by: str
