"""Folds of events: sums, sessions, executions and steps."""

from __future__ import annotations

from collections.abc import Callable, Iterable, Mapping, Sequence
from datetime import UTC, tzinfo
from functools import reduce
from operator import attrgetter
from typing import Final, NamedTuple

import msgspec

from hivecost.attribute_names import FIELD_OF
from hivecost.backends.asking import checked_dimensions
from hivecost.events import (
    ChargeSettled,
    ContextCompacted,
    Event,
    ExecutionCompleted,
    ExecutionStarted,
    LLMTurnComplete,
    Totals,
)
from hivecost.log import SUM_NAMES, SumRow, Window
from hivecost.log.contexts import CARRIED_NAMES, COMPACTION_NAMES, CarriedTotals, CompactionTotals
from hivecost.log.instants import find_zone, local_iso
from hivecost.log.periods import QUARTER_HOUR_NS, period_labels
from hivecost.log.records import Run, SessionMetrics, SessionState, SessionTimestamps
from hivecost.log.rows import EVENT_ATTRIBUTES, PERIOD_DIMENSIONS, TAG
from hivecost.log.turn_rows import CHARGE

#: Field of a Filter, and dimension → where an event has it; a turn has more of them.
OF_EVENTS: Final = {name: attrgetter(FIELD_OF[name]) for name in EVENT_ATTRIBUTES}
_to_json: Final = msgspec.json.Encoder().encode
OF_TURNS: Final = {
    **{name: attrgetter(field) for name, field in FIELD_OF.items()},
    "model": attrgetter("counted_model"),
    "provider": attrgetter("counted_provider"),
}


def _reason(turn: LLMTurnComplete) -> str:
    return "" if turn.cost is None else turn.cost.reason


_VALUES: Final[Mapping[str, Callable[[LLMTurnComplete], str]]] = {
    **OF_TURNS,
    "tags": lambda turn: _to_json(turn.tags).decode() if turn.tags else "{}",
    "reason": _reason,
    "kind": lambda turn: CHARGE if type(turn) is ChargeSettled else "",
    "answered_model": attrgetter("model"),
    "answered_provider": attrgetter("provider"),
    **{name: attrgetter(name) for name in ("asked_model", "resolved_model", "resolved_provider")},
}


class Counted(NamedTuple):
    """A turn that counts, with the instant it counts at."""

    at_ns: int
    turn: LLMTurnComplete
    is_pruned: bool
    #: Of its execution.
    entry_point: str

    def value(self, dimension: str) -> str:
        """Return what it has in a dimension that is no period."""
        if dimension == "pruned":
            return "yes" if self.is_pruned else ""
        if dimension in ("execution", "reason", "entry_point", "kind") and self.is_pruned:
            return ""
        if dimension == "entry_point":
            return self.entry_point
        if dimension.startswith(TAG):
            return self.turn.tags.get(dimension.removeprefix(TAG), "")
        return _VALUES[dimension](self.turn)

    def group(self, dimensions: Sequence[str], zone: tzinfo) -> tuple[str, ...]:
        """Return its values in these dimensions."""
        periods = tuple(name for name in dimensions if name in PERIOD_DIMENSIONS)
        labels = dict(zip(periods, period_labels(self.at_ns // QUARTER_HOUR_NS, periods, zone), strict=True))
        return tuple(labels[name] if name in labels else self.value(name) for name in dimensions)


def grouped_sums(counted: Iterable[Counted], dimensions: Sequence[str], window: Window, zone: str) -> list[SumRow]:
    """Return the sums of a `LogReader` over turns. Raise ConfigError."""
    checked_dimensions(dimensions)
    in_zone = UTC if zone == "UTC" else find_zone(zone)
    periods = tuple(name for name in dimensions if name in PERIOD_DIMENSIONS)
    values = [name for name in dimensions if name not in PERIOD_DIMENSIONS]
    groups: dict[tuple[tuple[str, ...], ...], list[LLMTurnComplete]] = {}
    for one in sorted(counted, key=lambda one: one.at_ns):
        if window.first_ns <= one.at_ns < window.end_ns:
            labels = period_labels(one.at_ns // QUARTER_HOUR_NS, periods, in_zone)
            groups.setdefault((labels, tuple(one.value(name) for name in values)), []).append(one.turn)
    # The turns came in the order of time, and so their periods did, whose names are in none.
    in_time = {
        label: place for place, label in enumerate(dict.fromkeys(label for labels, _ in groups for label in labels))
    }
    in_order = sorted(groups, key=lambda group: (*(in_time[label] for label in group[0]), *group[1]))
    places = [(*periods, *values).index(name) for name in dimensions]
    return [
        SumRow(tuple((*labels, *names)[place] for place in places), **sums_of(groups[labels, names]))
        for labels, names in in_order
    ]


def state_of(
    name: str, events: Sequence[Event], runs: Sequence[tuple[int, int | None, Run]]
) -> tuple[int, SessionState]:
    """Return (when it started, the session) from its events, and from the executions of all sessions."""
    its_runs = [(ended_ns, run) for _, ended_ns, run in runs if run.session_id == name]
    ended = sorted((ended_ns, run.status) for ended_ns, run in its_runs if ended_ns is not None)
    is_running = any(run.status == "running" for _, run in its_runs)
    last_ns, last = ended[-1] if ended and not is_running else (None, "running" if is_running else "unknown")
    started_ns = min(event.timestamp_ns for event in events)
    timestamps = SessionTimestamps(
        started_at=local_iso(started_ns),
        updated_at=local_iso(max(event.timestamp_ns for event in events)),
        ended_at=None if last_ns is None else local_iso(last_ns),
    )
    metrics = SessionMetrics(executions=len(its_runs), **sums_of(turns_of(events)))
    return started_ns, SessionState(
        session_id=name, status=last, metrics=metrics, timestamps=timestamps, **_who(events)
    )


def run_of(session_id: str, execution_id: str, events: Sequence[Event]) -> tuple[int, int | None, Run]:
    """Return (when it started, when it ended, the execution) from its turns, starts and ends."""
    starts = [event for event in events if isinstance(event, ExecutionStarted)]
    ends = [event for event in events if isinstance(event, ExecutionCompleted)]
    started_ns, ended_ns = min(event.timestamp_ns for event in events), ends[-1].timestamp_ns if ends else None
    return (
        started_ns,
        ended_ns,
        Run(
            session_id=session_id,
            execution_id=execution_id,
            status=str(ends[-1].status) if ends else "running" if starts else "unknown",
            entry_point=next(
                filter(None, [*(start.entry_point for start in starts), *(end.entry_point for end in ends)]), ""
            ),
            error=ends[-1].error if ends else "",
            duration_ms=ends[-1].duration_ms if ends else 0,
            started_at=local_iso(started_ns),
            ended_at=None if ended_ns is None else local_iso(ended_ns),
            parent_execution_id=starts[-1].parent_execution_id if starts else "",
            **_who(events),  # type: ignore[arg-type]  # texts and sums go where they belong
            **sums_of(turns_of(events)),  # type: ignore[arg-type]
        ),
    )


def compaction_totals(events: Sequence[Event]) -> list[CompactionTotals]:
    """Return what the compactions among a session's events came to, and what its turns say of them."""
    found: dict[str, Sums] = {}
    for event in events:
        if isinstance(event, ContextCompacted) and event.status == "done":
            cost, rewrite = event.cost_nanousd, event.cache_rewrite_nanousd
            done = (1, event.tokens_saved, cost or 0, rewrite or 0, cost is None or rewrite is None, 0, 0, 0, 0)
            found.setdefault(event.node_id, Sums(COMPACTION_NAMES)).add(done)
        elif isinstance(event, LLMTurnComplete) and event.prompt is not None and event.prompt.compacted_tokens:
            prompt, saved = event.prompt, event.prompt.saved_nanousd
            later = (0, 0, 0, 0, 0, 1, prompt.compacted_tokens, saved or 0, saved is None)
            found.setdefault(event.node_id, Sums(COMPACTION_NAMES)).add(later)
    return [CompactionTotals(node_id=node_id, **found[node_id].named()) for node_id in sorted(found)]


def carried_totals(events: Sequence[Event]) -> list[CarriedTotals]:
    """Return what results that were sent again came to in a session's turns."""
    found: dict[tuple[str, str], Sums] = {}
    for turn in turns_of(events):
        for one in () if turn.prompt is None else turn.prompt.carried:
            added = (1, one.results, one.tokens, one.nanousd or 0, one.old_nanousd or 0, one.nanousd is None)
            found.setdefault((turn.node_id, one.tool), Sums(CARRIED_NAMES)).add(added)
    return [CarriedTotals(node_id=node, tool=tool, **found[node, tool].named()) for node, tool in sorted(found)]


class Sums:
    """Sums by their names."""

    def __init__(self, names: Sequence[str]) -> None:
        self._names = names
        self._values = [0] * len(names)

    def add(self, values: Sequence[int]) -> None:
        """Add one value to each."""
        self._values = [value + more for value, more in zip(self._values, values, strict=True)]

    def named(self) -> dict[str, int]:
        """Return the sums."""
        return dict(zip(self._names, self._values, strict=True))


def turns_of(events: Sequence[Event]) -> list[LLMTurnComplete]:
    """Return the turns among events."""
    return [event for event in events if isinstance(event, LLMTurnComplete)]


def _who(events: Sequence[Event]) -> dict[str, str]:
    """Return the first agent, user and org that the events name."""
    names = ("agent_id", "user_id", "org_id")
    return {name: next(filter(None, (getattr(event, name) for event in events)), "") for name in names}


def sums_of(turns: Sequence[LLMTurnComplete]) -> dict[str, int]:
    """Return what turns add up to, by the names of Totals."""
    totals = reduce(Totals.plus, turns, Totals())
    return {name: getattr(totals, name) for name in SUM_NAMES}
