"""Usage statistics of a session, or of any time, with the limits of agents and models, and the turns behind them."""

from __future__ import annotations

from collections.abc import Iterator, Mapping, Sequence
from typing import Any

from hivecost.clock import to_ns
from hivecost.ledger import AccountStatus, LedgerReader
from hivecost.log import LogReader
from hivecost.log.account_sums import logged_accounts
from hivecost.log.statistics import Statistics, UsageLimit, statistics_of, usage_entry
from hivecost.reports.dearest import turns_of
from hivecost.reports.selection import Selection, total


def usage_statistics(log: LogReader, ledger: LedgerReader, selection: Selection) -> Statistics:
    """Return the statistics of a selection; of one session, how long it lasted. Raise StoreErrors.

    Limits are those of budgets as they stand at present: of an agent or a model those with an account of its name
    alone, of the whole the nearest in USD that counts everything.
    """
    agents, models = selection.sums(log, ("agent",)), selection.sums(log, ("model",))
    accounts = _accounts(log, ledger, selection.now_ns)
    whole = [account for account in accounts if account.unit == "usd" and not account.scope]
    nearest = max(whole, key=_used, default=None)
    return statistics_of(
        total(agents),
        {row.group[0]: row for row in agents},
        {row.group[0]: row for row in models},
        limit_name=None if nearest is None else nearest.budget,
        limit_nanousd=None if nearest is None else nearest.limit,
        spent_nanousd=None if nearest is None else nearest.settled + nearest.held + nearest.in_doubt,
        agent_limits=_limits(accounts, "agent"),
        model_limits=_limits(accounts, "model"),
        duration_s=_duration_s(log, selection),
    )


def usage_history(log: LogReader, selection: Selection) -> Iterator[dict[str, Any]]:
    """Give the turns of a selection that are in the log, oldest first as they were logged. Raise StoreErrors."""
    return map(usage_entry, turns_of(log, selection))


def _accounts(log: LogReader, ledger: LedgerReader, now_ns: int) -> list[AccountStatus]:
    counting = [known.budget for known in log.budgets() if known.budget.mode != "hard" and not known.is_retired]
    return [*(ledger.status(now_ns) if ledger.budgets() else ()), *logged_accounts(log, counting, now_ns)]


def _limits(accounts: Sequence[AccountStatus], attribute: str) -> Mapping[str, UsageLimit]:
    found: dict[str, UsageLimit] = {}
    for account in sorted(accounts, key=_used):
        name, _, value = account.scope.partition("=")
        if name == attribute and "," not in value:
            percent = round(100 * _used(account), 1)
            found[value] = UsageLimit(
                budget=account.budget, limit=account.limit, unit=account.unit, percent_used=percent
            )
    return found


def _used(account: AccountStatus) -> float:
    used = account.settled + account.held + account.in_doubt
    return used / account.limit if account.limit > 0 else 1.0


def _duration_s(log: LogReader, selection: Selection) -> float | None:
    from datetime import datetime  # noqa: PLC0415  # of a time alone nobody needs it

    session = selection.filter.session
    if not isinstance(session, str):
        return None
    times = log.session(session).timestamps
    first, last = (datetime.fromisoformat(text) for text in (times.started_at, times.ended_at or times.updated_at))
    return (to_ns(last) - to_ns(first)) / 10**9
