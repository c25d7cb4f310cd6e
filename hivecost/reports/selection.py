"""Which turns a report is of: a span of time on the clocks of a zone, whose they are, and their tags."""

from collections.abc import Mapping, Sequence
from typing import Final, NamedTuple

from hivecost.errors import ConfigError
from hivecost.log import ALWAYS, LogReader, SumRow, Window
from hivecost.log.instants import find_zone
from hivecost.log.rows import EVERYTHING, SUM_NAMES, TAG, Filter, Wanted

#: What stands for the values that are added up in one row.
OTHERS: Final = "(other)"


class Selection(NamedTuple):
    """The turns of a report."""

    window: Window
    #: An IANA name: whose hours, days, weeks and months these are.
    timezone: str
    now_ns: int
    filter: Filter = EVERYTHING
    #: Tag → the values of which a turn must have one.
    tags: tuple[tuple[str, tuple[str, ...]], ...] = ()

    @property
    def first(self) -> str:
        """Return when it begins, as `2026-11-22 08:00`; "" for the beginning of the log."""
        return self._minute(self.window.first_ns, ALWAYS.first_ns)

    @property
    def end(self) -> str:
        """Return when it ends; "" for the present."""
        return "" if self.window.end_ns >= self.now_ns else self._minute(self.window.end_ns, ALWAYS.end_ns)

    @property
    def range(self) -> str:
        """Return what time it is of, in words, and on whose clocks."""
        until = f"until {self.end}" if self.end else "until now"
        return f"{f'{self.first} ' if self.first else ''}{until} ({self.timezone})"

    def during(self, window: Window) -> "Selection":
        """Return the same of another time."""
        return self._replace(window=window)

    def until_now(self) -> "Selection":
        """Return the same up to this instant."""
        return self.during(Window(self.window.first_ns, min(self.window.end_ns, self.now_ns + 1)))

    def sums(self, log: LogReader, by: Sequence[str] = ()) -> list[SumRow]:
        """Return what the turns add up to by these dimensions, in the order of `LogReader.sums`. Raise as that does."""
        of_tags = [name for tag, _ in self.tags if (name := f"{TAG}{tag}") not in by]
        rows = log.sums((*by, *of_tags), self.window, self.timezone, self.filter)
        if not self.tags:
            return rows
        names = (*by, *of_tags)
        wanted = [(names.index(f"{TAG}{tag}"), values) for tag, values in self.tags]
        return added([row for row in rows if all(row.group[place] in values for place, values in wanted)], keys=len(by))

    def has_tags(self, tags: Mapping[str, str]) -> bool:
        """Return whether the tags of a turn are those that are asked for."""
        return all(tags.get(name, "") in values for name, values in self.tags)

    def _minute(self, at_ns: int, open_end_ns: int) -> str:
        from hivecost.log.spans import minute_of  # noqa: PLC0415  # a prompt names no span

        return "" if at_ns == open_end_ns else minute_of(at_ns, find_zone(self.timezone))


def select(
    now_ns: int,
    *,
    since: str | None = None,
    until: str | None = None,
    during: str | None = None,
    timezone: str | None = None,
    filter: Filter = EVERYTHING,
    tags: Mapping[str, Sequence[str]] | None = None,
) -> Selection:
    """Return a selection: from the beginning of the span `since` to the end of `until`, or just `during`.

    Spans are those of `span_of`; without `timezone` they are of this machine's own zone. Raise ConfigError for a text
    that is no span, a zone nobody knows, an end that comes before the beginning, and `during` beside another.
    """
    from hivecost.log.spans import local_zone, span_of  # noqa: PLC0415  # as above

    named = timezone or local_zone()
    zone = find_zone(named)
    if during is not None:
        if since is not None or until is not None:
            raise ConfigError("during", "no --since and no --until beside it", got=during)
        span = span_of("during", during, now_ns, zone)
        if span.first_ns == span.end_ns:
            raise ConfigError("during", "a span such as yesterday, 7d, last month or 2026-10", got=during)
        window = Window(*span)
    else:
        first_ns = ALWAYS.first_ns if since is None else span_of("since", since, now_ns, zone).first_ns
        end_ns = ALWAYS.end_ns if until is None else span_of("until", until, now_ns, zone).end_ns
        if first_ns >= end_ns:
            raise ConfigError("until", f"a moment after {since}, from which on it counts", got=until)
        window = Window(first_ns, end_ns)
    return Selection(
        window, named, now_ns, filter, tuple((name, tuple(values)) for name, values in (tags or {}).items())
    )


def wanted(values: Sequence[str]) -> Wanted:
    """Return these values as a Filter asks for them; None for none."""
    return None if not values else values[0] if len(values) == 1 else tuple(values)


def total(rows: Sequence[SumRow]) -> SumRow:
    """Return what rows add up to."""
    return SumRow((), *(sum(getattr(row, name) for row in rows) for name in SUM_NAMES))


def added(rows: Sequence[SumRow], *, keys: int) -> list[SumRow]:
    """Return the rows with the same first `keys` values as one, in the order of the first of each."""
    groups: dict[tuple[str, ...], list[SumRow]] = {}
    for row in rows:
        groups.setdefault(row.group[:keys], []).append(row)
    return [total(some)._replace(group=group) for group, some in groups.items()]


def dearest_first(row: SumRow) -> tuple[int, int, tuple[str, ...]]:
    """Return what to sort by: cost, then tokens, the greatest first, then name."""
    return -row.cost_nanousd, -row.total_tokens, row.group


def others_last(row: SumRow) -> tuple[bool, int, int, tuple[str, ...]]:
    """Return what to show rows by: as `dearest_first`, with the rest at the end."""
    return OTHERS in row.group, *dearest_first(row)


def folded(rows: Sequence[SumRow], limit: int | None, *, periods: int = 0) -> tuple[list[SumRow], int]:
    """Return the rows of the dearest `limit` values, the rest as one row `(other)`, and how many values that are.

    The first `periods` values of a row are periods: what is dearest is so over all of them, and each period has a rest
    of its own. Without `limit` every row stays.
    """
    ranked = sorted(added([row._replace(group=row.group[periods:]) for row in rows], keys=99), key=dearest_first)
    if limit is None or len(ranked) <= limit:
        return list(rows), 0
    kept = {row.group for row in ranked[:limit]}
    rest = (OTHERS,) * (len(rows[0].group) - periods)
    named = [row._replace(group=(*row.group[:periods], *rest)) for row in rows if row.group[periods:] not in kept]
    return [*(row for row in rows if row.group[periods:] in kept), *added(named, keys=99)], len(ranked) - limit
