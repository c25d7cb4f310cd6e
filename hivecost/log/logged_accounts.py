"""What the log says was spent on the accounts of budgets, counted as the budgets themselves count it."""

from __future__ import annotations

from collections.abc import Sequence
from typing import Final

from hivecost.events import LLMTurnComplete
from hivecost.ledger import Account, AccountStatus, Budget, Calendar, attribution
from hivecost.ledger.book import AccountBook
from hivecost.ledger.period import Period
from hivecost.log.contract import LogReader
from hivecost.log.periods import QUARTER_HOUR_NS
from hivecost.log.rows import Window
from hivecost.log.spending import SUMMED_ATTRIBUTES, Spending, spending_since, spending_summed

#: Stands for the executions of before and elsewhere: the accounts that are their own are not counted here.
ELSEWHERE: Final = "elsewhere"
_NAMES: Final = (
    *("session_id", "node_id", "agent_id", "user_id", "org_id", "task_id", "tags", "provider", "model"),
    *("asked_model", "resolved_model", "resolved_provider"),
)


def attributes_of(spending: Spending) -> dict[str, str]:
    """Who spent it."""
    names = {name: getattr(spending, name) for name in _NAMES}
    return attribution(LLMTurnComplete(event_id="", timestamp_ns=0, execution_id=ELSEWHERE, **names))


def add_spending(account: Account, spending: Spending) -> None:
    """Count it on the account; the next turn there says which marks are reached."""
    amounts = {"usd": spending.cost_nanousd, "tokens": spending.total_tokens, "calls": spending.llm_calls}
    account.settled += amounts[account.unit]
    account.spent_on(spending.timestamp_ns)
    if account.unit == "usd" or (account.unit == "tokens" and not spending.total_tokens):
        account.unpriced_calls += spending.unpriced_calls + spending.invalid_calls


def has_accounts_in_log(budget: Budget) -> bool:
    """Whether its accounts are few and outlive what they are about: each execution and each session has its own."""
    return not {"execution", "session"} & set(budget.account_attributes)


def is_summed(budget: Budget) -> bool:
    """Whether what was spent on it is kept in the sums of time: all that it looks at is agent, user and org."""
    return {*budget.match, *budget.account_attributes} <= SUMMED_ATTRIBUTES


def logged_accounts(log: LogReader, budgets: Sequence[Budget], at_ns: int) -> list[AccountStatus]:
    """Return how the accounts of these budgets stand in the periods of an instant, as far as turns are in the log.

    Sorted by budget and scope; of budgets with an account for each execution or session, none. Quick where all that a
    budget looks at is kept in the sums of time (agent, user, org); for any other its period is read turn by turn.
    Raise StoreErrors.
    """
    found: list[AccountStatus] = []
    unsummed: list[Budget] = []
    for budget in filter(has_accounts_in_log, budgets):
        if is_summed(budget):
            window = _window(_period(budget, at_ns))
            book, looks_at = AccountBook([budget]), sorted({*budget.match, *budget.account_attributes})
            for spending in spending_summed(log, window, looks_at):
                _count(book, spending)
            found += _status(book, at_ns)
        else:
            unsummed.append(budget)
    if unsummed:
        book = AccountBook(unsummed)
        for spending in spending_since(log, min(_period(budget, at_ns).start_ns for budget in unsummed)):
            _count(book, spending)
        found += _status(book, at_ns)
    return sorted(found, key=lambda account: (account.budget, account.scope))


def _window(period: Period) -> Window:
    """Return the whole quarter-hours of a period."""
    first_ns = period.start_ns // QUARTER_HOUR_NS * QUARTER_HOUR_NS
    if period.end_ns is None:
        return Window(first_ns)
    return Window(first_ns, -(-period.end_ns // QUARTER_HOUR_NS) * QUARTER_HOUR_NS)


def _status(book: AccountBook, at_ns: int) -> list[AccountStatus]:
    return [account.status() for account in book.accounts() if account.period.contains(at_ns)]


def _count(book: AccountBook, spending: Spending) -> None:
    for account in book.find(attributes_of(spending), spending.timestamp_ns):
        add_spending(account, spending)


def _period(budget: Budget, at_ns: int) -> Period:
    return Calendar(budget.window, budget.timezone).period_at(at_ns)
