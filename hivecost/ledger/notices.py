"""What the state of accounts is told as."""

from __future__ import annotations

from typing import Final

from hivecost.attribution import attribution_fields
from hivecost.errors import BudgetExceededError
from hivecost.events import (
    AlertRaised,
    BudgetExceeded,
    BudgetWarning,
    LLMTurnComplete,
    RateLimited,
)
from hivecost.gate_contract import TurnRequest
from hivecost.ledger.account import AccountStatus, ThresholdCrossing
from hivecost.ledger.amounts import Unit, overrun_reason
from hivecost.ledger.hold import Overrun

#: The rule of alerts about budgets that could not see what a call spent.
UNSEEN: Final = "budget.unseen"


def warning_of(crossing: ThresholdCrossing, cause: LLMTurnComplete | TurnRequest, at_ns: int) -> BudgetWarning:
    """The warning, attributed to the turn that brought the account there."""
    return BudgetWarning(
        timestamp_ns=at_ns,
        **attribution_fields(cause),
        budget=crossing.budget,
        scope=crossing.scope,
        period=crossing.period,
        unit=crossing.unit,
        used=crossing.used,
        limit=crossing.limit,
        fraction=crossing.fraction,
    )


def exceeded_of(
    spent: ThresholdCrossing | BudgetExceededError,
    unit: Unit,
    cause: LLMTurnComplete | TurnRequest,
    action: str,
    at_ns: int,
) -> BudgetExceeded:
    """What a turn did that went over a limit, or would have, and what was done about it."""
    return BudgetExceeded(
        timestamp_ns=at_ns,
        **attribution_fields(cause),
        budget=spent.budget,
        scope=spent.scope,
        period=spent.period,
        unit=unit,
        used=spent.used,
        limit=spent.limit,
        action=action,
        needed=spent.needed if isinstance(spent, BudgetExceededError) else 0,
        remaining=spent.remaining if isinstance(spent, BudgetExceededError) else 0,
    )


def overrun_of(incident: Overrun, cause: TurnRequest, at_ns: int, *, is_shadow: bool = False) -> AlertRaised:
    """The alert of a bill that was above its hold."""
    if not incident.freezes:
        outcome = "is charged in full and goes on, because the turn was held in steps"
    elif is_shadow:
        outcome = "would be frozen, and is a shadow"
    else:
        outcome = "is frozen until someone looks"
    reason = overrun_reason(incident.billed, incident.held, incident.unit)
    return AlertRaised(
        timestamp_ns=at_ns,
        **attribution_fields(cause),
        rule="budget.overrun",
        severity="P1" if incident.freezes else "P2",
        message=f"{reason}: budget {incident.budget!r} {outcome}",
    )


def unseen_of(account: AccountStatus, cause: LLMTurnComplete, at_ns: int) -> AlertRaised:
    """The alert of a budget that cannot see what a call spent."""
    whose = f" ({account.scope})" if account.scope else ""
    why = (cause.cost and cause.cost.reason) or "nobody knows its cost"
    return AlertRaised(
        timestamp_ns=at_ns,
        **attribution_fields(cause),
        rule=UNSEEN,
        severity="P2",
        message=f"budget {account.budget!r}{whose} could not see what a call of {cause.model!r} spent: {why}; "
        "further ones are counted, and not said",
        budget=account.budget,
        scope=account.scope,
    )


def rate_limited_of(request: TurnRequest, limiter: str, waited_s: float, at_ns: int) -> RateLimited:
    """What a turn is told to have waited for, in milliseconds."""
    return RateLimited(
        timestamp_ns=at_ns, **attribution_fields(request), limiter=limiter, waited_ms=round(1_000 * waited_s)
    )
