"""LogReader over the embedded database: each answer from a short-lived, read-only connection, in one snapshot.

What a prompt asks for (sums, accounts, as_of, version) imports neither msgspec nor anyio; what gives records imports
them, and the rest of the house, when it is first asked for.
"""

from __future__ import annotations

import os
from collections.abc import Iterator, Mapping, Sequence
from contextlib import contextmanager
from datetime import UTC
from pathlib import Path
from typing import TYPE_CHECKING, Any, Final

from hivecost.attribute_names import fields_of
from hivecost.backends.asking import (
    checked_alerts,
    checked_dimensions,
    checked_limit,
    cursor_of,
    not_a_cursor,
    place_of,
)
from hivecost.backends.sqlite.log.rollups import ADDED_SUMS
from hivecost.backends.sqlite.reading.source import FROM_THE_NEWEST, Row, Source, Watch
from hivecost.backends.sqlite.reading.sums import (
    FILTERED,
    Asked,
    added_sums,
    bound,
    bound_tags,
    conditions,
    keys_of_turns,
    sums_of_turn,
)
from hivecost.errors import EventFormatError, SessionNotFoundError, StoreCorruptError
from hivecost.log.rows import (
    ALWAYS,
    EVENT_ATTRIBUTES,
    EVERYTHING,
    PERIOD_DIMENSIONS,
    AccountRow,
    CostRow,
    Filter,
    LatencyRow,
    Page,
    SumRow,
    TurnSum,
    Window,
)

if TYPE_CHECKING:
    from hivecost.events import Event, EventType, LLMTurnComplete
    from hivecost.ledger import BudgetChange
    from hivecost.log.contexts import CarriedTotals, CompactionTotals
    from hivecost.log.records import BudgetDefinition, NodeTotals, RepricedTotals, Run, SessionState
    from hivecost.log.steps import Step

_OF_EVENTS: Final = fields_of(EVENT_ATTRIBUTES)


class SQLiteLogReader:
    """A `hivecost.log.LogReader` of `<base_path>/hivecost.db`; a database that is missing reads as an empty log.

    Methods may be called from several threads at once, but for `version`, `close` and those of a `snapshot()`.
    """

    def __init__(self, base_path: str | os.PathLike[str]) -> None:
        self._source = Source(Path(base_path))
        self._watch = Watch(self._source.path)

    @contextmanager
    def snapshot(self) -> Iterator[SQLiteLogReader]:
        with self._source.snapshot() as source:
            yield _View(source, self._watch)

    def version(self) -> str:
        return self._watch.version()

    def close(self) -> None:
        """Close the connection that watches for changes."""
        self._watch.close()

    def as_of(self) -> int | None:
        return next((newest_ns for (newest_ns,) in self._source.rows("as_of", {})), None)

    def session(self, session_id: str) -> SessionState:
        from hivecost.backends.sqlite.reading.sessions import SESSION_COLUMNS, SESSIONS, state_of  # noqa: PLC0415  # as the module says

        places = {"columns": SESSION_COLUMNS, "sessions": SESSIONS}
        for row in self._source.rows("session", {"session_id": session_id}, **places):
            return state_of(row)
        raise SessionNotFoundError(
            f"no session {session_id!r} is logged in {self._source.path}; `hivecost sessions` lists those that are"
        )

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
        from hivecost.backends.sqlite.reading.sessions import SESSION_COLUMNS, SESSIONS, state_of  # noqa: PLC0415  # as the module says

        wanted = {"status": status, "agent_id": agent, "user_id": user}
        place = zip(FROM_THE_NEWEST, place_of(after, "sessions", int, str), strict=True) if after else FROM_THE_NEWEST
        rows = self._source.rows(
            "sessions",
            {**wanted, **window._asdict(), **dict(place), "limit": checked_limit(limit)},
            columns=f"started_ns, {SESSION_COLUMNS}",
            sessions=SESSIONS,
            where=conditions(wanted, {name: name for name in wanted}),
        )
        cursor = cursor_of("sessions", rows[-1][0], rows[-1][1]) if rows else after
        return Page(tuple(state_of(row[1:]) for row in rows), cursor)

    def executions(
        self,
        after: str = "",
        *,
        window: Window = ALWAYS,
        session_id: str | None = None,
        status: str | None = None,
        limit: int = 50,
    ) -> Page[Run]:
        from hivecost.backends.sqlite.reading.runtime_log import RUN_COLUMNS, RUNS, run_of  # noqa: PLC0415  # as the module says

        wanted = {"session_id": session_id, "status": status}
        place = zip(FROM_THE_NEWEST, place_of(after, "executions", int, int), strict=True) if after else FROM_THE_NEWEST
        rows = self._source.rows(
            "executions",
            {**wanted, **window._asdict(), **dict(place), "limit": checked_limit(limit)},
            columns=", ".join(RUN_COLUMNS),
            runs=RUNS,
            where=conditions(wanted, {name: name for name in wanted}),
        )
        cursor = cursor_of("executions", rows[-1][1 + RUN_COLUMNS.index("started_ns")], rows[-1][0]) if rows else after
        return Page(tuple(run_of(row[1:]) for row in rows), cursor)

    def nodes(self, session_id: str) -> list[NodeTotals]:
        from hivecost.log.records import NodeTotals  # noqa: PLC0415  # as the module says

        rows = self._source.rows("nodes", {"session_id": session_id}, sums=ADDED_SUMS)
        return [NodeTotals(*values, node_id=node_id) for node_id, *values in rows]

    def compactions(self, session_id: str) -> list[CompactionTotals]:
        from hivecost.log.contexts import COMPACTION_NAMES, CompactionTotals  # noqa: PLC0415  # as the module says

        rows = self._source.rows("compactions", {"session_id": session_id}, sums=", ".join(COMPACTION_NAMES))
        names = CompactionTotals.__struct_fields__
        return [CompactionTotals(**dict(zip(names, row, strict=True))) for row in rows]

    def carried_results(self, session_id: str) -> list[CarriedTotals]:
        from hivecost.log.contexts import CARRIED_NAMES, CarriedTotals  # noqa: PLC0415  # as the module says

        rows = self._source.rows("carried_results", {"session_id": session_id}, sums=", ".join(CARRIED_NAMES))
        return [CarriedTotals(**dict(zip(CarriedTotals.__struct_fields__, row, strict=True))) for row in rows]

    def steps(self, session_id: str, *, node_id: str | None = None, limit: int | None = None) -> list[Step]:
        from hivecost.log.logged_turns import COLUMNS, to_step  # noqa: PLC0415  # as the module says

        where = conditions({"node_id": node_id}, {"node_id": "node_id"})
        place = {"session_id": session_id, "node_id": node_id, "limit": -1 if limit is None else checked_limit(limit)}
        return [to_step(row) for row in self._source.rows("steps", place, columns=COLUMNS, where=where)]

    def turns(
        self, after: str = "", filter: Filter = EVERYTHING, window: Window = ALWAYS, *, limit: int = 200
    ) -> Page[LLMTurnComplete]:
        from hivecost.log.logged_turns import COLUMNS, to_turn  # noqa: PLC0415  # as the module says

        wanted = filter._asdict()
        parameters = {**bound(wanted), **window._asdict()}
        rows = self._after("turns", after, parameters, limit, columns=COLUMNS, where=conditions(wanted, FILTERED))
        turns = tuple(to_turn(row[1:]) for row in rows)
        return Page(turns, cursor_of("turns", rows[-1][0], turns[-1].event_id) if rows else after)

    def turn_sums(self, after: str = "", dimensions: Sequence[str] = (), *, limit: int = 200) -> Page[TurnSum]:
        checked_dimensions(dimensions)
        values = [name for name in dimensions if name not in PERIOD_DIMENSIONS]
        rows = self._after("turns", after, bound_tags(values), limit, statement="turn_sums", **keys_of_turns(values))
        turns = tuple(
            TurnSum(event_id, cursor_of("turns", row_id, event_id), sums_of_turn(tuple(row), dimensions, UTC))
            for row_id, event_id, *row in rows
        )
        return Page(turns, turns[-1].cursor if turns else after)

    def end(self) -> str:
        return next((cursor_of("turns", *last) for last in self._source.rows("last_turn", {})), "")

    def events(
        self, after: str = "", filter: Filter = EVERYTHING, *, types: Sequence[EventType] = (), limit: int = 200
    ) -> Page[Event]:
        wanted = filter._asdict()
        named = {f"type{number}": str(event_type.value) for number, event_type in enumerate(types)}
        where = conditions(wanted, _OF_EVENTS)
        if named:
            where += f" AND type IN ({', '.join(f':{name}' for name in named)})"
        rows = self._after("events", after, {**bound(wanted), **named}, limit, where=where)
        cursor = cursor_of("events", rows[-1][0], rows[-1][1]) if rows else after
        return Page(tuple(_decoded(payload) for *_, payload in rows), cursor)

    def _after(
        self, name: str, after: str, parameters: Mapping[str, Any], limit: int, *, statement: str = "", **places: str
    ) -> list[Row]:
        """Return the rows after a cursor: an id, which a row keeps, and whose it is: SQLite may give an id again."""
        row_id, event_id = place_of(after, name, int, str) if after else (0, "")
        with self._source.snapshot() as source:
            if after:
                for its_event_id, last_id in source.rows(f"{name[:-1]}_at", {"row_id": row_id}):
                    if its_event_id != event_id and (its_event_id is not None or last_id < row_id):
                        raise not_a_cursor(after, name)
            parameters = {**parameters, "row_id": row_id, "limit": checked_limit(limit)}
            return source.rows(statement or name, parameters, **places)

    def sums(
        self,
        dimensions: Sequence[str] = (),
        window: Window = ALWAYS,
        zone: str = "UTC",
        filter: Filter = EVERYTHING,
        *,
        until: str | None = None,
    ) -> list[SumRow]:
        until_id = place_of(until, "turns", int, str)[0] if until else None if until is None else 0
        with self._source.snapshot() as source:
            return added_sums(source.rows, dimensions, zone, Asked(window, filter, until_id))

    def latencies(self, window: Window = ALWAYS, filter: Filter = EVERYTHING) -> list[LatencyRow]:
        from hivecost.backends.sqlite.reading.histograms import LATENCY, counted_calls  # noqa: PLC0415  # as the module says

        with self._source.snapshot() as source:
            return [LatencyRow(*key, calls) for key, calls in counted_calls(source.rows, LATENCY, window, filter)]

    def costs(self, window: Window = ALWAYS, filter: Filter = EVERYTHING) -> list[CostRow]:
        from hivecost.backends.sqlite.reading.histograms import COST, counted_calls  # noqa: PLC0415  # as the module says

        with self._source.snapshot() as source:
            return [CostRow(*key, calls) for key, calls in counted_calls(source.rows, COST, window, filter)]

    def summed_tags(self) -> list[str]:
        return [name for (name,) in self._source.rows("summed_tags", {})]

    def budgets(self) -> list[BudgetDefinition]:
        from hivecost.backends.sqlite.lease_bank.definitions import LOAD_DEFINITIONS, definition_of  # noqa: PLC0415  # as the module says

        return [definition_of(row) for row in self._source.select(LOAD_DEFINITIONS, {})]

    def accounts(self, at_ns: int, *, limit: int | None = None) -> list[AccountRow]:
        place = {"at_ns": at_ns, "limit": -1 if limit is None else checked_limit(limit)}
        rows = self._source.rows("accounts", place)
        return [AccountRow._make((*row[:9], bool(row[9]), row[10])) for row in rows]

    def audit(self, *, limit: int = 100) -> list[BudgetChange]:
        from hivecost.backends.sqlite.lease_bank.audit import LOAD_CHANGES, change_of  # noqa: PLC0415  # as the module says

        return [change_of(row) for row in self._source.select(LOAD_CHANGES, {"limit": checked_limit(limit)})]

    def alerts(self, *, types: Sequence[EventType] = (), budget: str | None = None, limit: int = 50) -> list[Event]:
        rows = self._source.rows(
            "alerts",
            {"budget": budget, "limit": checked_limit(limit)},
            types=", ".join(f"'{name}'" for name in checked_alerts(types)),
            where="" if budget is None else "AND json_extract(payload, '$.budget') = :budget",
        )
        return [_decoded(payload) for (payload,) in rows]

    def pruned_before(self) -> int | None:
        return next((before_ns for (before_ns,) in self._source.rows("pruned_before", {})), None)

    def repriced(self, session_id: str) -> RepricedTotals | None:
        from hivecost.log.records import RepricedTotals  # noqa: PLC0415  # as the module says

        names = RepricedTotals.__struct_fields__
        rows = self._source.rows("repriced", {"session_id": session_id})
        return next((RepricedTotals(**dict(zip(names, row, strict=False))) for row in rows if row[0]), None)


class _View(SQLiteLogReader):
    """The same of one instant."""

    def __init__(self, source: Source, watch: Watch) -> None:
        self._source, self._watch = source, watch


def _decoded(payload: str) -> Event:
    from hivecost.events import decode_json  # noqa: PLC0415  # as the module says

    try:
        return decode_json(payload)
    except EventFormatError as error:
        raise StoreCorruptError(f"an event in the log is damaged: {error}; restore a backup of hivecost.db") from error
