"""`hivecost forecast`: what each budget is on course for at the end of its period."""

from __future__ import annotations

from collections.abc import Sequence
from typing import TYPE_CHECKING, Final

from hivecost.cli.quick import SHARED, Given, now_ns
from hivecost.cli.reporting import SHOWN, Report, run_report
from hivecost.cli.sheet import Grid, Sheet, percent

if TYPE_CHECKING:
    from hivecost.reports.forecast import ForecastLine, ForecastReport

OPTIONS: Final = {"data": SHARED["data"], "json": SHARED["json"], **SHOWN, "help": SHARED["help"]}
_HOW: Final = (
    "To what is used comes, for each quarter-hour left, the mean of the same one of the seven days before, times how "
    "today compares with them so far. With fewer than three days before it is a straight line; in the first 24th "
    "of a period, or before 20 turns, it is too early to say."
)


def run(arguments: Sequence[str]) -> None:
    """Print the forecast. Raise ConfigError for what was asked wrongly, and StoreErrors."""
    run_report("forecast", arguments, OPTIONS, _asked, more=(_HOW,))


def _asked(given: Given) -> Report:
    from hivecost.reports.forecast import forecast_report  # noqa: PLC0415  # `--help` needs none

    at_ns = now_ns()
    return lambda log, ledger: _sheet(forecast_report(log, ledger, at_ns))


def _sheet(report: ForecastReport) -> Sheet:
    from hivecost.reports.forecast import ForecastLine  # noqa: PLC0415  # as above

    columns = ForecastLine.__struct_fields__
    rest = f"{report.without_end:,} accounts have no end to look forward to." if report.without_end else ""
    if not report.rows:
        lines = ["No budget has an account with a period that ends (hour, day, week or month).", *filter(None, [rest])]
        return Sheet(report, (), (), lines=lines, columns=columns)
    grid = Grid(
        names=("Budget", "Account", "Period"),
        numbers=("Used", "Limit", "On course for", "Of limit", "Resets"),
        rows=[_cells(row) for row in report.rows],
        bars=[row.projected_share or 0.0 for row in report.rows],
    )
    notes = [*filter(None, [rest])]
    if any(row.projected is None for row in report.rows):
        notes.append("Too early: less than a 24th of the period is over, or there were fewer than 20 turns.")
    records = [
        {name: str(value) if name == "reset_at" else value for name in columns for value in [getattr(row, name)]}
        for row in report.rows
    ]
    return Sheet(report, records, (grid,), lines=(f"Budgets on {report.at:%Y-%m-%d %H:%M} UTC",), notes=notes)


def _cells(row: ForecastLine) -> list[str]:
    from hivecost.ledger.amounts import format_amount  # noqa: PLC0415  # as above
    from hivecost.usd_text import format_usd  # noqa: PLC0415  # as above

    def shown(amount: int) -> str:
        return format_usd(amount, decimals=2) if row.unit == "usd" else format_amount(amount, row.unit)

    course = "too early" if row.projected is None else shown(row.projected)
    share = percent(row.projected_share)
    reset = f"{row.reset_at.astimezone():%a %H:%M}"
    return [
        row.budget,
        row.scope or "(one)",
        row.period,
        shown(row.used),
        shown(row.limit),
        course,
        share,
        reset,
    ]
