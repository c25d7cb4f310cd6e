"""What was spent, as finely as budgets count it: from the turns in the log, and from the sums of those pruned."""

from __future__ import annotations

from collections.abc import AsyncIterator, Collection, Iterable, Iterator, Sequence
from pathlib import Path
from typing import Any, Final

import msgspec

from hivecost.backends.sqlite.log.rollups import COUNTED, PRUNED_KEYS, QUARTER_HOUR, SUMS
from hivecost.backends.sqlite.reading.connection import Row, reading
from hivecost.backends.sqlite.reading.totals import SUM_COLUMNS, SUMS_OF_ROLLUPS, sums
from hivecost.backends.sqlite.reading.turns import LAST_TURN, decoded
from hivecost.events import Totals
from hivecost.log.instants import Moment, range_ns
from hivecost.log.periods import QUARTER_HOUR_NS

#: Turns whose sums are read in one go, about; a busier quarter-hour is read whole.
_PAGE_CALLS: Final = 20_000
#: Turns that are read one by one in one go: to count them takes the event loop some milliseconds.
PAGE_TURNS: Final = 200

_KEYS: Final = ", ".join(PRUNED_KEYS)


#: Attribute → its column, of those that sums of quarter-hours are kept by and that a turn has one name for.
SUMMED_BY: Final = {"agent": "agent_id", "user": "user_id", "org": "org_id"}


class Spending(Totals, frozen=True, kw_only=True):
    """The sums of the turns of one quarter-hour that no budget tells apart."""

    #: The start of the quarter-hour; no period of a budget begins inside one.
    timestamp_ns: int
    session_id: str
    node_id: str
    agent_id: str
    user_id: str
    org_id: str
    task_id: str
    tags: dict[str, str]
    provider: str
    model: str
    asked_model: str
    resolved_model: str
    resolved_provider: str


class LoggedTurn(msgspec.Struct, frozen=True):
    """A turn in the log. What it spent is decoded only if asked for: most that a process reads are its own."""

    row_id: int
    event_id: str
    columns: Row

    @property
    def spending(self) -> Spending:
        """What it spent, at the start of its quarter-hour. Raises StoreCorruptError."""
        return _spending(self.columns)


LOAD_BUSY: Final = """
    SELECT quarter_hour, sum(llm_calls + charges) FROM quarter_hours WHERE quarter_hour >= :first
    GROUP BY 1 ORDER BY 1"""
LOAD_SPENDING: Final = f"""
    SELECT quarter_hour, {_KEYS}, {SUM_COLUMNS} FROM pruned_turns WHERE quarter_hour BETWEEN :first AND :last
    UNION ALL
    SELECT {QUARTER_HOUR} AS quarter_hour, {_KEYS}, {", ".join(SUMS.values())} FROM turns
    WHERE timestamp_ns >= :first * {QUARTER_HOUR_NS} AND timestamp_ns < (:last + 1) * {QUARTER_HOUR_NS}
        AND id <= :last_id
    GROUP BY quarter_hour, {_KEYS}"""
LOAD_AFTER: Final = f"""
    SELECT id, event_id, {QUARTER_HOUR} AS quarter_hour, {_KEYS}, {", ".join(SUMS.values())} FROM turns
    WHERE id > :row_id GROUP BY id ORDER BY id LIMIT {PAGE_TURNS}"""
LOAD_OF_SESSION: Final = f"""
    SELECT '', quarter_hour, {_KEYS}, {SUM_COLUMNS} FROM pruned_turns WHERE session_id = :session_id
    UNION ALL
    SELECT execution_id, {QUARTER_HOUR} AS quarter_hour, {_KEYS}, {", ".join(SUMS.values())} FROM turns
    WHERE session_id = :session_id GROUP BY execution_id, quarter_hour, {_KEYS}
    ORDER BY 2"""
COUNT_PRUNED: Final = f"""
    SELECT coalesce(sum(llm_calls + charges), 0) FROM pruned_turns
    WHERE quarter_hour >= :first AND quarter_hour < :end
        AND (:model IS NULL OR :model IN (model, {COUNTED["model"]}))"""


def spending_where_sql(column: str, count: int) -> str:
    """The spending of turns whose column has one of so many values `:v0`, `:v1`, …, since a quarter-hour."""
    which = f"{COUNTED.get(column, column)} IN ({', '.join(f':v{number}' for number in range(count))})"
    # Sessions have an index of their own, which is better than that of time; nobody else has.
    no_index = "+" if column == "session_id" else ""
    return f"""
        SELECT quarter_hour, {_KEYS}, {SUM_COLUMNS} FROM pruned_turns WHERE {which} AND {no_index}quarter_hour >= :first
        UNION ALL
        SELECT {QUARTER_HOUR} AS quarter_hour, {_KEYS}, {", ".join(SUMS.values())} FROM turns
        WHERE {which} AND {no_index}timestamp_ns >= :first * {QUARTER_HOUR_NS} AND +id <= :last_id
        GROUP BY quarter_hour, {_KEYS}"""


def spending_summed_sql(columns: Sequence[str]) -> str:
    """The sums of some quarter-hours for each combination of these columns."""
    groups = f"GROUP BY {', '.join(columns)}" if columns else "HAVING count(*) > 0"
    return f"""
        SELECT {"".join(f"{column}, " for column in columns)}{SUMS_OF_ROLLUPS} FROM quarter_hours
        WHERE quarter_hour >= :first AND quarter_hour < :end {groups}"""


async def last_turn(base_path: str | Path) -> int:
    """Up to where the log goes now: the row of its last turn, 0 where there is none. Raises StoreErrors."""
    async with reading(Path(base_path)) as log:
        ((row_id,),) = await log.rows(LAST_TURN, {})
    return int(row_id)


async def spending_since(
    base_path: str | Path, first_ns: int, *, last_id: int | None = None
) -> AsyncIterator[Spending]:
    """What was logged before the call (up to `last_turn`), pruned or not, since the quarter-hour of `first_ns`.

    Oldest first.

    Read some quarter-hours at a time, each in a snapshot of its own: neither memory nor the write-ahead log grows with
    the number of turns, and a turn that is pruned meanwhile is counted once. Raises StoreErrors.
    """
    async with reading(Path(base_path)) as log:
        busy = await log.rows(LOAD_BUSY, {"first": first_ns // QUARTER_HOUR_NS})
        if last_id is None:
            ((last_id,),) = await log.rows(LAST_TURN, {})
    for first, last in _pages(busy):
        async with reading(Path(base_path)) as log:
            rows = await log.rows(LOAD_SPENDING, {"first": first, "last": last, "last_id": last_id})
        for row in rows:
            yield _spending(row)


async def spending_summed(
    base_path: str | Path, start_ns: int, end_ns: int | None, attributes: Sequence[str]
) -> list[Spending]:
    """What was spent from quarter-hour to quarter-hour (None: to the last), told apart by some of SUMMED_BY alone.

    All of it at `start_ns`. Raises StoreErrors.
    """
    columns = [SUMMED_BY[name] for name in attributes]
    end = 2**62 if end_ns is None else -(-end_ns // QUARTER_HOUR_NS)
    async with reading(Path(base_path)) as log:
        rows = await log.rows(spending_summed_sql(columns), {"first": start_ns // QUARTER_HOUR_NS, "end": end})
    return [_summed(start_ns, columns, row) for row in rows]


def _summed(start_ns: int, columns: Sequence[str], row: Row) -> Spending:
    fields: dict[str, Any] = {**dict.fromkeys(PRUNED_KEYS, ""), "tags": {}}
    fields |= dict(zip(columns, row, strict=False))
    fields |= sums(row[len(columns) :])
    return Spending(timestamp_ns=start_ns, **fields)


async def spending_where(
    base_path: str | Path, first_ns: int, *, last_id: int, column: str, values: Collection[str]
) -> list[Spending]:
    """What was logged up to the row `last_id`, pruned or not, since the quarter-hour of `first_ns`, of these values.

    Quick for `session_id`; for other columns as long as it takes to walk through the turns since. Raises StoreErrors.
    """
    place = {"first": first_ns // QUARTER_HOUR_NS, "last_id": last_id}
    names = {f"v{number}": value for number, value in enumerate(values)}
    async with reading(Path(base_path)) as log:
        rows = await log.rows(spending_where_sql(column, len(names)), {**place, **names})
    return [_spending(row) for row in rows]


async def spending_of_session(base_path: str | Path, session_id: str) -> list[tuple[str, Spending]]:
    """(execution, what it spent) of a session, oldest first; "" for turns of none, and for those that were pruned.

    Raises StoreErrors.
    """
    async with reading(Path(base_path)) as log:
        rows = await log.rows(LOAD_OF_SESSION, {"session_id": session_id})
    return [(execution_id, _spending(tuple(row))) for execution_id, *row in rows]


async def turns_after(base_path: str | Path, row_id: int) -> tuple[list[LoggedTurn], int]:
    """The next turns in the log, at most PAGE_TURNS, and its last row. Raises StoreErrors."""
    async with reading(Path(base_path)) as log:
        rows = await log.rows(LOAD_AFTER, {"row_id": row_id})
        ((last_id,),) = await log.rows(LAST_TURN, {})
    return [LoggedTurn(row[0], row[1], row[2:]) for row in rows], int(last_id)


async def pruned_calls(
    base_path: str | Path, *, since: Moment | None = None, until: Moment | None = None, model: str | None = None
) -> int:
    """How many turns from `since` up to `until` (a date: its whole day; to the quarter-hour) were pruned.

    Raises ConfigError for a date that is none, and StoreErrors.
    """
    first_ns, end_ns = range_ns(since, until)
    place = {"first": first_ns // QUARTER_HOUR_NS, "end": -(-end_ns // QUARTER_HOUR_NS), "model": model}
    async with reading(Path(base_path)) as log:
        ((calls,),) = await log.rows(COUNT_PRUNED, place)
    return int(calls)


def _spending(row: Row) -> Spending:
    quarter_hour, *values = row
    fields: dict[str, Any] = dict(zip(PRUNED_KEYS, values, strict=False))
    fields["tags"] = decoded(fields["tags"])
    fields |= sums(values[len(PRUNED_KEYS) :])
    return Spending(timestamp_ns=quarter_hour * QUARTER_HOUR_NS, **fields)


def _pages(busy: Iterable[tuple[int, int]]) -> Iterator[tuple[int, int]]:
    """(first, last) quarter-hour of runs of them that hold a page of turns together."""
    first = last = None
    calls = 0
    for quarter_hour, its_calls in busy:
        if first is not None and last is not None and calls + its_calls > _PAGE_CALLS:
            yield first, last
            first, calls = None, 0
        first = quarter_hour if first is None else first
        last, calls = quarter_hour, calls + its_calls
    if first is not None and last is not None:
        yield first, last
