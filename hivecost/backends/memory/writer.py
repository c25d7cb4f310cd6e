"""Writing a log in memory: what is accepted is there."""

from __future__ import annotations

from collections.abc import Sequence
from types import TracebackType
from typing import Self

import anyio.lowlevel

from hivecost.backends.memory.log import MemoryLog
from hivecost.clock import SYSTEM_CLOCK, Clock
from hivecost.errors import ConfigError
from hivecost.events import Event
from hivecost.ledger import Budget
from hivecost.log.records import Pruned, Repricing, StoreStatistics

#: Younger events may still be on their way to the log, and would be late.
_YOUNGEST_NS = 3600 * 10**9


class MemoryWriter:
    """A `hivecost.log.LogWriter`."""

    close_timeout_s = 0.0

    def __init__(self, log: MemoryLog, clock: Clock = SYSTEM_CLOCK) -> None:
        self._log, self._clock = log, clock
        self._written = self._duplicates = self._late = self._commits = 0

    async def __aenter__(self) -> Self:
        return self

    async def __aexit__(
        self, kind: type[BaseException] | None, error: BaseException | None, traceback: TracebackType | None
    ) -> None:
        """Do nothing, because nothing waits."""

    async def write(self, events: Sequence[Event]) -> int:
        await anyio.lowlevel.checkpoint()
        new, late = self._log.write(events)
        self._written += new
        self._late += late
        self._duplicates += len(events) - new - late
        self._commits += 1
        return new

    async def flush(self) -> None:
        await anyio.lowlevel.checkpoint()

    def statistics(self) -> StoreStatistics:
        return StoreStatistics(
            written=self._written, duplicates=self._duplicates, late=self._late, commits=self._commits
        )

    async def prune(self, before_ns: int, *, dry_run: bool = False, compact: bool = False) -> Pruned:
        await anyio.lowlevel.checkpoint()
        if before_ns > self._clock.now_ns() - _YOUNGEST_NS:
            raise ConfigError("prune before", "a moment at least an hour ago: events may still be on their way")
        return self._log.prune(before_ns, dry_run=dry_run)

    async def reprice(self, repricings: Sequence[Repricing]) -> None:
        await anyio.lowlevel.checkpoint()
        self._log.reprice(repricings)

    async def delete(self, session_id: str) -> bool:
        await anyio.lowlevel.checkpoint()
        return bool(session_id) and self._log.delete(session_id)

    async def define(self, budgets: Sequence[Budget], at_ns: int) -> None:
        await anyio.lowlevel.checkpoint()
        self._log.define(budgets, at_ns)

    async def sum_tags(self, names: Sequence[str]) -> None:
        await anyio.lowlevel.checkpoint()
        self._log.sum_tags(names)
