"""What the log says was spent on the accounts of budgets, counted as the budgets themselves count it."""

from __future__ import annotations

from collections.abc import Sequence

from hivecost.ledger import Account, AccountStatus, Budget, Calendar, attributes_of
from hivecost.ledger.book import AccountBook
from hivecost.ledger.period import Period
from hivecost.log.contract import LogReader
from hivecost.log.rows import ALWAYS, Window
from hivecost.log.spending import SUMMED_ATTRIBUTES, Spending, spending_since, spending_summed


def add_spending(account: Account, spending: Spending) -> None:
    """Count it on the account; the next turn there says which marks are reached."""
    amounts = {"usd": spending.cost_nanousd, "tokens": spending.total_tokens, "calls": spending.llm_calls}
    account.settled += amounts[account.unit]
    account.spent_on(spending.timestamp_ns)
    if account.unit == "usd" or (account.unit == "tokens" and not spending.total_tokens):
        account.unpriced_calls += spending.unpriced_calls + spending.invalid_calls


def has_accounts_in_log(budget: Budget) -> bool:
    """Tell whether the budget's accounts are few, and outlive what they count.

    Those of a budget per execution or per session are many, and end with it.
    """
    return not {"execution", "session"} & set(budget.account_attributes)


def is_summed(budget: Budget) -> bool:
    """Tell whether the sums of time have its spending: those are by agent, user and org alone."""
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
            period = _period(budget, at_ns)
            window = Window(period.start_ns, ALWAYS.end_ns if period.end_ns is None else period.end_ns).widened()
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


def _status(book: AccountBook, at_ns: int) -> list[AccountStatus]:
    return [account.status() for account in book.accounts() if account.period.contains(at_ns)]


def _count(book: AccountBook, spending: Spending) -> None:
    for account in book.find(attributes_of(spending), spending.timestamp_ns):
        add_spending(account, spending)


def _period(budget: Budget, at_ns: int) -> Period:
    return Calendar(budget.window, budget.timezone).period_at(at_ns)
