"""Reports as text for a terminal; plain and greppable when they are piped."""

from __future__ import annotations

from collections.abc import Iterable, Sequence
from pathlib import Path

from rich.console import Console
from rich.table import Table

from hivecost.events import Totals
from hivecost.money import format_usd
from hivecost.queries import SessionState
from hivecost.reports.console import print_table, report_console, report_table, safe
from hivecost.reports.session import BudgetLine, SessionReport

_STATUS_STYLES = {
    "completed": "green",
    "failed": "red",
    "cancelled": "yellow",
    "interrupted": "red",
    "running": "cyan",
}


def render_session(report: SessionReport, console: Console | None = None) -> None:
    """Print a session's report: per node, per model, totals, budgets, and what has no price."""
    console = console or report_console()
    state, metrics = report.session, report.session.metrics
    console.print(f"\n[bold]Cost report[/bold]  {safe(state.session_id)}  {_status(state.status)}")
    console.print(f"{_who_and_when(state)}\n", style="dim")
    print_table(console, _spend_table("Node", ((node.node_id or "(no node)", node) for node in report.nodes)))
    print_table(console, _spend_table("Model", ((model.model, model) for model in report.models)))
    console.print(
        f"[bold]Total[/bold]     {known_cost(metrics)}   {counted(metrics.llm_calls, 'call')}   "
        f"{metrics.total_input_tokens:,} tokens in   {metrics.total_output_tokens:,} out   "
        f"{metrics.total_cached_tokens:,} cached"
    )
    if report.repriced is not None:
        again = report.repriced
        new = amount_of(again.new_nanousd, again.new_unpriced_calls, again.calls)
        old = amount_of(again.old_nanousd, again.old_unpriced_calls, again.calls)
        console.print(
            f"[bold]Repriced[/bold]  {new} at rates {again.snapshot}, for {counted(again.calls, 'call')} "
            f"whose cost was {old} at the time"
        )
    for line in report.budgets:
        console.print(f"[bold]Budget[/bold]    {_budget(line)}")
    for name in report.blind:
        unseen = counted(report.unseen_calls, "call")
        console.print(f"[bold]Budget[/bold]    {safe(name)}: {unseen} of this session it could not see", style="yellow")
    if not report.budgets and not report.blind and report.pruned_before is None:
        console.print("[bold]Budget[/bold]    none was touched")
    for reason, calls in report.unpriced.items():
        console.print(
            f"[bold]Unpriced[/bold]  {counted(calls, 'call')}, missing from the total: {safe(reason)}", style="yellow"
        )
    if not report.unpriced:
        console.print("[bold]Unpriced[/bold]  none: every turn has a price")
    if report.pruned_before is not None:
        console.print(
            f"[bold]Pruned[/bold]    before {_moment(report.pruned_before)[:16]}: the sums are whole, "
            "turns and what budgets did are not in the log any more",
            style="yellow",
        )


def render_sessions(sessions: Sequence[SessionState], base_path: Path, console: Console | None = None) -> None:
    """Print sessions, a line each."""
    console = console or report_console()
    if not sessions:
        console.print(f"No sessions in {safe(str(base_path))}.")
        return
    table = report_table(
        "Status", "Agent", "User", ids=("Session", "Started"), numbers=("Calls", "Tokens", "Cost", "Unpriced")
    )
    for state in sessions:
        metrics = state.metrics
        table.add_row(
            safe(state.session_id),
            _moment(state.timestamps.started_at)[:19],
            _status(state.status),
            safe(state.agent_id),
            safe(state.user_id),
            f"{metrics.llm_calls:,}",
            f"{metrics.total_tokens:,}",
            known_cost(metrics),
            missing_calls(metrics),
        )
    print_table(console, table)


def known_cost(sums: Totals) -> str:
    """The cost of the turns that have one; `unknown` when none of them has."""
    return amount_of(sums.cost_nanousd, sums.unpriced_calls + sums.invalid_calls, sums.llm_calls)


def amount_of(nanousd: int, unknown_calls: int, calls: int) -> str:
    """A sum over calls of which some have no amount; `unknown`, which is not $0, when none of them has."""
    return "unknown" if calls and unknown_calls == calls else format_usd(nanousd)


def missing_calls(sums: Totals) -> str:
    """How many turns are missing from that cost."""
    missing = sums.unpriced_calls + sums.invalid_calls
    return f"[yellow]{missing:,}[/yellow]" if missing else "0"


def _spend_table(heading: str, rows: Iterable[tuple[str, Totals]]) -> Table:
    table = report_table(heading, numbers=("Calls", "Tokens in", "Tokens out", "Cost", "Unpriced"))
    for name, sums in sorted(rows, key=lambda row: -row[1].cost_nanousd):
        table.add_row(
            safe(name),
            f"{sums.llm_calls:,}",
            f"{sums.input_tokens:,}",
            f"{sums.output_tokens:,}",
            known_cost(sums),
            missing_calls(sums),
        )
    return table


def _who_and_when(state: SessionState) -> str:
    names = (("agent", state.agent_id), ("user", state.user_id), ("org", state.org_id))
    who = [f"{kind} {safe(name)}" for kind, name in names if name]
    return "   ".join([_moment(state.timestamps.started_at), counted(state.metrics.executions, "execution"), *who])


def _moment(iso: str) -> str:
    """`2026-11-22 08:00:00 +01:00` of what ISO 8601 writes in local time."""
    return f"{iso[:19].replace('T', ' ')} {iso[-6:]}"


def _status(status: str) -> str:
    return f"[{_STATUS_STYLES.get(status, 'white')}]{safe(status)}[/]"


def counted(number: int, what: str) -> str:
    """`1 call`, `2 calls`."""
    return f"{number:,} {what}" if number == 1 else f"{number:,} {what}s"


def _budget(line: BudgetLine) -> str:
    amounts = (
        f"{format_usd(line.used)} of {format_usd(line.limit)}"
        if line.unit == "usd"
        else f"{line.used:,} of {line.limit:,} {line.unit}"
    )
    scope = f" ({line.scope})" if line.scope else ""
    return f"{safe(line.budget + scope)}: {amounts} used, {line.outcome}"
