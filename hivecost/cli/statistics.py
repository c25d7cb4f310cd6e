"""`hivecost statistics`: calls, tokens and cost in all, by agent and by model, of a session or of any time."""

from __future__ import annotations

from collections.abc import Sequence
from pathlib import Path
from typing import TYPE_CHECKING, Final

from hivecost.cli.quick import Given, Option
from hivecost.cli.reporting import OF_REPORTS, Report, place_of, run_report, selected
from hivecost.cli.sheet import Sheet

if TYPE_CHECKING:
    from hivecost.ledger import LedgerReader
    from hivecost.log import LogReader
    from hivecost.log.statistics import Statistics
    from hivecost.reports.selection import Selection

OPTIONS: Final = {
    "export": Option("FILE", "Write the statistics, and every turn behind them, to this file, as JSON."),
    **OF_REPORTS,
}
_COLUMNS: Final = ("by", "name", "calls", "tokens", "cost_usd", "cost_nanousd", "unpriced_calls", "percent_used")


def run(arguments: Sequence[str]) -> None:
    """Print the statistics. Raise ConfigError for what was asked wrongly, StoreErrors, and OSError for the file."""
    more = ("SESSION is an id, or `latest`; without it they are of all sessions, of the time that is named.",)
    run_report("statistics", arguments, OPTIONS, _asked, words="[SESSION]", more=more)


def _asked(given: Given) -> Report:
    from hivecost.log.statistics import breakdown_text  # noqa: PLC0415  # `--help` needs none
    from hivecost.reports.session import find_session  # noqa: PLC0415  # the same
    from hivecost.reports.statistics import usage_statistics  # noqa: PLC0415  # the same

    selection = selected(given)

    def report(log: LogReader, ledger: LedgerReader) -> Sheet:
        asked = selection
        if given.words:
            name = find_session(log, given.words[0], place_of(given)).session_id
            asked = selection._replace(filter=selection.filter._replace(session=name))
        statistics = usage_statistics(log, ledger, asked)
        whose = f" of {asked.filter.session}" if given.words else ""
        when = f"{asked.first or 'the beginning'} to {asked.end or 'now'} ({asked.timezone})"
        lines = [f"Usage{whose}, {when}", "", *breakdown_text(statistics).split("\n")]
        if "export" in given:
            lines = [
                *lines,
                "",
                f"Written to {given['export']}: {_export(given['export'], statistics, log, asked):,} turns.",
            ]
        return Sheet(statistics, _records(statistics), (), lines=lines, columns=_COLUMNS)

    return report


def _export(path: str, statistics: Statistics, log: LogReader, selection: Selection) -> int:
    """Write the file turn by turn, and return how many there were."""
    import msgspec  # noqa: PLC0415  # as above

    from hivecost.reports.statistics import usage_history  # noqa: PLC0415  # as above

    written = 0
    with Path(path).open("wb") as file:
        file.write(b'{"statistics": ' + msgspec.json.encode(statistics) + b',\n"usage_history": [')
        for entry in usage_history(log, selection):
            file.write((b",\n" if written else b"\n") + msgspec.json.encode(entry))
            written += 1
        file.write(b"\n]}\n")
    return written


def _records(statistics: Statistics) -> list[dict[str, object]]:
    from hivecost.money import to_usd  # noqa: PLC0415  # as above

    return [
        {
            "by": by,
            "name": name,
            "calls": share.calls,
            "tokens": share.tokens,
            "cost_usd": f"{to_usd(share.cost_nanousd):f}",
            "cost_nanousd": share.cost_nanousd,
            "unpriced_calls": share.unpriced_calls,
            "percent_used": None if share.limit is None else share.limit.percent_used,
        }
        for by, shares in (("agent", statistics.by_agent), ("model", statistics.by_model))
        for name, share in shares.items()
    ]
