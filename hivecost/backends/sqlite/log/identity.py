"""SQL for whose a session or an execution is: the first agent, user and org that its rows name."""

from __future__ import annotations

from typing import Final

_NAMES: Final = ("agent_id", "user_id", "org_id")

#: For the inner SELECT of a GROUP BY: the rows that name them first.
FIRST_IDENTITY: Final = ", ".join(f"min(CASE WHEN {name} <> '' THEN id END) AS first_{name}" for name in _NAMES)


def identity_from(table: str) -> str:
    """Return the columns, for the SELECT around it, of the names that stand in the first rows."""
    return ", ".join(f"coalesce((SELECT {name} FROM {table} WHERE id = first_{name}), '')" for name in _NAMES)


def keep_identity(table: str) -> str:
    """Return the assignments of an upsert that keep what is known, and fill in what is not."""
    return ", ".join(f"{name} = iif({table}.{name} = '', excluded.{name}, {table}.{name})" for name in _NAMES)
