"""`hivecost today`: what the day cost so far, by model or another dimension."""

from __future__ import annotations

import json
from collections.abc import Iterator, Sequence
from typing import Any, Final

from hivecost.cli.help import COMMANDS
from hivecost.cli.quick import SHARED, Option, amount, fitted, logged, now_ns, parsed, reset_of, terminal_columns, usage
from hivecost.cli.reporting import SHOWN, TOP, WHOSE, groups, sums_of, tags_of, whole_number, whose_of
from hivecost.errors import ConfigError
from hivecost.log import SUM_NAMES, SumRow
from hivecost.log.spans import local_zone
from hivecost.plain_text import printable
from hivecost.reports.selection import OTHERS
from hivecost.reports.today import DAY_DIMENSIONS, Today, load_today
from hivecost.usd_text import format_usd

OPTIONS: Final = {
    **SHARED,
    "by": Option("GROUPS", f"Some of {', '.join(DAY_DIMENSIONS)} and tag:NAME; model without."),
    **TOP,
    **WHOSE,
    **SHOWN,
}
_NUMBERS: Final = ("Calls", "Tokens in", "Tokens out", "Cached", "Cost")
#: Columns that a narrow terminal does without, in this order; --json and --csv have all.
_DROPPED: Final = ("Cached", "Tokens out", "Tokens in", "Calls")


def run(arguments: Sequence[str]) -> None:
    """Print the day so far. Raise ConfigError for what was asked wrongly, and StoreErrors."""
    print(_text(arguments))  # noqa: T201  # what this is for


def _text(arguments: Sequence[str]) -> str:
    options = parsed("today", arguments, OPTIONS)
    if "help" in options:
        return usage("today", COMMANDS["today"], OPTIONS)
    at_ns = now_ns()
    if "csv" in options and "json" in options:
        raise ConfigError("today", "one of --csv and --json")
    by, whose, tags = tuple(groups(options, "model")), whose_of(options), tags_of(options)
    top = whole_number(options, "top")
    zone = options.get("timezone") or local_zone()
    with logged(options) as log:
        today = load_today(log, at_ns, timezone=zone, by=by, whose=whose, tags=tags, top=top, in_full=True)
    if "csv" in options:
        return _csv(today)
    return json.dumps(_document(today), indent=2) if "json" in options else "\n".join(_lines(today, at_ns))


def _csv(today: Today) -> str:
    from hivecost.cli.render.documents import to_csv  # noqa: PLC0415  # most often nobody asks

    records = [{**dict(zip(today.by, row.group, strict=True)), **sums_of(row)} for row in today.rows]
    return to_csv(records, (*today.by, *sums_of(today.total))).rstrip("\n")


def _document(today: Today) -> dict[str, Any]:
    account = today.tightest
    return {
        "day": today.day,
        "timezone": today.timezone,
        "by": list(today.by),
        "rows": [{"group": dict(zip(today.by, row.group, strict=True)), **_sums(row)} for row in today.rows],
        "total": _sums(today.total),
        "yesterday_by_now": _sums(today.yesterday),
        "last_hour": _sums(today.last_hour),
        "tightest": None if account is None else account._asdict(),
        "on_course_for_nanousd": today.course.projected,
        "on_course_by": today.course.method,
        "others": today.others,
        "in_doubt_accounts": today.in_doubt,
    }


def _sums(row: SumRow) -> dict[str, int]:
    return {name: getattr(row, name) for name in SUM_NAMES}


def _lines(today: Today, at_ns: int) -> Iterator[str]:
    """Give the report for a terminal."""
    yield from fitted(f"Today, {today.day} ({today.timezone}): {amount(today.total)}{_against_yesterday(today)}")
    yield f"The last hour: {amount(today.last_hour)} in {_counted(today.last_hour.llm_calls, 'call')}"
    if today.course.projected is not None:
        by = "the days before" if today.course.method == "profile" else "a straight line"
        yield f"On course for {format_usd(today.course.projected, decimals=2)} today, by {by}"
    if (account := today.tightest) is not None:
        name = printable(" ".join(filter(None, (account.budget, account.scope))))
        reset = reset_of(account, at_ns)
        resets = f", resets {reset}" if reset else ""
        yield from fitted(f"Tightest hard budget: {name} {int(100 * account.used)}% used{resets}")
    if today.rows:
        yield ""
        headings = [name.capitalize() for name in today.by]
        cells = [[*(printable(value) or "(none)" for value in row.group), *_cells(row)] for row in today.rows]
        total = ["Total", *[""] * (len(headings) - 1), *_cells(today.total)]
        yield from _table(_narrowed([[*headings, *_NUMBERS], *cells, total]), names=len(headings))
    for note in _missing(today):
        yield from fitted(note)


def _missing(today: Today) -> Iterator[str]:
    if missing := today.total.unknown_calls:
        yield ""
        names = (
            {row.group[today.by.index("model")] for row in today.rows if row.unknown_calls}
            if _by_model(today)
            else set()
        ) - {OTHERS}
        named = f": {', '.join(printable(name) or '(none)' for name in sorted(names))}" if names else ""
        invalid = f" ({today.total.invalid_calls:,} invalid)" if today.total.invalid_calls else ""
        yield f"{_counted(missing, 'call')} without a known cost{invalid}: missing from the sums{named}."
    if estimated := today.total.estimated_calls:
        yield f"The cost of {_counted(estimated, 'call')} is an estimate."
    if today.in_doubt:
        yield f"In doubt: holds of {_counted(today.in_doubt, 'account')} (`hivecost budget doubts`)."
    if today.others:
        yield f"(other): {today.others:,} more."


def _by_model(today: Today) -> bool:
    return "model" in today.by


def _against_yesterday(today: Today) -> str:
    before = today.yesterday.cost_nanousd
    if not before:
        return ""
    change = round(100 * (today.total.cost_nanousd - before) / before)
    return f" ({change:+d} % of {format_usd(before, decimals=2)} yesterday by this time)"


def _counted(count: int, noun: str) -> str:
    return f"{count:,} {noun}" if count == 1 else f"{count:,} {noun}s"


def _cells(row: SumRow) -> list[str]:
    counts = (row.llm_calls, row.input_tokens, row.output_tokens, row.cache_read_tokens)
    return [*(f"{count:,}" for count in counts), amount(row)]


def _narrowed(rows: Sequence[Sequence[str]]) -> Sequence[Sequence[str]]:
    """Return the rows without the columns that a narrow terminal has no room for."""
    columns = terminal_columns()
    for heading in _DROPPED:
        if columns is None or sum(_widths(rows)) + 2 * (len(rows[0]) - 1) <= columns:
            break
        place = rows[0].index(heading)
        rows = [[*row[:place], *row[place + 1 :]] for row in rows]
    return rows


def _widths(rows: Sequence[Sequence[str]]) -> list[int]:
    return [max(map(len, column)) for column in zip(*rows, strict=True)]


def _table(rows: Sequence[Sequence[str]], *, names: int) -> Iterator[str]:
    """Give lines of columns: names to the left, numbers to the right."""
    widths = _widths(rows)
    for row in rows:
        cells = (
            cell.ljust(width) if number < names else cell.rjust(width)
            for number, (cell, width) in enumerate(zip(row, widths, strict=True))
        )
        yield "  ".join(cells).rstrip()
