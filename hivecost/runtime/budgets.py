"""`runtime.budgets`: how the budgets of a runtime stand, and changing them while its agents run."""

from __future__ import annotations

from collections import Counter
from collections.abc import Awaitable, Callable, Iterable, Mapping
from typing import Unpack

import anyio

from hivecost.clock import Clock, to_datetime
from hivecost.errors import ConfigError
from hivecost.ledger import (
    AccountStatus,
    Amounts,
    Budget,
    DoubtfulHold,
    LedgerStore,
    Limit,
    USDAmount,
    listed_budgets,
    listed_names,
)
from hivecost.ledger.budget import CHANGEABLE
from hivecost.pricing import PriceBook
from hivecost.runtime.counted_limits import CountedLimits
from hivecost.runtime.gate import Gate
from hivecost.runtime.match_values import placed, placed_scope
from hivecost.subscribers import BudgetWatcher


class RuntimeBudgets:
    """Changes while agents run; what was spent stays, and paused executions go on when there is money again.

    Hard budgets are those of the ledger: changed for all processes of the base path, also after restarts, and put on
    the audit trail with `by`. The others are this runtime's own: their limits hold until it is made anew, and there is
    nothing to freeze. To be called on the runtime's event loop.

    A limit is that of a whole budget, or with `scope` that of one value of its attributes, such as
    `{"agent": "planner"}`: it names all of them; that of the window, `session` or `execution`, may be left out.

    Whatever needs the ledger raises LedgerUnavailableError while the runtime does not run. A budget that is not there,
    an amount that cannot be, or a change that its mode does not know raises ConfigError.
    """

    def __init__(
        self,
        gate: Gate,
        watcher: BudgetWatcher,
        *,
        clock: Clock,
        prices: PriceBook,
        watch: Callable[[], Awaitable[None]],
        record: Callable[[], Awaitable[None]],
    ) -> None:
        self._prices = prices
        self._gate = gate
        self._watcher = watcher
        self._clock = clock
        #: Attaches the watcher where it is not attached yet.
        self._watch = watch
        #: Writes down what the budgets are now, for those who only look.
        self._record = record
        #: Of those that are counted.
        self._counted = CountedLimits(watcher.accounts, record)
        self._configuring = anyio.Lock()

    async def status(self) -> list[AccountStatus]:
        """Return a row for each account: those of hard budgets, over all processes, then those counted here.

        Periods that are over are left out. Turns that still wait on the bus are counted after `bus.drain()`.
        """
        held = await self._gate.ledger.status() if self._gate.uses_ledger else []
        now = to_datetime(self._clock.now_ns())
        return held + [row for row in self._watcher.status() if row.reset_at is None or row.reset_at > now]

    async def set_limit(self, name: str, limit: Limit, *, scope: Mapping[str, str] | None = None, by: str) -> int:
        """Give a budget, or one value of its attributes, another limit, such as `"$5"`; its own unit need not be named.

        Gives it in what the budget counts: nano-USD, tokens or calls.
        """
        limits = await self._limits_of(name)
        return await limits.set_limit(name, limit, scope=placed_scope(scope, self._prices), by=by)

    async def raise_limit(self, name: str, by_amount: Limit, *, scope: Mapping[str, str] | None = None, by: str) -> int:
        """Raise the limit that is in force by an amount above zero; of two that raise at once, both count.

        Gives the new limit in what the budget counts.
        """
        limits = await self._limits_of(name)
        return await limits.raise_limit(name, by_amount, scope=placed_scope(scope, self._prices), by=by)

    async def unset_limit(self, name: str, *, scope: Mapping[str, str] | None = None, by: str) -> int:
        """Take back what was set or raised: the configured limit is in force again.

        Of a value for which none is configured, that of the budget. Gives that limit.
        """
        limits = await self._limits_of(name)
        return await limits.unset_limit(name, scope=placed_scope(scope, self._prices), by=by)

    async def freeze(self, name: str, reason: str, *, by: str) -> None:
        """Grant nothing more on a hard budget; what is held may still be settled."""
        await (await self._ledger_of(name)).freeze(name, reason, by=by)

    async def unfreeze(self, name: str, *, by: str) -> bool:
        """Grant again, after someone has looked. Return False if it was not frozen."""
        return await (await self._ledger_of(name)).unfreeze(name, by=by)

    async def in_doubt(self) -> list[DoubtfulHold]:
        """Return the holds in doubt of all processes, oldest first."""
        return await self._gate.ledger.in_doubt() if self._gate.uses_ledger else []

    async def resolve(
        self,
        hold_id: str,
        usd: USDAmount | None = None,
        *,
        by: str,
        **more: Unpack[Amounts],
    ) -> None:
        """Settle a hold that is in doubt at what it really cost (0, if it was never sent).

        A unit that is not named is charged as it was held.
        """
        await self._gate.ledger.resolve(hold_id, usd, by=by, **more)

    async def configure(self, budgets: Budget | Iterable[Budget] = (), *, retire: Iterable[str] = (), by: str) -> None:
        """Bring these budgets into force as configured ones, and take those out of it that `retire` names.

        Of one that is there the limits change, but for those that were set by hand since, where the configured ones
        stay the same. One that is new, of whatever mode, binds the next turn: a hard one by what is in the ledger, any
        other by what the runtime log says was spent in its period. A retired one stops and refuses nothing more in
        this runtime; turns on their way are settled on it as ever. While the runtime does not run, it is in force from
        the next time on. Budgets that are named neither way stay as they are; a single name needs no list.

        Raise ConfigError for a budget that differs from what is in force in more than its limits: that needs a
        restart, or a new name. Then nothing has changed.
        """
        listed = tuple(placed(budget, self._prices) for budget in listed_budgets(budgets))
        retired = listed_names(retire)
        async with self._configuring:
            self._require_configurable(listed, retired)
            counted, configured = [budget for budget in listed if budget.mode != "hard"], self._counted.configured
            if any(budget.name not in configured for budget in counted):
                await self._watch()
            hard = [budget for budget in listed if budget.mode == "hard"]
            await self._gate.configure(hard, retire=[name for name in retired if name not in configured], by=by)
            for name in configured.keys() & retired:
                self._watcher.retire(name)
                del configured[name]
            await self._watcher.add(budget for budget in counted if budget.name not in configured)
            for budget in counted:
                self._counted.configure(budget, by)
            await self._record()

    def has(self, name: str) -> bool:
        """Tell whether a budget of this name is in force, of whatever mode."""
        return name in self._counted.configured or any(budget.name == name for budget in self._gate.budgets)

    def _require_configurable(self, budgets: tuple[Budget, ...], retired: tuple[str, ...]) -> None:
        known = {budget.name: budget for budget in (*self._gate.budgets, *self._counted.configured.values())}
        for name, count in Counter((*(budget.name for budget in budgets), *retired)).items():
            if count > 1:
                raise ConfigError(f"budget {name!r}.name", "a name that is configured or retired, and only once")
        for name in retired:
            if name not in known:
                names = ", ".join(map(repr, known))
                raise ConfigError("retire", f"one of {names}" if names else "a runtime that has budgets", got=name)
        for budget in budgets:
            for field in known.get(budget.name, budget).differences(budget):
                if field not in CHANGEABLE:
                    before = getattr(known[budget.name], field)
                    expected = f"{before!r}: only its limits change while it is in force; to change more, restart, or"
                    raise ConfigError(f"budget {budget.name!r}.{field}", f"{expected} give it a new name")

    async def _limits_of(self, name: str) -> CountedLimits | LedgerStore:
        """Return where the limits of this budget are changed. Raise ConfigError where there is none of this name."""
        return self._counted if name in self._counted.configured else await self._ledger_of(name)

    async def _ledger_of(self, name: str) -> LedgerStore:
        """Return the ledger that has this budget. Raise ConfigError, naming those there are, for any other."""
        budget = self._counted.configured.get(name)
        if budget is not None:
            expected = "mode='hard': what asks nobody first cannot be frozen"
            raise ConfigError(f"budget {name!r}", expected, got=budget.mode)
        configured = [one.name for one in self._gate.budgets]
        known = [one.name for one in await self._gate.ledger.budgets()] if self._gate.uses_ledger else configured
        if name not in known:
            names = ", ".join(map(repr, (*known, *self._counted.configured)))
            raise ConfigError("budget", f"one of {names}" if names else "a runtime that has budgets", got=name)
        return self._gate.ledger
