"""`hivecost top`: who or what costs most."""

from __future__ import annotations

from collections.abc import Sequence
from typing import TYPE_CHECKING, Final

from hivecost.cli.quick import Given
from hivecost.cli.reporting import OF_REPORTS, TOP, Report, place_of, run_report, selected, sums_of, whole_number
from hivecost.cli.sheet import Grid, Sheet, costs, counts, missing, percent
from hivecost.errors import ConfigError
from hivecost.usd_text import usd_column

if TYPE_CHECKING:
    from hivecost.reports.dearest import DearTurns, TagReport

#: What can be asked for → the dimension.
_DIMENSIONS: Final = {
    "agents": "agent",
    "models": "model",
    "users": "user",
    "orgs": "org",
    "tasks": "task",
    "nodes": "node",
    "sessions": "session",
    "providers": "provider",
    "entry-points": "entry_point",
}
WHAT: Final = (*_DIMENSIONS, "tags", "turns", "steps")
OPTIONS: Final = {**TOP, **OF_REPORTS}
_SHOWN: Final = 10


def run(arguments: Sequence[str]) -> None:
    """Print who or what costs most. Raise ConfigError for what was asked wrongly, and StoreErrors."""
    more = (f"WHAT is one of {', '.join(WHAT)}; agents without. Of the last seven days unless another time is named.",)
    run_report("top", arguments, OPTIONS, _asked, words="[WHAT]", more=more)


def _asked(given: Given) -> Report:
    from hivecost.reports.dearest import dearest_tags, dearest_turns  # noqa: PLC0415  # `--help` needs none
    from hivecost.reports.spend import spend_report  # noqa: PLC0415  # the same

    what = given.words[0] if given.words else "agents"
    selection, limit = selected(given, since="7d"), whole_number(given, "top", _SHOWN) or _SHOWN
    if what in _DIMENSIONS:
        from hivecost.cli.spend import spend_sheet  # noqa: PLC0415  # turns need none

        by = [_DIMENSIONS[what]]
        return lambda log, ledger: spend_sheet(spend_report(log, ledger, selection, by, top=limit), place_of(given))
    if what == "tags":
        return lambda log, ledger: _tags_sheet(dearest_tags(log, ledger, selection, limit))
    if what in ("turns", "steps"):
        return lambda log, ledger: _turns_sheet(dearest_turns(log, ledger, selection, limit))
    raise ConfigError("top", f"one of {', '.join(WHAT)}", got=what)


def _when(report: DearTurns | TagReport) -> str:
    return f"{report.since or 'the beginning'} to {report.until or 'now'} ({report.timezone})"


def _tags_sheet(report: TagReport) -> Sheet:
    from hivecost.reports.gaps import gap_notes  # noqa: PLC0415  # as above

    columns = ("tag", "value", *sums_of(report.total), "share")
    if not report.rows:
        return Sheet(report, (), (), lines=(f"No turn has a tag, {_when(report)}.",), columns=columns)
    cells = [
        [row.group["tag"], row.group["value"], *counts(row), amount, percent(row.share), missing(row)]
        for row, amount in zip(report.rows, costs(report.rows), strict=True)
    ]
    grid = Grid(
        names=("Tag", "Value"),
        numbers=("Calls", "In", "Out", "Cached", "Cost", "Share", "Unpriced"),
        rows=cells,
        bars=[row.share for row in report.rows],
    )
    notes = ["A turn with several tags is in several rows.", *gap_notes(report.gaps)]
    if report.others:
        notes.append(f"{report.others:,} more.")
    records = [{**row.group, **sums_of(row), "share": f"{row.share:.6f}"} for row in report.rows]
    return Sheet(report, records, (grid,), lines=(f"Tags, {_when(report)}",), notes=notes, columns=columns)


def _turns_sheet(report: DearTurns) -> Sheet:
    from hivecost.reports.dearest import DearTurn  # noqa: PLC0415  # as above
    from hivecost.reports.gaps import gap_notes  # noqa: PLC0415  # as above

    columns = DearTurn.__struct_fields__
    if not report.rows:
        return Sheet(report, (), (), lines=(f"No turn has a known cost, {_when(report)}.",), columns=columns)
    cells = [
        [
            row.at,
            row.session_id or "(none)",
            row.node_id or "(none)",
            row.agent_id or "(none)",
            row.model,
            f"{row.input_tokens:,}",
            f"{row.output_tokens:,}",
            percent(row.reasoning_share),
            amount,
        ]
        for row, amount in zip(report.rows, usd_column([row.cost_nanousd for row in report.rows]), strict=True)
    ]
    greatest = report.rows[0].cost_nanousd
    grid = Grid(
        names=("At", "Session", "Node", "Agent", "Model"),
        numbers=("In", "Out", "Reasoning", "Cost"),
        rows=cells,
        bars=[row.cost_nanousd / greatest if greatest else 0 for row in report.rows],
    )
    notes = [f"{percent(sum(row.share for row in report.rows))} of the cost of that time."]
    if report.pruned_calls:
        notes.append(f"{report.pruned_calls:,} turns of that time were pruned: they are not looked at.")
    records = [{name: getattr(row, name) for name in columns} for row in report.rows]
    lines = (f"The dearest turns, {_when(report)}",)
    return Sheet(report, records, (grid,), lines=lines, notes=[*notes, *gap_notes(report.gaps)], columns=columns)
