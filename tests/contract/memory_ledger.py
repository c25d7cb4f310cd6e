"""A ledger backend without a disk: what shares a place shares one pure `LedgerState`, as long as the process lives."""

from __future__ import annotations

import threading
from contextlib import contextmanager, suppress
from weakref import WeakValueDictionary

import anyio.lowlevel

from hivecost.clock import to_datetime
from hivecost.errors import ConfigError, LedgerUnavailableError
from hivecost.ledger import (
    UNITS,
    BudgetChange,
    BudgetState,
    DoubtAmount,
    DoubtfulHold,
    LedgerState,
    Refusal,
    amounts_of,
)
from hivecost.ledger.amounts import raise_amount
from hivecost.ledger.own_limits import own_limit_of
from hivecost.money import to_usd


class Place:
    """What outlives the ledgers that are opened on it."""

    def __init__(self):
        self.lock = threading.RLock()
        self.accounts = {}
        self.state = LedgerState((), opened=self.opened)
        #: As they were configured last, the retired ones too; and what is in force of them, by budget.
        self.budgets, self.limits, self.own_limits = {}, {}, {}
        self.doubts = {}
        #: Who changed what, the newest last.
        self.changes = []

    def opened(self, account):
        """The account as it was when its budget was retired."""
        if account.budget.window == "execution":
            return account
        return self.accounts.setdefault((account.budget.name, account.key), account)

    def configure(self, budgets, retire, by, now_ns):
        """What is configured anew overrules an operator; all else stays."""
        for budget in budgets:
            self.require_counts_alike(budget)
        for name in retire:
            self.state.retire(name)
            self.note("retire", name, by, now_ns)
        for budget in budgets:
            if budget.name not in self.budgets or any(self.budgets[budget.name].differences(budget)):
                self.note("configure", budget.name, by, now_ns)
            self.take_limits(budget)
            if budget.name not in self.state.budgets:
                self.state.add([budget.without_own_limits()])
                for account in [account for (name, _), account in self.accounts.items() if name == budget.name]:
                    self.state.put(account)
            self.budgets[budget.name] = budget
            self.bring_into_force(budget.name)

    def note(self, what, subject, by, now_ns):
        """Put on record who changed what."""
        at = to_datetime(now_ns)
        self.changes.append(BudgetChange(at=at, who=by, what=what, subject=subject, detail=""))

    def require_counts_alike(self, budget):
        before = self.budgets.get(budget.name, budget)
        if {"unit", "window", "timezone", "per"} & set(before.differences(budget)):
            raise ConfigError(f"budget {budget.name!r}", "what it counted before", got=budget)

    def take_limits(self, budget):
        before = self.budgets.get(budget.name)
        if before is None or before.limit != budget.limit:
            self.limits[budget.name] = budget.limit_amount
        was, now = {} if before is None else before.own_limits, budget.own_limits
        own = self.own_limits.setdefault(budget.name, {})
        for key in was.keys() | now.keys():
            if was.get(key) != now.get(key):
                own[key] = now.get(key)

    def set_limit(self, name, key, amount):
        """Of the budget, with an empty key; None takes it back."""
        if not key:
            self.limits[name] = self.budgets[name].limit_amount if amount is None else amount
        else:
            self.own_limits[name][key] = self.budgets[name].own_limits.get(key) if amount is None else amount
        self.bring_into_force(name)

    def bring_into_force(self, name):
        if name not in self.state.budgets:
            return
        budget = self.budgets[name]
        self.state.set_limit(name, written(budget, self.limits[name]))
        for key, amount in self.own_limits[name].items():
            scope = {one: value for one, value in zip(budget.account_attributes, key, strict=True) if value is not None}
            if amount is None:
                self.state.unset_limit(name, scope)
            else:
                self.state.set_limit(name, written(budget, amount), scope=scope)

    def find(self, name, scope):
        """The budget, the key of its scope, and the limit that is in force there."""
        if name not in self.budgets:
            raise ConfigError("budget", "one of the place", got=name)
        budget = self.budgets[name]
        key = () if scope is None else budget.limit_key(scope)
        own = {one: amount for one, amount in self.own_limits[name].items() if amount is not None}
        limit = own_limit_of(own, budget.window, key)
        return budget, key, self.limits[name] if limit is None else limit


def written(budget, amount):
    return to_usd(amount) if budget.counted_unit == "usd" else amount


def require_name(by):
    if not by.strip():
        raise ConfigError("by", "the name of who does this", got=by)


class MemoryHold:
    def __init__(self, ledger, pure, attribution):
        self.ledger, self.pure, self.attribution = ledger, pure, attribution

    hold_id = property(lambda self: str(self.pure.hold_id))
    key = property(lambda self: self.pure.key)
    state = property(lambda self: self.pure.state)
    budgets = property(lambda self: self.pure.budgets)
    units = property(lambda self: self.pure.units)
    amounts = property(lambda self: self.pure.amounts)
    shadowed = property(lambda self: self.pure.shadowed)

    def status(self, budgets=None):
        return self.pure.status(budgets)

    def settle(self, usd=None, **more):
        with self.ledger.locked() as place:
            settlement = place.state.settle(self.pure, amounts_of(usd, **more))
            place.doubts.pop(self.hold_id, None)
            return settlement

    def settle_known(self, usd=None, **more):
        with suppress(LedgerUnavailableError), self.ledger.locked() as place:
            settlement = place.state.settle_known(self.pure, amounts_of(usd, **more))
            if settlement is not None and self.state == "in_doubt":
                self.note("left unsettled")
            return settlement
        return None

    def settle_another(self, usd=None, **more):
        with self.ledger.locked() as place:
            return place.state.settle_another(self.pure, amounts_of(usd, **more))[1]

    def doubt_another(self, units=UNITS):
        with self.ledger.locked() as place:
            another = place.state.hold_another(self.pure, units)
            if another.accounts:
                self.ledger.hold_class(self.ledger, another, self.attribution).doubt()

    def release(self):
        with self.ledger.locked() as place:
            return place.state.release(self.pure)

    def doubt(self, reason="left unsettled"):
        with suppress(LedgerUnavailableError), self.ledger.locked() as place:
            if not place.state.doubt(self.pure):
                return False
            self.note(reason)
            return True
        return False

    def note(self, reason):
        """Put it on the list of the holds in doubt."""
        amounts = (
            DoubtAmount(
                budget=account.budget.name,
                scope=account.scope,
                period=account.period.name,
                unit=account.unit,
                amount=self.amounts[account.unit],
            )
            for account in self.pure.accounts
        )
        self.ledger.place.doubts[self.hold_id] = DoubtfulHold(
            hold_id=self.hold_id,
            key=self.key or "",
            reason=reason,
            since_ns=self.ledger.clock.now_ns(),
            amounts=tuple(amounts),
        )

    async def extend(self, usd=None, **more):
        await anyio.lowlevel.checkpoint()
        with self.ledger.locked() as place:
            refusal = place.state.extend(self.pure, amounts_of(usd, **more))
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
            self.place.configure(self.own_budgets, (), "configuration", self.clock.now_ns())
        self.is_open = True
        return self

    async def __aexit__(self, *_):
        with self.place.lock:
            for hold in list(self.holds.values()):
                hold.doubt("its ledger was closed")
            self.is_open = False

    async def reserve(self, attribution, usd=None, *, key=None, ancestors=(), is_partial=False, **more):
        await anyio.lowlevel.checkpoint()
        answer = self.decide(attribution, amounts_of(usd, **more), key, ancestors, is_partial)
        if isinstance(answer, Refusal):
            raise answer.error(attribution.get("execution", ""))
        return answer

    def reserve_nowait(self, attribution, usd=None, *, key=None, ancestors=(), is_partial=False, **more):
        answer = self.decide(attribution, amounts_of(usd, **more), key, ancestors, is_partial)
        return None if isinstance(answer, Refusal) else answer

    def decide(self, attribution, amounts, key, ancestors, is_partial):
        """A hold, or why there is none."""
        with self.locked() as place:
            pure = place.state.reserve(
                attribution, self.clock.now_ns(), amounts, key, ancestors=ancestors, is_partial=is_partial
            )
            if isinstance(pure, Refusal):
                return pure
            known = self.holds.get(pure.hold_id)
            if known is None:
                known = self.holds[pure.hold_id] = self.hold_class(self, pure, dict(attribution))
            return known

    async def charge(self, attribution, usd=None, *, ancestors=(), budgets=None, **more):
        await anyio.lowlevel.checkpoint()
        amounts = amounts_of(usd, **more)
        with self.locked() as place:
            bill, settlement = place.state.charge(
                attribution, self.clock.now_ns(), amounts, ancestors=ancestors, budgets=budgets
            )
            return self.hold_class(self, bill.further_of, dict(attribution)), settlement

    async def status(self):
        now = to_datetime(self.clock.now_ns())
        with self.locked() as place:
            rows = place.state.status()
        return [row for row in rows if row.reset_at is None or row.reset_at > now or row.held or row.in_doubt]

    async def remaining(self, attribution, ancestors=()):
        with self.locked() as place:
            return place.state.remaining(attribution, self.clock.now_ns(), ancestors)

    async def in_doubt(self):
        with self.locked() as place:
            return sorted(place.doubts.values(), key=lambda doubt: doubt.since_ns)

    async def resolve(self, hold_id, usd=None, *, by, **more):
        with self.locked() as place:
            if place.doubts.pop(hold_id, None) is None:
                raise ConfigError(f"hold {hold_id!r}", "the id of a hold that is in doubt")
            place.state.resolve(int(hold_id), amounts_of(usd, **more))
            self.note("resolve", hold_id, by)

    def note(self, what, subject, by):
        """Put on record who changed what."""
        self.place.note(what, subject, by, self.clock.now_ns())

    async def changes(self, limit=100):
        if limit < 1:
            raise ConfigError("limit", "1 or more", got=limit)
        with self.locked() as place:
            return place.changes[: -limit - 1 : -1]

    async def budgets(self):
        with self.locked() as place:
            return [
                BudgetState(
                    name=name,
                    limit=place.limits[name],
                    configured_limit=budget.limit_amount,
                    unit=budget.counted_unit,
                    window=budget.window,
                    timezone=budget.timezone,
                    attributes=budget.account_attributes,
                    shadow=budget.shadow,
                    frozen=place.state.frozen.get(name, ""),
                )
                for name, budget in sorted(place.budgets.items())
            ]

    async def configure(self, budgets=(), *, retire=(), by):
        own = {budget.name: budget for budget in self.own_budgets}
        listed, retired = tuple(budgets), tuple(retire)
        LedgerState(listed)
        for budget in listed:
            if set(own.get(budget.name, budget).differences(budget)) - {"limit", "limits"}:
                raise ConfigError(f"budget {budget.name!r}", "one that the ledger has, with other limits")
        for name in retired:
            if name not in own:
                raise ConfigError("retire", "a budget that the ledger has", got=name)
        with self.locked() as place:
            place.configure(listed, retired, by, self.clock.now_ns())
            own |= {budget.name: budget for budget in listed}
            self.own_budgets = tuple(budget for name, budget in own.items() if name not in retired)

    async def set_limit(self, budget, limit, *, scope=None, by):
        with self.locked() as place:
            known, key, _ = place.find(budget, scope)
            amount = known.amount_of(limit)
            require_name(by)
            place.set_limit(budget, key, amount)
            self.note("set_limit", budget, by)
            return amount

    async def raise_limit(self, budget, by_amount, *, scope=None, by):
        with self.locked() as place:
            known, key, before = place.find(budget, scope)
            raised = raise_amount(before, by_amount, known.counted_unit, key="amount")
            place.set_limit(budget, key, raised)
            self.note("raise_limit", budget, by)
            return raised

    async def unset_limit(self, budget, *, scope=None, by):
        with self.locked() as place:
            _, key, _ = place.find(budget, scope)
            place.set_limit(budget, key, None)
            self.note("unset_limit", budget, by)
            return place.find(budget, scope)[2]

    async def freeze(self, budget, reason, *, by):
        with self.locked() as place:
            require_name(by)
            place.state.freeze(budget, reason)
            self.note("freeze", budget, by)

    async def unfreeze(self, budget, *, by):
        with self.locked() as place:
            done = place.state.unfreeze(budget)
            if done:
                self.note("unfreeze", budget, by)
            return done

    def forget_execution(self, execution_id):
        with self.locked() as place:
            place.state.forget_execution(execution_id)
