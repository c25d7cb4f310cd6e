"""A ledger backend without a disk: what shares a place shares one pure `LedgerState`, as long as the process lives."""

from __future__ import annotations

import threading
from contextlib import contextmanager, suppress
from weakref import WeakValueDictionary

import anyio.lowlevel

from hivecost.clock import to_datetime
from hivecost.errors import ConfigError, LedgerUnavailableError
from hivecost.ledger import BudgetState, DoubtAmount, DoubtfulHold, LedgerState, Refusal, amounts_of
from hivecost.ledger.amounts import raise_amount
from hivecost.money import to_usd


class Place:
    """What outlives the ledgers that are opened on it."""

    def __init__(self):
        self.lock = threading.RLock()
        self.state = LedgerState(())
        self.budgets = {}
        self.doubts = {}
        self.open_ledgers = 0

    def open(self, budgets):
        """Bring budgets into force; while another ledger is open, only such as it has."""
        for budget in budgets:
            if self.open_ledgers and budget.name not in self.budgets:
                raise ConfigError("budget", "one that the place was opened with", got=budget.name)
        changed = [budget for budget in budgets if self.limit_changed(budget)]
        limits = {name: budget.limit for name, budget in self.state.budgets.items()}
        known = self.budgets | {budget.name: budget for budget in budgets}
        if not self.open_ledgers:
            self.state = LedgerState.restore(known.values(), self.state.snapshot())
            for name, limit in limits.items():
                self.state.set_limit(name, limit)
        self.configure(changed)
        self.budgets = known
        self.open_ledgers += 1

    def limit_changed(self, budget):
        return budget.name not in self.budgets or self.budgets[budget.name].limit != budget.limit

    def configure(self, budgets):
        for budget in budgets:
            if self.limit_changed(budget):
                self.budgets[budget.name] = budget
                self.state.set_limit(budget.name, budget.limit)


class MemoryHold:
    def __init__(self, ledger, pure, attribution):
        self.ledger, self.pure, self.attribution = ledger, pure, attribution

    hold_id = property(lambda self: str(self.pure.hold_id))
    key = property(lambda self: self.pure.key)
    state = property(lambda self: self.pure.state)
    accounts = property(lambda self: self.pure.accounts)
    amounts = property(lambda self: self.pure.amounts)
    shadowed = property(lambda self: self.pure.shadowed)

    def settle(self, usd=None, *, nanousd=None, tokens=None, calls=None):
        with self.ledger.locked() as place:
            settlement = place.state.settle(self.pure, amounts_of(usd, nanousd, tokens, calls))
            place.doubts.pop(self.hold_id, None)
            return settlement

    def settle_another(self, usd=None, *, nanousd=None, tokens=None, calls=None):
        with self.ledger.locked() as place:
            return place.state.settle_another(self.pure, amounts_of(usd, nanousd, tokens, calls))[1]

    def doubt_another(self):
        with self.ledger.locked() as place:
            another = self.ledger.hold_class(self.ledger, place.state.hold_another(self.pure), self.attribution)
            another.doubt()

    def release(self):
        with self.ledger.locked() as place:
            return place.state.release(self.pure)

    def doubt(self, reason="left unsettled"):
        with suppress(LedgerUnavailableError), self.ledger.locked() as place:
            if not place.state.doubt(self.pure):
                return False
            amounts = (
                DoubtAmount(
                    budget=account.budget.name,
                    scope=account.scope,
                    period=account.period.name,
                    unit=account.unit,
                    amount=self.amounts[account.unit],
                )
                for account in self.accounts
            )
            place.doubts[self.hold_id] = DoubtfulHold(
                hold_id=self.hold_id,
                key=self.key or "",
                reason=reason,
                since_ns=self.ledger.clock.now_ns(),
                amounts=tuple(amounts),
            )
            return True
        return False

    async def extend(self, usd=None, *, nanousd=None, tokens=None, calls=None):
        await anyio.lowlevel.checkpoint()
        with self.ledger.locked() as place:
            refusal = place.state.extend(self.pure, amounts_of(usd, nanousd, tokens, calls))
        if refusal is not None:
            raise refusal.error()

    async def __aenter__(self):
        return self

    async def __aexit__(self, *_):
        self.doubt()

    def __del__(self):
        with suppress(LedgerUnavailableError):
            self.doubt("nobody kept it")


class MemoryLedger:
    """A `hivecost.ledger.LedgerStore`."""

    hold_class = MemoryHold
    is_open = False

    def __init__(self, place, budgets, clock):
        self.place, self.own_budgets, self.clock = place, tuple(budgets), clock
        self.holds = WeakValueDictionary()

    @contextmanager
    def locked(self):
        """The place, for one decision, while this ledger is open."""
        with self.place.lock:
            if not self.is_open:
                raise LedgerUnavailableError("this ledger is not open; what it held is in doubt")
            yield self.place

    async def __aenter__(self):
        LedgerState(self.own_budgets)
        with self.place.lock:
            self.place.open(self.own_budgets)
        self.is_open = True
        return self

    async def __aexit__(self, *_):
        with self.place.lock:
            for hold in list(self.holds.values()):
                hold.doubt("its ledger was closed")
            self.is_open = False
            self.place.open_ledgers -= 1

    async def reserve(self, attribution, usd=None, *, nanousd=None, tokens=None, calls=1, key=None):
        await anyio.lowlevel.checkpoint()
        answer = self.decide(attribution, amounts_of(usd, nanousd, tokens, calls), key)
        if isinstance(answer, Refusal):
            raise answer.error(attribution.get("execution", ""))
        return answer

    def reserve_nowait(self, attribution, usd=None, *, nanousd=None, tokens=None, calls=1, key=None):
        answer = self.decide(attribution, amounts_of(usd, nanousd, tokens, calls), key)
        return None if isinstance(answer, Refusal) else answer

    def decide(self, attribution, amounts, key):
        """A hold, or why there is none."""
        with self.locked() as place:
            pure = place.state.reserve(attribution, self.clock.now_ns(), amounts, key)
            if isinstance(pure, Refusal):
                return pure
            known = self.holds.get(pure.hold_id)
            if known is None:
                known = self.holds[pure.hold_id] = self.hold_class(self, pure, dict(attribution))
            return known

    async def status(self):
        now = to_datetime(self.clock.now_ns())
        with self.locked() as place:
            rows = place.state.status()
        return [row for row in rows if row.reset_at is None or row.reset_at > now or row.held or row.in_doubt]

    async def remaining(self, attribution):
        with self.locked() as place:
            return place.state.remaining(attribution, self.clock.now_ns())

    async def in_doubt(self):
        with self.locked() as place:
            return sorted(place.doubts.values(), key=lambda doubt: doubt.since_ns)

    async def resolve(self, hold_id, usd=None, *, nanousd=None, tokens=None, calls=None, by):
        with self.locked() as place:
            if place.doubts.pop(hold_id, None) is None:
                raise ConfigError(f"hold {hold_id!r}", "the id of a hold that is in doubt")
            place.state.resolve(int(hold_id), amounts_of(usd, nanousd, tokens, calls))

    async def budgets(self):
        with self.locked() as place:
            return [
                BudgetState(
                    name=name,
                    limit=budget.limit_amount,
                    configured_limit=place.budgets[name].limit_amount,
                    unit=budget.counted_unit,
                    window=budget.window,
                    timezone=budget.timezone,
                    attributes=budget.account_attributes,
                    shadow=budget.shadow,
                    frozen=place.state.frozen.get(name, ""),
                )
                for name, budget in sorted(place.state.budgets.items())
            ]

    async def configure(self, budgets, *, by):
        own = {budget.name: budget for budget in self.own_budgets}
        listed = tuple(budgets)
        for budget in listed:
            if budget.name not in own or own[budget.name].with_limit(budget.limit) != budget:
                raise ConfigError(f"budget {budget.name!r}", "one that the ledger has, with another limit")
        with self.locked() as place:
            place.configure(listed)

    async def set_limit(self, budget, limit, *, by):
        with self.locked() as place:
            place.state.set_limit(budget, limit)
            return place.state.budgets[budget].limit_amount

    async def raise_limit(self, budget, by_amount, *, by):
        with self.locked() as place:
            if budget not in place.state.budgets:
                raise ConfigError("budget", "one of the place", got=budget)
            known = place.state.budgets[budget]
            raised = raise_amount(known.limit_amount, by_amount, known.counted_unit, key="amount")
            place.state.set_limit(budget, to_usd(raised) if known.counted_unit == "usd" else raised)
            return raised

    async def freeze(self, budget, reason, *, by):
        with self.locked() as place:
            place.state.freeze(budget, reason)

    async def unfreeze(self, budget, *, by):
        with self.locked() as place:
            return place.state.unfreeze(budget)

    def forget_execution(self, execution_id):
        with self.locked() as place:
            place.state.forget_execution(execution_id)
