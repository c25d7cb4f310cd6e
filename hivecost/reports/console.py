"""Where reports are printed."""

from __future__ import annotations

from rich.console import Console


def report_console() -> Console:
    """A pipe has no width to fit into: nothing is folded or cut there."""
    console = Console(highlight=False)
    return console if console.is_terminal else Console(highlight=False, width=200)
