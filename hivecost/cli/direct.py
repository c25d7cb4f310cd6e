"""The commands that read their own arguments, and so wait for no typer."""

from __future__ import annotations

from collections.abc import Sequence
from importlib import import_module
from typing import Final

#: Those that a prompt waits for: they import nothing that takes time.
QUICK: Final = ("statusline", "today")
#: Commands that share a module, which is told which of them it is.
_SHARED: Final = dict.fromkeys(("daily", "weekly", "monthly"), "periods")
#: Every other is in the module of its name.
DIRECT: Final = (
    *QUICK,
    "ask",
    "doctor",
    "executions",
    "forecast",
    "run",
    "spend",
    "statistics",
    "tokens",
    "top",
    *_SHARED,
)


def module_of(name: str) -> str:
    """Return the module of a command."""
    return f"hivecost.cli.{_SHARED.get(name, name)}"


def run_directly(name: str, arguments: Sequence[str]) -> None:
    """Run a command. Raise what it raises."""
    run = import_module(module_of(name)).run
    if name in _SHARED:
        run(name, arguments)
    else:
        run(arguments)
