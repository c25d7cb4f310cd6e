"""Finds the accounts that a turn counts on, opens them when they are first needed, and forgets those that are over."""

from __future__ import annotations

from collections import Counter
from collections.abc import Callable, Hashable, Iterable, Iterator, Mapping, Sequence
from typing import Final, NamedTuple

from hivecost.attribution import Attributes, Attribution
from hivecost.errors import ConfigError
from hivecost.events import LLMTurnComplete
from hivecost.ledger.account import Account, AccountKey
from hivecost.ledger.attributes import attributes_of, key_reader, looked_at
from hivecost.ledger.budget import Budget
from hivecost.ledger.matching import matcher
from hivecost.ledger.own_limits import LimitKey, is_value, keys_of, own_limit_of
from hivecost.ledger.period import Calendar, Period
from hivecost.plain_text import plain_str

#: How many answers are remembered; more would be a cache of everything that ever happened.
_FOUND_MAX: Final = 10_000

_FOREVER_NS: Final = 2**63

#: The attributes of the executions that started this one, the nearest first, had they taken its turn themselves.
Ancestors = Sequence[Mapping[str, str]]
AccountOpened = Callable[[Account], Account]
AccountDropped = Callable[[Account], None]
#: How many accounts of a budget are kept; None: all of them.
AccountsMax = Callable[[Budget], int | None]


class _Found(NamedTuple):
    """The accounts for some attribute values, and how long this answer holds."""

    start_ns: int
    end_ns: int
    accounts: tuple[Account, ...]


class AccountBook:
    """The accounts of some budgets.

    An account lives until its execution is forgotten, or until its period and the next one are over. `accounts_max`
    bounds each budget: above it the quarter that was unused for longest is dropped, and counted in `evicted`.
    `opened` is asked about every new account, and gives the one to use: the same, or one that is known already.
    `dropped` is told of each that is dropped.

    Raises ConfigError when two budgets have one name.
    """

    def __init__(
        self,
        budgets: Iterable[Budget],
        *,
        accounts_max: AccountsMax = lambda _: None,
        opened: AccountOpened = lambda account: account,
        dropped: AccountDropped = lambda _: None,
    ) -> None:
        self.budgets: Final[dict[str, Budget]] = {}
        #: How many accounts were dropped because there were too many, by budget.
        self.evicted: Final[Counter[str]] = Counter()
        self._accounts_max = accounts_max
        self._opened, self._dropped = opened, dropped
        self._entries: dict[str, _BudgetAccounts] = {}
        self._found: dict[Hashable, _Found] = {}
        self._found_by_execution: dict[str, list[Hashable]] = {}
        self.add(budgets)

    def add(self, budgets: Iterable[Budget]) -> None:
        """Count on these budgets too, from now on. Raise ConfigError for the name of one that is there."""
        listed = tuple(budgets)
        for name, count in Counter((*self.budgets, *(budget.name for budget in listed))).items():
            if count > 1:
                raise ConfigError(f"budget {name!r}.name", "a name that no other budget has")
        for budget in listed:
            self.budgets[budget.name] = budget
            self._entries[budget.name] = _BudgetAccounts(budget, self._opened, self._dropped)
        self._look_at_attributes()

    def retire(self, name: str) -> None:
        """Count on a budget no more; its accounts are dropped, each once it has no open hold."""
        del self.budgets[name]
        entry = self._entries.pop(name)
        self._look_at_attributes()
        for account in list(entry.accounts.values()):
            entry.drop(account)

    def _look_at_attributes(self) -> None:
        self._attributes = tuple(dict.fromkeys(name for entry in self._entries.values() for name in entry.looks_at))
        self._key_of = key_reader(self._attributes)
        self._forget_answers()

    def find(self, attribution: Attributes, at_ns: int, ancestors: Sequence[Attributes] = ()) -> tuple[Account, ...]:
        """Return the accounts that a turn with these attributes counts on at this instant, in the order of the budgets.

        Budgets with an account for each execution have one more for each of the `ancestors` that started this one: for
        them it is as if they took the turn themselves. An Attribution knows its own. Raise ConfigError for attributes
        that are no texts.
        """
        if type(attribution) is Attribution and not ancestors:
            ancestors = attribution.ancestors
        try:
            key: Hashable = tuple(map(attribution.get, self._attributes))
            if ancestors:
                key = (key, *map(self._values_of, ancestors))
            found = self._found.get(key)
        except (AttributeError, TypeError):  # no mapping, or a value that nothing can be looked up by
            self._require_texts(attribution, ancestors)
            raise
        if found is None or not found.start_ns <= at_ns < found.end_ns:
            self._require_texts(attribution, ancestors)
            found = self._look_up(key, attribution, at_ns, ancestors)
        return found.accounts

    def find_of(self, turn: LLMTurnComplete, ancestors: Ancestors = ()) -> tuple[Account, ...]:
        """Return the accounts that a turn counts on."""
        key, at_ns = self._key_of(turn), turn.timestamp_ns
        if ancestors:
            key = (key, *map(self._values_of, ancestors))
        found = self._found.get(key)
        if found is None or not found.start_ns <= at_ns < found.end_ns:
            found = self._look_up(key, attributes_of(turn), at_ns, ancestors)
        return found.accounts

    def _require_texts(self, attribution: Attributes, ancestors: Sequence[Attributes]) -> None:
        if not isinstance(ancestors, Sequence):
            raise ConfigError("ancestors", "a list of the attributes of each", got=ancestors)
        for who in (attribution, *ancestors):
            if not isinstance(who, Mapping):
                raise ConfigError("attribution", 'attributes such as {"org": "acme"}', got=who)
            for name in self._attributes:
                if name in who and not is_value(who[name]):
                    raise ConfigError(f"attribution.{name}", "a text", got=who[name])

    def _values_of(self, attribution: Attributes) -> Hashable:
        return tuple(map(attribution.get, self._attributes))

    def accounts(self, budget: str | None = None) -> Iterator[Account]:
        """Yield all accounts, or those of one budget."""
        for entry in self._entries.values() if budget is None else (self._entries[budget],):
            yield from entry.accounts.values()

    def forget_execution(self, execution_id: str) -> None:
        """Drop the accounts of an execution that is over, but for those with open holds."""
        for key in self._found_by_execution.pop(execution_id, ()):
            self._found.pop(key, None)
        for entry in self._entries.values():
            entry.forget_execution(execution_id)

    def set_limit(self, name: str, budget: Budget) -> None:
        """Measure the accounts of a budget, those to come included, against the limit of `budget`."""
        self.budgets[name] = self._entries[name].budget = budget
        for account in self.accounts(name):
            account.set_budget(budget)

    def limit_of(self, name: str, key: LimitKey = ()) -> int:
        """Return the limit of a budget, or that of the accounts of a key."""
        entry = self._entries[name]
        own = own_limit_of(entry.own_limits, entry.budget.window, key)
        return entry.budget.limit_amount if own is None else own

    def set_own_limit(self, name: str, key: LimitKey, limit: int | None) -> None:
        """Measure the accounts of these values, those to come included, against a limit of their own; None: no more."""
        self._entries[name].set_own_limit(key, limit)

    def put(self, account: Account) -> None:
        """Take in an account as it stood elsewhere; its limit is what it is here."""
        entry = self._entries[account.budget.name]
        account.set_own_limit(own_limit_of(entry.own_limits, entry.budget.window, account.values))
        entry.put(account)

    def drop_over(self, accounts: Iterable[Account]) -> None:
        """Drop those that are over and have no open hold any more."""
        for account in accounts:
            if not account.over:
                continue
            entry = self._entries.get(account.budget.name)
            if entry is not None:
                entry.drop(account)
            elif not account.open_holds:  # of a budget that was retired
                account.over = False
                self._dropped(account)

    def _look_up(self, key: Hashable, attribution: Attributes, at_ns: int, ancestors: Sequence[Attributes]) -> _Found:
        accounts: list[Account] = []
        for entry in self._entries.values():
            whose = (attribution, *ancestors) if entry.is_of_executions else (attribution,)
            accounts += [self._account(entry, who, at_ns) for who in whose if entry.matches(who)]
        periods = [account.period for account in accounts]
        start_ns = max((period.start_ns for period in periods), default=0)
        end_ns = min((period.end_ns for period in periods if period.end_ns is not None), default=_FOREVER_NS)
        found = _Found(start_ns, end_ns, tuple(accounts))
        self._remember(key, found, (attribution, *ancestors))
        return found

    def _account(self, entry: _BudgetAccounts, attribution: Attributes, at_ns: int) -> Account:
        period = entry.calendar.period_at(at_ns)
        if entry.roll_period(period):
            self._forget_answers()
        account = entry.account(attribution, period, at_ns)
        self._evict_from(entry)
        return account

    def _remember(self, key: Hashable, found: _Found, attributions: Iterable[Attributes]) -> None:
        if len(self._found) >= _FOUND_MAX:
            self._forget_answers()
        self._found[key] = found
        if "execution" in self._attributes:
            for execution_id in filter(None, (who.get("execution") for who in attributions)):
                keys = self._found_by_execution.setdefault(execution_id, [])
                keys.append(key)
                if len(keys) > _FOUND_MAX:  # of descendants that are over
                    self._forget_answers()
                    return

    def _evict_from(self, entry: _BudgetAccounts) -> None:
        accounts_max = self._accounts_max(entry.budget)
        if accounts_max is not None and len(entry.accounts) > max(accounts_max, entry.left):
            self.evicted[entry.budget.name] += entry.evict(accounts_max)
            self._forget_answers()

    def _forget_answers(self) -> None:
        self._found.clear()
        self._found_by_execution.clear()


class _BudgetAccounts:
    """One budget and its accounts."""

    def __init__(self, budget: Budget, opened: AccountOpened, dropped: AccountDropped) -> None:
        self.budget = budget
        #: Up to so many accounts it is no use to try to drop some again, because they have open holds.
        self.left = 0
        self._opened, self._dropped = opened, dropped
        self.calendar = Calendar(budget.window, budget.timezone)
        self.accounts: dict[AccountKey, Account] = {}
        self.own_limits: dict[LimitKey, int] = budget.own_limits
        self.looks_at = looked_at((*budget.match, *budget.account_attributes))
        self.matches = matcher(budget.match)
        self._attributes = names = budget.account_attributes
        self._execution_at = names.index("execution") if "execution" in names else None
        self.is_of_executions = self._execution_at is not None
        self._newest_start_ns = -_FOREVER_NS
        #: When the periods begin that have accounts here.
        self._starts_ns: set[int] = set()
        self._by_execution: dict[str, dict[AccountKey, Account]] = {}

    def account(self, attribution: Attributes, period: Period, at_ns: int) -> Account:
        values = tuple(attribution.get(name, "") for name in self._attributes)
        account = self.accounts.get((period.start_ns, values))
        if account is None:
            account = self._open(values, period)
            account.used_at_ns = at_ns
            self.put(account)
        elif account.over:  # a turn came after all
            account.over = False
            self.put(account)
        return account

    def _open(self, values: tuple[str, ...], period: Period) -> Account:
        own = own_limit_of(self.own_limits, self.budget.window, values) if self.own_limits else None
        plain = tuple(map(plain_str, values))
        fresh = Account(self.budget, plain, period, self.budget.limit_amount, own_limit=own)
        account = self._opened(fresh)
        if account is fresh:
            return account
        account.over = False  # a turn came after all
        if account.budget is not self.budget:  # it got another limit while it was dropped
            account.set_budget(self.budget)
        if not account.bank_id and account.own_limit != own:  # what a bank has, that says
            account.set_own_limit(own)
        return account

    def set_own_limit(self, key: LimitKey, limit: int | None) -> None:
        if limit is None:
            self.own_limits.pop(key, None)
        else:
            self.own_limits[key] = limit
        for account in self._accounts_of(key):
            account.set_own_limit(own_limit_of(self.own_limits, self.budget.window, account.values))

    def _accounts_of(self, key: LimitKey) -> list[Account]:
        if None in key:
            window = self.budget.window
            return [account for account in self.accounts.values() if key in keys_of(window, account.values)]
        found = (self.accounts.get((start_ns, key)) for start_ns in self._starts_ns)  # type: ignore[arg-type]
        return [account for account in found if account is not None]

    def put(self, account: Account) -> None:
        self.accounts[account.key] = account
        self._starts_ns.add(account.period.start_ns)
        if self._execution_at is not None:
            self._by_execution.setdefault(account.values[self._execution_at], {})[account.key] = account

    def roll_period(self, period: Period) -> bool:
        """Drop what is older than the last two periods; True if the period is a new one."""
        if period.start_ns <= self._newest_start_ns:
            return False
        oldest_kept_ns, self._newest_start_ns = self._newest_start_ns, period.start_ns
        for account in list(self.accounts.values()):
            if account.period.start_ns < oldest_kept_ns:
                self.drop(account)
        self._starts_ns = {start_ns for start_ns, _ in self.accounts}
        return True

    def forget_execution(self, execution_id: str) -> None:
        for account in self._by_execution.pop(execution_id, {}).values():
            self.drop(account)

    def evict(self, accounts_max: int) -> int:
        """Drop the quarter that was unused for longest; how many could be dropped."""
        before, a_quarter = len(self.accounts), accounts_max // 4 + 1
        for account in sorted(self.accounts.values(), key=lambda account: account.used_at_ns)[:a_quarter]:
            self.drop(account)
        self.left = len(self.accounts) + a_quarter - 1
        return before - len(self.accounts)

    def drop(self, account: Account) -> None:
        """Forget an account, or, while it has open holds, mark it to be dropped after them."""
        account.over = account.open_holds > 0
        if account.over or self.accounts.get(account.key) is not account:
            return
        del self.accounts[account.key]
        self._dropped(account)
        if self._execution_at is not None:
            execution_id = account.values[self._execution_at]
            siblings = self._by_execution.get(execution_id, {})
            siblings.pop(account.key, None)
            if not siblings:
                self._by_execution.pop(execution_id, None)
