"""`hivecost spend`: who spent what, by anything."""

from __future__ import annotations

from collections.abc import Sequence
from typing import TYPE_CHECKING, Final

from hivecost.cli.quick import Given, Option
from hivecost.cli.reporting import (
    OF_REPORTS,
    TOP,
    Report,
    groups,
    place_of,
    run_report,
    selected,
    sums_of,
    whole_number,
)
from hivecost.cli.sheet import Grid, Sheet, costs, counts, heading, missing, percent
from hivecost.log.spend import GROUPS, require_groups

if TYPE_CHECKING:
    from hivecost.reports.spend import SpendReport

OPTIONS: Final = {
    "by": Option("GROUPS", f"Of {', '.join(GROUPS)} and tag:NAME; day,user without. May be repeated."),
    **TOP,
    **OF_REPORTS,
}
_MORE: Final = (
    "`--by agent,task` is each agent on each task, `--by month,tag:customer` each customer by month.",
    "Amounts are rounded here; --csv and --json are exact.",
)


def run(arguments: Sequence[str]) -> None:
    """Print who spent what. Raise ConfigError for what was asked wrongly, and StoreErrors."""
    run_report("spend", arguments, OPTIONS, _asked, more=_MORE)


def _asked(given: Given) -> Report:
    from hivecost.reports.spend import spend_report  # noqa: PLC0415  # `--help` needs none

    by, selection, top = groups(given, "day,user"), selected(given), whole_number(given, "top")
    require_groups(by)
    return lambda log, ledger: spend_sheet(spend_report(log, ledger, selection, by, top=top), place_of(given))


def spend_sheet(report: SpendReport, place: str) -> Sheet:
    """Return the report as it is printed."""
    from hivecost.reports.gaps import gap_notes  # noqa: PLC0415  # as above

    rows, by = report.rows, report.by
    amounts = costs([*rows, report.total])
    notional = any(row.notional_nanousd for row in rows)
    cells = [
        [
            *(row.group[name] or "(none)" for name in by),
            *counts(row),
            amount,
            percent(row.share),
            *_notional(row.notional_nanousd, shown=notional),
            missing(row),
        ]
        for row, amount in zip(rows, amounts, strict=False)
    ]
    total = ["Total", *[""] * (len(by) - 1), *counts(report.total), amounts[-1], "100.0 %" if rows else ""]
    grid = Grid(
        names=[heading(name) for name in by],
        numbers=("Calls", "In", "Out", "Cached", "Cost", "Share", *(["Notional"] if notional else []), "Unpriced"),
        rows=cells,
        total=[*total, *_notional(report.total.notional_nanousd, shown=notional), missing(report.total)],
        bars=[row.share for row in rows],
    )
    when = f"{report.since or 'the beginning'} to {report.until or 'now'} ({report.timezone})"
    if not rows:
        return Sheet(
            report, (), (), lines=(f"Nothing was spent in {place} in that time: {when}.",), columns=_columns(by)
        )
    notes = list(gap_notes(report.gaps))
    if notional:
        notes.append("Notional: what calls would have cost that a subscription pays for; it is in no cost.")
    if report.others:
        notes.append(f"(other): {report.others:,} more.")
    records = [{**row.group, **sums_of(row), "share": f"{row.share:.6f}"} for row in rows]
    return Sheet(report, records, (grid,), lines=(f"Spend, {when}",), notes=notes, columns=_columns(by))


def _notional(nanousd: int, *, shown: bool) -> list[str]:
    from hivecost.usd_text import format_usd  # noqa: PLC0415  # most have none

    return [format_usd(nanousd)] if shown else []


def _columns(by: Sequence[str]) -> list[str]:
    from hivecost.log import SUM_NAMES  # noqa: PLC0415  # as above

    return [*by, "cost_usd", *(name for name in SUM_NAMES if name != "latency_ms"), "share"]
