"""What a sum of money lacks: turns whose cost nobody knows, or that is a guess, and holds whose bill is not known."""

from __future__ import annotations

from collections.abc import Iterator, Sequence

import msgspec

from hivecost.ledger import LedgerReader
from hivecost.log import LogReader, SumRow
from hivecost.log.rows import TAG
from hivecost.reports.budgets import InDoubt, in_doubt_of
from hivecost.reports.selection import Selection

#: Models that are named; of further ones only how many there are.
_NAMED: int = 5


class Gaps(msgspec.Struct, frozen=True, kw_only=True):
    """What is missing in the sums of a report, or is not sure."""

    #: Turns and charges of the report.
    calls: int
    #: Of these, the charges.
    charges: int = 0
    unpriced_calls: int
    invalid_calls: int
    #: Their cost is in the sums, and is a guess.
    estimated_calls: int
    #: Of those without a known cost.
    models: tuple[str, ...]
    #: What is in doubt in this place, whenever it was and whosever; None: nothing is.
    in_doubt: InDoubt | None
    #: Tags that are asked for and that no turn of that time has; the tags there are.
    unknown_tags: tuple[str, ...] = ()
    known_tags: tuple[str, ...] = ()
    #: Tags that are asked for and that no sums are kept by, while they are by others.
    unsummed_tags: tuple[str, ...] = ()


def find_gaps(
    log: LogReader, ledger: LedgerReader, selection: Selection, total: SumRow, by: Sequence[str] = ()
) -> Gaps:
    """Return what is missing in the total of a selection. Raise StoreErrors."""
    models: list[str] = []
    if total.unknown_calls:
        rows = selection.sums(log, ("model",))
        models = [row.group[0] for row in sorted(rows, key=lambda row: -row.unknown_calls) if row.unknown_calls]
    asked = dict.fromkeys((*(name.removeprefix(TAG) for name in by if name.startswith(TAG)), *dict(selection.tags)))
    unknown = [name for name in asked if not _is_tag(log, selection, name)]
    summed = log.summed_tags() if asked else []
    return Gaps(
        calls=total.llm_calls + total.charges,
        charges=total.charges,
        unpriced_calls=total.unpriced_calls,
        invalid_calls=total.invalid_calls,
        estimated_calls=total.estimated_calls,
        models=tuple(models),
        in_doubt=in_doubt_of(ledger, selection.now_ns),
        unknown_tags=tuple(unknown),
        known_tags=_tags(log, selection) if unknown else (),
        unsummed_tags=tuple(name for name in asked if name not in (*summed, *unknown)) if summed else (),
    )


def gap_notes(gaps: Gaps) -> Iterator[str]:
    """Give what is to be said of them, a sentence each."""
    from hivecost.ledger.amounts import format_amount  # noqa: PLC0415  # most often nothing is to be said

    missing = gaps.unpriced_calls + gaps.invalid_calls
    if missing:
        more = len(gaps.models) - _NAMED
        names = ", ".join(name or "(none)" for name in gaps.models[:_NAMED]) + (f" and {more} more" if more > 0 else "")
        invalid = f" ({gaps.invalid_calls:,} of them with an invalid one)" if gaps.invalid_calls else ""
        yield f"{missing:,} of {_calls(gaps)} without a known cost{invalid}: missing from the sums: {names}."
    if gaps.estimated_calls:
        yield f"The cost of {gaps.estimated_calls:,} of {_calls(gaps)} is an estimate."
    if (doubt := gaps.in_doubt) is not None:
        units = (("usd", doubt.nanousd), ("tokens", doubt.tokens), ("calls", doubt.calls))
        unit, amount = next(((unit, amount) for unit, amount in units if amount), ("usd", 0))
        holds = "1 hold" if doubt.holds == 1 else f"{doubt.holds:,} holds"
        shown = format_amount(amount, unit)  # type: ignore[arg-type]  # one of the three
        yield f"In doubt: {holds}, {shown}: may have been spent, and its bill is not known (`hivecost budget doubts`)."
    if gaps.unknown_tags:
        there = f"; its tags are {', '.join(gaps.known_tags)}" if gaps.known_tags else "; it has no tags"
        yield f"No turn of that time has the tag {', '.join(gaps.unknown_tags)}{there}."
    if gaps.unsummed_tags:
        tags = ", ".join(gaps.unsummed_tags)
        yield f"No sums are kept by the tag {tags}: each turn was read. `[reports] tags` in hivecost.toml keeps them."


def _calls(gaps: Gaps) -> str:
    if gaps.charges:
        return f"{gaps.calls:,} calls and charges"
    return "1 call" if gaps.calls == 1 else f"{gaps.calls:,} calls"


def _is_tag(log: LogReader, selection: Selection, name: str) -> bool:
    return any(row.group[0] for row in log.sums((f"{TAG}{name}",), selection.window))


def _tags(log: LogReader, selection: Selection) -> tuple[str, ...]:
    names: set[str] = set()
    for row in log.sums(("tags",), selection.window):
        names.update(msgspec.json.decode(row.group[0]))
    return tuple(sorted(names))
