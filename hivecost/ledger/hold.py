"""What the ledger answers: a hold, or why there is none; and what a bill brought about."""

from __future__ import annotations

import shlex
from collections.abc import Collection, Mapping
from datetime import datetime
from typing import Final, Literal

import msgspec

from hivecost.errors import BudgetBusyError, BudgetExceededError, BudgetExhaustedError
from hivecost.ledger.account import Account, AccountDetails, AccountStatus, ThresholdCrossing
from hivecost.ledger.amounts import UNITS, Unit, format_amount
from hivecost.ledger.period import counting_since, for_period, resetting

HoldState = Literal["held", "in_doubt", "settled", "released"]
RefusalKind = Literal["exhausted", "busy", "frozen"]

#: How soon a refusal that is `busy` suggests to ask again.
BUSY_RETRY_AFTER_S: Final = 1.0

_KIND_ORDER: Final[tuple[RefusalKind, ...]] = ("busy", "exhausted", "frozen")


class Refusal(msgspec.Struct, frozen=True, kw_only=True):
    """Why an account does not grant what was asked. Amounts are integers in `unit`."""

    #: `exhausted`: spent, more or less; `busy`: held by others just now; `frozen`: nobody gets anything.
    kind: RefusalKind
    budget: str
    scope: str
    period: str
    unit: Unit
    needed: int
    remaining: int
    limit: int
    #: When an exhausted account starts anew; None: waiting does not help.
    reset_at: datetime | None = None
    #: Why it is frozen.
    reason: str = ""
    #: When a budget that never resets began to count; 0: nobody knows.
    since_ns: int = 0
    #: The budget only says what it would do.
    shadow: bool = False

    def error(self, execution_id: str = "") -> BudgetExceededError:
        """Return what to raise: BudgetBusyError with `retry_after_s`, else BudgetExhaustedError with `reset_at`."""
        error = self._error(execution_id)
        error.scope, error.period = self.scope, self.period
        error.used, error.limit = self.limit - self.remaining, self.limit
        error.needed, error.remaining = self.needed, self.remaining
        return error

    def _error(self, execution_id: str) -> BudgetExceededError:
        account = f"budget {self.budget!r}" + (f" ({self.scope})" if self.scope else "")
        needed, remaining, limit = (
            format_amount(amount, self.unit) for amount in (self.needed, self.remaining, self.limit)
        )
        amounts = f"needs up to {needed}, {remaining} of {limit} remain"
        if self.kind == "busy":
            message = f"{account} is held by other turns just now: {amounts}"
            return BudgetBusyError(
                message, budget=self.budget, execution_id=execution_id, retry_after_s=BUSY_RETRY_AFTER_S
            )
        if self.kind == "frozen":
            why = f" ({self.reason})" if self.reason else ""
            way_out = f"`hivecost budget unfreeze {shlex.quote(self.budget)}` grants again"
            message = f"{account} is frozen until someone looks{why}: {amounts}; {way_out}"
        else:
            ends = resetting(self.reset_at) + counting_since(self.period, self.since_ns)
            message = f"{account} is exhausted{for_period(self.period)}: {amounts}{ends}"
        return BudgetExhaustedError(message, budget=self.budget, execution_id=execution_id, reset_at=self.reset_at)


class Overrun(msgspec.Struct, frozen=True, kw_only=True):
    """A bill above its hold, charged in full: the price or the token bound was wrong, or the hold was a partial one."""

    budget: str
    scope: str
    period: str
    unit: Unit
    held: int
    billed: int
    #: Whether its budget is frozen for it, unless that is a shadow: of a partial hold it is not.
    freezes: bool = True


class Settlement(msgspec.Struct, frozen=True):
    """What charging a bill brought about; most often nothing."""

    crossings: tuple[ThresholdCrossing, ...] = ()
    incidents: tuple[Overrun, ...] = ()


class Hold(msgspec.Struct, eq=False, gc=False):
    """Money set aside on some accounts for one attempt. Only the ledger that made it changes it.

    Nothing that it refers to refers back, so that the garbage collector need not look at the many of them.
    """

    hold_id: int
    accounts: tuple[Account, ...]
    #: Set aside on each account, by its unit.
    amounts: Mapping[Unit, int]
    key: str | None = None
    state: HoldState = "held"
    #: What shadow budgets would have refused.
    shadowed: tuple[Refusal, ...] = ()
    #: When it was made.
    at_ns: int = 0
    #: All accounts that it was made on, where `accounts` loses those that the durable ledger has taken over.
    made_on: tuple[Account, ...] = ()
    #: What it was settled at; None: it is not.
    billed: Mapping[Unit, int] | None = None
    #: What was charged while the rest of the bill stays unknown; `accounts` are those of the other units then.
    known: Mapping[Unit, int] | None = None
    #: Only a part of what may be billed is set aside, so that a bill above it is no mistake.
    is_partial: bool = False
    #: Somebody else said so, who may not have known the bill.
    is_resolved: bool = False
    #: Where a journal has it; None: nowhere.
    slot: int | None = None
    #: It is in the durable ledger, as one in doubt, or on its way there.
    transferred: bool = False
    #: How many have it in their hands; when nobody has it any more, it is in doubt.
    handles: int = 0
    #: What further answers took of it.
    further: Mapping[Unit, int] | None = None
    #: The hold that this one is a further answer of, and what that had left for it.
    further_of: Hold | None = None
    wanted: Mapping[Unit, int] | None = None

    @property
    def units(self) -> frozenset[Unit]:
        """The units in which its budgets count it."""
        return frozenset(account.unit for account in self.made_on)

    @property
    def budgets(self) -> frozenset[str]:
        """The names of the budgets that it counts on."""
        return frozenset(account.budget.name for account in self.made_on)

    def status(self, budgets: Collection[str] | None = None) -> tuple[AccountDetails, ...]:
        """Return how its accounts stand by now, or those of `budgets` alone, in the order of the budgets."""
        accounts = (account for account in self.made_on if budgets is None or account.budget.name in budgets)
        return tuple(account.details() for account in accounts)

    @property
    def doubted(self) -> tuple[Account, ...]:
        """The accounts in whose unit the bill is not known."""
        known = self.known
        return self.made_on if known is None else tuple(a for a in self.made_on if a.unit not in known)

    def left(self) -> dict[Unit, int]:
        """Return what known bills have not used of the amounts; nothing of a hold that was released."""
        if self.state == "released":
            return dict.fromkeys(UNITS, 0)
        billed = (self.billed if self.state == "settled" else self.known) or {}
        further = self.further or {}
        used = {unit: billed.get(unit, 0) + further.get(unit, 0) for unit in UNITS}
        return {unit: max(0, self.amounts.get(unit, 0) - used[unit]) for unit in UNITS}


def refusal_of(status: AccountStatus, needed: int, *, frozen: str | None = None, shadow: bool = False) -> Refusal:
    """Return why an account that stands so does not grant `needed`; `frozen` is why its budget grants nothing."""
    fits_once_others_settle = needed <= status.limit - status.settled - status.in_doubt
    kind: RefusalKind = "frozen" if frozen is not None else "busy" if fits_once_others_settle else "exhausted"
    return Refusal(
        kind=kind,
        budget=status.budget,
        scope=status.scope,
        period=status.period,
        unit=status.unit,
        needed=needed,
        remaining=status.remaining,
        limit=status.limit,
        reset_at=status.reset_at if kind == "exhausted" and needed <= status.limit else None,
        reason=frozen or "",
        shadow=shadow,
    )


def finality(refusal: Refusal) -> int:
    """Return a rank that is the higher, the longer there is no use in asking again."""
    return _KIND_ORDER.index(refusal.kind)
