"""`hivecost budget explain`: why a budget grants no more, account by account."""

from __future__ import annotations

from collections.abc import Iterator, Sequence
from datetime import datetime
from functools import partial
from pathlib import Path

import msgspec

from hivecost.backends.sqlite import DoubtfulHold, Holder, read_doubts, read_holders
from hivecost.backends.sqlite.reading import load_refusals
from hivecost.clock import SYSTEM_CLOCK, Clock, to_datetime
from hivecost.errors import ConfigError
from hivecost.events import BudgetExceeded
from hivecost.ledger import AccountStatus
from hivecost.reports.budgets import BudgetLedgerLine, load_budget_report
from hivecost.threads import run_in_thread


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


async def explain_budget(base_path: str | Path, name: str, *, clock: Clock = SYSTEM_CLOCK) -> BudgetExplanation:
    """Who holds what of a budget, and what it refused last. Reads only.

    Raises ConfigError for no such budget, LedgerUnavailableError where none was ever used, and StoreErrors.
    """
    report = await load_budget_report(base_path, clock=clock)
    line = next((line for line in report.budgets if line.budget == name), None)
    if line is None:
        names = ", ".join(repr(line.budget) for line in report.budgets)
        raise ConfigError("budget", f"one of {names} (caps live in the memory of their run)", got=name)
    holders: dict[tuple[str, str], list[Holder]] = {}
    doubts: list[DoubtfulHold] = []
    if line.mode == "hard":
        holders = await run_in_thread(partial(read_holders, Path(base_path), name))
        doubts = await run_in_thread(partial(read_doubts, Path(base_path), clock.now_ns()))
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
        refusals=[_refusal(event) for event in await load_refusals(base_path, name)],
    )


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
