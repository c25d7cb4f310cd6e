"""Sessions as text for a terminal; plain and greppable when it is piped."""

from __future__ import annotations

from collections.abc import Iterable, Iterator, Sequence
from typing import Final

from rich.console import Console
from rich.table import Table

from hivecost.backends import Place
from hivecost.cli.render.budgets import rough_span
from hivecost.cli.render.console import print_table, report_console, report_table, safe
from hivecost.cli.render.sums import (
    amount_headings,
    amount_of,
    amounts,
    counted,
    in_doubt_note,
    known_cost,
    notional_note,
)
from hivecost.clock import SYSTEM_CLOCK, to_datetime
from hivecost.events import Totals
from hivecost.ledger import UNSEEN
from hivecost.ledger.period import for_period
from hivecost.log.contexts import CarriedTotals
from hivecost.log.records import SessionState
from hivecost.money import format_usd
from hivecost.reports import AlertLine, BudgetLine, SessionError, SessionPeople, SessionReport

#: Lines of one kind, and names of one kind, that are shown.
_LINES_SHOWN: Final = 20
_NAMES_SHOWN: Final = 6

_STATUS_STYLES = {
    "completed": "green",
    "failed": "red",
    "cancelled": "yellow",
    "interrupted": "red",
    "running": "cyan",
}


def render_session(report: SessionReport, console: Console | None = None, *, tools: bool = False) -> None:
    """Print a session's report: per node, per model, totals, budgets, and what has no price; with `tools` per tool."""
    console = console or report_console()
    state, metrics = report.session, report.session.metrics
    console.print(f"\n[bold]Cost report[/bold]  {safe(state.session_id)}  {_status(state.status)}")
    console.print(f"{_who_and_when(state, report.people)}\n", style="dim")
    print_table(console, _spend_table("Node", ((node.node_id or "(no node)", node) for node in report.nodes)))
    print_table(console, _spend_table("Model", ((model.model, model) for model in report.models)))
    if tools:
        _print_tools(console, report.carried)
    console.print(
        f"[bold]Total[/bold]     {known_cost(metrics)}   {counted(metrics.llm_calls, 'call')}   "
        f"{metrics.total_input_tokens:,} tokens in   {metrics.total_output_tokens:,} out   "
        f"{metrics.total_cached_tokens:,} cached"
    )
    if metrics.notional_nanousd:
        console.print(f"[bold]Notional[/bold]  {notional_note(metrics.notional_nanousd)}")
    if report.compactions:
        console.print(f"[bold]Compacted[/bold] {_compactions(report)}")
    if report.repriced is not None:
        again = report.repriced
        new = amount_of(again.new_nanousd, again.new_unpriced_calls, again.calls)
        old = amount_of(again.old_nanousd, again.old_unpriced_calls, again.calls)
        console.print(
            f"[bold]Repriced[/bold]  {new} at rates {again.snapshot}, for {counted(again.calls, 'call')} "
            f"whose cost was {old} at the time"
        )
    _print_lines(console, "Budget", map(_budget, report.budgets))
    for name in report.blind:
        unseen = counted(report.unseen_calls, "call")
        console.print(f"[bold]Budget[/bold]    {safe(name)}: {unseen} of this session it could not see", style="yellow")
    if not report.budgets and not report.blind and report.pruned_before is None:
        console.print("[bold]Budget[/bold]    none was touched")
    told = (alert for alert in report.alerts if alert.rule != UNSEEN)  # which is the line on the budget above
    _print_lines(console, "Alert", map(_alert, told), style="yellow")
    _print_lines(console, "Error", (_error(one) for one in report.errors if one.status == "failed"), style="red")
    _print_lines(console, "Cancelled", (_error(one) for one in _unexplained(report)), style="yellow")
    if report.in_doubt is not None:
        note = f"{in_doubt_note(report.in_doubt)}; in this folder, whichever session it is of"
        console.print(f"[bold]In doubt[/bold]  {note}", style="yellow")
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


def render_sessions(sessions: Sequence[SessionState], place: Place, console: Console | None = None) -> None:
    """Print sessions, a line each."""
    console = console or report_console()
    if not sessions:
        console.print(f"No sessions in {safe(str(place))}.")
        return
    headings = amount_headings(state.metrics for state in sessions)
    numbers = ("Runs", "Calls", "Tokens", *headings)
    table = report_table("Status", "Agent", "User", ids=("Session", "Started"), numbers=numbers)
    for state in sessions:
        metrics = state.metrics
        table.add_row(
            safe(state.session_id),
            _moment(state.timestamps.started_at)[:19],
            _status(state.status),
            safe(state.agent_id),
            safe(state.user_id),
            f"{metrics.agent_runs:,}",
            f"{metrics.llm_calls:,}",
            f"{metrics.total_tokens:,}",
            *amounts(metrics, headings),
        )
    print_table(console, table)


def _compactions(report: SessionReport) -> str:
    """Return what compactions took out, what that saved in later turns, and what it cost."""
    nodes = report.compactions
    net = sum(node.net_nanousd for node in nodes)
    cost, rewrite = sum(node.cost_nanousd for node in nodes), sum(node.cache_rewrite_nanousd for node in nodes)
    unknown = sum(node.unpriced_compactions + node.unpriced_turns for node in nodes)
    tokens = sum(node.tokens_saved for node in nodes)
    said = (
        f"{counted(sum(node.compactions for node in nodes), 'time')}, {tokens:,} tokens out, "
        f"ratio {report.compression_ratio:.2f}: {format_usd(sum(node.saved_nanousd for node in nodes))} saved in "
        f"{counted(sum(node.later_turns for node in nodes), 'later turn')}, less {format_usd(cost)} for summaries and "
        f"{format_usd(rewrite)} for caches written again: {_signed(net)}"
    )
    return f"{said}, [yellow]with {counted(unknown, 'amount')} unknown[/yellow]" if unknown else said


def _signed(nanousd: int) -> str:
    return f"[red]-{format_usd(-nanousd)}[/red]" if nanousd < 0 else format_usd(nanousd)


def _print_tools(console: Console, carried: Sequence[CarriedTotals]) -> None:
    if not carried:
        console.print(
            "No results of tools are known to have been sent again: nodes with a context budget count them.\n"
        )
        return
    table = report_table("Node", "Tool", numbers=("Turns", "Results", "Tokens again", "Cost again", "Of old ones"))
    for one in carried:
        amounts = (one.nanousd, one.old_nanousd)
        are_known = one.unpriced_turns < one.turns
        table.add_row(
            safe(one.node_id or "(no node)"),
            safe(one.tool or "(unknown)"),
            *(f"{count:,}" for count in (one.turns, one.results, one.tokens)),
            *(format_usd(amount) if are_known else "unknown" for amount in amounts),
        )
    print_table(console, table)


def _spend_table(heading: str, rows: Iterable[tuple[str, Totals]]) -> Table:
    every = sorted(rows, key=lambda row: -row[1].cost_nanousd)
    headings = amount_headings(sums for _, sums in every)
    table = report_table(heading, numbers=("Calls", "Tokens in", "Tokens out", *headings))
    for name, sums in every:
        counts = (sums.llm_calls, sums.input_tokens, sums.output_tokens)
        table.add_row(safe(name), *(f"{count:,}" for count in counts), *amounts(sums, headings))
    return table


def _print_lines(console: Console, label: str, lines: Iterable[str], *, style: str = "") -> None:
    """Print the lines behind their label; of many, the first ones, and how many more there are."""
    every = list(lines)
    for line in every[:_LINES_SHOWN]:
        console.print(f"[bold]{label:<9}[/bold] {line}", style=style)
    if len(every) > _LINES_SHOWN:
        console.print(f"[bold]{label:<9}[/bold] … and {len(every) - _LINES_SHOWN:,} more (--json has all)", style=style)


def _who_and_when(state: SessionState, people: SessionPeople | None) -> str:
    if people is None:
        people = SessionPeople(agents=(state.agent_id,), users=(state.user_id,), orgs=(state.org_id,))
    kinds = (("agent", people.agents), ("user", people.users), ("org", people.orgs))
    who = [_named(kind, names) for kind, names in kinds if any(names)]
    return "   ".join([_moment(state.timestamps.started_at), counted(state.metrics.executions, "execution"), *who])


def _named(kind: str, names: Sequence[str]) -> str:
    """Return `agent planner`, `agents planner, runaway` or `120 agents`."""
    if len(names) > _NAMES_SHOWN:
        return counted(len(names), kind)
    return f"{kind if len(names) == 1 else f'{kind}s'} {safe(', '.join(names))}"


def _moment(iso: str) -> str:
    """Return `2026-11-22 08:00:00 +01:00` for an ISO 8601 text in local time."""
    return f"{iso[:19].replace('T', ' ')} {iso[-6:]}"


def _status(status: str) -> str:
    return f"[{_STATUS_STYLES.get(status, 'white')}]{safe(status)}[/]"


def _budget(line: BudgetLine) -> str:
    used, limit = (format_usd(amount) if line.unit == "usd" else f"{amount:,}" for amount in (line.used, line.limit))
    unit = "" if line.unit == "usd" else f" {line.unit}"
    scope = f" ({line.scope})" if line.scope else ""
    amounts = f"{used} of {limit}{unit} used"
    if line.is_share:
        amounts = f"{used} of {limit}{unit} used by this session (`hivecost budget status` has the whole)"
    said = [amounts + for_period(line.period) if line.is_over else amounts]
    if line.in_doubt:
        said.append(f"{format_usd(line.in_doubt) if line.unit == 'usd' else f'{line.in_doubt:,}'} of it in doubt")
    if line.accounts > 1:
        said.append(f"the most of {line.accounts:,} executions")
    if line.outcome:
        said.append("over" if line.outcome == "none" else line.outcome)
    if line.last_seen is not None and not line.in_last_start:
        ago = rough_span(to_datetime(SYSTEM_CLOCK.now_ns()) - line.last_seen)
        said.append(f"last started {ago} ago, others may use it")
    return safe(f"{line.budget}{scope}: {', '.join(said)}")


def _alert(line: AlertLine) -> str:
    where = "/".join(name for name in (line.agent_id, line.node_id) if name)
    times = f" ({line.times:,} times)" if line.times > 1 else ""
    return safe(f"{where}: {line.rule}: {line.message}" if where else f"{line.rule}: {line.message}") + times


def _error(one: SessionError) -> str:
    times = f" ({one.executions:,} executions)" if one.executions > 1 else ""
    return safe(f"{one.agent_id}: {one.error}") + times


def _unexplained(report: SessionReport) -> Iterator[SessionError]:
    """Yield the cancellations that no line about a budget explains."""
    said = [f": budget {line.budget!r}" for line in report.budgets if line.outcome]
    for one in report.errors:
        if one.status != "failed" and not any(words in one.error for words in said):
            yield one
