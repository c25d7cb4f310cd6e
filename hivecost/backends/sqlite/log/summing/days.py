"""The sums of one day: from those of its hours, and what no hour is summed by, pairs and histograms."""

from __future__ import annotations

import sqlite3
from collections import Counter
from typing import Final, NamedTuple

from hivecost.attribute_names import fields_of
from hivecost.backends.sqlite.log.rollups import ADDED_SUMS, COUNTED, SUMS
from hivecost.backends.sqlite.log.summing.hours import (
    DAY,
    HOUR_DIMENSIONS,
    QUARTERS,
    Row,
    sum_part,
    summed_tags,
)
from hivecost.log.periods import QUARTER_HOUR_NS
from hivecost.log.rows import cost_bucket, latency_bucket

#: What days are summed by beside what hours are.
PAIRS: Final = (("user", "model"), ("agent", "model"), ("org", "model"))

_NAMES: Final = ", ".join(SUMS)
_SUM_HOURS: Final = f"""
    SELECT dimension, value, '', {ADDED_SUMS} FROM hour_values
    WHERE dimension = :dimension AND hour >= :first AND hour < :end GROUP BY value"""
_SUM_PAIR: Final = f"""
    SELECT '{{dimension}}', {{value}}, {{other}}, {ADDED_SUMS} FROM quarter_hours
    WHERE quarter_hour >= :first AND quarter_hour < :end AND (llm_calls <> 0 OR charges <> 0) GROUP BY 2, 3"""
LATENCY: Final = "latency"
COST: Final = "cost"
#: What calls are counted by: its column, and the bucket of an amount.
MEASURES: Final = {LATENCY: ("latency_ms", latency_bucket), COST: ("cost_nanousd", cost_bucket)}
_COUNT: Final = f"""
    SELECT {COUNTED["model"]}, {{measure}}, count(*) FROM turns
    WHERE timestamp_ns >= :first_ns AND timestamp_ns < :end_ns AND kind = '' AND {{measure}} IS NOT NULL
    GROUP BY 1, 2"""

_INSERT: Final = (
    f"INSERT INTO day_values (phase, first, dimension, value, other, {_NAMES})"
    f" VALUES (?, ?, ?, ?, ?, {', '.join('?' * len(SUMS))})"
)


class DaySums(NamedTuple):
    """What a day comes to."""

    #: (dimension, value, other value, the sums)
    rows: list[Row]
    #: (measure, model, bucket) → calls
    histograms: Counter[tuple[str, str, int]]


def pair_name(pair: tuple[str, str]) -> str:
    """Return the dimension of a pair."""
    return ",".join(pair)


def has_histograms(first: int) -> bool:
    """Return whether calls are counted in the day that begins with a quarter-hour: in those of UTC."""
    return first % DAY == 0


def sum_day(connection: sqlite3.Connection, first: int) -> list[Row]:
    """Return the sums of a day, whose hours are summed, as a reader's connection sees it."""
    end = first + DAY
    first_hour, end_hour = -(-first // QUARTERS), end // QUARTERS
    rows: list[Row] = []
    for dimension in (*HOUR_DIMENSIONS, *(f"tag:{name}" for name in summed_tags(connection))):
        place = {"dimension": dimension, "first": first_hour, "end": end_hour}
        rows += connection.execute(_SUM_HOURS, place).fetchall()
    if first % QUARTERS:
        rows = _added(
            rows,
            sum_part(connection, first, first_hour * QUARTERS),
            sum_part(connection, end_hour * QUARTERS, end),
        )
    for pair in PAIRS:
        value, other = fields_of(pair).values()
        sql = _SUM_PAIR.format(dimension=pair_name(pair), value=value, other=other)
        rows += connection.execute(sql, {"first": first, "end": end}).fetchall()
    return rows


def _added(rows: list[Row], *parts: list[Row]) -> list[Row]:
    """Return the rows, and those of (dimension, value, the sums) parts, added up."""
    added = {row[:2]: row[3:] for row in rows}
    for dimension, value, *sums in (row for part in parts for row in part):
        before = added.get((dimension, value))
        added[dimension, value] = tuple(sums if before is None else map(sum, zip(before, sums, strict=True)))
    return [(*key, "", *sums) for key, sums in added.items()]


def count_quarter_hour(connection: sqlite3.Connection, quarter_hour: int) -> Counter[tuple[str, str, int]]:
    """Return how many calls of its turns are in each bucket, by (measure, model, bucket)."""
    counts: Counter[tuple[str, str, int]] = Counter()
    place = {"first_ns": quarter_hour * QUARTER_HOUR_NS, "end_ns": (quarter_hour + 1) * QUARTER_HOUR_NS}
    for measure, (column, bucket) in MEASURES.items():
        for model, amount, calls in connection.execute(_COUNT.format(measure=column), place):
            counts[measure, model, bucket(amount)] += calls
    return counts


def replace_day(connection: sqlite3.Connection, first: int, mark: int, sums: DaySums) -> bool:
    """Put these sums in the place of those of a day, in the caller's transaction.

    Return False, and change nothing, where the day has another mark than before it was read, or none.
    """
    is_same = "UPDATE summed_days SET mark = NULL WHERE first = ? AND mark = ?"
    if not connection.execute(is_same, [first, mark]).rowcount:
        return False
    phase = first % DAY
    dimensions = [
        *HOUR_DIMENSIONS,
        *(f"tag:{name}" for name in summed_tags(connection)),
        *(pair_name(pair) for pair in PAIRS),
    ]
    connection.executemany(
        "DELETE FROM day_values WHERE dimension = ? AND phase = ? AND first = ?",
        [(name, phase, first) for name in dimensions],
    )
    connection.executemany(_INSERT, [(phase, first, *row) for row in sums.rows])
    if has_histograms(first):
        connection.executemany(
            "DELETE FROM day_histograms WHERE measure = ? AND first = ?", [(measure, first) for measure in MEASURES]
        )
        connection.executemany(
            "INSERT INTO day_histograms (measure, first, model, bucket, calls) VALUES (?, ?, ?, ?, ?)",
            [(measure, first, model, bucket, calls) for (measure, model, bucket), calls in sums.histograms.items()],
        )
    return True
