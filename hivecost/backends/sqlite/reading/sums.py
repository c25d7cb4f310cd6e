"""Sums over any window, zone and dimension: quarter-hours where they have them, turns for the rest."""

from __future__ import annotations

from collections.abc import Callable, Iterator, Mapping, Sequence
from datetime import UTC
from typing import Any, Final

from hivecost.backends.sqlite.log.rollups import COUNTED, QUARTER_HOUR, SUMS
from hivecost.errors import ConfigError
from hivecost.log.instants import find_zone
from hivecost.log.periods import QUARTER_HOUR_NS, period_labels
from hivecost.log.rows import DIMENSIONS, PERIOD_DIMENSIONS, SUM_NAMES, SumRow, Window

Row = tuple[Any, ...]
#: Runs a statement of `reading.sql`: its name, what is bound, and `{places}`.
Rows = Callable[..., list[Row]]

#: Dimension, and field of a Filter → its column in the log, or what it is counted by there.
OF_TURNS: Final[Mapping[str, str]] = {
    **{name: f"{name}_id" for name in ("session", "node", "agent", "user", "org", "task")},
    **COUNTED,
}
#: The same for the sums of quarter-hours, which have no others.
_OF_QUARTER_HOURS: Final = {
    **{name: f"{name}_id" for name in ("agent", "user", "org")},
    **{name: name for name in COUNTED},
}
_STORED_SUMS: Final = ", ".join(f"sum({name})" for name in SUM_NAMES)
_SUMS_OF_TURNS: Final = ", ".join(SUMS[name] for name in SUM_NAMES)


def added_sums(
    rows: Rows, dimensions: Sequence[str], window: Window, zone: str, wanted: Mapping[str, str]
) -> list[SumRow]:
    """Return the sums of a `LogReader`, of turns with the wanted values."""
    unknown = [name for name in dimensions if name not in DIMENSIONS]
    if unknown or len({*dimensions}) < len(dimensions):
        expected = f"some of {', '.join(DIMENSIONS)}, each once"
        raise ConfigError("dimensions", expected, got=",".join(dimensions))
    in_zone = UTC if zone == "UTC" else find_zone(zone)
    periods = tuple(name for name in dimensions if name in PERIOD_DIMENSIONS)
    values = tuple(name for name in dimensions if name not in PERIOD_DIMENSIONS)
    sums: dict[Row, Row] = {}
    began: dict[str, int] = {}
    for quarter_hour, *row in _read(rows, values, window, wanted, is_by_time=bool(periods)):
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


def _read(
    rows: Rows, values: Sequence[str], window: Window, wanted: Mapping[str, str], *, is_by_time: bool
) -> Iterator[Row]:
    """Give (quarter-hour, the values, the sums); each turn of the window is in exactly one of these rows."""
    first_ns, end_ns = window
    if first_ns >= end_ns:
        return
    first, end = -(-first_ns // QUARTER_HOUR_NS), end_ns // QUARTER_HOUR_NS
    cuts = [window]
    if {*values, *wanted} <= _OF_QUARTER_HOURS.keys() and first < end:
        yield from rows(
            "sums_of_quarter_hours",
            {**wanted, "first": first, "end": end},
            **_places(values, wanted, _OF_QUARTER_HOURS, "quarter_hour" if is_by_time else "0", _STORED_SUMS),
        )
        cuts = [Window(first_ns, first * QUARTER_HOUR_NS), Window(end * QUARTER_HOUR_NS, end_ns)]
    for cut in cuts:
        if cut.first_ns < cut.end_ns:
            yield from rows(
                "sums_of_turns",
                {**wanted, **cut._asdict()},
                **_places(values, wanted, OF_TURNS, QUARTER_HOUR if is_by_time else "0", _SUMS_OF_TURNS),
            )
            yield from rows(
                "sums_of_pruned_turns",
                {**wanted, "first": -(-cut.first_ns // QUARTER_HOUR_NS), "end": -(-cut.end_ns // QUARTER_HOUR_NS)},
                **_places(values, wanted, OF_TURNS, "quarter_hour" if is_by_time else "0", _STORED_SUMS),
            )


def _places(
    values: Sequence[str], wanted: Mapping[str, str], columns: Mapping[str, str], quarter_hour: str, sums: str
) -> dict[str, str]:
    """Return what stands in the places of a statement that groups by these values; none where no turn is."""
    keys = "".join(f"{columns[name]}, " for name in values)
    return {
        "quarter_hour": quarter_hour,
        "keys": keys,
        "sums": sums,
        "where": "".join(f" AND {columns[name]} = :{name}" for name in wanted),
        "group": f"GROUP BY {', '.join(str(number + 1) for number in range(1 + len(values)))}",
    }
