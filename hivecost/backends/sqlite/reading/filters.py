"""Conditions for what a caller asks for, so that the planner sees only what was asked."""

from __future__ import annotations

from collections.abc import Mapping


def matching(wanted: Mapping[str, str | None]) -> str:
    """` AND column = :column` for every column that is wanted; None is not asked for."""
    return "".join(f" AND {column} = :{column}" for column, value in wanted.items() if value is not None)


def row_limit(limit: int | None) -> int:
    """`LIMIT` for that many rows, none for fewer than zero and all for None; SQLite knows 64 bits."""
    return -1 if limit is None else min(max(limit, 0), 2**63 - 1)
