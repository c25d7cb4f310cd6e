"""What is asked and changed over all processes: an errand in the next transaction, durable when it returns."""

from __future__ import annotations

from abc import ABC, abstractmethod
from collections.abc import Callable, Collection, Iterable, Mapping, Sequence
from functools import partial
from typing import Any, Unpack

from hivecost.clock import Clock
from hivecost.ledger import (
    Amounts,
    Budget,
    BudgetState,
    DoubtfulHold,
    Limit,
    USDAmount,
    amounts_of,
    listed_budgets,
    listed_names,
)
from hivecost.store.ledger import controls, doubts, records
from hivecost.store.ledger.database import Errand
from hivecost.store.ledger.records import BudgetChange


class LedgerErrands(ABC):
    """A Ledger's side of its operators. All raise LedgerUnavailableError while it is not open."""

    _budgets: tuple[Budget, ...]
    _clock: Clock

    @abstractmethod
    async def _do(self, errand: Errand) -> Any:
        """What the errand gives, once it is durable."""

    @abstractmethod
    async def _reconfigure(self, errand: Errand, budgets: Sequence[Budget], retired: Collection[str]) -> None:
        """Do the errand, and hold on those of the budgets that are new, and not on the retired, once it is durable."""

    async def in_doubt(self) -> list[DoubtfulHold]:
        """The holds in doubt of all processes, oldest first."""
        holds: list[DoubtfulHold] = await self._do(doubts.list_doubts)
        return holds

    async def resolve(
        self,
        hold_id: str,
        usd: USDAmount | None = None,
        *,
        by: str,
        **more: Unpack[Amounts],
    ) -> None:
        """Settle a hold that is in doubt at what it really cost (0, if it was never sent), whoever made it.

        A unit that is not named is charged as it was held. Raises ConfigError when no hold of this id is in doubt.
        """
        billed = amounts_of(usd, more)
        now_ns = self._clock.now_ns()
        await self._do(partial(doubts.resolve_by_hand, hold_id=hold_id, billed=billed, by=by, now_ns=now_ns))

    async def budgets(self) -> list[BudgetState]:
        """All budgets that were ever configured on this base path, as they are in force for all processes, by name."""
        states: list[BudgetState] = await self._do(records.list_budgets)
        return states

    async def changes(self, limit: int = 100) -> list[BudgetChange]:
        """The newest entries of the audit trail, the newest first: who changed what, when. Raises ConfigError."""
        changes: list[BudgetChange] = await self._do(partial(records.list_changes, limit=limit))
        return changes

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
        settled as ever, and their accounts stay in the database; a single name needs no list. All of it, or nothing:
        raises ConfigError for a budget that differs from its namesake in more than its limits, and for one to retire
        that is not there.
        """
        changed, retired = listed_budgets(budgets), listed_names(retire)
        controls.require_configurable(changed, retired, self._budgets)
        now_ns = self._clock.now_ns()
        errand = partial(controls.configure, budgets=changed, retire=retired, now_ns=now_ns, who=by)
        await self._reconfigure(errand, changed, retired)

    async def set_limit(self, budget: str, limit: Limit, *, scope: Mapping[str, str] | None = None, by: str) -> int:
        """Give a budget another limit, for all processes and after restarts; what was spent stays.

        With a scope such as `{"agent": "planner"}` only the accounts of these values, which then have a limit of their
        own. It names the budget's account attributes; that of its window, `session` or `execution`, may be left out.
        In its own unit if `limit` names none. Other processes know within a beat of what they already leased.
        Gives the limit in what the budget counts: nano-USD, tokens or calls. Raises ConfigError.
        """
        after: int = await self._change(controls.set_limit, by, budget=budget, limit=limit, scope=scope)
        return after

    async def raise_limit(
        self, budget: str, by_amount: Limit, *, scope: Mapping[str, str] | None = None, by: str
    ) -> int:
        """Raise the limit that is in force by an amount above zero, such as `"$5"`; otherwise as `set_limit`.

        Read and written in one transaction: of two that raise at once, both count. Gives the new limit.
        """
        after: int = await self._change(controls.raise_limit, by, budget=budget, by_amount=by_amount, scope=scope)
        return after

    async def unset_limit(self, budget: str, *, scope: Mapping[str, str] | None = None, by: str) -> int:
        """Take back what an operator set: the configured limit is in force again, of a scope without one the budget's.

        Gives that limit; nothing changes where nothing was set. Raises ConfigError.
        """
        after: int = await self._change(controls.unset_limit, by, budget=budget, scope=scope)
        return after

    async def limit_in_force(self, budget: str, *, scope: Mapping[str, str] | None = None) -> int:
        """The limit of a budget, or that of a scope, in what the budget counts. Raises ConfigError."""
        limit: int = await self._do(partial(controls.limit_in_force, budget=budget, scope=scope))
        return limit

    async def _change(self, change: Callable[..., Any], by: str, **arguments: Any) -> Any:
        return await self._do(partial(change, **arguments, who=by, now_ns=self._clock.now_ns()))

    async def freeze(self, budget: str, reason: str, *, by: str) -> None:
        """Grant nothing more on a budget, in all processes within a beat; what is held may still be settled.

        Raises ConfigError.
        """
        now_ns = self._clock.now_ns()
        await self._do(partial(controls.freeze, budget=budget, reason=reason, who=by, now_ns=now_ns))

    async def unfreeze(self, budget: str, *, by: str) -> bool:
        """Someone has looked: grant again. False if it was not frozen. Raises ConfigError."""
        now_ns = self._clock.now_ns()
        done: bool = await self._do(partial(controls.unfreeze, budget=budget, who=by, now_ns=now_ns))
        return done
