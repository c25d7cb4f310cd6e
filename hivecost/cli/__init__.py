"""The command line."""

from typing import TYPE_CHECKING, Any

from hivecost.cli.dispatch import main

if TYPE_CHECKING:
    from hivecost.cli.commands import app

__all__ = ["app", "main"]


def __getattr__(name: str) -> Any:
    if name != "app":
        raise AttributeError(f"module 'hivecost.cli' has no attribute {name!r}")
    from hivecost.cli.commands import app  # noqa: PLC0415  # typer takes its time

    return app
