"""`hivecost daily`, `weekly`, `monthly`: what each day, week or month cost, against the one before it."""

from __future__ import annotations

from collections.abc import Sequence
from functools import partial
from typing import TYPE_CHECKING, Final

from hivecost.cli.quick import Given, Option
from hivecost.cli.reporting import OF_REPORTS, TOP, Report, groups, run_report, selected, sums_of, whole_number
from hivecost.cli.sheet import Grid, Sheet, change, costs, counts, heading, missing
from hivecost.log.spend import GROUPS, require_groups

if TYPE_CHECKING:
    from hivecost.reports.periods import PeriodReport, PeriodUnit

#: Command → what it counts by.
UNITS: Final[dict[str, PeriodUnit]] = {"daily": "day", "weekly": "week", "monthly": "month"}
_NO_PERIODS: Final = tuple(name for name in GROUPS if name not in ("hour", "day", "week", "month"))
OPTIONS: Final = {"by": Option("GROUPS", f"Of {', '.join(_NO_PERIODS)} and tag:NAME."), **TOP, **OF_REPORTS}
_MORE: Final = (
    "Periods are whole, also where --since begins inside one. Δ is against the period before; of the present one,",
    "marked with *, against the one before up to the same time of day.",
)


def run(command: str, arguments: Sequence[str]) -> None:
    """Print the periods. Raise ConfigError for what was asked wrongly, and StoreErrors."""
    run_report(command, arguments, OPTIONS, partial(_asked, command), more=(" ".join(_MORE),))


def _asked(command: str, given: Given) -> Report:
    from hivecost.reports.periods import period_report  # noqa: PLC0415  # `--help` needs none

    selection, top, unit = selected(given), whole_number(given, "top"), UNITS[command]
    by = groups(given, "") if "by" in given else []
    require_groups([unit, *by])
    return lambda log, ledger: periods_sheet(period_report(log, ledger, selection, unit, by, top=top))


def periods_sheet(report: PeriodReport) -> Sheet:
    """Return the report as it is printed."""
    from hivecost.reports.gaps import gap_notes  # noqa: PLC0415  # as above

    rows, unit = report.rows, report.unit
    when = f"{report.since[:10]} to {report.until[:10] or 'now'} ({report.timezone})"
    columns = (unit, *report.by, *sums_of(report.total), "before_nanousd", "is_running")
    if not rows:
        return Sheet(report, (), (), lines=(f"Nothing was spent by {unit} in that time: {when}.",), columns=columns)
    amounts = costs([*rows, report.total])
    greatest = max(row.cost_nanousd for row in rows)
    cells = [
        [
            f"{row.period}{'*' if row.is_running else ''}",
            *(row.group[name] or "(none)" for name in report.by),
            *counts(row),
            amount,
            change(row.before_nanousd, row.cost_nanousd),
            missing(row),
        ]
        for row, amount in zip(rows, amounts, strict=False)
    ]
    total = ["Total", *[""] * len(report.by), *counts(report.total), amounts[-1], "", missing(report.total)]
    grid = Grid(
        names=[unit.capitalize(), *map(heading, report.by)],
        numbers=("Calls", "In", "Out", "Cached", "Cost", "Δ", "Unpriced"),
        rows=cells,
        total=total,
        bars=[row.cost_nanousd / greatest if greatest else 0 for row in rows],
    )
    records = [
        {
            unit: row.period,
            **row.group,
            **sums_of(row),
            "before_nanousd": row.before_nanousd,
            "is_running": int(row.is_running),
        }
        for row in rows
    ]
    notes = list(gap_notes(report.gaps))
    if any(row.is_running for row in rows):
        notes.append(f"* so far; Δ against the {unit} before by this time.")
    if report.others:
        notes.append(f"(other): {report.others:,} more.")
    return Sheet(report, records, (grid,), lines=(f"By {unit}, {when}",), notes=notes, columns=columns)
