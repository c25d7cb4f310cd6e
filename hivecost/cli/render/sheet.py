"""A report's sheet, as text for a terminal."""

from __future__ import annotations

from rich.console import Console
from rich.table import Table
from rich.text import Text

from hivecost.cli.render.console import print_table, report_console, report_table, safe, table_width
from hivecost.cli.sheet import DROPPED, Grid, Sheet, bar, without


def render_sheet(sheet: Sheet, *, color: bool = True, console: Console | None = None) -> None:
    """Print the lines, the tables and the notes; without `color` in black and white."""
    console = console or report_console(color=color)
    for line in sheet.lines:
        console.print(Text(_plain(line)))
    if sheet.lines and any(grid.rows for grid in sheet.grids):
        console.print()
    for grid in sheet.grids:
        if grid.rows:
            _print_grid(console, grid)
    for note in sheet.notes:
        console.print(Text(_plain(note), style="yellow"))


def _print_grid(console: Console, grid: Grid) -> None:
    """Print a table with its bars, or without them, or without columns, as far as it fits then; else row by row."""
    if grid.title:
        console.print(f"[bold]{safe(grid.title)}[/bold]")
    table = _filled(grid, with_bars=bool(grid.bars) and console.is_terminal)
    narrower, left_out = grid, []
    for heading in (None, *DROPPED):
        if table_width(table) <= console.width:
            break
        if heading is not None:
            left_out += [heading] if heading in narrower.numbers else []
            narrower = without(narrower, heading)
        table = _filled(narrower, with_bars=False)
    if table_width(table) > console.width:
        table, left_out = _filled(grid, with_bars=False), []
    print_table(console, table)
    if left_out:
        console.print(f"Too narrow for {', '.join(left_out)}; --json and --csv have all.", style="dim")


def _filled(grid: Grid, *, with_bars: bool) -> Table:
    table = report_table(*map(safe, grid.names), numbers=grid.numbers, last=("",) if with_bars else ())
    for place, row in enumerate(grid.rows):
        end = (f"[cyan]{bar(grid.bars[place])}[/cyan]",) if with_bars else ()
        table.add_row(*map(safe, row), *end)
    if grid.total:
        table.add_section()
        table.add_row(*map(safe, grid.total), *([""] if with_bars else ()), style="bold")
    return table


def _plain(line: str) -> str:
    return "".join(letter if letter.isprintable() else "�" for letter in line)
