"""Conditions for what a caller asks for, so that the planner sees only what was asked."""

from __future__ import annotations

from collections.abc import Mapping


def matching(wanted: Mapping[str, str | None]) -> str:
    """` AND column = :column` for every column that is wanted; None is not asked for."""
    return "".join(f" AND {column} = :{column}" for column, value in wanted.items() if value is not None)
