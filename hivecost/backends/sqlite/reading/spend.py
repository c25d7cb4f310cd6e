"""What was spent, by time and by whom, from the time rollups alone."""

from __future__ import annotations

from collections.abc import Iterable, Iterator, Mapping, Sequence
from pathlib import Path
from typing import Final
from zoneinfo import ZoneInfo

from hivecost.backends.sqlite.reading.connection import Row, reading
from hivecost.backends.sqlite.reading.filters import matching
from hivecost.backends.sqlite.reading.totals import SUMS_OF_ROLLUPS, sums
from hivecost.errors import ConfigError
from hivecost.log.instants import Moment, find_zone, range_ns
from hivecost.log.periods import PERIODS, QUARTER_HOUR_NS, period_labels
from hivecost.log.records import SpendRow

#: What to group by → its column.
_COLUMNS: Final = {
    "model": "model",
    "provider": "provider",
    "agent": "agent_id",
    "user": "user_id",
    "org": "org_id",
}
GROUPS: Final = (*PERIODS, *_COLUMNS)

_OF_ONE_SESSION: Final = "; `hivecost report SESSION` has them for one session"
#: What turns are logged with and time is not summed by, and where it is to be had.
_ELSEWHERE: Final = {
    "node": _OF_ONE_SESSION,
    "session": "; `hivecost sessions` lists what each came to",
    "execution": "; `RuntimeLogStore.list_runs` lists what each came to",
    "task": "; what was spent on a task is not summed over time yet, a budget counts it: per='task'",
    "tags": "; what was spent by a tag is not summed over time yet, a budget counts it: per='TAG'",
    "tag": "; what was spent by a tag is not summed over time yet, a budget counts it: per='TAG'",
}


class SpendStore:
    """Spending of a base path. Nothing stays open between calls; a missing database reads as empty."""

    def __init__(self, base_path: str | Path) -> None:
        self._base_path = Path(base_path)

    async def totals(
        self,
        *,
        by: Sequence[str] = ("model",),
        since: Moment | None = None,
        until: Moment | None = None,
        timezone: str = "UTC",
        model: str | None = None,
        provider: str | None = None,
        agent_id: str | None = None,
        user_id: str | None = None,
        org_id: str | None = None,
    ) -> list[SpendRow]:
        """The sums of every group there is: periods in the order of time, in each the other values in theirs.

        `by` holds any of hour, day, week, month (of `timezone`), model, provider, agent, user, org. `since` and
        `until` (a date: its whole day in `timezone`) are widened to whole quarter-hours.
        Raises ConfigError for names and dates that are none, and for an `until` before `since`, and StoreErrors.
        """
        zone = find_zone(timezone)
        unknown = [name for name in by if name not in GROUPS]
        if unknown:
            raise ConfigError("by", f"some of {', '.join(GROUPS)}{_ELSEWHERE.get(unknown[0], '')}", got=unknown[0])
        wanted = {"model": model, "provider": provider, "agent_id": agent_id, "user_id": user_id, "org_id": org_id}
        first_ns, end_ns = range_ns(since, until, zone)
        bounds = {"first": first_ns // QUARTER_HOUR_NS, "end": -(-end_ns // QUARTER_HOUR_NS)}
        periods = tuple(name for name in by if name in PERIODS)
        columns = tuple(name for name in by if name in _COLUMNS)
        async with reading(self._base_path) as log:
            rows = await log.rows(spend_sql(periods, columns, wanted), {**wanted, **bounds})
        names = (*periods, *columns)
        return [
            SpendRow(group={name: values[names.index(name)] for name in by}, **sums(added))
            for values, added in _added(_labelled(rows, periods, len(columns), zone), len(periods))
        ]


def spend_sql(periods: Sequence[str], columns: Sequence[str], wanted: Mapping[str, str | None]) -> str:
    """One row for every combination of these columns, and for every quarter-hour when periods are asked for."""
    keys = ["quarter_hour" if periods else "0", *(_COLUMNS[name] for name in columns)]
    return f"""
        SELECT {", ".join(keys)}, {SUMS_OF_ROLLUPS} FROM quarter_hours
        WHERE quarter_hour >= :first AND quarter_hour < :end {matching(wanted)}
        GROUP BY {", ".join(str(place + 1) for place in range(len(keys)))}"""


def _labelled(
    rows: Iterable[Row], periods: tuple[str, ...], columns_count: int, zone: ZoneInfo
) -> Iterator[tuple[int, Row, Row]]:
    """(its quarter-hour, the names of the group, the sums) of every row."""
    for quarter_hour, *values in rows:
        labels = period_labels(quarter_hour, periods, zone) if periods else ()
        yield quarter_hour, (*labels, *values[:columns_count]), tuple(values[columns_count:])


def _added(rows: Iterable[tuple[int, Row, Row]], periods_count: int) -> list[tuple[Row, Row]]:
    """The sums of rows with the same key, in the order of the keys; periods in that of time.

    Their names are not: where clocks go back, the second 02:00 has the smaller offset from UTC.
    """
    totals: dict[Row, Row] = {}
    began: dict[str, int] = {}
    for quarter_hour, key, values in rows:
        before = totals.get(key)
        totals[key] = values if before is None else tuple(map(sum, zip(before, values, strict=True)))
        for period in key[:periods_count]:
            began[period] = min(quarter_hour, began.get(period, quarter_hour))
    return sorted(
        totals.items(), key=lambda item: (*(began[name] for name in item[0][:periods_count]), *item[0][periods_count:])
    )
