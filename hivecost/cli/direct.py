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
DIRECT: Final = (*QUICK, "executions", "forecast", "run", "spend", "statistics", "tokens", "top", *_SHARED)


def run_directly(name: str, arguments: Sequence[str]) -> None:
    """Run a command. Raise what it raises."""
    if name in _SHARED:
        import_module(f"hivecost.cli.{_SHARED[name]}").run(name, arguments)
    else:
        import_module(f"hivecost.cli.{name}").run(arguments)
