"""The sums of one hour: read from the log by anybody, and put in the place of what was there."""

from __future__ import annotations

import sqlite3
from typing import Any, Final, NamedTuple

from hivecost.attribute_names import FIELD_OF, fields_of
from hivecost.backends.sqlite.log.rollups import ADDED_SUMS, SUMS
from hivecost.log.periods import QUARTER_HOUR_NS
from hivecost.log.rows import KEPT_DIMENSIONS

Row = tuple[Any, ...]

QUARTERS: Final = 4
HOUR_NS: Final = QUARTERS * QUARTER_HOUR_NS
#: Quarter-hours of a day; those that a change of the clock makes longer or shorter have no sums.
DAY: Final = 96
#: How many tags sums are kept by beside those that are named, and how many values of each in an hour.
TAGS_MAX: Final = 8
TAG_VALUES_MAX: Final = 200

#: Of the execution that a turn belongs to.
ENTRY_POINT: Final = """coalesce((
    SELECT e.entry_point FROM executions AS e
    WHERE e.session_id = turns.session_id AND e.execution_id = turns.execution_id), '')"""
#: What the turns of an hour are summed by beside the sums of quarter-hours; of pruned turns the last two are "".
_OF_TURNS: Final = {
    **{name: FIELD_OF[name] for name in ("node", "task")},
    "entry_point": ENTRY_POINT,
    "kind": "kind",
}
ALL: Final = "all"
#: What hours are summed by, but for tags.
HOUR_DIMENSIONS: Final = (ALL, *KEPT_DIMENSIONS, *_OF_TURNS)

_NAMES: Final = ", ".join(SUMS)
_NAMED_SUMS: Final = ", ".join(f"{expression} AS {name}" for name, expression in SUMS.items())

_SUM_QUARTER_HOURS: Final = " UNION ALL ".join(
    f"""SELECT '{name}', {column}, {ADDED_SUMS} FROM quarter_hours
    WHERE quarter_hour >= :first AND quarter_hour < :end AND (llm_calls <> 0 OR charges <> 0) GROUP BY 2"""
    for name, column in {ALL: "''", **fields_of(KEPT_DIMENSIONS)}.items()
)
#: Read once, for all that follows.
_FIND_TURNS: Final = f"""
    CREATE TEMP TABLE of_an_hour AS
    SELECT {", ".join(f"{column} AS of_{name}" for name, column in _OF_TURNS.items())}, tags, {_NAMED_SUMS}
    FROM turns WHERE timestamp_ns >= :first * {QUARTER_HOUR_NS} AND timestamp_ns < :end * {QUARTER_HOUR_NS}
    GROUP BY of_node, of_task, of_entry_point, of_kind, tags
    UNION ALL
    SELECT node_id, task_id, '', '', tags, {ADDED_SUMS} FROM pruned_turns
    WHERE quarter_hour >= :first AND quarter_hour < :end GROUP BY node_id, task_id, tags"""
_SUM_TURNS: Final = " UNION ALL ".join(
    f"SELECT '{name}', of_{name}, {ADDED_SUMS} FROM temp.of_an_hour GROUP BY 2" for name in _OF_TURNS
)
#: A tag that is "" is none; what is no JSON object has none.
_TAGS: Final = """
    FROM temp.of_an_hour AS it CROSS JOIN json_each(iif(json_valid(it.tags), it.tags, '{}')) AS tag
    WHERE it.tags <> '{}' AND typeof(tag.key) = 'text' AND tag.value <> ''"""
_COUNT_TAGS: Final = f"SELECT tag.key, count(DISTINCT tag.value) {_TAGS} GROUP BY 1 ORDER BY 1"
_SUM_TAGS: Final = f"""
    SELECT 'tag:' || tag.key, CAST(tag.value AS TEXT), {ADDED_SUMS} {_TAGS}
    AND tag.key IN (SELECT value FROM json_each(?)) GROUP BY 1, 2"""

_INSERT: Final = (
    f"INSERT INTO hour_values (hour, dimension, value, {_NAMES}) VALUES (?, ?, ?, {', '.join('?' * len(SUMS))})"
)


class HourSums(NamedTuple):
    """What an hour comes to."""

    #: (dimension, value, the sums)
    rows: list[Row]
    #: The tags that sums were kept by when it was read, those that are new, and those with too many values.
    tags: frozenset[str]
    new_tags: tuple[str, ...]
    crowded_tags: tuple[str, ...]


def sum_hour(connection: sqlite3.Connection, hour: int) -> HourSums:
    """Return the sums of an hour as a reader's connection sees it."""
    import json  # noqa: PLC0415  # who only looks up HOUR_DIMENSIONS does not need it

    rows = _sum_quarter_hours(connection, hour * QUARTERS, (hour + 1) * QUARTERS)
    tags = summed_tags(connection)
    counts = dict(connection.execute(_COUNT_TAGS).fetchall())
    fitting = [name for name, count in counts.items() if count <= TAG_VALUES_MAX]
    (seen,) = connection.execute("SELECT count(*) FROM summed_tags WHERE NOT is_named").fetchone()
    new_tags = [name for name in fitting if name not in tags][: max(0, TAGS_MAX - seen)]
    summed = [*tags.intersection(fitting), *new_tags]
    rows += connection.execute(_SUM_TAGS, [json.dumps(summed)]).fetchall()
    has_room = seen + len(new_tags) < TAGS_MAX
    crowded = [name for name in counts if name not in fitting and (has_room or name in tags)]
    return HourSums(rows, tags, tuple(new_tags), tuple(crowded))


def sum_part(connection: sqlite3.Connection, first: int, end: int) -> list[Row]:
    """Return (dimension, value, the sums) of some quarter-hours, all tags included."""
    import json  # noqa: PLC0415  # as above

    rows = _sum_quarter_hours(connection, first, end)
    return rows + connection.execute(_SUM_TAGS, [json.dumps([*summed_tags(connection)])]).fetchall()


def _sum_quarter_hours(connection: sqlite3.Connection, first: int, end: int) -> list[Row]:
    """Return the same but for tags, and leave what those are read from."""
    place = {"first": first, "end": end}
    rows = connection.execute(_SUM_QUARTER_HOURS, place).fetchall()
    connection.execute("DROP TABLE IF EXISTS temp.of_an_hour")
    connection.execute(_FIND_TURNS, place)
    return rows + connection.execute(_SUM_TURNS).fetchall()


def summed_tags(connection: sqlite3.Connection) -> frozenset[str]:
    """Return the tags that sums are kept by."""
    return frozenset(name for (name,) in connection.execute("SELECT name FROM summed_tags"))


def replace_hour(connection: sqlite3.Connection, hour: int, mark: int, sums: HourSums) -> bool:
    """Put these sums in the place of those of an hour, in the caller's transaction, and mark its days.

    Return False, and change nothing, where the hour has another mark than before it was read, or none.
    """
    if summed_tags(connection) != sums.tags:
        return False
    if not connection.execute("DELETE FROM unsummed_hours WHERE hour = ? AND mark = ?", [hour, mark]).rowcount:
        return False
    dimensions = [*HOUR_DIMENSIONS, *(f"tag:{name}" for name in sums.tags)]
    connection.executemany(
        "DELETE FROM hour_values WHERE dimension = ? AND hour = ?", [(name, hour) for name in dimensions]
    )
    connection.execute("DELETE FROM unsummed_tags WHERE hour = ?", [hour])
    connection.executemany("INSERT INTO summed_tags (name) VALUES (?)", [(name,) for name in sums.new_tags])
    connection.executemany(
        "INSERT INTO unsummed_tags (name, hour) VALUES (?, ?)", [(name, hour) for name in sums.crowded_tags]
    )
    connection.executemany(_INSERT, [(hour, *row) for row in sums.rows])
    connection.execute("UPDATE summing SET marks = marks + 1")
    place = {"utc": hour * QUARTERS // DAY * DAY, "after": hour * QUARTERS - DAY, "end": (hour + 1) * QUARTERS}
    connection.execute("INSERT INTO summed_days (first) VALUES (:utc) ON CONFLICT DO NOTHING", place)
    connection.execute(
        "UPDATE summed_days SET mark = (SELECT marks FROM summing) WHERE first > :after AND first < :end", place
    )
    return True
