"""How many calls took about as long, or cost about as much: whole days from their counts, turns for the rest."""

from __future__ import annotations

from datetime import UTC

from hivecost.backends.sqlite.log.rollups import COUNTED
from hivecost.backends.sqlite.log.summing.days import COST, LATENCY, MEASURES
from hivecost.backends.sqlite.reading.kept_sums import KeptDimension, Rows, kept_parts, spans_text
from hivecost.backends.sqlite.reading.sums import FILTERED, bound, conditions
from hivecost.log.rows import Filter, Window

__all__ = ["COST", "LATENCY", "counted_calls"]

_KEPT = KeptDimension("model", {"model": "model"}, has_hours=False)


def counted_calls(rows: Rows, measure: str, window: Window, filter: Filter) -> list[tuple[tuple[str, int], int]]:
    """Return ((model, bucket), calls) of a measure, sorted. Raise StoreErrors."""
    wanted = filter._asdict()
    column, bucket = MEASURES[measure]
    is_kept = all(value is None or name == "model" for name, value in wanted.items())
    kept = kept_parts(rows, _KEPT, window, (), UTC) if is_kept else None
    counts: dict[tuple[str, int], int] = {}
    if kept is not None:
        place = {**bound(wanted), "measure": measure, "spans": spans_text(kept.days)}
        for model, its_bucket, calls in rows("calls_of_days", place, where=conditions(wanted, _KEPT.columns)):
            counts[model, its_bucket] = calls
    for part in [window] if kept is None else kept.gaps:
        places = {"model": COUNTED["model"], "measure": column, "where": conditions(wanted, FILTERED)}
        for model, amount, calls in rows("calls_of_turns", {**bound(wanted), **part._asdict()}, **places):
            key = model, bucket(amount)
            counts[key] = counts.get(key, 0) + calls
    return sorted(counts.items())
