"""What is kept under one name, for as long as the process lives."""

from __future__ import annotations

from collections.abc import AsyncIterator, Iterable
from contextlib import asynccontextmanager
from typing import Final

from hivecost.backends.memory.ledger import MemoryLedger, MemoryLedgerReader, Place
from hivecost.backends.memory.log import MemoryLog
from hivecost.backends.memory.state import MemoryLogState, Tables
from hivecost.backends.memory.writer import MemoryWriter
from hivecost.clock import SYSTEM_CLOCK, Clock
from hivecost.ledger import Budget

_places: Final[dict[str, MemoryBackend]] = {}


class MemoryRates:
    """A `hivecost.backends.Rates`."""

    def __init__(self, name: str) -> None:
        self.name = f"the rates of {name}"
        self._current: bytes | None = None
        self._previous: bytes | None = None

    def current(self) -> bytes | None:
        return self._current

    def previous(self) -> bytes | None:
        return self._previous

    def save(self, data: bytes) -> bool:
        if data == self._current:
            return False
        self._previous, self._current = self._current, data
        return True


class MemoryBackend:
    """A `hivecost.backends.Backend`."""

    def __init__(self, name: str) -> None:
        self.name = name
        self._ledger = Place()
        self._log = MemoryLog(self._ledger)
        self._tables = Tables()
        self.rates = MemoryRates(name)

    def reader(self) -> MemoryLog:
        return self._log

    def writer(self, *, clock: Clock = SYSTEM_CLOCK) -> MemoryWriter:
        return MemoryWriter(self._log, clock)

    def state(self, *, clock: Clock = SYSTEM_CLOCK) -> MemoryLogState:
        return MemoryLogState(self._tables, clock)

    def ledger(self, budgets: Iterable[Budget] = (), *, clock: Clock = SYSTEM_CLOCK) -> MemoryLedger:
        return MemoryLedger(self._ledger, budgets, clock)

    def ledger_reader(self) -> MemoryLedgerReader:
        return MemoryLedgerReader(self._ledger)

    @asynccontextmanager
    async def living(self) -> AsyncIterator[str]:
        yield ""


def memory_backend(url: str) -> MemoryBackend:
    """Return what is kept under `memory://NAME`, the same in all of the process."""
    return _places.setdefault(url, MemoryBackend(url))
