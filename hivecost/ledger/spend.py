"""Counting budgets: what was spent, which fractions of a limit were reached, and which limits were passed."""

from __future__ import annotations

from collections.abc import Iterable, Mapping, Sequence
from typing import Final

from hivecost.attribution import Attributes
from hivecost.events import ChargeSettled, CostStatus, LLMTurnComplete
from hivecost.ledger.account import Account, AccountStatus, ThresholdCrossing
from hivecost.ledger.book import AccountBook, AccountOpened, Ancestors
from hivecost.ledger.budget import Budget
from hivecost.ledger.own_limits import LimitKey

#: Accounts of one budget that are kept; a session's account has no end, so something must give.
ACCOUNTS_MAX: Final = 100_000
#: The same where each session has its own, which are quickly found in the log again.
SESSIONS_MAX: Final = 10_000
#: The rule of alerts about budgets that could not see what a call spent.
UNSEEN: Final = "budget.unseen"


class SpendAccounts:
    """Adds up what turns cost, per budget, scope and period. Counts only: a crossing is the caller's.

    Not for several threads at once. Memory is bounded: accounts of finished executions and of periods before the
    last two are forgotten, and above `accounts_max` per budget the longest unused ones (`evicted` says how many).
    `sessions_max`, the same unless it is set, is for budgets whose accounts are those of sessions. `opened` is that of
    AccountBook.
    """

    def __init__(
        self,
        budgets: Iterable[Budget],
        *,
        accounts_max: int = ACCOUNTS_MAX,
        opened: AccountOpened = lambda account: account,
    ) -> None:
        self.sessions_max = self.accounts_max = accounts_max
        self._book = AccountBook(budgets, accounts_max=self._accounts_max, opened=opened)
        self._added: set[str] = set()

    @property
    def budgets(self) -> Mapping[str, Budget]:
        """The budgets by name."""
        return self._book.budgets

    @property
    def evicted(self) -> int:
        """Accounts that were dropped with their sums because there were too many."""
        return self._book.evicted.total()

    def may_have_past(self, budget: str) -> bool:
        """Tell whether an account of the budget that is opened now may have spending that is not counted here."""
        return budget in self._added or self._book.evicted[budget] > 0

    def add(
        self, attribution: Attributes, at_ns: int, nanousd: int | None, tokens: int, calls: int = 1
    ) -> list[ThresholdCrossing]:
        """Count a turn on every account it matches; `nanousd` is None when nobody knows its cost.

        Gives the warning fractions that were reached by it, each once per account, and, at every addition that
        leaves an account above its limit, that account again: the next turn on an exhausted account is stopped too.
        """
        return _add(self._book.find(attribution, at_ns), at_ns, nanousd, tokens, calls)

    def add_turn(self, turn: LLMTurnComplete) -> list[ThresholdCrossing]:
        """Add a turn that came back to the accounts that it counts on, and return the thresholds that it crossed."""
        return self.add_to(self.find_of(turn), turn)

    def find_of(self, turn: LLMTurnComplete, ancestors: Ancestors = ()) -> tuple[Account, ...]:
        """Return the accounts that the turn counts on; `ancestors` are those of AccountBook."""
        return self._book.find_of(turn, ancestors)

    def add_to(self, accounts: Iterable[Account], turn: LLMTurnComplete) -> list[ThresholdCrossing]:
        """Count the turn on its accounts."""
        cost, usage = turn.cost, turn.usage
        nanousd, tokens = None if cost is None else cost.nanousd, usage.input_tokens + usage.output_tokens
        if nanousd is None or (cost is not None and cost.estimated_from):
            return _add_unsure(accounts, turn)
        return _add(accounts, turn.timestamp_ns, nanousd, tokens, type(turn) is not ChargeSettled)

    def find(self, attribution: Attributes, at_ns: int, ancestors: Sequence[Attributes] = ()) -> tuple[Account, ...]:
        """Return the accounts that a turn with these attributes counts on at this instant."""
        return self._book.find(attribution, at_ns, ancestors)

    def forget_execution(self, execution_id: str) -> None:
        """Drop the accounts of an execution that is over."""
        self._book.forget_execution(execution_id)

    def set_limit(self, name: str, limit: str | float) -> None:
        """Measure what was spent, and what comes, against a new limit."""
        self._book.set_limit(name, self.budgets[name].with_limit(limit))

    def set_own_limit(self, name: str, key: LimitKey, limit: int | None) -> None:
        """Set the limit of one value of a budget's attributes alone; None gives it the budget's limit again."""
        self._book.set_own_limit(name, key, limit)

    def limit_of(self, name: str, key: LimitKey = ()) -> int:
        """Return the limit in force of a budget, or of one value of its attributes."""
        return self._book.limit_of(name, key)

    def add_budgets(self, budgets: Iterable[Budget], *, have_past: bool = False) -> None:
        """Count on these too, from now on; `have_past`: they may have been spent on before.

        Raise ConfigError for the name of one that is there.
        """
        listed = tuple(budgets)
        self._book.add(listed)
        self._added.update(budget.name for budget in listed if have_past)

    def retire(self, name: str) -> None:
        """Count on a budget no more."""
        self._book.retire(name)

    def _accounts_max(self, budget: Budget) -> int:
        return self.sessions_max if "session" in budget.account_attributes else self.accounts_max

    def status(self) -> list[AccountStatus]:
        """Return a row for each account, in the order of the budgets."""
        return [account.status() for account in self._book.accounts()]


def is_unseen(account: Account, turn: LLMTurnComplete) -> bool:
    """Tell whether what the turn spent is not on the account, or not in full, because nobody knows it."""
    cost, unit = turn.cost, account.unit
    if unit == "calls" or (unit == "tokens" and type(turn) is ChargeSettled):
        return False
    guess = "" if cost is None else cost.estimated_from
    if guess == "answer" or (guess and account.budget.on_unpriced == "ignore"):
        return True
    is_unpriced = cost is None or cost.nanousd is None
    if unit == "usd":
        return is_unpriced
    is_invalid = cost is not None and cost.status is CostStatus.INVALID
    return is_invalid or (is_unpriced and not turn.usage.total_tokens)


def _add_unsure(accounts: Iterable[Account], turn: LLMTurnComplete) -> list[ThresholdCrossing]:
    """Count a turn of which not all is known."""
    crossings: list[ThresholdCrossing] = []
    for account in accounts:
        cost = turn.cost
        is_guess = cost is not None and cost.estimated_from != "" and account.budget.on_unpriced == "ignore"
        nanousd = 0 if cost is None or cost.nanousd is None or is_guess else cost.nanousd
        tokens = 0 if is_guess else turn.usage.total_tokens
        account.unpriced_calls += is_unseen(account, turn)
        crossings += _add((account,), turn.timestamp_ns, nanousd, tokens, type(turn) is not ChargeSettled)
    return crossings


def _add(
    accounts: Iterable[Account], at_ns: int, nanousd: int | None, tokens: int, calls: int
) -> list[ThresholdCrossing]:
    crossings: list[ThresholdCrossing] = []
    for account in accounts:
        unit = account.unit
        account.used_at_ns = at_ns
        if not account.since_ns:
            account.since_ns = at_ns
        account.settled += (nanousd or 0) if unit == "usd" else tokens if unit == "tokens" else calls
        if nanousd is None and (unit == "usd" or (unit == "tokens" and not tokens)):
            account.unpriced_calls += calls
        if account.settled >= account.alarm_at:
            crossings.extend(account.crossings())
    return crossings
