"""An account: one budget, one scope value, one period, and what was spent there."""

from __future__ import annotations

from collections.abc import Iterator
from datetime import datetime
from fractions import Fraction
from functools import lru_cache
from math import ceil
from typing import Any

import msgspec

from hivecost.clock import to_datetime
from hivecost.ledger.amounts import Unit
from hivecost.ledger.budget import Budget
from hivecost.ledger.period import Period

#: The start of its period, and the values of its budget's account attributes: unique among the accounts of a budget.
AccountKey = tuple[int, tuple[str, ...]]


class AccountStatus(msgspec.Struct, frozen=True, kw_only=True):
    """How an account stands. Amounts are integers in `unit`: nano-USD, tokens or calls."""

    budget: str
    #: Which account of the budget: `user=ada`, `execution=exec_…`, or "" for one account over all.
    scope: str
    #: The period's name, such as `2026-11-22`.
    period: str
    unit: Unit
    limit: int
    settled: int
    held: int
    in_doubt: int
    #: Never below zero; an overshoot shows in `settled`.
    remaining: int
    #: When the period ends; None: it never does.
    reset_at: datetime | None
    #: Calls that it could not see, or not in full: nobody knows what of `unit` they spent, and `settled` lacks it.
    unpriced_calls: int = 0
    #: Nothing is granted until someone looks.
    frozen: bool = False
    #: The limit is one of its values alone, not the budget's.
    has_own_limit: bool = False


class AccountDetails(AccountStatus, frozen=True, kw_only=True):
    """The same as a process sees it that spends on the account, with its soft limit."""

    #: From here on its budget's `on_soft` applies; None: it has no soft limit.
    soft_limit: int | None


class ThresholdCrossing(msgspec.Struct, frozen=True, kw_only=True):
    """An account passed one of its warning fractions, its soft limit or its limit."""

    budget: str
    scope: str
    period: str
    unit: Unit
    used: int
    limit: int
    #: The fraction of the limit that was reached; 1.0 when `exceeded`.
    fraction: float
    #: False: a warning, once per account and fraction. True: above the limit, said again at every addition.
    exceeded: bool
    #: The execution whose own account it is; "" where several share it.
    execution_id: str = ""
    #: When the account was first spent on; 0: nobody knows.
    since_ns: int = 0


class Account(msgspec.Struct, eq=False, weakref=True):
    """The sums of one account. `alarm_at` is the amount from which on an addition has something to report."""

    budget: Budget
    #: The values of the budget's account attributes, in their order.
    values: tuple[str, ...]
    period: Period
    limit: int
    settled: int = 0
    held: int = 0
    in_doubt: int = 0
    #: Holds that are held or in doubt; a hold may well be zero in this unit.
    open_holds: int = 0
    unpriced_calls: int = 0
    warned: int = 0
    alarm_at: int = 0
    used_at_ns: int = 0
    #: What bills charged above their holds; the only way past the limit.
    overrun: int = 0
    #: Its execution has ended, or its period long has: dropped with its last open hold.
    over: bool = False
    #: The budget's, beside the sums because every addition asks for it.
    unit: Unit = "usd"
    #: Holds are granted up to here: the limit, or less where this process has only a lease of it.
    cap: int = 0
    #: Whoever lends the leases sets `cap`, not the limit.
    leased: bool = False
    #: Its number at the bank that lends; 0: it has none.
    bank_id: int = 0
    #: When it was first spent on, as far as whoever counts on it knows; 0: nobody does.
    since_ns: int = 0

    def spent_on(self, at_ns: int) -> None:
        """Remember that it was spent on at this instant, if nothing earlier is known."""
        if not self.since_ns or at_ns < self.since_ns:
            self.since_ns = at_ns

    #: The limit that its values have of their own; None: `limit` is the budget's.
    own_limit: int | None = None

    def __post_init__(self) -> None:
        self.unit = self.budget.counted_unit
        self.set_limit(self.limit if self.own_limit is None else self.own_limit)

    @property
    def key(self) -> AccountKey:
        """What tells it from other accounts of its budget: the start of its period, and its values."""
        return self.period.start_ns, self.values

    @property
    def scope(self) -> str:
        """`user=ada,model=gpt-4o`, or "" for one account over all."""
        return ",".join(map("{}={}".format, self.budget.account_attributes, self.values))

    @property
    def execution_id(self) -> str:
        """The execution whose own account it is; "" where several share it."""
        names = self.budget.account_attributes
        return self.values[names.index("execution")] if "execution" in names else ""

    @property
    def remaining(self) -> int:
        """What is left of the limit, and not below zero."""
        return max(0, self.limit - self.settled - self.held - self.in_doubt)

    @property
    def room(self) -> int:
        """What may be held now, of the limit or of the lease."""
        return max(0, self.cap - self.settled - self.held - self.in_doubt)

    @property
    def is_spent(self) -> bool:
        """Whether nothing of the limit is left; what is held does not count."""
        return self.settled >= self.limit

    @property
    def soft_amount(self) -> int | None:
        """The soft limit; of a limit of its own as large a part as the budget's is of the budget's limit."""
        soft = self.budget.soft_amount
        if soft is None or self.own_limit is None:
            return soft
        return ceil(Fraction(soft * self.own_limit, self.budget.limit_amount or 1))

    def set_limit(self, limit: int) -> None:
        """Measure against another limit; the fractions of it that are not reached yet will warn again."""
        self.limit = limit
        if not self.leased:
            self.cap = limit
        self.warned = sum(mark <= self.settled for mark, _ in self._marks())
        self._set_alarm()

    def set_budget(self, budget: Budget) -> None:
        """Go by its budget as it is now, and by its limit unless the account has its own."""
        self.budget = budget
        self.set_limit(budget.limit_amount if self.own_limit is None else self.own_limit)

    def set_own_limit(self, own_limit: int | None) -> None:
        """Set a limit of its own, or, with None, that of its budget."""
        self.own_limit = own_limit
        self.set_budget(self.budget)

    def crossings(self) -> Iterator[ThresholdCrossing]:
        """Yield the thresholds that the last addition crossed; to be called once `settled` has reached `alarm_at`."""
        marks = self._marks()
        while self.warned < len(marks) and marks[self.warned][0] <= self.settled:
            yield self._crossing(marks[self.warned][1], exceeded=False)
            self.warned += 1
        if self.settled > self.limit:
            yield self._crossing(1.0, exceeded=True)
        self._set_alarm()

    def status(self, *, frozen: bool = False) -> AccountStatus:
        """Return how it stands now."""
        return AccountStatus(**self._sums(), frozen=frozen)

    def details(self) -> AccountDetails:
        """Return how it stands now, with its soft limit."""
        return AccountDetails(**self._sums(), soft_limit=self.soft_amount)

    def _sums(self) -> dict[str, Any]:
        return {
            "budget": self.budget.name,
            "scope": self.scope,
            "period": self.period.name,
            "unit": self.unit,
            "limit": self.limit,
            "settled": self.settled,
            "held": self.held,
            "in_doubt": self.in_doubt,
            "remaining": self.remaining,
            "reset_at": None if self.period.end_ns is None else to_datetime(self.period.end_ns),
            "unpriced_calls": self.unpriced_calls,
            "has_own_limit": self.own_limit is not None,
        }

    def _marks(self) -> list[tuple[int, float]]:
        """Return the smallest amounts that reach the warning fractions and the soft limit, each with its fraction."""
        marks = [(_mark(fraction, self.limit), fraction) for fraction in self.budget.warn]
        soft = self.soft_amount
        if soft is not None and soft < self.limit and all(soft != mark for mark, _ in marks):
            marks.append((soft, soft / self.limit))
        return sorted(marks)

    def _set_alarm(self) -> None:
        marks = self._marks()
        self.alarm_at = marks[self.warned][0] if self.warned < len(marks) else self.limit + 1

    def _crossing(self, fraction: float, *, exceeded: bool) -> ThresholdCrossing:
        return ThresholdCrossing(
            budget=self.budget.name,
            scope=self.scope,
            period=self.period.name,
            unit=self.unit,
            used=self.settled,
            limit=self.limit,
            fraction=fraction,
            exceeded=exceeded,
            execution_id=self.execution_id,
            since_ns=self.since_ns,
        )


@lru_cache(maxsize=4_096)
def _mark(fraction: float, limit: int) -> int:
    """Return the smallest amount that reaches the fraction of a limit; exact, because 0.8 is meant as written."""
    return ceil(Fraction(str(fraction)) * limit)
