"""Where reports are printed, and how their tables fit there."""

from __future__ import annotations

from collections.abc import Iterator, Sequence
from typing import Final, Literal

from rich import box
from rich.console import Console
from rich.markup import escape
from rich.table import Column, Table
from rich.text import Text

#: A name may be folded to this width; numbers and ids never are.
_FOLDED_WIDTH: Final = 14
_GAP: Final = "  "
#: A pipe has no width to fit into.
_PIPE_WIDTH: Final = 10_000


def report_console(*, color: bool = True) -> Console:
    """Return the console of standard output; in a pipe nothing is folded or cut. Without `color` it has no styles."""
    system: Literal["auto"] | None = "auto" if color else None
    console = Console(highlight=False, color_system=system)
    return console if console.is_terminal else Console(highlight=False, width=_PIPE_WIDTH, color_system=system)


def safe(name: str) -> str:
    """Return a name that a stranger chose as text that can be printed: no markup, and nothing that moves the cursor."""
    return escape("".join(letter if letter.isprintable() else "�" for letter in name))


def report_table(*names: str, ids: Sequence[str] = (), numbers: Sequence[str] = (), last: Sequence[str] = ()) -> Table:
    """Return an empty table with these headings: `ids`, `names`, `numbers` (justified right) and `last`, in this order.

    Only `names` and `last` may be folded. Rows are strings of markup.
    """
    table = Table(box=box.SIMPLE_HEAD, padding=(0, 1, 0, 0), pad_edge=False, show_edge=False)
    for heading in (*ids, *names):
        table.add_column(heading, no_wrap=heading in ids, overflow="fold")
    for heading in numbers:
        table.add_column(heading, justify="right", no_wrap=True)
    for heading in last:
        table.add_column(heading, overflow="fold")
    return table


def print_table(console: Console, table: Table) -> None:
    """Print a table and an empty line.

    In a terminal that is too narrow every row becomes a few lines of headings and values instead, so that a cost is
    never the column that was cut off.
    """
    if table_width(table) > console.width:
        for row in zip(*(column.cells for column in table.columns), strict=True):
            _print_stacked(console, [str(column.header) for column in table.columns], [str(cell) for cell in row])
    else:
        console.print(table)
    console.print()


def table_width(table: Table) -> int:
    """Return the width in cells that a table needs at least."""
    return sum(map(_width, table.columns)) + len(_GAP) * (len(table.columns) - 1)


def _width(column: Column) -> int:
    """Return the width in cells that the column needs at least."""
    natural = max(Text.from_markup(str(cell)).cell_len for cell in (column.header, *column.cells))
    return natural if column.no_wrap else min(natural, _FOLDED_WIDTH)


def _print_stacked(console: Console, headings: Sequence[str], row: Sequence[str]) -> None:
    if row[0]:
        console.print(f"[bold]{row[0]}[/bold]")
    pairs = [f"[dim]{heading}[/dim] {cell}" for heading, cell in zip(headings[1:], row[1:], strict=True) if cell]
    for line in _filled(pairs, console.width - 2):
        console.print(f"  {line}")


def _filled(parts: Sequence[str], width: int) -> Iterator[str]:
    """Yield the parts in as few lines as fit, none of them divided."""
    line = ""
    for part in parts:
        longer = f"{line}   {part}" if line else part
        if line and Text.from_markup(longer).cell_len > width:
            yield line
            longer = part
        line = longer
    if line:
        yield line
