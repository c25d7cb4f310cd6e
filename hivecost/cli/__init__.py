"""The command line."""

from hivecost.cli.app import app, main

__all__ = ["app", "main"]
