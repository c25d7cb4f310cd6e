"""Reports as text for a terminal; plain and greppable when they are piped."""

from __future__ import annotations

from collections.abc import Sequence
from pathlib import Path
from typing import TYPE_CHECKING

from rich import box
from rich.console import Console
from rich.table import Table

from hivecost.money import format_usd
from hivecost.reports.console import report_console
from hivecost.reports.session import BudgetLine, SessionReport

if TYPE_CHECKING:
    from hivecost.queries import SessionState

_STATUS_STYLES = {"completed": "green", "failed": "red", "cancelled": "yellow", "running": "cyan"}


def render_session(report: SessionReport, console: Console | None = None) -> None:
    """Print a session's report: per node, per model, totals, budgets, and what has no price."""
    console = console or report_console()
    state = report.session
    console.print(f"\n[bold]Cost report[/bold]  {state.session_id}  {_status(state.status)}")
    console.print(f"{state.timestamps.started_at}  {_counted(state.metrics.executions, 'execution')}\n", style="dim")
    nodes = sorted(report.nodes, key=lambda node: -node.cost_nanousd)
    console.print(
        _spend_table(
            "Node",
            [
                (
                    n.node_id or "(no node)",
                    n.llm_calls,
                    n.input_tokens,
                    n.output_tokens,
                    n.cost_nanousd,
                    n.unpriced_calls,
                )
                for n in nodes
            ],
        )
    )
    models = sorted(report.models, key=lambda model: -model.cost_nanousd)
    console.print(
        _spend_table(
            "Model",
            [(m.model, m.llm_calls, m.input_tokens, m.output_tokens, m.cost_nanousd, m.unpriced_calls) for m in models],
        )
    )
    metrics = state.metrics
    console.print(
        f"[bold]Total[/bold]     {format_usd(metrics.total_cost_nanousd)}   {_counted(metrics.llm_calls, 'call')}   "
        f"{metrics.total_input_tokens:,} tokens in   {metrics.total_output_tokens:,} out   "
        f"{metrics.total_cached_tokens:,} cached"
    )
    if report.repriced is not None:
        again = report.repriced
        console.print(
            f"[bold]Repriced[/bold]  {format_usd(again.new_nanousd)} at rates {again.snapshot}, for "
            f"{_counted(again.calls, 'call')} that cost {format_usd(again.old_nanousd)} at the time"
        )
    for line in report.budgets:
        console.print(f"[bold]Budget[/bold]    {_budget(line)}")
    if not report.budgets and report.pruned_before is None:
        console.print("[bold]Budget[/bold]    none was touched")
    for reason, calls in report.unpriced.items():
        console.print(
            f"[bold]Unpriced[/bold]  {_counted(calls, 'call')}, missing from the total: {reason}", style="yellow"
        )
    if not report.unpriced:
        console.print("[bold]Unpriced[/bold]  none: every turn has a price")
    if report.pruned_before is not None:
        console.print(
            f"[bold]Pruned[/bold]    before {report.pruned_before[:16].replace('T', ' ')}: the sums are whole, "
            "turns and what budgets did are not in the log any more",
            style="yellow",
        )


def render_sessions(sessions: Sequence[SessionState], base_path: Path, console: Console | None = None) -> None:
    """Print sessions, a line each."""
    console = console or report_console()
    if not sessions:
        console.print(f"No sessions in {base_path}.")
        return
    table = Table(box=box.SIMPLE_HEAD)
    for heading in ("Session", "Started", "Status", "Agent", "User"):
        table.add_column(heading, no_wrap=heading == "Session")
    for heading in ("Calls", "Tokens", "Cost", "Unpriced"):
        table.add_column(heading, justify="right")
    for state in sessions:
        metrics = state.metrics
        table.add_row(
            state.session_id,
            state.timestamps.started_at[:19].replace("T", " "),
            _status(state.status),
            state.agent_id,
            state.user_id,
            f"{metrics.llm_calls:,}",
            f"{metrics.total_tokens:,}",
            format_usd(metrics.total_cost_nanousd),
            _unpriced(metrics.unpriced_calls),
        )
    console.print(table)


def _spend_table(heading: str, rows: Sequence[tuple[str, int, int, int, int, int]]) -> Table:
    table = Table(box=box.SIMPLE_HEAD, pad_edge=False)
    table.add_column(heading, min_width=30)
    for column in ("Calls", "Tokens in", "Tokens out", "Cost", "Unpriced"):
        table.add_column(column, justify="right")
    for name, calls, tokens_in, tokens_out, cost_nanousd, unpriced in rows:
        cost = "unknown" if unpriced == calls else format_usd(cost_nanousd)
        table.add_row(name, f"{calls:,}", f"{tokens_in:,}", f"{tokens_out:,}", cost, _unpriced(unpriced))
    return table


def _status(status: str) -> str:
    return f"[{_STATUS_STYLES.get(status, 'white')}]{status}[/]"


def _unpriced(calls: int) -> str:
    return f"[yellow]{calls:,}[/yellow]" if calls else "0"


def _counted(number: int, what: str) -> str:
    return f"{number:,} {what}" if number == 1 else f"{number:,} {what}s"


def _budget(line: BudgetLine) -> str:
    amounts = (
        f"{format_usd(line.used)} of {format_usd(line.limit)}"
        if line.unit == "usd"
        else f"{line.used:,} of {line.limit:,} {line.unit}"
    )
    scope = f" ({line.scope})" if line.scope else ""
    return f"{line.budget}{scope}: {amounts} used, {line.outcome}"
