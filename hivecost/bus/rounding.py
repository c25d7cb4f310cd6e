"""When a count is worth another line in the log."""

from __future__ import annotations


def is_round(number: int) -> bool:
    """1, 10, 100, …: so that a flood of losses is no flood of lines."""
    return str(number).rstrip("0") == "1"
