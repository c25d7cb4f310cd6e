"""The log itself: events in the order they were logged, and what is asked of them."""

from __future__ import annotations

import threading
from collections import Counter
from collections.abc import Callable, Iterator, Mapping, Sequence
from contextlib import contextmanager
from datetime import UTC
from operator import attrgetter
from typing import Any, Final, TypeVar

from msgspec.structs import replace

from hivecost.backends.asking import checked_alerts, checked_dimensions, checked_limit, cursor_of, place_of
from hivecost.backends.memory.folds import (
    OF_EVENTS,
    OF_TURNS,
    Counted,
    carried_totals,
    compaction_totals,
    grouped_sums,
    run_of,
    state_of,
    sums_of,
)
from hivecost.backends.memory.ledger import Place
from hivecost.clock import to_ns
from hivecost.errors import ConfigError, SessionNotFoundError
from hivecost.events import Event, EventType, ExecutionCompleted, ExecutionStarted, LLMTurnComplete
from hivecost.ledger import Account, Budget, BudgetChange
from hivecost.log import (
    ALWAYS,
    EVERYTHING,
    AccountRow,
    CostRow,
    Filter,
    LatencyRow,
    Page,
    SumRow,
    TurnSum,
    Window,
    cost_bucket,
    latency_bucket,
)
from hivecost.log.contexts import CarriedTotals, CompactionTotals
from hivecost.log.logged_turns import step_of
from hivecost.log.periods import QUARTER_HOUR_NS
from hivecost.log.records import BudgetDefinition, NodeTotals, Pruned, RepricedTotals, Repricing, Run, SessionState
from hivecost.log.steps import Step
from hivecost.plain_text import encodable

T = TypeVar("T")
E = TypeVar("E", bound=Event)

_NEVER_NS: Final = -(2**63)


class MemoryLog:
    """A `hivecost.log.LogReader` that can be written; its accounts and audit trail are those of a ledger's place.

    Methods may be called from several threads at once.
    """

    def __init__(self, ledger: Place | None = None) -> None:
        self._ledger = ledger or Place()
        self._lock = threading.Lock()
        #: In the order they were logged, each with its number, which none other ever has.
        self._events: list[tuple[int, Event]] = []
        self._ids: set[str] = set()
        self._next = 1
        self._changes = 0
        self._pruned_before_ns: int = _NEVER_NS
        #: The last one of each turn.
        self._repricings: dict[str, Repricing] = {}
        self._definitions: dict[str, BudgetDefinition] = {}
        self._summed_tags: set[str] = set()

    # -- writing

    def write(self, events: Sequence[Event]) -> tuple[int, int]:
        """Log the events; return how many were new, and how many late: older than what was pruned."""
        with self._lock:
            before, late = self._next, 0
            for event in events:
                if event.timestamp_ns < self._pruned_before_ns:
                    late += 1
                elif event.event_id not in self._ids:
                    self._ids.add(event.event_id)
                    self._events.append((self._next, event))
                    self._next += 1
            self._changes += self._next > before
            return self._next - before, late

    def prune(self, before_ns: int, *, dry_run: bool = False) -> Pruned:
        """Take turns and events from before out of every list, or only count them; their sums stay."""
        with self._lock:
            gone = [
                isinstance(event, LLMTurnComplete)
                for _, event in self._events
                if self._pruned_before_ns <= event.timestamp_ns < before_ns
            ]
            if not dry_run:
                self._pruned_before_ns = max(before_ns, self._pruned_before_ns)
                self._changes += 1
            return Pruned(turns=sum(gone), events=len(gone) - sum(gone))

    def reprice(self, repricings: Sequence[Repricing]) -> None:
        """Keep what these turns would cost, each as it was priced last."""
        with self._lock:
            self._repricings |= {repricing.event_id: repricing for repricing in repricings}
            self._changes += 1

    def define(self, budgets: Sequence[Budget], at_ns: int) -> None:
        """Keep what these budgets are now."""
        with self._lock:
            for budget in budgets:
                before = self._definitions.get(budget.name)
                self._definitions[budget.name] = BudgetDefinition(
                    budget=budget, first_seen_ns=before.first_seen_ns if before else at_ns, last_seen_ns=at_ns
                )
            self._changes += 1

    def sum_tags(self, names: Sequence[str]) -> None:
        """Note these tags: all sums are folds, by any tag."""
        with self._lock:
            self._summed_tags |= {*names}

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
        view = MemoryLog(self._ledger)
        with self._lock:
            view._take(self._events, self._changes, self._pruned_before_ns)
            view._repricings, view._definitions = dict(self._repricings), dict(self._definitions)
            view._summed_tags = {*self._summed_tags}
        yield view

    def _take(self, events: Sequence[tuple[int, Event]], changes: int, pruned_before_ns: int) -> None:
        self._events, self._changes, self._pruned_before_ns = list(events), changes, pruned_before_ns

    def version(self) -> str:
        return str(self._changes)

    def close(self) -> None:
        """Do nothing, because nothing is open."""

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
            (started_ns, number): run
            for number, (started_ns, _, run) in self._runs().items()
            if session_id in (None, run.session_id) and status in (None, run.status)
        }
        return _newest_first("executions", found, after, window, limit)

    def nodes(self, session_id: str) -> list[NodeTotals]:
        turns = [one.turn for one in self._counted(Filter(session=session_id))]
        names = sorted({turn.node_id for turn in turns})
        return [NodeTotals(node_id=name, **sums_of([turn for turn in turns if turn.node_id == name])) for name in names]

    def steps(self, session_id: str, *, node_id: str | None = None, limit: int | None = None) -> list[Step]:
        turns = self._matching(LLMTurnComplete, Filter(session=session_id, node=node_id), OF_TURNS)
        return [step_of(turn) for _, turn in turns[: None if limit is None else checked_limit(limit)]]

    def turns(
        self, after: str = "", filter: Filter = EVERYTHING, window: Window = ALWAYS, *, limit: int = 200
    ) -> Page[LLMTurnComplete]:
        found = [
            (number, turn)
            for number, turn in self._matching(LLMTurnComplete, filter, OF_TURNS)
            if window.first_ns <= turn.timestamp_ns < window.end_ns
        ]
        return _page("turns", found, after, limit)

    def compactions(self, session_id: str) -> list[CompactionTotals]:
        return compaction_totals(self._of_session(session_id))

    def carried_results(self, session_id: str) -> list[CarriedTotals]:
        return carried_totals(self._of_session(session_id))

    def turn_sums(self, after: str = "", dimensions: Sequence[str] = (), *, limit: int = 200) -> Page[TurnSum]:
        checked_dimensions(dimensions)
        (last,) = place_of(after, "turns", int) if after else (0,)
        turns = [(number, turn) for number, turn in self._logged(LLMTurnComplete) if number > last]
        entry_points = self._entry_points(dimensions)
        rows = tuple(
            TurnSum(
                turn.event_id,
                cursor_of("turns", number),
                SumRow(
                    Counted(turn.timestamp_ns, turn, False, entry_points.get(_execution(turn), "")).group(
                        dimensions, UTC
                    ),
                    **sums_of([turn]),
                ),
            )
            for number, turn in turns[: checked_limit(limit)]
        )
        return Page(rows, rows[-1].cursor if rows else after)

    def end(self) -> str:
        numbers = [number for number, _ in self._logged(LLMTurnComplete)]
        return cursor_of("turns", numbers[-1]) if numbers else ""

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
        *,
        until: str | None = None,
    ) -> list[SumRow]:
        entry_points = self._entry_points(dimensions)
        return grouped_sums(self._counted(filter, until, entry_points), dimensions, window, zone)

    def latencies(self, window: Window = ALWAYS, filter: Filter = EVERYTHING) -> list[LatencyRow]:
        calls = self._calls(window, filter)
        counts = Counter((turn.counted_model, latency_bucket(turn.latency_ms)) for turn in calls)
        return [LatencyRow(*key, calls) for key, calls in sorted(counts.items())]

    def costs(self, window: Window = ALWAYS, filter: Filter = EVERYTHING) -> list[CostRow]:
        known = ((turn, turn.cost.nanousd) for turn in self._calls(window, filter) if turn.cost is not None)
        counts = Counter((turn.counted_model, cost_bucket(nanousd)) for turn, nanousd in known if nanousd is not None)
        return [CostRow(*key, calls) for key, calls in sorted(counts.items())]

    def _calls(self, window: Window, filter: Filter) -> list[LLMTurnComplete]:
        """Return the turns that are calls of a model."""
        return [
            turn
            for _, turn in self._matching(LLMTurnComplete, filter, OF_TURNS)
            if turn.type is EventType.LLM_TURN_COMPLETE and window.first_ns <= turn.timestamp_ns < window.end_ns
        ]

    def summed_tags(self) -> list[str]:
        return sorted(self._summed_tags)

    def budgets(self) -> list[BudgetDefinition]:
        retired = {
            change.subject: to_ns(change.at) for change in self._ledger.newest_changes(2**63) if change.what == "retire"
        }
        with self._lock:
            known = [self._definitions[name] for name in sorted(self._definitions)]
        return [
            replace(one, is_retired=one.budget.mode == "hard" and retired.get(one.budget.name, -1) >= one.last_seen_ns)
            for one in known
        ]

    def accounts(self, at_ns: int, *, limit: int | None = None) -> list[AccountRow]:
        with self._ledger.lock:
            rows = [
                _account_row(account, self._ledger)
                for account in self._ledger.accounts.values()
                if account.period.contains(at_ns)
            ]
        rows.sort(key=lambda row: (row.is_shadow, -row.used, row.budget, row.scope))
        return rows[: None if limit is None else checked_limit(limit)]

    def audit(self, *, limit: int = 100) -> list[BudgetChange]:
        return self._ledger.newest_changes(checked_limit(limit))

    def alerts(self, *, types: Sequence[EventType] = (), budget: str | None = None, limit: int = 50) -> list[Event]:
        wanted = checked_alerts(types)
        found = [
            event
            for _, event in self._logged(Event)
            if event.type in wanted and budget in (None, getattr(event, "budget", ""))
        ]
        return found[::-1][: checked_limit(limit)]

    def pruned_before(self) -> int | None:
        with self._lock:
            return None if self._pruned_before_ns == _NEVER_NS else self._pruned_before_ns

    def repriced(self, session_id: str) -> RepricedTotals | None:
        with self._lock:
            logged = {event.event_id for _, event in self._events}
            of_session = [one for one in self._repricings.values() if one.session_id == session_id]
        newest = [one for one in of_session if one.event_id in logged]
        if not newest:
            return None
        return RepricedTotals(
            calls=len(newest),
            old_nanousd=sum(one.old_nanousd or 0 for one in newest),
            new_nanousd=sum(one.new_nanousd or 0 for one in newest),
            old_unpriced_calls=sum(one.old_nanousd is None for one in newest),
            new_unpriced_calls=sum(one.new_nanousd is None for one in newest),
            snapshot=max(newest, key=lambda one: one.repriced_ns).snapshot,
        )

    # -- what is there

    def _all(self) -> list[tuple[int, Event]]:
        with self._lock:
            return list(self._events)

    def _of_session(self, session_id: str) -> list[Event]:
        """Return its turns and events, pruned ones too."""
        return [event for _, event in self._all() if session_id and event.session_id == session_id]

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

    def _entry_points(self, dimensions: Sequence[str]) -> dict[tuple[str, str], str]:
        """Return the entry point of each (session, execution), where it is asked for."""
        runs = self._runs().values() if "entry_point" in dimensions else ()
        return {(run.session_id, run.execution_id): run.entry_point for _, _, run in runs}

    def _counted(
        self, filter: Filter, until: str | None = None, entry_points: Mapping[tuple[str, str], str] | None = None
    ) -> list[Counted]:
        """Return all turns that count: pruned ones at their quarter-hour's start, wherever the log ends."""
        matches = _matcher(filter, OF_TURNS)
        last = place_of(until, "turns", int)[0] if until else None if until is None else 0
        counted, entry_points = [], entry_points or {}
        for number, turn in self._all():
            if isinstance(turn, LLMTurnComplete) and matches(turn):
                at_ns, is_pruned = turn.timestamp_ns, turn.timestamp_ns < self._pruned_before_ns
                entry_point = entry_points.get(_execution(turn), "")
                if is_pruned:
                    counted.append(Counted(at_ns // QUARTER_HOUR_NS * QUARTER_HOUR_NS, turn, is_pruned, entry_point))
                elif last is None or number <= last:
                    counted.append(Counted(at_ns, turn, is_pruned, entry_point))
        return counted

    def _runs(self) -> dict[int, tuple[int, int | None, Run]]:
        """Return (when it started, when it ended, the execution) by the number of what was logged of it first."""
        of_runs: dict[tuple[str, str], list[tuple[int, Event]]] = {}
        for number, event in self._all():
            if event.execution_id and isinstance(event, LLMTurnComplete | ExecutionStarted | ExecutionCompleted):
                of_runs.setdefault((event.session_id, event.execution_id), []).append((number, event))
        return {logged[0][0]: run_of(*key, [event for _, event in logged]) for key, logged in of_runs.items()}

    def _states(self) -> dict[str, tuple[int, SessionState]]:
        """Return (when it started, the session) by its id."""
        of_sessions: dict[str, list[Event]] = {}
        for _, event in self._all():
            if event.session_id:
                of_sessions.setdefault(event.session_id, []).append(event)
        runs = list(self._runs().values())
        return {name: state_of(name, events, runs) for name, events in of_sessions.items()}


def _execution(turn: LLMTurnComplete) -> tuple[str, str]:
    return turn.session_id, turn.execution_id


def _account_row(account: Account, ledger: Place) -> AccountRow:
    status = account.status()
    return AccountRow(
        status.budget,
        status.scope,
        status.period,
        status.unit,
        status.limit,
        status.settled,
        status.in_doubt,
        status.held,
        ledger.state.frozen.get(status.budget, ""),
        account.budget.shadow,
        account.period.end_ns,
    )


def _matcher(filter: Filter, values: Mapping[str, attrgetter[str]]) -> Callable[[Any], bool]:
    """Return whether an event has the values of the filter. Raise ConfigError for one that it cannot have."""
    wanted = {name: value for name, value in filter._asdict().items() if value is not None}
    for name, value in wanted.items():
        if name not in values:
            raise ConfigError(f"filter.{name}", f"None: only {', '.join(values)} can be asked for here", got=value)
        for one in value if isinstance(value, tuple) else (value,):
            if encodable(one) != one:
                raise ConfigError(name, "text: this has bytes or halves of letters that are no UTF-8", got=one)
    allowed = {name: value if isinstance(value, tuple) else (value,) for name, value in wanted.items()}
    return lambda event: all(values[name](event) in some for name, some in allowed.items())


def _page(rows: str, found: Sequence[tuple[int, E]], after: str, limit: int) -> Page[E]:
    (number,) = place_of(after, rows, int) if after else (0,)
    page = [numbered for numbered in found if numbered[0] > number][: checked_limit(limit)]
    return Page(tuple(event for _, event in page), cursor_of(rows, page[-1][0]) if page else after)


def _newest_first(rows: str, found: dict[tuple[Any, ...], T], after: str, window: Window, limit: int) -> Page[T]:
    """Return a page of records by (when they started, what else orders them), the newest first."""
    places = sorted(found, reverse=True)
    if after:
        last = tuple(place_of(after, rows, int, int if rows == "executions" else str))
        places = [place for place in places if place < last]
    page = [place for place in places if window.first_ns <= place[0] < window.end_ns][: checked_limit(limit)]
    return Page(tuple(found[place] for place in page), cursor_of(rows, *page[-1]) if page else after)
