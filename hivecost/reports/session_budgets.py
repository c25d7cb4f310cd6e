"""How far the budgets are that a session counted on."""

from __future__ import annotations

from collections.abc import Iterable, Sequence
from datetime import datetime
from typing import Final

import msgspec
from msgspec.structs import replace

from hivecost.attribution import Attribution
from hivecost.clock import SYSTEM_CLOCK, to_datetime, to_ns
from hivecost.events import BudgetExceeded, BudgetWarning
from hivecost.ledger import Account, AccountStatus, Budget, LedgerReader, Lineage, attributes_of
from hivecost.ledger.book import AccountBook
from hivecost.log import LogReader
from hivecost.log.account_sums import (
    add_spending,
    has_accounts_in_log,
    is_summed,
    logged_accounts,
)
from hivecost.log.records import BudgetDefinition, Run, SessionState
from hivecost.log.spending import ELSEWHERE, spending_of_session
from hivecost.reports.budgets import in_last_start

#: Of a session with more executions, the first ones are taken for no sub-agents.
RUNS_MAX: Final = 10_000


class BudgetLine(msgspec.Struct, frozen=True, kw_only=True):
    """How far an account is that this session counted on. Amounts are nano-USD, tokens or calls, as `unit` says."""

    budget: str
    scope: str
    unit: str
    #: What is settled, held and in doubt there, over all sessions; where that is not known any more, how far it was
    #: when it was warned of or exceeded last; with `is_share`, what this session spent.
    used: int
    limit: int
    #: `warned`, or what was done when it was exceeded: `cancelled`, `refused`, `none`. "": neither happened.
    outcome: str
    #: The period's name, such as `2026-11-22`: of several, the last one.
    period: str = ""
    #: `observe`, `stop_after` or `hard`; "" where nobody wrote it down.
    mode: str = ""
    #: What of `used` is in doubt.
    in_doubt: int = 0
    #: The period was over when this was read.
    is_over: bool = False
    #: Of so many executions of this session with an account each, this is the one that is furthest.
    accounts: int = 1
    #: `used` is the part of this session alone: `hivecost budget status` has the whole.
    is_share: bool = False
    #: When a runtime or a Ledger last started with the budget; None: nobody wrote that down.
    last_seen: datetime | None = None
    #: False: what started here last does not have it. It may be that of another program, which counts this session too.
    in_last_start: bool = True


#: The budget, and which account.
_Key = tuple[str, str]


def budget_lines(
    log: LogReader,
    ledger: LedgerReader,
    state: SessionState,
    runs: Sequence[Run],
    events: Sequence[BudgetWarning | BudgetExceeded],
) -> list[BudgetLine]:
    """Return the accounts that budgets warned of or acted on in this session, then the others that it counted on.

    Those of budgets that were known when it ended. `runs` are its executions, the newest first. Raise StoreErrors.
    """
    lines = _told(events)
    definitions = log.budgets()
    current, seen = in_last_start(definitions), {known.budget.name: known.last_seen_ns for known in definitions}
    for counted in _counted_on(log, ledger, state, runs, definitions):
        line = replace(counted, last_seen=to_datetime(seen[counted.budget]), in_last_start=counted.budget in current)
        before = lines.get((line.budget, line.scope))
        if before is not None:
            lines[line.budget, line.scope] = _brought_up(before, line)
        elif line.accounts == 1 or not any(budget == line.budget for budget, _ in lines):
            lines[line.budget, line.scope] = line
    return list(lines.values())


def _told(events: Iterable[BudgetWarning | BudgetExceeded]) -> dict[_Key, BudgetLine]:
    lines: dict[_Key, BudgetLine] = {}
    for event in events:
        lines[event.budget, event.scope] = BudgetLine(
            budget=event.budget,
            scope=event.scope,
            unit=event.unit,
            used=event.used,
            limit=event.limit,
            outcome=event.action if isinstance(event, BudgetExceeded) else "warned",
            period=event.period,
        )
    return lines


def _brought_up(before: BudgetLine, now: BudgetLine) -> BudgetLine:
    """Return what is known of the account now, with what was done about it.

    The log does not know all of an execution's own account: what was told of it may be more.
    """
    is_less = now.is_share or (now.used < before.used and "execution=" in before.scope)
    seen = replace(before, mode=now.mode, last_seen=now.last_seen, in_last_start=now.in_last_start)
    return seen if is_less else replace(now, outcome=before.outcome, accounts=1)


def _counted_on(
    log: LogReader,
    ledger: LedgerReader,
    state: SessionState,
    runs: Sequence[Run],
    known: Sequence[BudgetDefinition],
) -> list[BudgetLine]:
    ended_ns = to_ns(datetime.fromisoformat(state.timestamps.updated_at))
    # The state's times are in whole microseconds.
    budgets = [one.budget for one in known if one.first_seen_ns // 1_000 <= ended_ns // 1_000]
    if not budgets:
        return []
    touched = _touched(log, state.session_id, runs, budgets)
    known_accounts = _standing(log, ledger, touched)
    lines: dict[_Key, BudgetLine] = {}
    for account in touched:
        line = _line(account, known_accounts.get(account))
        # Of all the executions of a budget the furthest has a line.
        key = (line.budget, "" if _is_of_execution(account.budget) else line.scope)
        before = lines.get(key)
        further = line if before is None or line.used > before.used else before
        lines[key] = replace(further, accounts=1 if before is None else before.accounts + 1)
    return list(lines.values())


def _touched(log: LogReader, session_id: str, runs: Sequence[Run], budgets: Sequence[Budget]) -> list[Account]:
    """Return the accounts that the session's turns count on, each with its last period and what they spent there."""
    book, touched = AccountBook(budgets), dict[tuple[str, tuple[str, ...]], Account]()
    lineage = _lineage(runs)
    for execution_id, spending in spending_of_session(log, session_id):
        who = attributes_of(spending)
        ancestors = tuple({**who, "node": "", **one.words} for one in lineage.ancestors(execution_id))
        who["execution"] = execution_id or ELSEWHERE
        for account in book.find(who, spending.timestamp_ns, ancestors):
            add_spending(account, spending)
            touched[account.budget.name, account.values] = account
    return [account for account in touched.values() if _execution_of(account) != ELSEWHERE]


def _lineage(runs: Sequence[Run]) -> Lineage:
    """Return which executions of the session started which."""
    lineage = Lineage()
    for run in reversed(runs[:RUNS_MAX]):
        attribution = Attribution(
            execution_id=run.execution_id, agent_id=run.agent_id, user_id=run.user_id, org_id=run.org_id
        )
        lineage.started(attribution, run.parent_execution_id)
    return lineage


def _standing(log: LogReader, ledger: LedgerReader, touched: Sequence[Account]) -> dict[Account, AccountStatus]:
    """Return how the accounts stand over all sessions.

    Those are left out of which only this session's part is quickly known.
    Hard ones are as the ledger has them, others as the log. Those of executions and sessions are this session's own.
    """
    hard = {budget.name for budget in ledger.budgets()}
    in_ledger = [account for account in touched if account.budget.mode == "hard" and account.budget.name in hard]
    found = ledger.status_of(in_ledger) if in_ledger else {}
    logged: dict[tuple[str, int], dict[str, AccountStatus]] = {}
    for account in touched:
        budget, start_ns = account.budget, account.period.start_ns
        if account in found:
            continue
        if not has_accounts_in_log(budget):
            found[account] = account.status()
        elif is_summed(budget):
            if (budget.name, start_ns) not in logged:
                rows = logged_accounts(log, [budget], start_ns)
                logged[budget.name, start_ns] = {row.scope: row for row in rows}
            if account.scope in logged[budget.name, start_ns]:
                found[account] = logged[budget.name, start_ns][account.scope]
    return found


def _line(account: Account, status: AccountStatus | None) -> BudgetLine:
    shown = status or account.status()
    return BudgetLine(
        budget=shown.budget,
        scope=shown.scope,
        unit=shown.unit,
        used=shown.settled + shown.held + shown.in_doubt,
        limit=shown.limit,
        outcome="",
        period=shown.period,
        mode=account.budget.mode,
        in_doubt=shown.in_doubt,
        is_over=shown.reset_at is not None and to_ns(shown.reset_at) <= SYSTEM_CLOCK.now_ns(),
        is_share=status is None,
    )


def _is_of_execution(budget: Budget) -> bool:
    return "execution" in budget.account_attributes


def _execution_of(account: Account) -> str:
    return dict(zip(account.budget.account_attributes, account.values, strict=True)).get("execution", "")
