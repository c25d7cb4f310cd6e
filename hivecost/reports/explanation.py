"""`hivecost budget explain`: why a budget grants no more, account by account."""

from __future__ import annotations

from collections.abc import Iterator, Sequence
from datetime import datetime, timedelta
from functools import partial
from typing import Final

import msgspec
from rich.console import Console

from hivecost.backends import Place, read_place
from hivecost.clock import SYSTEM_CLOCK, Clock, to_datetime
from hivecost.errors import ConfigError
from hivecost.events import BudgetExceeded, EventType
from hivecost.ledger import AccountStatus, DoubtfulHold, Holder, LedgerReader, Unit
from hivecost.ledger.amounts import format_amount
from hivecost.log import LogReader
from hivecost.reports.budgets import BudgetLedgerLine, BudgetReport, budget_report
from hivecost.reports.budgets_terminal import counted_turns, local_minute, rough_span
from hivecost.reports.console import print_table, report_console, report_table, safe

#: So many are shown.
_REFUSALS: Final = 10


class DoubtOfAccount(msgspec.Struct, frozen=True, kw_only=True):
    """A hold in doubt, and what it is charged on this account."""

    hold_id: str
    key: str
    reason: str
    since: datetime
    amount: int


class AccountExplanation(msgspec.Struct, frozen=True, kw_only=True):
    """An account, and who holds what of it."""

    account: AccountStatus
    holders: list[Holder]
    in_doubt: list[DoubtOfAccount]


class RefusalLine(msgspec.Struct, frozen=True, kw_only=True):
    """What the budget stopped, as it was logged. Amounts are in its unit."""

    at: datetime
    scope: str
    period: str
    #: What was done: `refused`, `cancelled`, `paused`, `throttled`, `stopped` or `none`.
    action: str
    used: int
    limit: int
    #: What the turn asked for; 0: nobody said, or it was stopped after the fact.
    needed: int
    remaining: int
    agent_id: str
    session_id: str
    execution_id: str


class BudgetExplanation(msgspec.Struct, frozen=True, kw_only=True):
    """All that is known of why a budget grants what it grants, at one instant."""

    at: datetime
    budget: BudgetLedgerLine
    accounts: list[AccountExplanation]
    #: The newest first.
    refusals: list[RefusalLine]


async def explain_budget(place: Place, name: str, *, clock: Clock = SYSTEM_CLOCK) -> BudgetExplanation:
    """Who holds what of a budget, and what it refused last. Reads only.

    Raises ConfigError for no such budget, LedgerUnavailableError where none was ever used, and StoreErrors.
    """
    now_ns = clock.now_ns()

    def explained(log: LogReader, ledger: LedgerReader) -> BudgetExplanation:
        return _explained(log, ledger, budget_report(log, ledger, place=place, now_ns=now_ns), name, now_ns)

    return await read_place(place, explained)


def _explained(log: LogReader, ledger: LedgerReader, report: BudgetReport, name: str, now_ns: int) -> BudgetExplanation:
    line = next((line for line in report.budgets if line.budget == name), None)
    if line is None:
        names = ", ".join(repr(line.budget) for line in report.budgets)
        raise ConfigError("budget", f"one of {names} (caps live in the memory of their run)", got=name)
    is_held = line.mode == "hard"
    holders = ledger.holders(name) if is_held else {}
    doubts = ledger.in_doubt(now_ns) if is_held else []
    refusals = log.alerts(types=[EventType.BUDGET_EXCEEDED], budget=name, limit=_REFUSALS)
    return BudgetExplanation(
        at=report.at,
        budget=line,
        accounts=[
            AccountExplanation(
                account=account,
                holders=holders.get((account.scope, account.period), []),
                in_doubt=list(_doubts_of(account, doubts)),
            )
            for account in line.accounts
        ],
        refusals=[_refusal(event) for event in refusals if isinstance(event, BudgetExceeded)],
    )


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
    zone = f" ({line.timezone})" if line.window in ("hour", "day", "week", "month") else ""
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


def _doubts_of(account: AccountStatus, doubts: Sequence[DoubtfulHold]) -> Iterator[DoubtOfAccount]:
    for hold in doubts:
        for part in hold.amounts:
            if (part.budget, part.scope, part.period) == (account.budget, account.scope, account.period):
                yield DoubtOfAccount(
                    hold_id=hold.hold_id,
                    key=hold.key,
                    reason=hold.reason,
                    since=to_datetime(hold.since_ns),
                    amount=part.amount,
                )


def _refusal(event: BudgetExceeded) -> RefusalLine:
    return RefusalLine(
        at=event.timestamp,
        scope=event.scope,
        period=event.period,
        action=event.action,
        used=event.used,
        limit=event.limit,
        needed=event.needed,
        remaining=event.remaining,
        agent_id=event.agent_id,
        session_id=event.session_id,
        execution_id=event.execution_id,
    )
