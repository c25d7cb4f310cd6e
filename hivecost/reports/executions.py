"""What an execution costs, by entry point or anything else: how many, on average, at the median and at the 95th."""

from __future__ import annotations

from collections.abc import Sequence

import msgspec

from hivecost.events import Totals
from hivecost.ledger import LedgerReader
from hivecost.log import LogReader, SumRow
from hivecost.log.spend import require_groups
from hivecost.reports.gaps import Gaps, find_gaps
from hivecost.reports.selection import Selection, added, total


class ExecutionLine(Totals, frozen=True, kw_only=True):
    """The executions of one group, and what they cost: the known part of each."""

    group: dict[str, str]
    executions: int
    mean_nanousd: int
    #: Percentiles are by nearest rank: the cost of one of these executions, which so many cost no more than.
    p50_nanousd: int
    p95_nanousd: int
    max_nanousd: int
    #: Executions with calls whose cost is not known: they cost more than is counted.
    unpriced_executions: int


class ExecutionReport(msgspec.Struct, frozen=True, kw_only=True):
    """The groups, those that cost most in all first."""

    by: list[str]
    timezone: str
    since: str
    until: str
    rows: list[ExecutionLine]
    total: ExecutionLine
    #: Calls and charges of no execution, or of one that is not known any more because they were pruned.
    other_calls: int
    gaps: Gaps


def execution_report(
    log: LogReader, ledger: LedgerReader, selection: Selection, by: Sequence[str] = ("entry_point",)
) -> ExecutionReport:
    """Return what the executions of a selection cost in its time. Raise ConfigError, and StoreErrors."""
    require_groups([*by, "execution"])
    found = selection.sums(log, (*by, "session", "execution"))
    runs = [row for row in found if row.group[-1]]
    groups: dict[tuple[str, ...], list[SumRow]] = {}
    for row in runs:
        groups.setdefault(row.group[: len(by)], []).append(row)
    rows = [_line(dict(zip(by, group, strict=True)), some) for group, some in groups.items()]
    whole = total(found)
    others = total([row for row in found if not row.group[-1]])
    return ExecutionReport(
        by=list(by),
        timezone=selection.timezone,
        since=selection.first,
        until=selection.end,
        rows=sorted(rows, key=lambda line: (-line.cost_nanousd, *line.group.values())),
        total=_line({}, added([row._replace(group=row.group[len(by) :]) for row in runs], keys=2)),
        other_calls=others.llm_calls + others.charges,
        gaps=find_gaps(log, ledger, selection, whole, by),
    )


def percentile(ascending: Sequence[int], percent: int) -> int:
    """Return the value by nearest rank: the smallest that `percent` of them do not exceed; 0 of none."""
    return ascending[max(-(-len(ascending) * percent // 100), 1) - 1] if ascending else 0


def _line(group: dict[str, str], runs: Sequence[SumRow]) -> ExecutionLine:
    costs = sorted(row.cost_nanousd for row in runs)
    return ExecutionLine(
        *total(runs)[1:],
        group=group,
        executions=len(runs),
        mean_nanousd=round(sum(costs) / len(costs)) if costs else 0,
        p50_nanousd=percentile(costs, 50),
        p95_nanousd=percentile(costs, 95),
        max_nanousd=costs[-1] if costs else 0,
        unpriced_executions=sum(row.unknown_calls > 0 for row in runs),
    )
