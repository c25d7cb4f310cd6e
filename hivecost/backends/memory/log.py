"""The log itself: events in the order they were logged, and what is asked of them."""

from __future__ import annotations

import threading
from collections.abc import Callable, Iterator, Mapping, Sequence
from contextlib import contextmanager
from operator import attrgetter
from typing import Any, Final, TypeVar

from hivecost.backends.cursors import checked_limit, cursor_of, place_of
from hivecost.backends.memory.folds import OF_EVENTS, OF_TURNS, grouped_sums, run_of, state_of, step_of, sums_of
from hivecost.errors import ConfigError, SessionNotFoundError
from hivecost.events import Event, EventType, ExecutionCompleted, ExecutionStarted, LLMTurnComplete
from hivecost.ledger import BudgetChange
from hivecost.log import ALWAYS, EVERYTHING, AccountRow, Filter, LatencyRow, Page, SumRow, Window, latency_bucket
from hivecost.log.periods import QUARTER_HOUR_NS
from hivecost.log.records import BudgetDefinition, NodeTotals, Run, SessionState
from hivecost.log.steps import Step
from hivecost.plain_text import encodable

T = TypeVar("T")
E = TypeVar("E", bound=Event)

_ALERTS: Final = (EventType.ALERT_RAISED, EventType.BUDGET_WARNING, EventType.BUDGET_EXCEEDED)

_logs: Final[dict[str, MemoryLog]] = {}


def memory_log(name: str) -> MemoryLog:
    """Return the log of this name, the same one in all of the process; it lives as long as that."""
    return _logs.setdefault(name, MemoryLog())


class MemoryLog:
    """A `hivecost.log.LogReader` that can be written. No ledger writes here: budgets, accounts and audit are empty.

    Methods may be called from several threads at once.
    """

    def __init__(self) -> None:
        self._lock = threading.Lock()
        #: In the order they were logged, each with its number, which none other ever has.
        self._events: list[tuple[int, Event]] = []
        self._ids: set[str] = set()
        self._next = 1
        self._changes = 0
        self._pruned_before_ns: int = -(2**63)

    # -- writing

    def write(self, events: Sequence[Event]) -> int:
        """Log the events; return how many were new: not known by their id, nor older than what was pruned."""
        with self._lock:
            before = self._next
            for event in events:
                if event.event_id not in self._ids and event.timestamp_ns >= self._pruned_before_ns:
                    self._ids.add(event.event_id)
                    self._events.append((self._next, event))
                    self._next += 1
            self._changes += self._next > before
            return self._next - before

    def prune(self, before_ns: int) -> None:
        """Take turns and events from before out of every list; their sums stay."""
        with self._lock:
            self._pruned_before_ns = max(before_ns, self._pruned_before_ns)
            self._changes += 1

    def delete(self, session_id: str) -> bool:
        """Take a session out of everything; False where nothing was logged of it."""
        with self._lock:
            kept = [numbered for numbered in self._events if numbered[1].session_id != session_id]
            is_there = len(kept) < len(self._events)
            self._events = kept
            self._ids = {event.event_id for _, event in kept}
            self._changes += is_there
            return is_there

    # -- reading

    @contextmanager
    def snapshot(self) -> Iterator[MemoryLog]:
        view = MemoryLog()
        with self._lock:
            view._take(self._events, self._changes, self._pruned_before_ns)
        yield view

    def _take(self, events: Sequence[tuple[int, Event]], changes: int, pruned_before_ns: int) -> None:
        self._events, self._changes, self._pruned_before_ns = list(events), changes, pruned_before_ns

    def version(self) -> str:
        return str(self._changes)

    def close(self) -> None:
        """Nothing is open."""

    def as_of(self) -> int | None:
        return max((event.timestamp_ns for _, event in self._logged(Event)), default=None)

    def session(self, session_id: str) -> SessionState:
        states = self._states()
        if session_id not in states:
            raise SessionNotFoundError(f"no session {session_id!r} is logged in this memory")
        return states[session_id][1]

    def sessions(
        self,
        after: str = "",
        *,
        window: Window = ALWAYS,
        status: str | None = None,
        agent: str | None = None,
        user: str | None = None,
        limit: int = 50,
    ) -> Page[SessionState]:
        found = {
            (started_ns, state.session_id): state
            for started_ns, state in self._states().values()
            if status in (None, state.status) and agent in (None, state.agent_id) and user in (None, state.user_id)
        }
        return _newest_first("sessions", found, after, window, limit)

    def executions(
        self,
        after: str = "",
        *,
        window: Window = ALWAYS,
        session_id: str | None = None,
        status: str | None = None,
        limit: int = 50,
    ) -> Page[Run]:
        found = {
            (started_ns, run.session_id, run.execution_id): run
            for started_ns, _, run in self._runs()
            if session_id in (None, run.session_id) and status in (None, run.status)
        }
        return _newest_first("executions", found, after, window, limit)

    def nodes(self, session_id: str) -> list[NodeTotals]:
        turns = self._counted(Filter(session=session_id))
        names = sorted({turn.node_id for _, turn in turns})
        return [
            NodeTotals(node_id=name, **sums_of([turn for _, turn in turns if turn.node_id == name])) for name in names
        ]

    def steps(self, session_id: str, *, node_id: str | None = None, limit: int | None = None) -> list[Step]:
        turns = self._matching(LLMTurnComplete, Filter(session=session_id, node=node_id), OF_TURNS)
        return [step_of(turn) for _, turn in turns[: None if limit is None else checked_limit(limit)]]

    def turns(self, after: str = "", filter: Filter = EVERYTHING, *, limit: int = 200) -> Page[LLMTurnComplete]:
        return _page("turns", self._matching(LLMTurnComplete, filter, OF_TURNS), after, limit)

    def events(
        self, after: str = "", filter: Filter = EVERYTHING, *, types: Sequence[EventType] = (), limit: int = 200
    ) -> Page[Event]:
        found = [
            (number, event)
            for number, event in self._matching(Event, filter, OF_EVENTS)
            if not isinstance(event, LLMTurnComplete) and (not types or event.type in types)
        ]
        return _page("events", found, after, limit)

    def sums(
        self,
        dimensions: Sequence[str] = (),
        window: Window = ALWAYS,
        zone: str = "UTC",
        filter: Filter = EVERYTHING,
    ) -> list[SumRow]:
        return grouped_sums(self._counted(filter), dimensions, window, zone)

    def latencies(self, window: Window = ALWAYS, filter: Filter = EVERYTHING) -> list[LatencyRow]:
        counts: dict[tuple[str, int], int] = {}
        for _, turn in self._matching(LLMTurnComplete, filter, OF_TURNS):
            if turn.type is EventType.LLM_TURN_COMPLETE and window.first_ns <= turn.timestamp_ns < window.end_ns:
                key = turn.counted_model, latency_bucket(turn.latency_ms)
                counts[key] = counts.get(key, 0) + 1
        return [LatencyRow(*key, calls) for key, calls in sorted(counts.items())]

    def budgets(self) -> list[BudgetDefinition]:
        return []

    def accounts(self, at_ns: int, *, limit: int | None = None) -> list[AccountRow]:
        return []

    def audit(self, *, limit: int = 100) -> list[BudgetChange]:
        checked_limit(limit)
        return []

    def alerts(self, *, limit: int = 50) -> list[Event]:
        found = [event for _, event in self._logged(Event) if event.type in _ALERTS]
        return found[::-1][: checked_limit(limit)]

    # -- what is there

    def _all(self) -> list[tuple[int, Event]]:
        with self._lock:
            return list(self._events)

    def _logged(self, kind: type[E]) -> list[tuple[int, E]]:
        """Return what is in the log and was not pruned, in the order it was logged."""
        return [
            (number, event)
            for number, event in self._all()
            if isinstance(event, kind) and event.timestamp_ns >= self._pruned_before_ns
        ]

    def _matching(self, kind: type[E], filter: Filter, values: Mapping[str, attrgetter[str]]) -> list[tuple[int, E]]:
        matches = _matcher(filter, values)
        return [(number, event) for number, event in self._logged(kind) if matches(event)]

    def _counted(self, filter: Filter) -> list[tuple[int, LLMTurnComplete]]:
        """Return all turns that count, with the instant they count at: pruned ones at their quarter-hour's start."""
        matches = _matcher(filter, OF_TURNS)
        turns = [event for _, event in self._all() if isinstance(event, LLMTurnComplete) and matches(event)]
        return [(self._counted_at(turn.timestamp_ns), turn) for turn in turns]

    def _counted_at(self, at_ns: int) -> int:
        return at_ns if at_ns >= self._pruned_before_ns else at_ns // QUARTER_HOUR_NS * QUARTER_HOUR_NS

    def _runs(self) -> list[tuple[int, int | None, Run]]:
        """Return (when it started, when it ended, the execution)."""
        of_runs: dict[tuple[str, str], list[Event]] = {}
        for _, event in self._all():
            if event.execution_id and isinstance(event, LLMTurnComplete | ExecutionStarted | ExecutionCompleted):
                of_runs.setdefault((event.session_id, event.execution_id), []).append(event)
        return [run_of(*key, events) for key, events in of_runs.items()]

    def _states(self) -> dict[str, tuple[int, SessionState]]:
        """Return (when it started, the session) by its id."""
        of_sessions: dict[str, list[Event]] = {}
        for _, event in self._all():
            if event.session_id:
                of_sessions.setdefault(event.session_id, []).append(event)
        runs = self._runs()
        return {name: state_of(name, events, runs) for name, events in of_sessions.items()}


def _matcher(filter: Filter, values: Mapping[str, attrgetter[str]]) -> Callable[[Any], bool]:
    """Return whether an event has the values of the filter. Raise ConfigError for one that it cannot have."""
    wanted = {name: value for name, value in filter._asdict().items() if value is not None}
    for name, value in wanted.items():
        if name not in values:
            raise ConfigError(f"filter.{name}", f"None: only {', '.join(values)} can be asked for here", got=value)
        if encodable(value) != value:
            raise ConfigError(name, "text: this has bytes or halves of letters that are no UTF-8", got=value)
    return lambda event: all(values[name](event) == value for name, value in wanted.items())


def _page(rows: str, found: Sequence[tuple[int, E]], after: str, limit: int) -> Page[E]:
    (number,) = place_of(after, rows, int) if after else (0,)
    page = [numbered for numbered in found if numbered[0] > number][: checked_limit(limit)]
    return Page(tuple(event for _, event in page), cursor_of(rows, page[-1][0]) if page else after)


def _newest_first(rows: str, found: dict[tuple[Any, ...], T], after: str, window: Window, limit: int) -> Page[T]:
    """Return those from a place on, by (when they started, their names)."""
    places = sorted(found, reverse=True)
    if after:
        last = tuple(place_of(after, rows, int, *[str] * (2 if rows == "executions" else 1)))
        places = [place for place in places if place < last]
    page = [place for place in places if window.first_ns <= place[0] < window.end_ns][: checked_limit(limit)]
    return Page(tuple(found[place] for place in page), cursor_of(rows, *page[-1]) if page else after)
