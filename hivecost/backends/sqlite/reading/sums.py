"""Sums over any window, zone and dimension: days, hours and quarter-hours where they have them, turns for the rest."""

from __future__ import annotations

from collections.abc import Iterator, Mapping, Sequence
from datetime import UTC, tzinfo
from typing import Any, Final, NamedTuple

from hivecost.attribute_names import FIELD_OF, fields_of
from hivecost.backends.asking import checked_dimensions
from hivecost.backends.sqlite.log.rollups import ADDED_SUMS, COUNTED, QUARTER_HOUR, SUMS
from hivecost.backends.sqlite.log.summing.hours import ALL, ENTRY_POINT
from hivecost.backends.sqlite.reading.kept_sums import (
    Kept,
    KeptDimension,
    Row,
    Rows,
    kept_dimension,
    kept_parts,
    spans_text,
    untagged,
)
from hivecost.errors import ConfigError
from hivecost.log.instants import find_zone
from hivecost.log.periods import QUARTER_HOUR_NS, period_labels
from hivecost.log.rows import (
    ALWAYS,
    KEPT_DIMENSIONS,
    PERIOD_DIMENSIONS,
    SUM_NAMES,
    TAG,
    Filter,
    SumRow,
    Wanted,
    Window,
)

#: Dimension, and field of a Filter → its column in the log, or what it is counted by there.
OF_TURNS: Final[Mapping[str, str]] = {
    **FIELD_OF,
    **COUNTED,
    **{name: name for name in ("tags", "asked_model", "resolved_model", "resolved_provider", "reason", "kind")},
    "entry_point": ENTRY_POINT,
    "answered_model": "model",
    "answered_provider": "provider",
    "pruned": "''",
}
#: What can be asked for in a Filter.
FILTERED: Final = {name: OF_TURNS[name] for name in Filter._fields}
_OF_PRUNED: Final = {
    **OF_TURNS,
    **dict.fromkeys(("execution", "reason", "entry_point", "kind"), "''"),
    "pruned": "'yes'",
}
#: The same for the sums of quarter-hours, which have no others.
_OF_QUARTER_HOURS: Final = fields_of(KEPT_DIMENSIONS)
#: The same for the sums of nodes, which are kept by session and by no time.
_OF_NODES: Final = fields_of(("session", "node", *COUNTED))
_SUMS_OF_TURNS: Final = ", ".join(SUMS[name] for name in SUM_NAMES)


class Asked(NamedTuple):
    """Which turns are added up."""

    window: Window
    wanted: Filter
    #: Up to this row of the log; None: all.
    until_id: int | None

    @property
    def has_nodes(self) -> bool:
        """Return whether the sums of nodes, which know no time, have these turns and no others."""
        return self.until_id is None and self.window == ALWAYS


def added_sums(rows: Rows, dimensions: Sequence[str], zone: str, asked: Asked) -> list[SumRow]:
    """Return the sums of a `LogReader`."""
    checked_dimensions(dimensions)
    in_zone = UTC if zone == "UTC" else find_zone(zone)
    periods = tuple(name for name in dimensions if name in PERIOD_DIMENSIONS)
    values = tuple(name for name in dimensions if name not in PERIOD_DIMENSIONS)
    sums: dict[Row, Row] = {}
    began: dict[str, int] = {}
    for quarter_hour, *row in _read(rows, values, asked, periods, in_zone):
        labels = period_labels(quarter_hour, periods, in_zone) if periods else ()
        for label in labels:
            began[label] = min(quarter_hour, began.get(label, quarter_hour))
        key, added = (*labels, *row[: len(values)]), tuple(row[len(values) :])
        before = sums.get(key)
        sums[key] = added if before is None else tuple(map(sum, zip(before, added, strict=True)))
    # A period's name is not its place in time: where clocks go back, the second 02:00 has the smaller offset from UTC.
    in_order = sorted(sums, key=lambda key: (*(began[label] for label in key[: len(periods)]), *key[len(periods) :]))
    places = [(*periods, *values).index(name) for name in dimensions]
    return [SumRow(tuple(key[place] for place in places), *sums[key]) for key in in_order]


def sums_of_turn(row: Row, dimensions: Sequence[str], zone: tzinfo) -> SumRow:
    """Return a row of the statement `turn_sums`, (quarter-hour, the values, the sums), as what its turn adds."""
    quarter_hour, *row_values = row
    periods = tuple(name for name in dimensions if name in PERIOD_DIMENSIONS)
    values = tuple(name for name in dimensions if name not in PERIOD_DIMENSIONS)
    labels = period_labels(quarter_hour, periods, zone) if periods else ()
    named = dict(zip((*periods, *values), (*labels, *row_values), strict=False))
    return SumRow(tuple(named[name] for name in dimensions), *row_values[len(values) :])


def keys_of_turns(values: Sequence[str]) -> dict[str, str]:
    """Return what stands in the places of `turn_sums`, for dimensions that are no periods."""
    columns = with_tags(values, OF_TURNS)
    keys = "".join(f"{columns[name]}, " for name in values)
    return {"quarter_hour": QUARTER_HOUR, "keys": keys, "sums": _SUMS_OF_TURNS}


def _read(rows: Rows, values: Sequence[str], asked: Asked, periods: Sequence[str], zone: tzinfo) -> Iterator[Row]:
    """Give (quarter-hour, the values, the sums); each turn that is asked for is in exactly one of these rows."""
    if asked.window.first_ns >= asked.window.end_ns:
        return
    wanted = {name: value for name, value in asked.wanted._asdict().items() if value is not None}
    looks_at, is_by_time = {*values, *wanted}, bool(periods)
    if asked.has_nodes and wanted.get("session") and not is_by_time and looks_at <= _OF_NODES.keys():
        yield from rows("sums_of_nodes", bound(wanted), **_places(values, wanted, _OF_NODES, "0", ADDED_SUMS))
        return
    is_kept = asked.until_id is None and "session" not in looks_at
    dimension = kept_dimension(looks_at) if is_kept else None
    kept = None if dimension is None else kept_parts(rows, dimension, asked.window, periods, zone)
    if dimension is None or kept is None:
        yield from _read_log(rows, values, asked, is_by_time=is_by_time)
        return
    yield from _read_kept(rows, values, wanted, dimension, kept)
    for gap in kept.gaps:
        yield from _read_log(rows, values, asked._replace(window=gap), is_by_time=is_by_time)


def _read_kept(
    rows: Rows, values: Sequence[str], wanted: Mapping[str, Wanted], dimension: KeptDimension, kept: Kept
) -> Iterator[Row]:
    """Give the same of what has sums of hours and days."""
    for name, parts in (("sums_of_hours", kept.hours), ("sums_of_days", kept.days)):
        if parts:
            place = {"spans": spans_text(parts), "dimension": dimension.name}
            places = _places(values, wanted, dimension.columns, "quarter_hour", ADDED_SUMS)
            named = rows(name, {**bound(wanted), **place}, **places)
            yield from named
            if dimension.tag:
                of_all = _places((), {}, {}, "quarter_hour", ADDED_SUMS)
                yield from untagged(named, rows(name, {**place, "dimension": ALL}, **of_all))


def _read_log(rows: Rows, values: Sequence[str], asked: Asked, *, is_by_time: bool) -> Iterator[Row]:
    """Give the same from quarter-hours, and from turns."""
    (first_ns, end_ns), until_id = asked.window, asked.until_id
    wanted = {name: value for name, value in asked.wanted._asdict().items() if value is not None}
    looks_at = {*values, *wanted}
    first, end = -(-first_ns // QUARTER_HOUR_NS), end_ns // QUARTER_HOUR_NS
    cuts = [asked.window]
    if until_id is None and looks_at <= _OF_QUARTER_HOURS.keys() and first < end:
        yield from rows(
            "sums_of_quarter_hours",
            {**bound(wanted), "first": first, "end": end},
            **_places(values, wanted, _OF_QUARTER_HOURS, "quarter_hour" if is_by_time else "0", ADDED_SUMS),
        )
        cuts = [Window(first_ns, first * QUARTER_HOUR_NS), Window(end * QUARTER_HOUR_NS, end_ns)]
    # Sessions have an index of their own, which is better than that of time; nobody else has.
    no_index = "+" if wanted.get("session") else ""
    for cut in cuts:
        if cut.first_ns < cut.end_ns:
            yield from rows(
                "sums_of_turns",
                {**bound(wanted), **bound_tags(values), **cut._asdict(), "until_id": until_id},
                **_places(
                    values, wanted, with_tags(values, OF_TURNS), QUARTER_HOUR if is_by_time else "0", _SUMS_OF_TURNS
                ),
                time=f"{no_index}timestamp_ns",
                until="" if until_id is None else "AND +id <= :until_id",
            )
            yield from rows(
                "sums_of_pruned_turns",
                {
                    **bound(wanted),
                    **bound_tags(values),
                    "first": -(-cut.first_ns // QUARTER_HOUR_NS),
                    "end": -(-cut.end_ns // QUARTER_HOUR_NS),
                },
                **_places(
                    values, wanted, with_tags(values, _OF_PRUNED), "quarter_hour" if is_by_time else "0", ADDED_SUMS
                ),
                time=f"{no_index}quarter_hour",
            )


def _places(
    values: Sequence[str], wanted: Mapping[str, Wanted], columns: Mapping[str, str], quarter_hour: str, sums: str
) -> dict[str, str]:
    """Return what stands in the places of a statement that groups by these values; none where no turn is."""
    keys = "".join(f"{columns[name]}, " for name in values)
    return {
        "quarter_hour": quarter_hour,
        "keys": keys,
        "sums": sums,
        "where": conditions(wanted, columns),
        "group": f"GROUP BY {', '.join(str(number + 1) for number in range(1 + len(values)))}",
    }


def with_tags(values: Sequence[str], columns: Mapping[str, str]) -> dict[str, str]:
    """Return the columns, and what the tags among some values are read by."""
    of_tags = {
        name: f"coalesce((SELECT CAST(value AS TEXT) FROM json_each(tags) WHERE key = :tag{place}), '')"
        for place, name in enumerate(values)
        if name.startswith(TAG)
    }
    return {**columns, **of_tags}


def bound_tags(values: Sequence[str]) -> dict[str, str]:
    """Return the names of these tags, by their names in `with_tags`."""
    return {f"tag{place}": name.removeprefix(TAG) for place, name in enumerate(values) if name.startswith(TAG)}


def conditions(wanted: Mapping[str, Wanted], columns: Mapping[str, str]) -> str:
    """Return the conditions for what is wanted. Raise ConfigError for what these rows have no column of."""
    found = []
    for name, value in wanted.items():
        if value is not None:
            if name not in columns:
                raise ConfigError(f"filter.{name}", f"None: only {', '.join(columns)} can be asked for here", got=value)
            if isinstance(value, tuple):
                found.append(f" AND {columns[name]} IN ({', '.join(f':{name}{n}' for n in range(len(value)))})")
            else:
                found.append(f" AND {columns[name]} = :{name}")
    return "".join(found)


def bound(wanted: Mapping[str, Wanted]) -> dict[str, Any]:
    """Return the values of `conditions`, by their names there."""
    parameters: dict[str, Any] = {}
    for name, value in wanted.items():
        if isinstance(value, tuple):
            parameters |= {f"{name}{number}": one for number, one in enumerate(value)}
        else:
            parameters[name] = value
    return parameters
