"""Rates as text for a terminal."""

from __future__ import annotations

from collections.abc import Sequence
from typing import Final

from rich import box
from rich.markup import escape
from rich.table import Table

from hivecost.pricing import RateChange, RateRow
from hivecost.reports.console import report_console

_MAIN_UNITS: Final = ("input", "output", "cache_read", "cache_write")


def render_rates(asked: str, rows: Sequence[RateRow], snapshot: str) -> None:
    """Print the rates of one model: a line for each service tier and long-context step."""
    console = report_console()
    first = rows[0]
    where = f" at {first.provider}" if first.provider else ""
    meant = f"{asked} is " if asked != first.model else ""
    console.print(f"\n[bold]{escape(meant + first.model)}[/bold]{where}   USD per 1M tokens   snapshot {snapshot}")
    units = list(dict.fromkeys(unit for row in rows for unit in row.rates))
    table = Table(box=box.SIMPLE_HEAD, pad_edge=False)
    for heading in ("Tier", "Input above"):
        table.add_column(heading)
    for unit in units:
        table.add_column(unit, justify="right")
    for heading in ("Source", "Valid"):
        table.add_column(heading)
    for row in rows:
        rates = (row.rates.get(unit, "") for unit in units)
        table.add_row(row.tier or "standard", _above(row), *rates, row.source, _validity(row))
    console.print(table)
    if any(row.above for row in rows):
        console.print("A request whose input is above the step is at that line's rates as a whole.", style="dim")
    if {"web_search", "request"}.intersection(units):
        console.print("web_search and request are USD apiece.", style="dim")


def render_rate_list(rows: Sequence[RateRow], snapshot: str) -> None:
    """Print the standard rates of many models, a line each."""
    console = report_console()
    table = Table(box=box.SIMPLE_HEAD, pad_edge=False)
    for heading in ("Provider", "Model"):
        table.add_column(heading, no_wrap=heading == "Model")
    for unit in _MAIN_UNITS:
        table.add_column(unit, justify="right")
    table.add_column("Source")
    standard = [row for row in rows if not row.tier and not row.above]
    for row in standard:
        table.add_row(row.provider, escape(row.model), *(row.rates.get(unit, "") for unit in _MAIN_UNITS), row.source)
    console.print(table)
    console.print(f"{len(standard):,} models   USD per 1M tokens   snapshot {snapshot}")


def render_rate_changes(changes: Sequence[RateChange], before: str, after: str) -> None:
    """Print what an update changed, a rate a line."""
    console = report_console()
    if changes:
        table = Table(box=box.SIMPLE_HEAD, pad_edge=False)
        for heading in ("Provider", "Model", "Tier", "Input above", "Rate"):
            table.add_column(heading, no_wrap=heading == "Model")
        for heading in ("Before", "After"):
            table.add_column(heading, justify="right")
        for change in changes:
            above = f"{change.above:,}" if change.above else ""
            table.add_row(
                change.provider,
                escape(change.model),
                change.tier or "standard",
                above,
                change.unit,
                change.before or "none",
                change.after or "none",
            )
        console.print(table)
    models = len({(change.provider, change.model) for change in changes})
    console.print(f"{len(changes):,} rates of {models:,} models differ   {before} → {after}")


def _above(row: RateRow) -> str:
    return f"{row.above:,}" if row.above else ""


def _validity(row: RateRow) -> str:
    since, until = row.valid_from.removesuffix("T00:00:00Z"), row.valid_until.removesuffix("T00:00:00Z")
    return f"from {since or 'ever'} until {until}" if until else f"from {since}" if since else "always"
