"""A report before it is printed: columns of text for a terminal, lines for a spreadsheet, a document."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from typing import Any, Final, NamedTuple

from hivecost.usd_text import usd_column

_BLOCKS: Final = " ▏▎▍▌▋▊▉█"
_BAR_CELLS: Final = 12
#: Columns that a terminal does without where the table is wider, in this order.
DROPPED: Final = ("Cached", "Out", "In", "Share", "Calls")


class Grid(NamedTuple):
    """A table: names to the left, numbers to the right, and a bar that a narrow terminal does without."""

    names: Sequence[str]
    numbers: Sequence[str]
    rows: Sequence[Sequence[str]]
    total: Sequence[str] = ()
    title: str = ""
    #: For each row the fraction that its bar is long; (): there are none.
    bars: Sequence[float] = ()


def without(grid: Grid, heading: str) -> Grid:
    """Return the table without a column of numbers; itself where it has none of that name."""
    if heading not in grid.numbers:
        return grid
    place = len(grid.names) + list(grid.numbers).index(heading)
    rows, total = ([[*row[:place], *row[place + 1 :]] for row in rows] for rows in (grid.rows, [grid.total]))
    numbers = [name for name in grid.numbers if name != heading]
    return grid._replace(numbers=numbers, rows=rows, total=total[0] if grid.total else ())


class Sheet(NamedTuple):
    """A report."""

    #: For `--json`: a Struct.
    document: Any
    #: For `--csv`: a line each, with the same names.
    records: Sequence[Mapping[str, object]]
    grids: Sequence[Grid]
    #: What stands above the tables, and below.
    lines: Sequence[str] = ()
    notes: Sequence[str] = ()
    #: The names of records, where there may be none.
    columns: Sequence[str] = ()


def bar(fraction: float) -> str:
    """Return a bar of up to twelve cells, to an eighth of one."""
    eighths = round(max(0.0, min(fraction, 1.0)) * _BAR_CELLS * 8)
    whole, rest = divmod(eighths, 8)
    return "█" * whole + (_BLOCKS[rest] if rest else "")


def percent(fraction: float | None) -> str:
    """Return `36.9 %`; "" for None."""
    return "" if fraction is None else f"{100 * fraction:.1f} %"


def change(before: int | None, now: int) -> str:
    """Return `+12 %` of what was before; `new` where there was nothing, "" where neither is."""
    if before is None or (not before and not now):
        return ""
    if not before:
        return "new"
    share = round(100 * (now - before) / before)
    return f"{share:+,d} %" if share else "0 %"


def costs(rows: Sequence[Any]) -> list[str]:
    """Return the costs of rows of sums as a column; `unpriced` where no turn of a row has a known one."""
    return usd_column([None if is_unpriced(row) else row.cost_nanousd for row in rows])


def is_unpriced(row: Any) -> bool:
    """Return whether a row has turns or charges, and nobody knows what any of them cost."""
    return bool(0 < row.llm_calls + row.charges <= row.unpriced_calls + row.invalid_calls)


def counts(row: Any) -> list[str]:
    """Return calls, tokens in, tokens out, and those from a cache."""
    numbers = (row.llm_calls, row.input_tokens, row.output_tokens, row.cache_read_tokens)
    return [f"{number:,}" for number in numbers]


def missing(row: Any) -> str:
    """Return how many turns are missing in a row's cost."""
    return f"{row.unpriced_calls + row.invalid_calls:,}"


def heading(dimension: str) -> str:
    """Return what a column of a dimension is called."""
    return dimension if dimension.startswith("tag:") else dimension.replace("_", " ").capitalize()
