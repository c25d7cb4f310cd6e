"""The small tables beside the log: each change is one transaction under the OS lock, on the disk when it returns."""

from __future__ import annotations

from pathlib import Path
from typing import Any, Final

from hivecost.backends.asking import checked_entry, checked_limit, cursor_of, place_of
from hivecost.backends.sqlite.database import database_path, open_writer
from hivecost.backends.sqlite.faults import named_faults
from hivecost.backends.sqlite.os_lock import do_locked
from hivecost.backends.sqlite.reading.source import Source
from hivecost.backends.sqlite.statements import statement
from hivecost.clock import Clock
from hivecost.log import Page, StateTable

_FILE: Final = "log_state.sql"


class SQLiteLogState:
    """A `hivecost.log.LogState` of a folder. Methods may be called from several threads at once."""

    def __init__(self, base_path: Path, clock: Clock) -> None:
        self._base_path, self._clock = base_path, clock
        self._source = Source(base_path)

    def get(self, table: StateTable, key: str) -> bytes | None:
        checked_entry(table, key)
        rows = self._source.select(statement(_FILE, "get"), self._named(table, key))
        return next((value for (value,) in rows), None)

    def put(self, table: StateTable, key: str, value: bytes, *, until_ns: int | None = None) -> None:
        checked_entry(table, key, value)
        self._write(self._named(table, key), value, until_ns, None)

    def swap(
        self, table: StateTable, key: str, before: bytes | None, value: bytes | None, *, until_ns: int | None = None
    ) -> bool:
        checked_entry(table, key, value)
        return self._write(self._named(table, key), value, until_ns, (before,))

    def items(self, table: StateTable, after: str = "", *, limit: int = 200) -> Page[tuple[str, bytes]]:
        checked_entry(table, "any")
        (last,) = place_of(after, table, str) if after else ("",)
        named = {"state_table": table, "after": last, "now_ns": self._clock.now_ns(), "limit": checked_limit(limit)}
        rows = self._source.select(statement(_FILE, "items"), named)
        return Page(tuple(rows), cursor_of(table, rows[-1][0]) if rows else after)

    def _named(self, table: StateTable, key: str) -> dict[str, Any]:
        return {"state_table": table, "key": key, "now_ns": self._clock.now_ns()}

    def _write(
        self, named: dict[str, Any], value: bytes | None, until_ns: int | None, expected: tuple[bytes | None] | None
    ) -> bool:
        """Set the value, if it is the expected one now; with None, whatever it is."""

        def write() -> bool:
            connection = open_writer(self._base_path)
            try:
                connection.execute("BEGIN IMMEDIATE")
                if expected is not None:
                    present = connection.execute(statement(_FILE, "get"), named).fetchone()
                    if (present or (None,)) != expected:
                        return False
                change = "remove" if value is None else "set"
                connection.execute(statement(_FILE, change), {**named, "value": value, "until_ns": until_ns})
                connection.execute(statement(_FILE, "sweep"), named)
                connection.execute("COMMIT")
            finally:
                # Closing rolls back what was not committed.
                connection.close()
            return True

        with named_faults(database_path(self._base_path)):
            return do_locked(self._base_path, write)
