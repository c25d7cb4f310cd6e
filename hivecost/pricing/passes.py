"""One cost of several: the runs of a turn add up, and so do what is in doubt about them."""

from __future__ import annotations

from collections.abc import Sequence
from typing import Final

from hivecost.events import Cost, CostStatus
from hivecost.money import TURN_COST_MAX_NANOUSD

#: As many causes as anybody reads.
_REASONS_MAX: Final = 5
#: Worst first: the sum is as sure as its least sure part.
_WORST: Final = (CostStatus.UNPRICED, CostStatus.INVALID, CostStatus.ESTIMATED)
_PARTS: Final = (
    "input_nanousd", "output_nanousd", "cached_nanousd", "written_nanousd", "reasoning_nanousd", "fee_nanousd",
    "notional_nanousd",
)  # fmt: skip


def sum_of_costs(costs: Sequence[Cost], snapshot: str, reason: str = "") -> Cost:
    """Return the sum, with the worst status of its parts and the reasons of all; `reason` makes it `estimated`.

    A part that is unpriced or invalid leaves no amount: what is unknown is never zero.
    """
    reasons = list(dict.fromkeys(part for cost in costs for part in cost.reason.split("; ") if part))
    reasons += [reason] if reason and reason not in reasons else []
    more = f"{len(reasons) - _REASONS_MAX} more" if len(reasons) > _REASONS_MAX else ""
    text = "; ".join([*reasons[:_REASONS_MAX], more] if more else reasons)
    found = {cost.status for cost in costs}
    status = next((one for one in _WORST if one in found), CostStatus.ESTIMATED if reason else CostStatus.PRICED)
    if status in {CostStatus.UNPRICED, CostStatus.INVALID}:
        return Cost(status=status, snapshot=snapshot, reason=text)
    nanousd = sum(cost.nanousd or 0 for cost in costs)
    if nanousd > TURN_COST_MAX_NANOUSD:
        return Cost(
            status=CostStatus.INVALID, snapshot=snapshot, reason="a turn above one million USD is a broken bill"
        )
    return Cost(
        status=status,
        nanousd=nanousd,
        source=_joined([cost.source for cost in costs]),
        rate=_joined([cost.rate for cost in costs]),
        snapshot=snapshot,
        reason=text,
        **{part: _sum_of(costs, part) for part in _PARTS},
    )


def _sum_of(costs: Sequence[Cost], part: str) -> int | None:
    amounts = [getattr(cost, part) for cost in costs]
    known = [amount for amount in amounts if amount is not None]
    return sum(known) if known and len(known) == len(amounts) else None


def _joined(texts: Sequence[str]) -> str:
    """Join the different texts: the rates of an answer's model and of its advisor's."""
    return " + ".join(dict.fromkeys(filter(None, texts)))
