"""Who spent what, as text for a terminal."""

from __future__ import annotations

from collections.abc import Sequence

from rich.console import Console

from hivecost.backends import Place
from hivecost.cli.render.console import print_table, report_console, report_table, safe
from hivecost.cli.render.sums import amount_headings, amounts, counted, in_doubt_note, notional_note
from hivecost.events import Totals
from hivecost.log.rows import PERIOD_DIMENSIONS
from hivecost.reports import SpendReport


def render_spend(report: SpendReport, place: Place, console: Console | None = None) -> None:
    """Print who spent what, a group a line, and the total."""
    console = console or report_console()
    if not report.rows:
        console.print(f"Nothing was spent in {safe(str(place))} in that time.")
        return
    headings = [name.capitalize() for name in report.by]
    amounts_shown = amount_headings(report.rows)
    table = report_table(*headings, numbers=("Calls", "Tokens in", "Tokens out", "Cached", *amounts_shown))
    for row in report.rows:
        table.add_row(*(safe(row.group[name]) or "(none)" for name in report.by), *_cells(row, amounts_shown))
    table.add_section()
    table.add_row("Total", *[""] * (len(headings) - 1), *_cells(report.total, amounts_shown), style="bold")
    print_table(console, table)
    if {*PERIOD_DIMENSIONS} & {*report.by}:
        console.print(f"Times are those of {report.timezone}; --timezone names another zone.", style="dim")
    if missing := report.total.unpriced_calls + report.total.invalid_calls:
        console.print(f"{counted(missing, 'call')} without a known cost: missing from the sums.", style="yellow")
    if report.total.notional_nanousd:
        console.print(f"Notional: {notional_note(report.total.notional_nanousd)}.", style="dim")
    if report.in_doubt is not None:
        console.print(f"In doubt: {in_doubt_note(report.in_doubt)}.", style="yellow")


def _cells(sums: Totals, headings: Sequence[str]) -> tuple[str, ...]:
    counts = (sums.llm_calls, sums.input_tokens, sums.output_tokens, sums.cache_read_tokens)
    return (*(f"{count:,}" for count in counts), *amounts(sums, headings))
