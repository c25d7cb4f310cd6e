"""How the tests open a log, and what they share.

Assertions say what they compared, because pytest explains only those in test files.
"""

from __future__ import annotations

from abc import ABC, abstractmethod
from collections.abc import Callable, Coroutine, Iterator, Sequence
from contextlib import contextmanager
from pathlib import Path
from typing import TypeVar

import anyio

from hivecost.backends import Backend
from hivecost.events import Event
from hivecost.log import ALWAYS, EVERYTHING, Filter, LogReader, LogWriter, Page, SumRow, Window
from hivecost.log.records import Pruned
from hivecost.testing.contracts.checking import same
from hivecost.testing.contracts.log.history import DAY_NS, SESSIONS, START_NS, history
from hivecost.testing.contracts.log.oracle import LogOracle

T = TypeVar("T")

MINUTE_NS = 60 * 10**9
#: From and to the middle of quarter-hours, over one, inside one, whole, and empty.
WINDOWS = (
    ALWAYS,
    Window(START_NS + DAY_NS + 7 * MINUTE_NS + 1, START_NS + 4 * DAY_NS + 22 * MINUTE_NS),
    Window(START_NS + 3 * DAY_NS, START_NS + 9 * DAY_NS),
    Window(START_NS + 2 * DAY_NS + MINUTE_NS, START_NS + 2 * DAY_NS + 14 * MINUTE_NS),
    Window(START_NS, START_NS),
)
FILTERS = (
    EVERYTHING,
    Filter(model="large"),
    Filter(agent="planner", user=""),
    Filter(session=SESSIONS[1], provider="openai"),
    Filter(session=(SESSIONS[0], SESSIONS[4]), user=("ada", "")),
    Filter(task="t1", node="plan"),
)


class OpensLogs(ABC):
    """Opens logs for the tests."""

    @abstractmethod
    def backend(self, place: Path) -> Backend:
        """Return the backend of a place. One that keeps no files takes `place` as a name."""

    def open(self, place: Path) -> LogReader:
        """Return a reader of the log of a place."""
        return self.backend(place).reader()

    def write(self, place: Path, events: Sequence[Event]) -> int:
        """Commit these events to the log of a place; return how many were new."""
        return self.ask_writer(place, lambda writer: writer.write(events))

    def ask_writer(self, place: Path, work: Callable[[LogWriter], Coroutine[None, None, T]]) -> T:
        """Return what a writer of the log answers."""

        async def ask() -> T:
            async with self.backend(place).writer() as writer:
                return await work(writer)

        return anyio.run(ask)

    def prune(self, place: Path, before_ns: int) -> Pruned:
        """Delete the turns and events from before, and keep their sums."""
        return self.ask_writer(place, lambda writer: writer.prune(before_ns))

    def delete(self, place: Path, session_id: str) -> bool:
        """Delete a session, and take it out of every sum."""
        return self.ask_writer(place, lambda writer: writer.delete(session_id))

    @contextmanager
    def opened(self, place: Path) -> Iterator[LogReader]:
        """Give a reader, and close it, twice: the second time changes nothing."""
        log = self.open(place)
        try:
            yield log
        finally:
            log.close()
            log.close()

    @contextmanager
    def written(self, place: Path, events: Sequence[Event] | None = None) -> Iterator[tuple[LogReader, LogOracle]]:
        """Give a reader of a history, and what it must answer."""
        events = history() if events is None else events
        self.write(place, events)
        with self.opened(place) as log:
            yield log, LogOracle(events)


def pages(read: Callable[[str], Page[T]]) -> list[T]:
    """Return all rows, a page after the other, until one is empty."""
    found: list[T] = []
    page = read("")
    while page.rows:
        found += page.rows
        page = read(page.cursor)
    return found


def ids(events: Sequence[Event]) -> list[str]:
    """Return the ids of events."""
    return [event.event_id for event in events]


def names(page: Page[T]) -> list[str]:
    """Return the ids of a page of sessions."""
    return [state.session_id for state in page.rows]  # type: ignore[attr-defined]


def same_sums(found: Sequence[SumRow], expected: Sequence[SumRow]) -> None:
    """Fail unless the groups are the same, with the same sums; another test looks at their order."""
    same(sorted(found), sorted(expected))
