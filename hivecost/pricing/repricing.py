"""A logged turn at the rates of another table."""

from __future__ import annotations

from enum import StrEnum
from typing import Final

from hivecost.events import Cost, CostStatus, LLMTurnComplete
from hivecost.pricing.book import PriceBook
from hivecost.pricing.user_table import SOURCE as USER
from hivecost.pricing.user_table import SUBSCRIPTION
from hivecost.usage.reading import UsageReading, UsageStatus

#: What only a table of the user's own can say.
_OWN: Final = frozenset({USER, SUBSCRIPTION})


class Kept(StrEnum):
    """Why a turn is not priced again."""

    REPORTED = "billed by the provider itself"
    INVALID = "the usage that was reported cannot be"
    NO_USAGE = "its usage is unknown"
    OWN_PRICE = "priced by a table of your own that is not given now"


def reprice_turn(turn: LLMTurnComplete, book: PriceBook) -> Cost | Kept:
    """Return what the turn costs by this book at the time it happened, or why it keeps its cost.

    A provider's bill wins over any table. Unknown usage is not zero usage. A price of the user's own gives way
    only to another of their own, because the turn does not say which shipped model its name stands for.
    """
    before = turn.cost
    if before is not None:
        if before.status is CostStatus.REPORTED:
            return Kept.REPORTED
        if before.status is CostStatus.INVALID:
            return Kept.INVALID
    if not (turn.usage.total_tokens or turn.usage.web_search_requests):
        return Kept.NO_USAGE
    is_final = before is None or before.status is not CostStatus.ESTIMATED
    reading = UsageReading(
        usage=turn.usage,
        status=UsageStatus.OK if is_final else UsageStatus.ESTIMATED,
        reason="" if is_final else "the usage is not final",
        model=turn.model,
        provider=turn.provider,
        service_tier=turn.service_tier,
        inference_geo=_geography(before),
    )
    cost = book.price_reading(reading, model=turn.asked_model, at_ns=turn.timestamp_ns)
    if before is not None and before.source in _OWN and cost.source not in _OWN:
        return Kept.OWN_PRICE
    return cost


#: How a rate shows that inference was kept in one country, for which the log has no column.
_UPLIFTED: Final = "times="


def _geography(before: Cost | None) -> str:
    return "us" if before is not None and _UPLIFTED in before.rate else ""
