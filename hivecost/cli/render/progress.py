"""How far a long command is, as a bar on stderr."""

from __future__ import annotations

from collections.abc import Callable, Iterator
from contextlib import contextmanager

from rich.console import Console
from rich.progress import BarColumn, Progress, TextColumn, TimeElapsedColumn


@contextmanager
def pricing_progress(total_bytes: int | None) -> Iterator[Callable[[int, int], None]]:
    """Give what is to be told the bytes and the lines that were read; None: nobody knows how many will come."""
    lines = TextColumn("{task.fields[lines]:>12,} lines")
    with Progress(TextColumn("Pricing"), BarColumn(), lines, TimeElapsedColumn(), console=Console(stderr=True)) as bar:
        task = bar.add_task("", total=total_bytes, lines=0)
        seen = 0

        def advance(bytes_read: int, lines_read: int) -> None:
            nonlocal seen
            seen += lines_read
            bar.update(task, advance=bytes_read, lines=seen)

        yield advance
