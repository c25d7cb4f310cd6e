"""What a command spent, in words at its end and as JSON."""

from __future__ import annotations

from collections.abc import Iterator, Mapping
from typing import Any

from hivecost.attach.tally import Sums, Tally
from hivecost.backends.places import Place
from hivecost.events import Totals
from hivecost.money import format_usd

#: Lines of one kind; the rest is summed up.
_ROWS_MAX = 5


def receipt_lines(tally: Tally, totals: Totals, place: Place) -> Iterator[str]:
    """Give the lines for people."""
    total = tally.total
    if not tally.clients:
        yield "no client was seen: no process of the command loaded the hook, so nothing was metered"
    yield f"{total}, {totals.input_tokens:,} tokens in, {totals.output_tokens:,} out; kept in {place}"
    for kind, times in tally.refused.most_common():
        yield f"{times:,} calls refused ({kind}), the first: {tally.reasons[kind]}"
    if tally.stepped:
        yield (
            f"{tally.stepped:,} streams were paid for in steps, as the budget could not pay them whole; "
            f"it ended {tally.ended:,} of them (--whole-answers refuses such calls)"
        )
    if tally.unmetered:
        yield f"{tally.unmetered:,} calls that nobody here can price"
    if tally.failed_probes:
        yield f"{tally.failed_probes:,} times a framework could not be read for whose a call is"
    for name, by in _kinds(tally).items():
        if any(by):
            yield from _rows(name, by)


def _kinds(tally: Tally) -> dict[str, Mapping[str, Sums]]:
    return {"model": tally.by_model, "agent": tally.by_agent, "node": tally.by_node, "line": tally.by_line}


def _rows(name: str, by: Mapping[str, Sums]) -> Iterator[str]:
    dearest = sorted(by.items(), key=lambda item: -item[1].nanousd)
    for value, sums in dearest[:_ROWS_MAX]:
        yield f"  {name} {value or '(none)'}: {sums}"
    if rest := dearest[_ROWS_MAX:]:
        yield f"  {len(rest):,} more: {format_usd(sum(sums.nanousd for _, sums in rest))}"


def receipt_values(tally: Tally, totals: Totals, place: Place, status: int) -> dict[str, Any]:
    """Return the receipt for programs; amounts in nano-USD."""
    return {
        "clients": tally.clients,
        "exit_status": status,
        "data": str(place),
        "input_tokens": totals.input_tokens,
        "output_tokens": totals.output_tokens,
        "refused": dict(tally.refused),
        "unmetered": tally.unmetered,
        "stepped": tally.stepped,
        "ended": tally.ended,
        "total": _values(tally.total),
        "failed_probes": tally.failed_probes,
        "by": {kind: {name: _values(sums) for name, sums in by.items()} for kind, by in _kinds(tally).items()},
    }


def _values(sums: Sums) -> dict[str, int]:
    return {"calls": sums.calls, "cost_nanousd": sums.nanousd, "in_doubt": sums.in_doubt, "unpriced": sums.unpriced}
