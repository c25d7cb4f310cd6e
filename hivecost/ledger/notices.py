"""What an account's crossing is told as."""

from __future__ import annotations

from hivecost.events import BudgetWarning, LLMTurnComplete, attribution_fields
from hivecost.ledger.account import Crossing
from hivecost.plugin import TurnRequest


def warning_of(crossing: Crossing, cause: LLMTurnComplete | TurnRequest, at_ns: int) -> BudgetWarning:
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
