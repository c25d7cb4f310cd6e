"""What a log must answer, worked out from its events one by one: no quarter-hours, no sums that are kept."""

from __future__ import annotations

import json
from collections import defaultdict
from collections.abc import Callable, Iterable, Sequence
from datetime import datetime
from functools import reduce
from math import floor, log2
from operator import attrgetter
from typing import Final
from zoneinfo import ZoneInfo

from hivecost.clock import to_datetime
from hivecost.events import ContextCompacted, Event, ExecutionCompleted, ExecutionStarted, LLMTurnComplete, Totals
from hivecost.log import ALWAYS, EVERYTHING, SUM_NAMES, CostRow, Filter, LatencyRow, SumRow, Window
from hivecost.log.contexts import CarriedTotals, CompactionTotals

_QUARTER_HOUR_NS: Final = 900 * 10**9
#: Dimension, and field of a Filter → where a turn has it.
_VALUES: Final = {
    **{name: attrgetter(f"{name}_id") for name in ("session", "node", "agent", "user", "org", "task")},
    "model": attrgetter("counted_model"),
    "provider": attrgetter("counted_provider"),
}
#: Dimension → what a turn has there that is in the log.
_DETAILS: Final[dict[str, Callable[[LLMTurnComplete], str]]] = {
    "execution": attrgetter("execution_id"),
    "tags": lambda turn: json.dumps(dict(turn.tags), separators=(",", ":")),
    "asked_model": attrgetter("asked_model"),
    "answered_model": attrgetter("model"),
    "answered_provider": attrgetter("provider"),
    "resolved_model": attrgetter("resolved_model"),
    "resolved_provider": attrgetter("resolved_provider"),
    "reason": lambda turn: "" if turn.cost is None else turn.cost.reason,
    "kind": lambda turn: "" if type(turn) is LLMTurnComplete else "charge",
    "pruned": lambda _: "",
}
#: What of that is not known any more of those that were pruned, and what is.
_OF_PRUNED: Final = {"execution": "", "reason": "", "entry_point": "", "kind": "", "pruned": "yes"}


class LogOracle:
    """Knows every event that was written, in this order; by its id, each once."""

    def __init__(self, events: Iterable[Event] = ()) -> None:
        self._events: dict[str, Event] = {}
        self._pruned_before_ns: int = -(2**63)
        self.add(events)

    def add(self, events: Iterable[Event]) -> None:
        """Note what is written."""
        for event in events:
            self._events.setdefault(event.event_id, event)

    def prune(self, before_ns: int) -> None:
        """Note that what happened before is no longer in the log, but for its sums."""
        self._pruned_before_ns = before_ns

    def delete(self, session_id: str) -> None:
        """Note that a session was deleted."""
        self._events = {key: event for key, event in self._events.items() if event.session_id != session_id}

    def turns(self, filter: Filter = EVERYTHING) -> list[LLMTurnComplete]:
        """Return the turns that are in the log, in the order they were logged."""
        return [turn for turn in self._matching(filter) if turn.timestamp_ns >= self._pruned_before_ns]

    def others(self) -> list[Event]:
        """Return what is no turn, likewise."""
        return [
            event
            for event in self._events.values()
            if not isinstance(event, LLMTurnComplete) and event.timestamp_ns >= self._pruned_before_ns
        ]

    def sums(
        self,
        dimensions: Sequence[str] = (),
        window: Window = ALWAYS,
        zone: str = "UTC",
        filter: Filter = EVERYTHING,
    ) -> list[SumRow]:
        """Return what `LogReader.sums` must, but in any order."""
        groups: dict[tuple[str, ...], list[LLMTurnComplete]] = defaultdict(list)
        for turn in self._matching(filter):
            at_ns = self._counted_at(turn)
            if window.first_ns <= at_ns < window.end_ns:
                groups[tuple(self._value(turn, name, at_ns, zone) for name in dimensions)].append(turn)
        return [sum_row(group, turns) for group, turns in groups.items()]

    def latencies(self, window: Window = ALWAYS, filter: Filter = EVERYTHING) -> list[LatencyRow]:
        """Return what `LogReader.latencies` must."""
        counts: dict[tuple[str, int], int] = defaultdict(int)
        for turn in self.turns(filter):
            if type(turn) is LLMTurnComplete and window.first_ns <= turn.timestamp_ns < window.end_ns:
                counts[turn.counted_model, floor(8 * log2(turn.latency_ms + 1))] += 1
        return [LatencyRow(*key, calls) for key, calls in sorted(counts.items())]

    def costs(self, window: Window = ALWAYS, filter: Filter = EVERYTHING) -> list[CostRow]:
        """Return what `LogReader.costs` must."""
        counts: dict[tuple[str, int], int] = defaultdict(int)
        for turn in self.turns(filter):
            nanousd = None if turn.cost is None else turn.cost.nanousd
            is_call = type(turn) is LLMTurnComplete and window.first_ns <= turn.timestamp_ns < window.end_ns
            if is_call and nanousd is not None:
                counts[turn.counted_model, ((nanousd + 1) ** 8).bit_length() - 1] += 1
        return [CostRow(*key, calls) for key, calls in sorted(counts.items())]

    def compactions(self, session_id: str) -> list[CompactionTotals]:
        """Return what `LogReader.compactions` must."""
        of_session = [event for event in self._events.values() if event.session_id == session_id]
        done = [event for event in of_session if isinstance(event, ContextCompacted) and event.status == "done"]
        turns = [event for event in of_session if isinstance(event, LLMTurnComplete)]
        prompts = [(turn.node_id, turn.prompt) for turn in turns if turn.prompt and turn.prompt.compacted_tokens]
        return [
            CompactionTotals(
                node_id=node,
                compactions=sum(event.node_id == node for event in done),
                tokens_saved=sum(event.tokens_saved for event in done if event.node_id == node),
                cost_nanousd=sum(event.cost_nanousd or 0 for event in done if event.node_id == node),
                cache_rewrite_nanousd=sum(event.cache_rewrite_nanousd or 0 for event in done if event.node_id == node),
                unpriced_compactions=sum(event.cost_nanousd is None for event in done if event.node_id == node),
                later_turns=sum(name == node for name, _ in prompts),
                spared_tokens=sum(prompt.compacted_tokens for name, prompt in prompts if name == node),
                saved_nanousd=sum(prompt.saved_nanousd or 0 for name, prompt in prompts if name == node),
                unpriced_turns=sum(prompt.saved_nanousd is None for name, prompt in prompts if name == node),
            )
            for node in sorted({event.node_id for event in done} | {name for name, _ in prompts})
        ]

    def carried_results(self, session_id: str) -> list[CarriedTotals]:
        """Return what `LogReader.carried_results` must."""
        groups = defaultdict(list)
        for turn in self._matching(Filter(session=session_id)):
            for one in turn.prompt.carried if turn.prompt else ():
                groups[turn.node_id, one.tool].append(one)
        return [
            CarriedTotals(
                node_id=node,
                tool=tool,
                turns=len(group),
                results=sum(one.results for one in group),
                tokens=sum(one.tokens for one in group),
                nanousd=sum(one.nanousd or 0 for one in group),
                old_nanousd=sum(one.old_nanousd or 0 for one in group),
                unpriced_turns=sum(one.nanousd is None for one in group),
            )
            for (node, tool), group in sorted(groups.items())
        ]

    def _matching(self, filter: Filter) -> list[LLMTurnComplete]:
        wanted = {name: value for name, value in filter._asdict().items() if value is not None}
        turns = (event for event in self._events.values() if isinstance(event, LLMTurnComplete))
        some = {name: value if isinstance(value, tuple) else (value,) for name, value in wanted.items()}
        return [turn for turn in turns if all(_VALUES[name](turn) in values for name, values in some.items())]

    def _value(self, turn: LLMTurnComplete, dimension: str, at_ns: int, zone: str) -> str:
        if dimension in _OF_PRUNED and turn.timestamp_ns < self._pruned_before_ns:
            return _OF_PRUNED[dimension]
        if dimension == "entry_point":
            return self._entry_points().get((turn.session_id, turn.execution_id), "")
        if dimension.startswith("tag:"):
            return turn.tags.get(dimension[4:], "")
        read = _VALUES.get(dimension) or _DETAILS.get(dimension)
        return read(turn) if read else _period(to_datetime(at_ns).astimezone(ZoneInfo(zone)), dimension)

    def _entry_points(self) -> dict[tuple[str, str], str]:
        return {
            (event.session_id, event.execution_id): event.entry_point
            for event in self._events.values()
            if isinstance(event, ExecutionStarted | ExecutionCompleted) and event.execution_id
        }

    def _counted_at(self, turn: LLMTurnComplete) -> int:
        at_ns = turn.timestamp_ns
        return at_ns if at_ns >= self._pruned_before_ns else at_ns // _QUARTER_HOUR_NS * _QUARTER_HOUR_NS


def sum_row(group: tuple[str, ...], turns: Iterable[LLMTurnComplete]) -> SumRow:
    """Return the sums of the turns, each added by itself."""
    totals = reduce(Totals.plus, turns, Totals())
    return SumRow(group, *(getattr(totals, name) for name in SUM_NAMES))


def _period(local: datetime, name: str) -> str:
    """Return `2025-10-26T02:00+01:00`, `2025-10-26`, `2025-W43` or `2025-10`."""
    year, week, _ = local.isocalendar()
    return {
        "quarter_hour": local.replace(minute=local.minute // 15 * 15, second=0, microsecond=0).isoformat(
            timespec="minutes"
        ),
        "hour": local.replace(minute=0, second=0, microsecond=0).isoformat(timespec="minutes"),
        "day": local.date().isoformat(),
        "week": f"{year}-W{week:02d}",
        "month": local.date().isoformat()[:7],
    }[name]
