"""A report's sheet, as text for a terminal."""

from __future__ import annotations

from rich.console import Console
from rich.table import Table
from rich.text import Text

from hivecost.cli.render.console import print_table, report_console, report_table, safe, table_width
from hivecost.cli.sheet import Grid, Sheet, bar


def render_sheet(sheet: Sheet, *, color: bool = True, console: Console | None = None) -> None:
    """Print the lines, the tables and the notes; without `color` in black and white."""
    console = console or report_console(color=color)
    for line in sheet.lines:
        console.print(Text(_plain(line)))
    if sheet.lines and any(grid.rows for grid in sheet.grids):
        console.print()
    for grid in sheet.grids:
        if grid.rows:
            if grid.title:
                console.print(f"[bold]{safe(grid.title)}[/bold]")
            print_table(console, _table(grid, console))
    for note in sheet.notes:
        console.print(Text(_plain(note), style="yellow"))


def _table(grid: Grid, console: Console) -> Table:
    table = _filled(grid, with_bars=bool(grid.bars) and console.is_terminal)
    return table if table_width(table) <= console.width else _filled(grid, with_bars=False)


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
