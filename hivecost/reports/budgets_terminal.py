"""Hard budgets, doubts and the audit trail as text for a terminal."""

from __future__ import annotations

from collections.abc import Iterator, Sequence
from datetime import datetime, timedelta

from rich import box
from rich.markup import escape
from rich.table import Table

from hivecost.clock import to_datetime
from hivecost.ledger import AccountStatus
from hivecost.ledger.amounts import format_amount
from hivecost.queries import BudgetChange
from hivecost.reports.budgets import BudgetLedgerLine, BudgetReport
from hivecost.reports.console import report_console
from hivecost.store import DoubtfulHold


def render_budgets(report: BudgetReport) -> None:
    """Print how every hard budget stands, an account a line, and what of it needs someone to look."""
    console = report_console()
    table = Table(box=box.SIMPLE_HEAD, pad_edge=False)
    for heading in ("Budget", "Scope", "Period"):
        table.add_column(heading, no_wrap=heading == "Budget")
    for heading in ("Limit", "Settled", "Held", "In doubt", "Remaining"):
        table.add_column(heading, justify="right")
    for heading in ("Resets at", "State"):
        table.add_column(heading)
    for line in report.budgets:
        for account in line.accounts:
            table.add_row(*_cells(line, account, report.at))
        if not line.accounts:
            table.add_row(*_cells_without_account(line))
    console.print(table)
    for note in _notes(report):
        console.print(note)


def render_doubts(holds: Sequence[DoubtfulHold], now: datetime) -> None:
    """Print the holds in doubt, an account a line."""
    console = report_console()
    if not holds:
        console.print("No hold is in doubt.")
        return
    table = Table(box=box.SIMPLE_HEAD, pad_edge=False)
    for heading in ("Hold", "Since", "Why", "Key", "Budget", "Scope", "Period"):
        table.add_column(heading, no_wrap=heading == "Hold")
    table.add_column("Charged", justify="right")
    for hold in holds:
        since = to_datetime(hold.since_ns)
        first = (hold.hold_id, f"{_local(since)} ({_span(now - since)} ago)", escape(hold.reason), escape(hold.key))
        for number, part in enumerate(hold.amounts):
            where = (escape(part.budget), escape(part.scope), part.period, format_amount(part.amount, part.unit))
            table.add_row(*(("",) * len(first) if number else first), *where)
    console.print(table)
    console.print("Each is charged in full until `hivecost budget resolve HOLD --usd AMOUNT | --never-sent`.")


def render_changes(changes: Sequence[BudgetChange]) -> None:
    """Print the audit trail, an entry a line."""
    console = report_console()
    if not changes:
        console.print("Nothing was changed yet.")
        return
    table = Table(box=box.SIMPLE_HEAD, pad_edge=False)
    for heading in ("When", "Who", "What", "Subject", "Detail"):
        table.add_column(heading, no_wrap=heading == "When")
    for change in changes:
        when = f"{change.at.astimezone():%Y-%m-%d %H:%M:%S}"
        table.add_row(when, escape(change.who), change.what, escape(change.subject), escape(change.detail))
    console.print(table)


def _notes(report: BudgetReport) -> Iterator[str]:
    """What of it needs someone to look, and how."""
    for line in report.budgets:
        if line.limit != line.configured_limit:
            limits = (format_amount(limit, line.unit) for limit in (line.limit, line.configured_limit))
            yield f"Changed   {escape(line.budget)}: {' in force, '.join(limits)} configured (`hivecost budget audit`)"
    for line in report.budgets:
        if line.frozen:
            yield f"[red]Frozen[/red]    {escape(line.budget)}: {escape(line.frozen)}"
    if any(line.frozen for line in report.budgets):
        yield "          `hivecost budget unfreeze NAME` grants again, once someone has looked"
    if any(account.in_doubt for line in report.budgets for account in line.accounts):
        yield "[yellow]In doubt[/yellow]  `hivecost budget doubts` lists the holds, `resolve` settles them"


def _cells(line: BudgetLedgerLine, account: AccountStatus, now: datetime) -> Iterator[str]:
    yield escape(line.budget)
    yield escape(account.scope) or "all"
    yield account.period
    for amount in (account.limit, account.settled, account.held, account.in_doubt, account.remaining):
        yield format_amount(amount, line.unit)
    yield "never" if account.reset_at is None else f"{_local(account.reset_at)} (in {_span(account.reset_at - now)})"
    yield _state(line, "[yellow]spent[/yellow]" if not account.remaining else "open")


def _cells_without_account(line: BudgetLedgerLine) -> Iterator[str]:
    yield escape(line.budget)
    yield "each execution" if line.window == "execution" else "none yet"
    yield line.window
    yield format_amount(line.limit, line.unit)
    yield from [""] * 5
    yield _state(line, "open")


def _state(line: BudgetLedgerLine, otherwise: str) -> str:
    state = "[red]frozen[/red]" if line.frozen else otherwise
    return f"{state}, shadow" if line.shadow else state


def _local(moment: datetime) -> str:
    return f"{moment.astimezone():%Y-%m-%d %H:%M}"


def _span(span: timedelta) -> str:
    """`40 s`, `25 min`, `3 h`, `12 d`: the largest unit of which it is two or more."""
    seconds = max(0, round(span.total_seconds()))
    for size, unit in ((86_400, "d"), (3_600, "h"), (60, "min")):
        if seconds >= 2 * size:
            return f"{seconds // size} {unit}"
    return f"{seconds} s"
