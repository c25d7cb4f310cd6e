"""When a count is worth another line in the log."""

from __future__ import annotations


def reaches_round_number(count: int, added: int = 1) -> bool:
    """True when adding so many made it 1, 10, 100, … or led past one: so that a flood is no flood of lines."""
    before = count - added
    return not before or len(str(count)) > len(str(before))
