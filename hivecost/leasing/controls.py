"""What operators ask of a ledger and change in it, over all processes: durable when it returns."""

from __future__ import annotations

from abc import ABC, abstractmethod
from collections import Counter
from collections.abc import Collection, Iterable, Mapping
from typing import TypeVar, Unpack

from hivecost.errors import ConfigError
from hivecost.leasing.operations import (
    Configure,
    Freeze,
    LimitInForce,
    ListBudgets,
    ListChanges,
    ListInDoubt,
    Operation,
    RaiseLimit,
    Resolve,
    SetLimit,
    Unfreeze,
    UnsetLimit,
)
from hivecost.ledger import (
    Amounts,
    Budget,
    BudgetChange,
    BudgetState,
    DoubtfulHold,
    Limit,
    USDAmount,
    amounts_of,
    listed_budgets,
    listed_names,
)
from hivecost.ledger.budget import CHANGEABLE

R = TypeVar("R")


class LedgerControls(ABC):
    """A ledger's side of its operators. All raise LedgerUnavailableError while it is not open."""

    _budgets: tuple[Budget, ...]

    @abstractmethod
    async def _do(self, operation: Operation[R]) -> R:
        """Return what the operation gives, once it is durable."""

    @abstractmethod
    async def _configure(self, operation: Configure) -> None:
        """Do it, and hold on those of its budgets that are new, and not on the retired, once it is durable."""

    async def in_doubt(self) -> list[DoubtfulHold]:
        """Return the holds in doubt of all processes, oldest first."""
        return await self._do(ListInDoubt())

    async def resolve(
        self,
        hold_id: str,
        usd: USDAmount | None = None,
        *,
        by: str,
        **more: Unpack[Amounts],
    ) -> None:
        """Settle a hold that is in doubt at what it really cost (0, if it was never sent), whoever made it.

        A unit that is not named is charged as it was held. Raise ConfigError when no hold of this id is in doubt.
        """
        await self._do(Resolve(hold_id=hold_id, billed=amounts_of(usd, **more), by=by))

    async def budgets(self) -> list[BudgetState]:
        """Return all budgets that were ever configured here, as they are in force for all processes, by name."""
        return await self._do(ListBudgets())

    async def changes(self, limit: int = 100) -> list[BudgetChange]:
        """Return the newest of the audit trail, the newest first: who changed what, and when. Raise ConfigError."""
        return await self._do(ListChanges(limit=limit))

    async def configure(
        self,
        budgets: Budget | Iterable[Budget] = (),
        *,
        retire: Iterable[str] = (),
        by: str = "configuration",
    ) -> None:
        """Bring other limits and other budgets into force, as opening it with them would.

        A limit that an operator set stays until another one is configured. A budget that it does not have yet binds
        from the next hold on. Those named in `retire` refuse no more here, in this Ledger; what is held on them is
        settled as ever, and their accounts stay in the bank; a single name needs no list. All of it, or nothing:
        raises ConfigError for a budget that differs from its namesake in more than its limits, and for one to retire
        that is not there.
        """
        changed, retired = listed_budgets(budgets), listed_names(retire)
        _require_configurable(changed, retired, self._budgets)
        await self._configure(Configure(budgets=changed, retire=retired, by=by))

    async def set_limit(self, budget: str, limit: Limit, *, scope: Mapping[str, str] | None = None, by: str) -> int:
        """Give a budget another limit, for all processes and after restarts; what was spent stays.

        With a scope such as `{"agent": "planner"}` only the accounts of these values, which then have a limit of their
        own. It names the budget's account attributes; that of its window, `session` or `execution`, may be left out.
        In its own unit if `limit` names none. Other processes know within a tick of what they already leased.
        Gives the limit in what the budget counts: nano-USD, tokens or calls. Raise ConfigError.
        """
        return await self._do(SetLimit(budget=budget, limit=limit, scope=scope, by=by))

    async def raise_limit(
        self, budget: str, by_amount: Limit, *, scope: Mapping[str, str] | None = None, by: str
    ) -> int:
        """Raise the limit that is in force by an amount above zero, such as `"$5"`; otherwise as `set_limit`.

        Read and written in one transaction: of two that raise at once, both count. Gives the new limit.
        """
        return await self._do(RaiseLimit(budget=budget, by_amount=by_amount, scope=scope, by=by))

    async def unset_limit(self, budget: str, *, scope: Mapping[str, str] | None = None, by: str) -> int:
        """Take back what an operator set: the configured limit is in force again, of a scope without one the budget's.

        Gives that limit; nothing changes where nothing was set. Raise ConfigError.
        """
        return await self._do(UnsetLimit(budget=budget, scope=scope, by=by))

    async def limit_in_force(self, budget: str, *, scope: Mapping[str, str] | None = None) -> int:
        """Return the limit of a budget, or that of a scope, in what the budget counts. Raise ConfigError."""
        return await self._do(LimitInForce(budget=budget, scope=scope))

    async def freeze(self, budget: str, reason: str, *, by: str) -> None:
        """Grant nothing more on a budget, in all processes within a tick; what is held may still be settled.

        Raise ConfigError.
        """
        await self._do(Freeze(budget=budget, reason=reason, by=by))

    async def unfreeze(self, budget: str, *, by: str) -> bool:
        """Grant again, because someone has looked. Return False if it was not frozen. Raise ConfigError."""
        return await self._do(Unfreeze(budget=budget, by=by))


def _require_configurable(budgets: Collection[Budget], retire: Collection[str], opened: Iterable[Budget]) -> None:
    """Raise ConfigError for a budget that cannot be added, changed or retired beside those that are open.

    One that is open already changes in its limits alone.
    """
    known = {budget.name: budget for budget in opened}
    for name in retire:
        if name not in known:
            raise ConfigError("retire", f"one of {', '.join(map(repr, known)) or 'no budgets'}", got=name)
    for budget in budgets:
        for field in known.get(budget.name, budget).differences(budget):
            if field not in CHANGEABLE:
                expected = f"{getattr(known[budget.name], field)!r}: only a limit changes while the ledger is open"
                raise ConfigError(f"budget {budget.name!r}.{field}", expected, got=getattr(budget, field))
        if budget.mode != "hard":
            raise ConfigError(f"budget {budget.name!r}.mode", "'hard', to hold money before turns", got=budget.mode)
    for name, count in Counter((*(budget.name for budget in budgets), *retire)).items():
        if count > 1:
            raise ConfigError(f"budget {name!r}.name", "a name that is configured or retired, and only once")
