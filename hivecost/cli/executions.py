"""`hivecost executions`: what an execution costs."""

from __future__ import annotations

from collections.abc import Sequence
from typing import TYPE_CHECKING, Final

from hivecost.cli.quick import Given, Option
from hivecost.cli.reporting import OF_REPORTS, Report, groups, run_report, selected, sums_of
from hivecost.cli.sheet import Grid, Sheet, heading
from hivecost.log.spend import GROUPS, require_groups
from hivecost.usd_text import usd_column

if TYPE_CHECKING:
    from hivecost.reports.executions import ExecutionLine, ExecutionReport

OPTIONS: Final = {"by": Option("GROUPS", f"Of {', '.join(GROUPS)} and tag:NAME; entry_point without."), **OF_REPORTS}
_COSTS: Final = ("cost_nanousd", "mean_nanousd", "p50_nanousd", "p95_nanousd", "max_nanousd")


def run(arguments: Sequence[str]) -> None:
    """Print what executions cost. Raise ConfigError for what was asked wrongly, and StoreErrors."""
    more = ("Of the last seven days unless another time is named; what an execution spent outside it is not counted.",)
    run_report("executions", arguments, OPTIONS, _asked, more=more)


def _asked(given: Given) -> Report:
    from hivecost.reports.executions import execution_report  # noqa: PLC0415  # `--help` needs none

    selection, by = selected(given, since="7d"), groups(given, "entry_point")
    require_groups(by)
    return lambda log, ledger: _sheet(execution_report(log, ledger, selection, by))


def _sheet(report: ExecutionReport) -> Sheet:
    from hivecost.reports.gaps import gap_notes  # noqa: PLC0415  # as above

    when, by = f"{report.since or 'the beginning'} to {report.until or 'now'} ({report.timezone})", report.by
    records = [_record(row) for row in report.rows]
    columns = (*by, *(name for name in _record(report.total) if name not in by))
    if not report.rows:
        return Sheet(report, (), (), lines=(f"No execution spent anything, {when}.",), columns=columns)
    lines = [*report.rows, report.total]
    amounts = zip(*(usd_column([getattr(line, name) for line in lines]) for name in _COSTS), strict=True)
    cells = [
        [
            *((line.group[name] or "(none)" for name in by) if line.group else ("Total", *[""] * (len(by) - 1))),
            f"{line.executions:,}",
            f"{line.llm_calls:,}",
            *costs,
            f"{line.unpriced_executions:,}",
        ]
        for line, costs in zip(lines, amounts, strict=True)
    ]
    numbers = ("Executions", "Calls", "Cost", "Mean", "p50", "p95", "Max", "Unpriced")
    grid = Grid(names=[heading(name) for name in by], numbers=numbers, rows=cells[:-1], total=cells[-1])
    notes = list(gap_notes(report.gaps))
    if report.other_calls:
        notes.append(f"{report.other_calls:,} calls are of no execution that is known: they are in no row.")
    return Sheet(report, records, (grid,), lines=(f"Executions, {when}",), notes=notes, columns=columns)


def _record(line: ExecutionLine) -> dict[str, object]:
    more = ("executions", "mean_nanousd", "p50_nanousd", "p95_nanousd", "max_nanousd", "unpriced_executions")
    return {**line.group, **sums_of(line), **{name: getattr(line, name) for name in more}}
