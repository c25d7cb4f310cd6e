"""Naming the tags that sums are kept by, beside the first that turns have."""

from __future__ import annotations

import sqlite3
from collections.abc import Sequence
from contextlib import closing
from functools import partial
from pathlib import Path

from hivecost.backends.sqlite.database import begin, database_path, open_writer
from hivecost.backends.sqlite.faults import named_faults
from hivecost.backends.sqlite.log.summing.hours import summed_tags
from hivecost.backends.sqlite.os_lock import run_locked


async def name_tags(base_path: Path, names: Sequence[str]) -> None:
    """Keep sums by these tags too, durably; every hour is summed again for one that is new. Raise StoreErrors."""
    if names:
        with named_faults(database_path(base_path)):
            await run_locked(base_path, partial(_name, base_path, names))


def _name(base_path: Path, names: Sequence[str]) -> None:
    with closing(open_writer(base_path)) as connection:
        begin(connection)
        if not {*names} <= summed_tags(connection):
            _sum_all_again(connection)
        connection.executemany(
            "INSERT INTO summed_tags (name, is_named) VALUES (?, 1) ON CONFLICT DO UPDATE SET is_named = 1",
            [(name,) for name in names],
        )
        connection.execute("COMMIT")


def _sum_all_again(connection: sqlite3.Connection) -> None:
    """Let every hour be one that nobody has marked yet."""
    connection.execute("UPDATE summing SET before_hour = NULL, marks = marks + 1")
    connection.execute("DELETE FROM unsummed_hours")
