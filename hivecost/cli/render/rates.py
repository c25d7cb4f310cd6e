"""Rates as text for a terminal."""

from __future__ import annotations

from collections.abc import Sequence
from typing import Final

from hivecost.cli.render.console import print_table, report_console, report_table, safe
from hivecost.pricing import RateChange, RateRow
from hivecost.pricing.units import FEE_UNITS

_MAIN_UNITS: Final = ("input", "output", "cache_read", "cache_write")


def render_rates(asked: str, rows: Sequence[RateRow], snapshot: str) -> None:
    """Print the rates of one model: a line for each service tier and long-context step."""
    console = report_console()
    first = rows[0]
    where = f" at {first.provider}" if first.provider else ""
    meant = f"{asked} is " if asked != first.model else ""
    console.print(f"\n[bold]{safe(meant + first.model)}[/bold]{where}   USD per 1M tokens   snapshot {snapshot}")
    units = list(dict.fromkeys(unit for row in rows for unit in row.rates))
    table = report_table("Tier", "Input above", numbers=units, last=("Source", "Valid"))
    for row in rows:
        rates = (row.rates.get(unit, "") for unit in units)
        table.add_row(row.tier or "standard", _above(row), *rates, row.source, _validity(row))
    print_table(console, table)
    if any(row.above for row in rows):
        console.print("A request whose input is above the step is at that line's rates as a whole.", style="dim")
    pieces = [unit for unit in units if unit in FEE_UNITS]
    if pieces:
        console.print(f"{', '.join(pieces)}: USD for one.", style="dim")


def render_rate_list(rows: Sequence[RateRow], snapshot: str) -> None:
    """Print the standard rates of many models, a line each."""
    console = report_console()
    table = report_table("Provider", "Model", numbers=_MAIN_UNITS, last=("Source",))
    standard = [row for row in rows if not row.tier and not row.above]
    for row in standard:
        table.add_row(row.provider, safe(row.model), *(row.rates.get(unit, "") for unit in _MAIN_UNITS), row.source)
    print_table(console, table)
    console.print(f"{len(standard):,} models   USD per 1M tokens   snapshot {snapshot}")


def render_rate_changes(changes: Sequence[RateChange], before: str, after: str) -> None:
    """Print what an update changed, a rate a line."""
    console = report_console()
    if changes:
        table = report_table("Provider", "Model", "Tier", "Input above", "Rate", numbers=("Before", "After"))
        for change in changes:
            above = f"{change.above:,}" if change.above else ""
            table.add_row(
                change.provider,
                safe(change.model),
                change.tier or "standard",
                above,
                change.unit,
                change.before or "none",
                change.after or "none",
            )
        print_table(console, table)
    models = len({(change.provider, change.model) for change in changes})
    console.print(f"{len(changes):,} rates of {models:,} models differ   {before} → {after}")


def _above(row: RateRow) -> str:
    return f"{row.above:,}" if row.above else ""


def _validity(row: RateRow) -> str:
    since, until = row.valid_from.removesuffix("T00:00:00Z"), row.valid_until.removesuffix("T00:00:00Z")
    return f"from {since or 'ever'} until {until}" if until else f"from {since}" if since else "always"
