"""What each budget's account is on course for at the end of its own period."""

from __future__ import annotations

from collections import defaultdict
from collections.abc import Iterator, Sequence
from datetime import datetime

import msgspec

from hivecost.clock import to_datetime
from hivecost.ledger import AccountStatus, Budget, Calendar, LedgerReader, Unit, attributes_of
from hivecost.ledger.book import AccountBook
from hivecost.log import LogReader
from hivecost.log.account_sums import has_accounts_in_log, is_summed, logged_accounts
from hivecost.log.periods import QUARTER_HOUR_NS
from hivecost.log.spending import Spending, spending_by_quarter, spending_since
from hivecost.reports.course import DAY_QUARTERS, PROFILE_DAYS, course

_DAY_NS: int = DAY_QUARTERS * QUARTER_HOUR_NS
_Key = tuple[str, str]


class ForecastLine(msgspec.Struct, frozen=True, kw_only=True):
    """One account. Amounts are integers in `unit`: nano-USD, tokens or calls."""

    budget: str
    scope: str
    period: str
    unit: Unit
    limit: int
    #: What is settled, held and in doubt.
    used: int
    #: What it will be at the end of the period; None where it is too early to say.
    projected: int | None
    #: `profile` of the last seven days, `linear`, or "".
    method: str
    #: By the limit; None with `projected`.
    projected_share: float | None
    reset_at: datetime


class ForecastReport(msgspec.Struct, frozen=True, kw_only=True):
    """The accounts whose period ends, those that come nearest to their limit first."""

    at: datetime
    rows: list[ForecastLine]
    #: Accounts of budgets that never reset, or of executions and sessions: there is no end to look forward to.
    without_end: int


def forecast_report(log: LogReader, ledger: LedgerReader, now_ns: int) -> ForecastReport:
    """Return what the accounts of every budget are on course for. Raise StoreErrors."""
    budgets = {known.budget.name: known.budget for known in log.budgets() if not known.is_retired}
    accounts = _accounts(log, ledger, list(budgets.values()), now_ns)
    ending = [account for account in accounts if account.reset_at is not None and account.budget in budgets]
    spent = _spent(log, [budgets[name] for name in {account.budget for account in ending}], now_ns)
    rows = [_line(account, budgets[account.budget], spent[account.budget, account.scope], now_ns) for account in ending]
    return ForecastReport(
        at=to_datetime(now_ns),
        rows=sorted(rows, key=lambda line: (-(line.projected_share or 0), line.budget, line.scope)),
        without_end=len(accounts) - len(ending),
    )


class _Series:
    """What an account spent by quarter-hour, and in how many turns."""

    def __init__(self) -> None:
        self.amounts: defaultdict[int, int] = defaultdict(int)
        self.turns: defaultdict[int, int] = defaultdict(int)


def _accounts(log: LogReader, ledger: LedgerReader, budgets: Sequence[Budget], now_ns: int) -> list[AccountStatus]:
    counting = [budget for budget in budgets if budget.mode != "hard"]
    return [*(ledger.status(now_ns) if ledger.budgets() else ()), *logged_accounts(log, counting, now_ns)]


def _spent(log: LogReader, budgets: Sequence[Budget], now_ns: int) -> dict[_Key, _Series]:
    """Return what accounts spent since their period began, and in the seven days before today."""
    found: defaultdict[_Key, _Series] = defaultdict(_Series)
    in_log = [budget for budget in budgets if has_accounts_in_log(budget)]
    if not in_log:
        return found
    first_ns = min(min(_midnight(budget, now_ns) - PROFILE_DAYS * _DAY_NS, _start(budget, now_ns)) for budget in in_log)
    book = AccountBook(in_log)
    for spending in _read(log, in_log, first_ns):
        amounts = {"usd": spending.cost_nanousd, "tokens": spending.total_tokens, "calls": spending.llm_calls}
        quarter = spending.timestamp_ns // QUARTER_HOUR_NS
        for account in book.find(attributes_of(spending), spending.timestamp_ns):
            series = found[account.budget.name, account.scope]
            series.amounts[quarter] += amounts[account.unit]
            series.turns[quarter] += spending.llm_calls
    return found


def _read(log: LogReader, budgets: Sequence[Budget], first_ns: int) -> Iterator[Spending]:
    if all(map(is_summed, budgets)):
        names = sorted({name for budget in budgets for name in (*budget.match, *budget.account_attributes)})
        yield from spending_by_quarter(log, first_ns, names)
    else:
        yield from spending_since(log, first_ns)


def _midnight(budget: Budget, now_ns: int) -> int:
    return Calendar("day", budget.timezone).period_at(now_ns).start_ns


def _start(budget: Budget, now_ns: int) -> int:
    return Calendar(budget.window, budget.timezone).period_at(now_ns).start_ns


def _line(account: AccountStatus, budget: Budget, spent: _Series, now_ns: int) -> ForecastLine:
    period = Calendar(budget.window, budget.timezone).period_at(now_ns)
    used = account.settled + account.held + account.in_doubt
    first = period.start_ns // QUARTER_HOUR_NS
    turns = sum(count for quarter, count in spent.turns.items() if quarter >= first)
    end_ns, midnight_ns = period.end_ns or now_ns, _midnight(budget, now_ns)
    found = course(used, turns, period.start_ns, end_ns, now_ns, midnight_ns, spent.amounts)
    return ForecastLine(
        budget=account.budget,
        scope=account.scope,
        period=account.period,
        unit=account.unit,
        limit=account.limit,
        used=used,
        projected=found.projected,
        method=found.method,
        projected_share=found.projected / account.limit if found.projected is not None and account.limit else None,
        reset_at=to_datetime(end_ns),
    )
