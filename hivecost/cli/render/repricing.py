"""A repricing as text for a terminal."""

from __future__ import annotations

from hivecost.cli.render.console import print_table, report_console, report_table, safe
from hivecost.cli.render.sums import amount_of, counted
from hivecost.money import format_usd
from hivecost.reports import RepricedModel, RepricingReport


def render_repricing(report: RepricingReport) -> None:
    """Print a repricing: per model and in total, old and new side by side."""
    console = report_console()
    numbers = ("Calls", "Changed", "Old", "New", "Difference", "Unpriced → priced", "Still unpriced")
    table = report_table("Model", numbers=numbers)
    for line in report.models:
        table.add_row(safe(line.model), *_cells(line))
    table.add_section()
    table.add_row("Total", *_cells(report.total), style="bold")
    print_table(console, table)
    for reason, calls in report.kept.items():
        console.print(f"{counted(calls, 'call')} as before: {reason}", style="dim")
    console.print(f"Rates {report.snapshot}")
    if report.run_id:
        console.print(f"Kept as {report.run_id}; the turns keep what they were priced with.")
    elif report.total.calls:
        console.print("A dry run: nothing was written.")
    else:
        console.print("No turns were priced again: nothing was written.")


def _cells(line: RepricedModel) -> tuple[str, ...]:
    old = amount_of(line.old_nanousd, line.old_unpriced_calls, line.calls)
    new = amount_of(line.new_nanousd, line.new_unpriced_calls, line.calls)
    difference = line.new_nanousd - line.old_nanousd
    return (
        f"{line.calls:,}",
        f"{line.changed_calls:,}",
        old,
        new,
        "unknown" if "unknown" in {old, new} else f"{'+' * (difference > 0)}{format_usd(difference)}",
        f"{line.newly_priced_calls:,}",
        f"{line.new_unpriced_calls:,}",
    )
