"""Money that may have been spent and is in no sum of the log, because nobody knows the bill."""

from __future__ import annotations

from collections.abc import Sequence

import msgspec

from hivecost.ledger import DoubtfulHold, LedgerReader
from hivecost.ledger.amounts import format_amount


class InDoubt(msgspec.Struct, frozen=True, kw_only=True):
    """The holds in doubt of a ledger, and what they come to; a hold on several accounts counts once."""

    holds: int
    nanousd: int
    tokens: int
    calls: int

    @property
    def amount(self) -> str:
        """In USD where any of it is, else in tokens or calls."""
        if self.nanousd:
            return format_amount(self.nanousd, "usd")
        return format_amount(self.tokens, "tokens") if self.tokens else format_amount(self.calls, "calls")


def in_doubt_of(ledger: LedgerReader, at_ns: int) -> InDoubt | None:
    """Return what is in doubt in a ledger; None where nothing is. Raise StoreErrors."""
    holds = ledger.in_doubt(at_ns) if ledger.budgets() else []
    return _added(holds) if holds else None


def in_doubt_note(doubt: InDoubt) -> str:
    """What to say of it beside sums."""
    holds = "1 hold" if doubt.holds == 1 else f"{doubt.holds:,} holds"
    return f"{holds}, {doubt.amount}: may have been spent, and its bill is not known (`hivecost budget doubts`)"


def _added(holds: Sequence[DoubtfulHold]) -> InDoubt:
    sums = {"usd": 0, "tokens": 0, "calls": 0}
    for hold in holds:
        for unit in sums:
            sums[unit] += max((part.amount for part in hold.amounts if part.unit == unit), default=0)
    return InDoubt(holds=len(holds), nanousd=sums["usd"], tokens=sums["tokens"], calls=sums["calls"])
