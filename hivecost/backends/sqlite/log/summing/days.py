"""The sums of one UTC day: from those of its hours, and what no hour is summed by, pairs and histograms."""

from __future__ import annotations

import sqlite3
from collections import Counter
from typing import Final, NamedTuple

from hivecost.attribute_names import fields_of
from hivecost.backends.sqlite.log.rollups import COUNTED, SUMS
from hivecost.backends.sqlite.log.summing.hours import (
    HOUR_DIMENSIONS,
    HOUR_NS,
    HOURS_OF_A_DAY,
    QUARTERS,
    Row,
    summed_tags,
)
from hivecost.log.rows import cost_bucket, latency_bucket

#: What days are summed by beside what hours are.
PAIRS: Final = (("user", "model"), ("agent", "model"), ("org", "model"))

_NAMES: Final = ", ".join(SUMS)
_ADDED: Final = ", ".join(f"sum({name})" for name in SUMS)
_SUM_HOURS: Final = f"""
    SELECT dimension, value, '', {_ADDED} FROM hour_values
    WHERE dimension = :dimension AND hour >= :first AND hour < :end GROUP BY value"""
_SUM_PAIR: Final = f"""
    SELECT '{{dimension}}', {{value}}, {{other}}, {_ADDED} FROM quarter_hours
    WHERE quarter_hour >= :first AND quarter_hour < :end AND (llm_calls <> 0 OR charges <> 0) GROUP BY 2, 3"""
LATENCY: Final = "latency"
COST: Final = "cost"
#: What calls are counted by: its column, and the bucket of an amount.
MEASURES: Final = {LATENCY: ("latency_ms", latency_bucket), COST: ("cost_nanousd", cost_bucket)}
_COUNT: Final = f"""
    SELECT {COUNTED["model"]}, {{measure}}, count(*) FROM turns
    WHERE timestamp_ns >= :first AND timestamp_ns < :end AND kind = '' AND {{measure}} IS NOT NULL GROUP BY 1, 2"""

_INSERT: Final = (
    f"INSERT INTO day_values (day, dimension, value, other, {_NAMES}) VALUES (?, ?, ?, ?, {', '.join('?' * len(SUMS))})"
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


def sum_day(connection: sqlite3.Connection, day: int) -> list[Row]:
    """Return the sums of a day, whose hours are summed, as a reader's connection sees it."""
    first, end = day * HOURS_OF_A_DAY, (day + 1) * HOURS_OF_A_DAY
    rows: list[Row] = []
    for dimension in (*HOUR_DIMENSIONS, *(f"tag:{name}" for name in summed_tags(connection))):
        place = {"dimension": dimension, "first": first, "end": end}
        rows += connection.execute(_SUM_HOURS, place).fetchall()
    quarters = {"first": first * QUARTERS, "end": end * QUARTERS}
    for pair in PAIRS:
        value, other = fields_of(pair).values()
        sql = _SUM_PAIR.format(dimension=pair_name(pair), value=value, other=other)
        rows += connection.execute(sql, quarters).fetchall()
    return rows


def count_hour(connection: sqlite3.Connection, hour: int) -> Counter[tuple[str, str, int]]:
    """Return how many calls of an hour's turns are in each bucket, by (measure, model, bucket)."""
    counts: Counter[tuple[str, str, int]] = Counter()
    place = {"first": hour * HOUR_NS, "end": (hour + 1) * HOUR_NS}
    for measure, (column, bucket) in MEASURES.items():
        for model, amount, calls in connection.execute(_COUNT.format(measure=column), place):
            counts[measure, model, bucket(amount)] += calls
    return counts


def replace_day(connection: sqlite3.Connection, day: int, mark: int, sums: DaySums) -> bool:
    """Put these sums in the place of those of a day, in the caller's transaction.

    Return False, and change nothing, where the day has another mark than before it was read, or none.
    """
    if not connection.execute("DELETE FROM unsummed_days WHERE day = ? AND mark = ?", [day, mark]).rowcount:
        return False
    dimensions = [
        *HOUR_DIMENSIONS,
        *(f"tag:{name}" for name in summed_tags(connection)),
        *(pair_name(pair) for pair in PAIRS),
    ]
    connection.executemany(
        "DELETE FROM day_values WHERE dimension = ? AND day = ?", [(name, day) for name in dimensions]
    )
    connection.executemany(_INSERT, [(day, *row) for row in sums.rows])
    connection.executemany(
        "DELETE FROM day_histograms WHERE measure = ? AND day = ?", [(measure, day) for measure in MEASURES]
    )
    connection.executemany(
        "INSERT INTO day_histograms (measure, day, model, bucket, calls) VALUES (?, ?, ?, ?, ?)",
        [(measure, day, model, bucket, calls) for (measure, model, bucket), calls in sums.histograms.items()],
    )
    return True
