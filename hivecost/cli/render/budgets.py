"""Budgets, doubts and the audit trail as text for a terminal."""

from __future__ import annotations

from collections.abc import Iterator, Mapping, Sequence
from datetime import datetime, timedelta
from typing import Final

from hivecost.cli.render.console import print_table, report_console, report_table, safe
from hivecost.clock import to_datetime
from hivecost.ledger import AccountStatus, BudgetChange, DoubtfulHold
from hivecost.ledger.amounts import format_amount
from hivecost.reports import BudgetLedgerLine, BudgetReport

#: No runtime has started with a budget for so long: it may be one that nobody uses any more.
_LONG_AGO: Final = timedelta(days=30)
_OVERRULED_SHOWN: Final = 20


def render_budgets(report: BudgetReport) -> None:
    """Print how every budget stands, an account a line, and what of it needs someone to look."""
    console = report_console()
    table = report_table(
        "Budget",
        "Scope",
        "Period",
        numbers=("Limit", "Settled", "Held", "In doubt", "Remaining"),
        last=("Resets at", "State", "Mode", "Counts"),
    )
    for line in report.budgets:
        for account in line.accounts:
            table.add_row(safe(line.budget), *_cells(line, account, report.at), *_kind(line))
        if not line.accounts:
            table.add_row(safe(line.budget), *_cells_without_account(line, report.at), *_kind(line))
    print_table(console, table)
    for note in _notes(report):
        console.print(note)


def render_doubts(holds: Sequence[DoubtfulHold], now: datetime) -> None:
    """Print the holds in doubt, an account a line."""
    console = report_console()
    if not holds:
        console.print("No hold is in doubt.")
        return
    table = report_table("Since", "Why", "Key", "Budget", "Scope", "Period", ids=("Hold",), numbers=("Charged",))
    for hold in holds:
        since = to_datetime(hold.since_ns)
        ago = f"{local_minute(since)} ({rough_span(now - since)} ago)"
        first = (hold.hold_id, ago, safe(hold.reason), safe(hold.key))
        for number, part in enumerate(hold.amounts):
            where = (safe(part.budget), safe(part.scope), part.period, format_amount(part.amount, part.unit))
            table.add_row(*(("",) * len(first) if number else first), *where)
    print_table(console, table)
    console.print("Each is charged in full until `hivecost budget resolve HOLD --usd AMOUNT | --never-sent`.")


def render_changes(changes: Sequence[BudgetChange]) -> None:
    """Print the audit trail, an entry a line."""
    console = report_console()
    if not changes:
        console.print("Nothing was changed yet.")
        return
    table = report_table("Who", "What", "Subject", "Detail", ids=("When",))
    for change in changes:
        when = f"{change.at.astimezone():%Y-%m-%d %H:%M:%S}"
        table.add_row(when, safe(change.who), change.what, safe(change.subject), safe(change.detail))
    print_table(console, table)


def _notes(report: BudgetReport) -> Iterator[str]:
    """Yield a line for each thing in the report that needs someone to look, and how."""
    for line in report.budgets:
        if line.limit != line.configured_limit:
            limits = (format_amount(limit, line.unit) for limit in (line.limit, line.configured_limit))
            yield f"Changed   {safe(line.budget)}: {' in force, '.join(limits)} configured (`hivecost budget audit`)"
    for own in report.overruled[:_OVERRULED_SHOWN]:
        amounts = (own.limit, own.configured_limit)
        in_force, configured = (
            "that of the budget" if one is None else format_amount(one, own.unit) for one in amounts
        )
        yield f"Changed   {safe(own.budget)} ({safe(own.scope)}): {in_force} in force, {configured} configured"
    if len(report.overruled) > _OVERRULED_SHOWN:
        yield f"          and {len(report.overruled) - _OVERRULED_SHOWN:,} more (`hivecost budget status --json`)"
    for line in report.budgets:
        if line.frozen:
            yield f"[red]Frozen[/red]    {safe(line.budget)}: {safe(line.frozen)}"
    if any(line.frozen for line in report.budgets):
        yield "          `hivecost budget unfreeze NAME` grants again, once someone has looked"
    if any(account.in_doubt for line in report.budgets for account in line.accounts):
        yield "[yellow]In doubt[/yellow]  `hivecost budget doubts` lists the holds, `resolve` settles them"


def _kind(line: BudgetLedgerLine) -> Iterator[str]:
    yield line.mode
    yield safe(counted_turns(line.match))


def counted_turns(match: Mapping[str, Sequence[str]] | None) -> str:
    """Return `org=acme, model=gpt-4o or gpt-4o-mini`, or `all turns`; "" where nobody knows."""
    if match is None:
        return ""
    return ", ".join(f"{name}={' or '.join(values)}" for name, values in match.items()) or "all turns"


def _cells(line: BudgetLedgerLine, account: AccountStatus, now: datetime) -> Iterator[str]:
    yield safe(account.scope) or "all"
    yield account.period
    is_held = line.mode == "hard"
    for amount in (account.limit, account.settled):
        yield format_amount(amount, line.unit)
    for amount in (account.held, account.in_doubt):
        yield format_amount(amount, line.unit) if is_held else ""
    yield format_amount(account.remaining, line.unit)
    yield "never" if account.reset_at is None else _reset(account.reset_at, now)
    unpriced = f", {account.unpriced_calls:,} without a price" if account.unpriced_calls and line.unit == "usd" else ""
    yield _state(line, "[yellow]spent[/yellow]" if not account.remaining else "open", now) + unpriced


def _cells_without_account(line: BudgetLedgerLine, now: datetime) -> Iterator[str]:
    if "execution" in line.attributes or "session" in line.attributes:
        yield "each execution" if "execution" in line.attributes else "each session"
    else:
        yield "none yet"
    yield line.window
    yield format_amount(line.limit, line.unit)
    yield from [""] * 5
    yield _state(line, "in another ledger" if line.is_elsewhere else "open", now)


def _state(line: BudgetLedgerLine, otherwise: str, now: datetime) -> str:
    state = "[red]frozen[/red]" if line.frozen else "retired" if line.is_retired else otherwise
    if line.shadow:
        state += ", shadow"
    if line.last_seen is not None and not (line.in_last_start and now - line.last_seen <= _LONG_AGO):
        state += f", last started {rough_span(now - line.last_seen)} ago"
    return state


def _reset(at: datetime, now: datetime) -> str:
    return f"{local_minute(at)} (in {rough_span(at - now)})"


def local_minute(moment: datetime) -> str:
    """Return `2026-11-22 05:46`, in local time."""
    return f"{moment.astimezone():%Y-%m-%d %H:%M}"


def rough_span(span: timedelta) -> str:
    """Return `40 s`, `25 min`, `3 h` or `12 d`: the largest unit of which it is two or more."""
    seconds = max(0, round(span.total_seconds()))
    for size, unit in ((86_400, "d"), (3_600, "h"), (60, "min")):
        if seconds >= 2 * size:
            return f"{seconds // size} {unit}"
    return f"{seconds} s"
