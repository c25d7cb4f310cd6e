"""The accounts of hard budgets, and what is in force on them: limits, freezes, and which budgets there are."""

from __future__ import annotations

from collections.abc import Collection, Iterable, Iterator, Mapping, Sequence

from hivecost.attribution import Attributes
from hivecost.errors import ConfigError
from hivecost.ledger.account import Account, AccountStatus
from hivecost.ledger.amounts import Unit
from hivecost.ledger.book import AccountBook, AccountDropped, AccountOpened, AccountsMax
from hivecost.ledger.budget import Budget, Limit


class HardAccounts:
    """What LedgerState holds money on. Raises ConfigError as it does."""

    def __init__(
        self,
        budgets: Iterable[Budget],
        *,
        accounts_max: AccountsMax,
        opened: AccountOpened,
        dropped: AccountDropped,
    ) -> None:
        self._book = AccountBook(budgets, accounts_max=accounts_max, opened=opened, dropped=dropped)
        _require_hard(self._book.budgets.values())
        self._frozen: dict[str, str] = {}

    @property
    def budgets(self) -> Mapping[str, Budget]:
        """The budgets by name."""
        return self._book.budgets

    @property
    def frozen(self) -> Mapping[str, str]:
        """The budgets that grant nothing, and why."""
        return self._frozen

    def freeze(self, budget: str, reason: str) -> None:
        """Grant nothing more on a budget; what is held may still be settled. Raise ConfigError for no such budget."""
        self._require(budget)
        self._frozen[budget] = reason

    def unfreeze(self, budget: str) -> bool:
        """Grant again, after someone has looked; False if it was not frozen. Raise ConfigError for no such budget."""
        self._require(budget)
        return self._frozen.pop(budget, None) is not None

    def add(self, budgets: Iterable[Budget]) -> None:
        """Hold on these budgets too, from the next reservation on. Raise ConfigError as a new LedgerState does."""
        listed = tuple(budgets)
        _require_hard(listed)
        self._book.add(listed)

    def put(self, account: Account) -> None:
        """Take in an account as it stood when its budget, which was added again, was retired."""
        account.over = False
        account.set_budget(self._require(account.budget.name))
        self._book.put(account)

    def retire(self, budget: str) -> None:
        """Hold on a budget no more; what is held there goes on as it did. Raise ConfigError for no such budget."""
        self._require(budget)
        self._frozen.pop(budget, None)
        self._book.retire(budget)

    def set_limit(self, budget: str, limit: Limit, *, scope: Mapping[str, str] | None = None) -> None:
        """Give a budget, or with `scope` one value of its attributes, another limit; what was spent stays.

        In its unit if `limit` names none. Raise ConfigError for no such budget, for a scope that names other
        attributes than its accounts have, and for a limit that cannot be.
        """
        known = self._require(budget)
        if scope is None:
            self._book.set_limit(budget, known.with_limit(limit))
        else:
            self._book.set_own_limit(budget, known.limit_key(scope), known.amount_of(limit))

    def unset_limit(self, budget: str, scope: Mapping[str, str]) -> None:
        """Measure a value of a budget's attributes against the budget's own limit again. Raise ConfigError."""
        self._book.set_own_limit(budget, self._require(budget).limit_key(scope), None)

    def limit_in_force(self, budget: str, scope: Mapping[str, str] | None = None) -> int:
        """Return the limit of a budget, or of one value of its attributes. Raise ConfigError for an unknown one."""
        known = self._require(budget)
        key = () if scope is None else known.limit_key(scope)
        return self._book.limit_of(budget, key)

    def remaining(self, attribution: Attributes, at_ns: int, ancestors: Sequence[Attributes] = ()) -> dict[Unit, int]:
        """Return the most that a turn with these attributes could hold now, by the units of the enforced budgets."""
        most: dict[Unit, int] = {}
        for account in self._book.find(attribution, at_ns, ancestors):
            if not account.budget.shadow:
                left = 0 if account.budget.name in self._frozen else account.remaining
                most[account.unit] = min(left, most.get(account.unit, left))
        return most

    def accounts_for(
        self,
        attribution: Attributes,
        at_ns: int,
        ancestors: Sequence[Attributes] = (),
        budgets: Collection[str] | None = None,
    ) -> tuple[Account, ...]:
        """Return the accounts that a turn with these attributes counts on at this instant; see `reserve`."""
        accounts = self._book.find(attribution, at_ns, ancestors)
        return accounts if budgets is None else _of_budgets(accounts, budgets)

    def accounts(self, budget: str) -> Iterator[Account]:
        """Yield all accounts of a budget."""
        return self._book.accounts(budget)

    def forget_execution(self, execution_id: str) -> None:
        """Drop the accounts of an execution that is over, except those with open holds."""
        self._book.forget_execution(execution_id)

    def status(self) -> list[AccountStatus]:
        """Return a row for each account, in the order of the budgets."""
        return [account.status(frozen=account.budget.name in self._frozen) for account in self._book.accounts()]

    def _require(self, budget: str) -> Budget:
        if budget not in self.budgets:
            raise ConfigError("budget", f"one of {', '.join(map(repr, self.budgets)) or 'no budgets'}", got=budget)
        return self.budgets[budget]


def _of_budgets(accounts: tuple[Account, ...], budgets: Collection[str]) -> tuple[Account, ...]:
    return tuple(account for account in accounts if account.budget.name in budgets)


def _require_hard(budgets: Iterable[Budget]) -> None:
    for budget in budgets:
        if budget.mode != "hard":
            raise ConfigError(f"budget {budget.name!r}.mode", "'hard', to hold money before turns", got=budget.mode)
