"""SQL in files of its own: statements with a name and a sentence each."""

from __future__ import annotations

from functools import cache
from pathlib import Path
from typing import Final

_NAME: Final = "-- name: "
#: What is read of the ledger.
LEDGER: Final = "lease_bank/ledger.sql"
#: What is read of the log.
READING: Final = "reading/reading.sql"


@cache
def statements(file_name: str) -> dict[str, str]:
    """Return the statements of a file in this folder, by the names in their `-- name: NAME` lines.

    `{places}` in them are filled with our own column lists by whoever runs them; values are bound.
    """
    text = (Path(__file__).parent / file_name).read_text(encoding="utf-8")
    _, *parts = f"\n{text}".split(f"\n{_NAME}")
    named = (part.partition("\n") for part in parts)
    return {name.strip(): sql for name, _, sql in named}


def statement(file_name: str, name: str, **places: str) -> str:
    """Return a statement of a file with its places filled."""
    return statements(file_name)[name].format(**places)
