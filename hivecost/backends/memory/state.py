"""The small tables beside a log in memory."""

from __future__ import annotations

import threading

from hivecost.backends.asking import checked_entry, checked_limit, cursor_of, place_of
from hivecost.clock import Clock
from hivecost.log import Page, StateTable


class Tables:
    """What outlives those who ask: (table, key) → (value, until when it is there)."""

    def __init__(self) -> None:
        self.lock = threading.Lock()
        self.entries: dict[tuple[str, str], tuple[bytes, int | None]] = {}


class MemoryLogState:
    """A `hivecost.log.LogState`. Methods may be called from several threads at once."""

    def __init__(self, tables: Tables, clock: Clock) -> None:
        self._tables, self._clock = tables, clock

    def get(self, table: StateTable, key: str) -> bytes | None:
        checked_entry(table, key)
        with self._tables.lock:
            return self._present(table).get(key)

    def put(self, table: StateTable, key: str, value: bytes, *, until_ns: int | None = None) -> None:
        checked_entry(table, key, value)
        with self._tables.lock:
            self._tables.entries[table, key] = value, until_ns

    def swap(
        self, table: StateTable, key: str, before: bytes | None, value: bytes | None, *, until_ns: int | None = None
    ) -> bool:
        checked_entry(table, key, value)
        with self._tables.lock:
            if self._present(table).get(key) != before:
                return False
            if value is None:
                self._tables.entries.pop((table, key), None)
            else:
                self._tables.entries[table, key] = value, until_ns
            return True

    def items(self, table: StateTable, after: str = "", *, limit: int = 200) -> Page[tuple[str, bytes]]:
        checked_entry(table, "any")
        (last,) = place_of(after, table, str) if after else ("",)
        with self._tables.lock:
            rows = sorted((key, value) for key, value in self._present(table).items() if key > last)
        page = tuple(rows[: checked_limit(limit)])
        return Page(page, cursor_of(table, page[-1][0]) if page else after)

    def _present(self, table: StateTable) -> dict[str, bytes]:
        """Return the values that are there, by key; those whose time is over go."""
        now_ns, entries = self._clock.now_ns(), self._tables.entries
        for entry in [one for one, (_, until_ns) in entries.items() if until_ns is not None and until_ns <= now_ns]:
            del entries[entry]
        return {key: value for (its_table, key), (value, _) in entries.items() if its_table == table}
