"""`hivecost today`: what the day cost so far, by model or another dimension."""

from __future__ import annotations

import json
from collections.abc import Iterator, Sequence
from typing import Any, Final

from hivecost.cli.help import COMMANDS
from hivecost.cli.quick import SHARED, Option, amount, logged, now_ns, parsed, reset_of, usage
from hivecost.log import SUM_NAMES, SumRow
from hivecost.log.rows import VALUE_DIMENSIONS
from hivecost.plain_text import printable
from hivecost.reports.today import Today, load_today
from hivecost.usd_text import format_usd

_OPTIONS: Final = {
    **SHARED,
    "by": Option("GROUPS", f"Some of {', '.join(VALUE_DIMENSIONS)}; model without."),
}
_NUMBERS: Final = ("Calls", "Tokens in", "Tokens out", "Cached", "Cost")


def run(arguments: Sequence[str]) -> None:
    """Print the day so far. Raise ConfigError for what was asked wrongly, and StoreErrors."""
    print(_text(arguments))  # noqa: T201  # what this is for


def _text(arguments: Sequence[str]) -> str:
    options = parsed("today", arguments, _OPTIONS)
    if "help" in options:
        return usage("today", COMMANDS["today"], _OPTIONS)
    at_ns = now_ns()
    by = tuple(name.strip() for name in options.get("by", "model").split(","))
    with logged(options) as log:
        today = load_today(log, at_ns, timezone=options.get("timezone"), by=by)
    return json.dumps(_document(today), indent=2) if "json" in options else "\n".join(_lines(today, at_ns))


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
    }


def _sums(row: SumRow) -> dict[str, int]:
    return {name: getattr(row, name) for name in SUM_NAMES}


def _lines(today: Today, at_ns: int) -> Iterator[str]:
    """Give the report for a terminal."""
    yield f"Today, {today.day} ({today.timezone}): {amount(today.total)}{_against_yesterday(today)}"
    yield f"The last hour: {amount(today.last_hour)} in {_counted(today.last_hour.llm_calls, 'call')}"
    if (account := today.tightest) is not None:
        name = printable(" ".join(filter(None, (account.budget, account.scope))))
        reset = reset_of(account, at_ns)
        yield f"Tightest hard budget: {name} {int(100 * account.used)}% used{f', resets {reset}' if reset else ''}"
    if today.rows:
        yield ""
        headings = [name.capitalize() for name in today.by]
        cells = [[*(printable(value) or "(none)" for value in row.group), *_cells(row)] for row in today.rows]
        total = ["Total", *[""] * (len(headings) - 1), *_cells(today.total)]
        yield from _table([[*headings, *_NUMBERS], *cells, total], names=len(headings))
    if missing := today.total.unknown_calls:
        yield ""
        yield f"{_counted(missing, 'call')} without a known cost: missing from the sums."


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


def _table(rows: Sequence[Sequence[str]], *, names: int) -> Iterator[str]:
    """Give lines of columns: names to the left, numbers to the right."""
    widths = [max(map(len, column)) for column in zip(*rows, strict=True)]
    for row in rows:
        cells = (
            cell.ljust(width) if number < names else cell.rjust(width)
            for number, (cell, width) in enumerate(zip(row, widths, strict=True))
        )
        yield "  ".join(cells).rstrip()
