"""What callers ask with: places in a log as opaque text, limits, kinds of alerts, entries of its state."""

from __future__ import annotations

from collections.abc import Sequence
from typing import Any, Final, get_args

from hivecost.errors import ConfigError
from hivecost.log import DIMENSIONS, StateTable
from hivecost.log.rows import TAG
from hivecost.plain_text import encodable

ALERTS: Final = ("alert_raised", "budget_warning", "budget_exceeded")
#: Of one value.
STATE_BYTES_MAX: Final = 2**24


def checked_alerts(types: Sequence[str]) -> tuple[str, ...]:
    """Return the names of these types of events, of all alerts for none. Raise ConfigError for one that is no alert."""
    for event_type in types:
        if event_type not in ALERTS:
            raise ConfigError("types", f"some of {', '.join(ALERTS)}", got=str(event_type))
    return tuple(str(event_type) for event_type in types) or ALERTS


def checked_dimensions(dimensions: Sequence[str]) -> None:
    """Raise ConfigError for one that is none, and for one that is named twice."""
    unknown = [name for name in dimensions if name not in DIMENSIONS and not (name.startswith(TAG) and name != TAG)]
    if unknown or len({*dimensions}) < len(dimensions):
        raise ConfigError(
            "dimensions", f"some of {', '.join(DIMENSIONS)}, {TAG}NAME, each once", got=",".join(dimensions)
        )


def cursor_of(rows: str, *place: int | str) -> str:
    """Return the cursor of a place among these rows, such as `turns`."""
    import json  # noqa: PLC0415  # a prompt needs no cursor

    return json.dumps([rows, *place], separators=(",", ":")).encode().hex()


def place_of(cursor: str, rows: str, *kinds: type) -> list[Any]:
    """Return the place among these rows, a value of each of these kinds. Raise ConfigError for any other text."""
    import json  # noqa: PLC0415  # as above

    try:
        read: list[Any] = json.loads(bytes.fromhex(cursor))
        named, *place = read
    except (ValueError, TypeError):
        raise not_a_cursor(cursor, rows) from None
    fits = all(type(value) is not int or -(2**63) <= value < 2**63 for value in place)
    if named != rows or [type(value) for value in place] != [*kinds] or not fits:
        raise not_a_cursor(cursor, rows)
    return place


def not_a_cursor(cursor: str, rows: str) -> ConfigError:
    """Return what to raise for a text that is no cursor of these rows."""
    return ConfigError("after", f'a cursor that this log gave with its {rows}, or "" for the beginning', got=cursor)


def checked_limit(limit: int) -> int:
    """Return how many rows to read at most, in 64 bits. Raise ConfigError for none."""
    if type(limit) is not int or limit < 1:
        raise ConfigError("limit", "a whole number, 1 or more", got=limit)
    return min(limit, 2**63 - 1)


def checked_entry(table: StateTable, key: str, value: bytes | None = None) -> None:
    """Raise ConfigError for a table that is none, an empty key, and a value that is too large."""
    if table not in get_args(StateTable):
        raise ConfigError("table", f"one of {', '.join(get_args(StateTable))}", got=table)
    if not key or encodable(key) != key:
        raise ConfigError("key", "a text of UTF-8 that is not empty", got=key)
    if value is not None and len(value) > STATE_BYTES_MAX:
        raise ConfigError(f"value of {key!r}", f"at most {STATE_BYTES_MAX:,} bytes", got=f"{len(value):,} of them")
