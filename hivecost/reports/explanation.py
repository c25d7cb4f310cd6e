"""`hivecost budget explain`: why a budget grants no more, account by account."""

from __future__ import annotations

from collections.abc import Iterator, Sequence
from datetime import datetime
from typing import Final

import msgspec

from hivecost.backends import Place, read_place
from hivecost.clock import SYSTEM_CLOCK, Clock, to_datetime
from hivecost.errors import ConfigError
from hivecost.events import BudgetExceeded, EventType
from hivecost.ledger import AccountStatus, DoubtfulHold, Holder, LedgerReader
from hivecost.log import LogReader
from hivecost.reports.budgets import BudgetLedgerLine, BudgetReport, budget_report

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
    """Return who holds what of a budget, and what it refused last. Write nothing.

    Raise ConfigError for no such budget, LedgerUnavailableError where none was ever used, and StoreErrors.
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
