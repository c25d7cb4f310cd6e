"""`hivecost tokens`: what each kind of token cost."""

from __future__ import annotations

from collections.abc import Sequence
from typing import TYPE_CHECKING, Final

from hivecost.cli.quick import Given
from hivecost.cli.reporting import OF_REPORTS, Report, run_report, selected
from hivecost.cli.sheet import Grid, Sheet, percent
from hivecost.usd_text import format_usd, usd_column

if TYPE_CHECKING:
    from hivecost.reports.token_kinds import KindReport

OPTIONS: Final = OF_REPORTS
_COLUMNS: Final = ("kind", "tokens", "cost_usd", "cost_nanousd", "share")


def run(arguments: Sequence[str]) -> None:
    """Print what kinds of tokens cost. Raise ConfigError for what was asked wrongly, and StoreErrors."""
    more = ("Of the last seven days unless another time is named.",)
    run_report("tokens", arguments, OPTIONS, _asked, more=more)


def _asked(given: Given) -> Report:
    from hivecost.reports.token_kinds import kind_report  # noqa: PLC0415  # `--help` needs none

    selection = selected(given, since="7d")
    return lambda log, ledger: _sheet(kind_report(log, ledger, selection))


def _sheet(report: KindReport) -> Sheet:
    from hivecost.money import to_usd  # noqa: PLC0415  # as above
    from hivecost.reports.gaps import gap_notes  # noqa: PLC0415  # as above

    when = f"{report.since or 'the beginning'} to {report.until or 'now'} ({report.timezone})"
    if not report.rows:
        return Sheet(report, (), (), lines=(f"Nothing with a known cost, {when}.",), columns=_COLUMNS)
    amounts = usd_column([*(row.cost_nanousd for row in report.rows), sum(row.cost_nanousd for row in report.rows)])
    cells = [
        [
            row.kind.replace("_", " ").capitalize(),
            f"{row.tokens:,}" if row.tokens else "",
            amount,
            percent(row.share),
            format_usd(row.cost_nanousd * 10**6 // row.tokens, decimals=2) if row.tokens else "",
        ]
        for row, amount in zip(report.rows, amounts, strict=False)
    ]
    total = ["Total", f"{sum(row.tokens for row in report.rows):,}", amounts[-1], "100.0 %", ""]
    grid = Grid(
        names=("Kind",),
        numbers=("Tokens", "Cost", "Share", "Per 1M"),
        rows=cells,
        total=total,
        bars=[row.share for row in report.rows],
    )
    notes = [f"{percent(report.cache_hit_ratio)} of the tokens that went in came from a cache."]
    if report.pruned_nanousd:
        notes.append(f"{format_usd(report.pruned_nanousd)} more was spent on turns that were pruned.")
    records = [
        {
            "kind": row.kind,
            "tokens": row.tokens,
            "cost_usd": f"{to_usd(row.cost_nanousd):f}",
            "cost_nanousd": row.cost_nanousd,
            "share": f"{row.share:.6f}",
        }
        for row in report.rows
    ]
    lines = (f"Kinds of tokens, {when}",)
    return Sheet(report, records, (grid,), lines=lines, notes=[*notes, *gap_notes(report.gaps)], columns=_COLUMNS)
