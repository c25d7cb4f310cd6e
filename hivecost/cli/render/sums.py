"""How sums and counts are written, and what is said beside them."""

from __future__ import annotations

from collections.abc import Iterable, Iterator, Sequence

from hivecost.events import Totals
from hivecost.ledger.amounts import format_amount
from hivecost.money import format_usd
from hivecost.reports import InDoubt


def counted(number: int, what: str) -> str:
    """Return `1 call` or `2 calls`."""
    return f"{number:,} {what}" if number == 1 else f"{number:,} {what}s"


def known_cost(sums: Totals) -> str:
    """Return the cost of the turns and charges that have one; `unknown` when none of them has."""
    return amount_of(sums.cost_nanousd, sums.unpriced_calls + sums.invalid_calls, sums.llm_calls + sums.charges)


def amount_of(nanousd: int, unknown_calls: int, calls: int) -> str:
    """Return a sum over calls of which some have no amount; `unknown`, which is not $0, when none of them has."""
    return "unknown" if calls and unknown_calls == calls else format_usd(nanousd)


def missing_calls(sums: Totals) -> str:
    """Return how many turns are missing from the known cost."""
    missing = sums.unpriced_calls + sums.invalid_calls
    return f"[yellow]{missing:,}[/yellow]" if missing else "0"


def amount_headings(rows: Iterable[Totals]) -> tuple[str, ...]:
    """Return the headings of the amounts' columns; `Notional` is among them where any row has such a sum."""
    return ("Cost", "Notional", "Unpriced") if any(sums.notional_nanousd for sums in rows) else ("Cost", "Unpriced")


def amounts(sums: Totals, headings: Sequence[str]) -> Iterator[str]:
    """Yield the cells below these headings."""
    yield known_cost(sums)
    if "Notional" in headings:
        yield format_usd(sums.notional_nanousd)
    yield missing_calls(sums)


def notional_note(nanousd: int) -> str:
    """Say in a sentence what turns that a subscription pays for would have cost."""
    return f"{format_usd(nanousd)} is what calls would have cost that a subscription pays for; it is in no cost"


def in_doubt_note(doubt: InDoubt) -> str:
    """Say what is in doubt, as a note beside sums."""
    holds = "1 hold" if doubt.holds == 1 else f"{doubt.holds:,} holds"
    return f"{holds}, {_amount(doubt)}: may have been spent, and its bill is not known (`hivecost budget doubts`)"


def _amount(doubt: InDoubt) -> str:
    """Return the amount in USD where any of it is, else in tokens or calls."""
    if doubt.nanousd:
        return format_amount(doubt.nanousd, "usd")
    return format_amount(doubt.tokens, "tokens") if doubt.tokens else format_amount(doubt.calls, "calls")
