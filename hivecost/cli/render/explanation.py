"""Why a budget grants no more, as text for a terminal."""

from __future__ import annotations

from collections.abc import Iterator, Sequence
from datetime import datetime, timedelta
from functools import partial

from rich.console import Console

from hivecost.cli.render.budgets import counted_turns, local_minute, rough_span
from hivecost.cli.render.console import print_table, report_console, report_table, safe
from hivecost.ledger import Holder, Unit
from hivecost.ledger.amounts import format_amount
from hivecost.log.rows import PERIOD_DIMENSIONS
from hivecost.reports import AccountExplanation, BudgetExplanation, BudgetLedgerLine, RefusalLine


def render_explanation(explanation: BudgetExplanation, console: Console | None = None) -> None:
    """Print the budget, its accounts with who holds what of each, and what it refused last."""
    console = console or report_console()
    line, now = explanation.budget, explanation.at
    for text in _heading(line):
        console.print(text)
    console.print()
    for one in explanation.accounts:
        _print_account(console, one, line, now)
    if not explanation.accounts:
        console.print(_why_no_account(line))
    _print_refusals(console, explanation.refusals, line.unit)


def _heading(line: BudgetLedgerLine) -> Iterator[str]:
    per = f", an account for each {' and '.join(line.attributes)}" if line.attributes else ""
    zone = f" ({line.timezone})" if line.window in PERIOD_DIMENSIONS else ""
    limit = format_amount(line.limit, line.unit)
    marks = f"{', shadow' if line.shadow else ''}{', retired' if line.is_retired else ''}"
    yield f"[bold]{safe(line.budget)}[/bold]  {line.mode}{marks}"
    window = "in total" if line.window == "total" else f"per {line.window}"
    counts = f", counts {counted_turns(line.match)}" if line.match is not None else ""
    yield f"{limit} {window}{safe(zone + counts + per)}"
    if line.frozen:
        yield f"[red]Frozen[/red]    {safe(line.frozen)}: nothing is granted until `hivecost budget unfreeze`"


def _print_account(console: Console, one: AccountExplanation, line: BudgetLedgerLine, now: datetime) -> None:
    account, amount = one.account, partial(format_amount, unit=line.unit)
    reset = "" if account.reset_at is None else f", it resets at {local_minute(account.reset_at)}"
    console.print(
        f"[bold]{safe(account.scope) or 'all'}[/bold]  {safe(account.period)}: {amount(account.settled)} of "
        f"{amount(account.limit)} settled, {amount(account.remaining)} left{reset}"
    )
    for holder in one.holders:
        console.print(f"  Held      {_held(holder, line.unit, now)}")
    for doubt in one.in_doubt:
        key = f", key {doubt.key}" if doubt.key else ""
        since = f"since {local_minute(doubt.since)} ({rough_span(now - doubt.since)} ago)"
        console.print(f"  In doubt  {amount(doubt.amount)}: hold {doubt.hold_id}, {safe(doubt.reason + key)}, {since}")
    console.print()


def _held(holder: Holder, unit: Unit, now: datetime) -> str:
    by = f"by {holder.process} (since {local_minute(holder.since)})"
    lent = f"{format_amount(holder.lent, unit)} more is lent to it" if holder.lent else ""
    if not holder.holds:
        return f"nothing {by}; {lent}"
    holds = "1 turn" if holder.holds == 1 else f"{holder.holds:,} turns"
    age = timedelta() if holder.held_since is None else now - holder.held_since
    text = f"{format_amount(holder.held, unit)} for {holds} {by}, the oldest for {rough_span(age)}"
    return f"{text}; {lent}" if lent else text


def _why_no_account(line: BudgetLedgerLine) -> str:
    if line.is_elsewhere:
        return "Its money is in another ledger: ask its runtime with `await runtime.budgets.status()`.\n"
    for own in ("execution", "session"):
        if own in line.attributes:
            return f"Each {own} has an account of its own: its runtime has them, `await runtime.budgets.status()`.\n"
    return "Nothing was asked of it in this period.\n"


def _print_refusals(console: Console, refusals: Sequence[RefusalLine], unit: Unit) -> None:
    if not refusals:
        console.print("Nothing was refused, as far as it is logged.")
        return
    table = report_table("Scope", "Period", "Done", "Agent", ids=("When",), numbers=("Used", "Limit", "Needed", "Left"))
    for one in refusals:
        amounts = (format_amount(amount, unit) for amount in (one.used, one.limit))
        needed = (format_amount(one.needed, unit), format_amount(one.remaining, unit)) if one.needed else ("", "")
        where = (safe(one.scope) or "all", safe(one.period), safe(one.action), safe(one.agent_id))
        table.add_row(f"{one.at.astimezone():%Y-%m-%d %H:%M:%S}", *where, *amounts, *needed)
    print_table(console, table)
