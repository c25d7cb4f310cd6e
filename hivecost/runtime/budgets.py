"""`runtime.budgets`: how the budgets of a runtime stand, and changing them while its agents run."""

from __future__ import annotations

import logging
from collections.abc import Iterable

from hivecost.clock import Clock, to_datetime
from hivecost.errors import ConfigError
from hivecost.ledger import (
    AccountStatus,
    Budget,
    DoubtfulHold,
    LedgerStore,
    Limit,
    SpendAccounts,
    USDAmount,
    listed_budgets,
)
from hivecost.ledger.amounts import format_exactly, raise_amount
from hivecost.money import to_usd
from hivecost.runtime.gate import Gate

_log = logging.getLogger("hivecost.budgets")


class RuntimeBudgets:
    """Changes while agents run; what was spent stays, and paused executions go on when there is money again.

    Hard budgets are those of the ledger: changed for all processes of the base path, also after restarts, and put on
    the audit trail with `by`. The others are this runtime's own: their limits hold until it is made anew, and there is
    nothing to freeze. To be called on the runtime's event loop.

    Whatever needs the ledger raises LedgerUnavailableError while the runtime does not run. A budget that is not there,
    an amount that cannot be, or a change that its mode does not know raises ConfigError.
    """

    def __init__(self, gate: Gate, watched: SpendAccounts, clock: Clock) -> None:
        self._gate = gate
        self._watched = watched
        self._clock = clock

    async def status(self) -> list[AccountStatus]:
        """One row for each account: those of hard budgets, over all processes, then those that this runtime counts.

        Periods that are over are left out. Turns that still wait on the bus are counted after `bus.drain()`.
        """
        held = await self._gate.ledger.status() if self._gate.budgets else []
        now = to_datetime(self._clock.now_ns())
        return held + [row for row in self._watched.status() if row.reset_at is None or row.reset_at > now]

    async def set_limit(self, name: str, limit: Limit, *, by: str) -> int:
        """Give a budget another limit, such as `"$5"`, in its own unit if that names none.

        Gives it in what the budget counts: nano-USD, tokens or calls.
        """
        budget = self._watched.budgets.get(name)
        if budget is None:
            return await (await self._ledger_of(name)).set_limit(name, limit, by=by)
        return self._watch(name, budget.with_limit(limit).limit_amount, by)

    async def raise_limit(self, name: str, by_amount: Limit, *, by: str) -> int:
        """Raise the limit that is in force by an amount above zero; of two that raise at once, both count.

        Gives the new limit in what the budget counts.
        """
        budget = self._watched.budgets.get(name)
        if budget is None:
            return await (await self._ledger_of(name)).raise_limit(name, by_amount, by=by)
        key = f"budget {name!r}: amount"
        return self._watch(name, raise_amount(budget.limit_amount, by_amount, budget.counted_unit, key=key), by)

    async def freeze(self, name: str, reason: str, *, by: str) -> None:
        """Grant nothing more on a hard budget; what is held may still be settled."""
        await (await self._ledger_of(name)).freeze(name, reason, by=by)

    async def unfreeze(self, name: str, *, by: str) -> bool:
        """Someone has looked: grant again. False if it was not frozen."""
        return await (await self._ledger_of(name)).unfreeze(name, by=by)

    async def in_doubt(self) -> list[DoubtfulHold]:
        """The holds in doubt of all processes, oldest first."""
        return await self._gate.ledger.in_doubt() if self._gate.budgets else []

    async def resolve(
        self,
        hold_id: str,
        usd: USDAmount | None = None,
        *,
        nanousd: int | None = None,
        tokens: int | None = None,
        calls: int | None = None,
        by: str,
    ) -> None:
        """Settle a hold that is in doubt at what it really cost (0, if it was never sent).

        A unit that is not named is charged as it was held.
        """
        await self._gate.ledger.resolve(hold_id, usd, nanousd=nanousd, tokens=tokens, calls=calls, by=by)

    async def configure(self, budgets: Budget | Iterable[Budget], *, by: str) -> None:
        """Bring the limits of these budgets into force as configured ones, which a restart with the same ones keeps.

        Those of hard budgets also while the runtime does not run: then from the next time on.
        """
        listed = listed_budgets(budgets)
        await self._gate.set_limits([budget for budget in listed if budget.mode == "hard"], by=by)
        for budget in listed:
            if budget.mode != "hard":
                self._watch(budget.name, budget.limit_amount, by)

    def _watch(self, name: str, limit: int, by: str) -> int:
        unit = self._watched.budgets[name].counted_unit
        self._watched.set_limit(name, str(to_usd(limit)) if unit == "usd" else limit)
        _log.info("budget %r: its limit is %s now, by %s", name, format_exactly(limit, unit), by)
        return limit

    async def _ledger_of(self, name: str) -> LedgerStore:
        """The ledger that has this budget. Raises ConfigError, naming those there are, for any other."""
        budget = self._watched.budgets.get(name)
        if budget is not None:
            expected = "mode='hard': what asks nobody first cannot be frozen"
            raise ConfigError(f"budget {name!r}", expected, got=budget.mode)
        known = [state.name for state in await self._gate.ledger.budgets()] if self._gate.budgets else []
        if name not in known:
            names = ", ".join(map(repr, (*known, *self._watched.budgets)))
            raise ConfigError("budget", f"one of {names}" if names else "a runtime that has budgets", got=name)
        return self._gate.ledger
