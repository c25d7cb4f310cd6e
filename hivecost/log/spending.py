"""What was spent, as finely as budgets count it: from the turns in a log, and from the sums of those pruned."""

from __future__ import annotations

from collections.abc import Iterable, Iterator, Sequence
from datetime import datetime
from functools import lru_cache
from typing import Any, Final

import msgspec

from hivecost.attribute_names import OTHER_NAMES, fields_of
from hivecost.clock import to_ns
from hivecost.errors import StoreCorruptError
from hivecost.events import Totals
from hivecost.log.contract import LogReader
from hivecost.log.periods import QUARTER_HOUR_NS
from hivecost.log.rows import EVERYTHING, KEPT_DIMENSIONS, Filter, SumRow, Window

#: Turns whose sums are read in one go, about; a busier quarter-hour is read whole.
_PAGE_CALLS: Final = 20_000

#: Stands for the executions of before and elsewhere: the accounts that are their own are not counted here.
ELSEWHERE: Final = "elsewhere"
#: Dimension → the field of a Spending: all that budgets can tell apart.
_FIELDS: Final = {
    **fields_of(("session", "node", "agent", "user", "org", "task", "tags")),
    "answered_provider": "provider",
    "answered_model": "model",
    **{name: name for name in ("asked_model", "resolved_model", "resolved_provider")},
}
_NOBODY: Final = {**dict.fromkeys(_FIELDS.values(), ""), "tags": "{}"}
#: What to ask `sums` and `turn_sums` for, to have each row as a Spending.
SPENDING_DIMENSIONS: Final = ("quarter_hour", *_FIELDS)
#: Attributes that sums of quarter-hours are kept by, and that a turn has one name for.
SUMMED_ATTRIBUTES: Final = frozenset(name for name in KEPT_DIMENSIONS if name not in OTHER_NAMES)


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
    execution_id: str = ELSEWHERE


def spending_of(row: SumRow) -> Spending:
    """Return a row of SPENDING_DIMENSIONS as what was spent. Raise StoreCorruptError for tags that are none."""
    return _spending(_start_ns(row.group[0]), SPENDING_DIMENSIONS[1:], row.group[1:], row)


def spending_windows(log: LogReader, first_ns: int) -> list[Window]:
    """Return the windows since the quarter-hour of an instant that hold some 20,000 turns each, in order."""
    since = Window(first_ns).widened()
    busy = ((_start_ns(row.group[0]), row.llm_calls + row.charges) for row in log.sums(["quarter_hour"], since))
    return [Window(first, last + QUARTER_HOUR_NS) for first, last in _pages(busy)]


def spending_in(
    log: LogReader, window: Window, *, until: str | None = None, filter: Filter = EVERYTHING
) -> list[Spending]:
    """Return what was spent in a window that begins and ends with quarter-hours, pruned or not, oldest first.

    With `until`, a cursor, only what was logged up to there.
    """
    return [spending_of(row) for row in log.sums(SPENDING_DIMENSIONS, window, filter=filter, until=until)]


def spending_since(log: LogReader, first_ns: int) -> Iterator[Spending]:
    """Give what was spent since the quarter-hour of an instant, oldest first; memory does not grow with the turns."""
    for window in spending_windows(log, first_ns):
        yield from spending_in(log, window)


def spending_summed(log: LogReader, window: Window, attributes: Sequence[str]) -> list[Spending]:
    """Return what was spent in whole quarter-hours, told apart by some of SUMMED_ATTRIBUTES alone.

    All of it at the beginning of the window.
    """
    rows = log.sums(attributes, window)
    return [_spending(window.first_ns, attributes, row.group, row) for row in rows]


def spending_by_quarter(log: LogReader, first_ns: int, attributes: Sequence[str]) -> list[Spending]:
    """Return what was spent since the quarter-hour of an instant, told apart by some of SUMMED_ATTRIBUTES alone."""
    rows = log.sums(("quarter_hour", *attributes), Window(first_ns).widened())
    return [_spending(_start_ns(row.group[0]), attributes, row.group[1:], row) for row in rows]


def spending_of_session(log: LogReader, session_id: str) -> list[tuple[str, Spending]]:
    """Return (execution, what it spent) of a session, oldest first; "" for turns of none, and for pruned ones."""
    rows = log.sums((*SPENDING_DIMENSIONS, "execution"), filter=Filter(session=session_id))
    return [(row.group[-1], spending_of(row)) for row in rows]


def _spending(start_ns: int, dimensions: Iterable[str], values: Iterable[str], row: SumRow) -> Spending:
    fields: dict[str, Any] = {**_NOBODY, **dict(zip((_FIELDS[name] for name in dimensions), values, strict=False))}
    fields["tags"] = _tags(fields["tags"])
    return Spending(*row[1:], timestamp_ns=start_ns, **fields)


def _tags(text: str) -> dict[str, str]:
    if text == "{}":
        return {}
    try:
        return msgspec.json.decode(text, type=dict[str, Any])
    except msgspec.DecodeError as error:
        raise StoreCorruptError(f"a turn in the log holds no JSON: {error}; restore a backup of the log") from error


@lru_cache(maxsize=4096)
def _start_ns(label: str) -> int:
    return to_ns(datetime.fromisoformat(label))


def _pages(busy: Iterable[tuple[int, int]]) -> Iterator[tuple[int, int]]:
    """Give (first, last) start of runs of quarter-hours that hold a page of turns together."""
    first = last = None
    calls = 0
    for start_ns, its_calls in busy:
        if first is not None and last is not None and calls + its_calls > _PAGE_CALLS:
            yield first, last
            first, calls = None, 0
        first = start_ns if first is None else first
        last, calls = start_ns, calls + its_calls
    if first is not None and last is not None:
        yield first, last
