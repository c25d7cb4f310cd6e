"""Reports as JSON."""

from __future__ import annotations

from typing import Any

import msgspec


def to_json(report: Any) -> str:
    """A Struct, or a list of them, as indented JSON; amounts stay integers in the unit their name ends with."""
    return msgspec.json.format(msgspec.json.encode(report), indent=2).decode()
