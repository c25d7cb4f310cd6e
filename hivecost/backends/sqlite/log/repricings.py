"""Writing what turns would cost at later rates, beside the log: the turns and their sums are never rewritten."""

from __future__ import annotations

import sqlite3
from collections.abc import Sequence
from functools import partial
from pathlib import Path
from typing import Final

import msgspec

from hivecost.backends.sqlite.database import database_path, open_writer
from hivecost.backends.sqlite.faults import named_faults
from hivecost.backends.sqlite.os_lock import run_locked
from hivecost.log.records import Repricing

_COLUMNS: Final = Repricing.__struct_fields__
#: A session may be deleted while its turns are priced.
_INSERT: Final = f"""
    INSERT INTO repricings ({", ".join(_COLUMNS)})
    SELECT {", ".join(f":{column}" for column in _COLUMNS)}
    WHERE EXISTS (SELECT 1 FROM turns WHERE event_id = :event_id)"""


async def write_repricings(base_path: Path, repricings: Sequence[Repricing]) -> None:
    """Commit them in one transaction under the OS lock; those whose turn is gone are left out. Raise StoreErrors."""
    if repricings:
        with named_faults(database_path(base_path)):
            await run_locked(base_path, partial(_write, base_path, repricings))


def _write(base_path: Path, repricings: Sequence[Repricing]) -> None:
    connection: sqlite3.Connection = open_writer(base_path)
    try:
        connection.execute("BEGIN IMMEDIATE")
        connection.executemany(_INSERT, [msgspec.structs.asdict(repricing) for repricing in repricings])
        connection.execute("COMMIT")
    finally:
        # Closing rolls back what was not committed.
        connection.close()
