"""A ledger without a disk: what shares a place shares one pure `LedgerState`, as long as the process lives."""

from __future__ import annotations

import threading
from collections.abc import Collection, Iterable, Iterator, Mapping, Sequence, Set
from contextlib import contextmanager, suppress
from types import TracebackType
from typing import Self, Unpack
from weakref import WeakValueDictionary

import anyio.lowlevel

from hivecost.clock import Clock, to_datetime
from hivecost.errors import ConfigError, LedgerUnavailableError
from hivecost.ledger import (
    UNITS,
    Account,
    AccountDetails,
    AccountStatus,
    Amounts,
    Ancestors,
    Budget,
    BudgetChange,
    BudgetState,
    DoubtAmount,
    DoubtfulHold,
    Hold,
    Holder,
    HoldState,
    LedgerState,
    Limit,
    OwnLimit,
    Refusal,
    Settlement,
    Unit,
    USDAmount,
    amounts_of,
)
from hivecost.ledger.account import AccountKey
from hivecost.ledger.amounts import raise_amount
from hivecost.ledger.own_limits import LimitKey, format_key, own_limit_of
from hivecost.money import USD, to_usd


class Place:
    """What outlives the ledgers that are opened on it."""

    def __init__(self) -> None:
        self.lock = threading.RLock()
        self.accounts: dict[tuple[str, AccountKey], Account] = {}
        self.state = LedgerState((), opened=self.opened)
        #: As they were configured last, the retired ones too.
        self.budgets: dict[str, Budget] = {}
        #: What is in force of them.
        self.limits: dict[str, int] = {}
        self.own_limits: dict[str, dict[LimitKey, int | None]] = {}
        self.doubts: dict[str, DoubtfulHold] = {}
        #: Who changed what, the newest last.
        self.changes: list[BudgetChange] = []

    def opened(self, account: Account) -> Account:
        """Return the account as it was when its budget was retired."""
        if account.budget.window == "execution":
            return account
        return self.accounts.setdefault((account.budget.name, account.key), account)

    def configure(self, budgets: Sequence[Budget], retire: Iterable[str], by: str, now_ns: int) -> None:
        """Bring budgets into force: what is configured anew overrules an operator, all else stays."""
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

    def note(self, what: str, subject: str, by: str, now_ns: int) -> None:
        """Put on record who changed what."""
        at = to_datetime(now_ns)
        self.changes.append(BudgetChange(at=at, who=by, what=what, subject=subject, detail=""))

    def require_counts_alike(self, budget: Budget) -> None:
        """Raise ConfigError for a budget that counts otherwise than it ever did here."""
        before = self.budgets.get(budget.name, budget)
        if {"unit", "window", "timezone", "per"} & set(before.differences(budget)):
            raise ConfigError(f"budget {budget.name!r}", "what it counted before", got=budget)

    def take_limits(self, budget: Budget) -> None:
        """Take the limits that are configured otherwise than before."""
        before = self.budgets.get(budget.name)
        if before is None or before.limit != budget.limit:
            self.limits[budget.name] = budget.limit_amount
        was, now = {} if before is None else before.own_limits, budget.own_limits
        own = self.own_limits.setdefault(budget.name, {})
        for key in was.keys() | now.keys():
            if was.get(key) != now.get(key):
                own[key] = now.get(key)

    def set_limit(self, name: str, key: LimitKey, amount: int | None) -> None:
        """Set the limit of some values, with an empty key that of the budget; None takes it back."""
        if not key:
            self.limits[name] = self.budgets[name].limit_amount if amount is None else amount
        else:
            self.own_limits[name][key] = self.budgets[name].own_limits.get(key) if amount is None else amount
        self.bring_into_force(name)

    def bring_into_force(self, name: str) -> None:
        """Tell the state which limits a budget has."""
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

    def find(self, name: str, scope: Mapping[str, str] | None) -> tuple[Budget, LimitKey, int]:
        """Return the budget, the key of its scope, and the limit that is in force there. Raise ConfigError."""
        if name not in self.budgets:
            raise ConfigError("budget", "one of the place", got=name)
        budget = self.budgets[name]
        key: LimitKey = () if scope is None else budget.limit_key(scope)
        own = {one: amount for one, amount in self.own_limits[name].items() if amount is not None}
        limit = own_limit_of(own, budget.window, key)
        return budget, key, self.limits[name] if limit is None else limit

    def states(self) -> list[BudgetState]:
        """Return the budgets as they are in force, by name."""
        return [
            BudgetState(
                name=name,
                limit=self.limits[name],
                configured_limit=budget.limit_amount,
                unit=budget.counted_unit,
                window=budget.window,
                timezone=budget.timezone,
                attributes=budget.account_attributes,
                shadow=budget.shadow,
                frozen=self.state.frozen.get(name, ""),
            )
            for name, budget in sorted(self.budgets.items())
        ]

    def status(self, now_ns: int) -> list[AccountStatus]:
        """Return the accounts whose period is not over, or that have something held or in doubt."""
        now = to_datetime(now_ns)
        rows = self.state.status()
        return [row for row in rows if row.reset_at is None or row.reset_at > now or row.held or row.in_doubt]

    def newest_changes(self, limit: int) -> list[BudgetChange]:
        """Return the audit trail, the newest first. Raise ConfigError for a limit below 1."""
        if limit < 1:
            raise ConfigError("limit", "1 or more", got=limit)
        return self.changes[: -limit - 1 : -1]


def written(budget: Budget, amount: int) -> USD | int:
    """Return an amount as a limit of this budget."""
    return to_usd(amount) if budget.counted_unit == "usd" else amount


def require_name(by: str) -> None:
    """Raise ConfigError for nobody."""
    if not by.strip():
        raise ConfigError("by", "the name of who does this", got=by)


class MemoryHold:
    """A `hivecost.ledger.LedgerStoreHold`."""

    def __init__(self, ledger: MemoryLedger, pure: Hold, attribution: Mapping[str, str]) -> None:
        self.ledger, self.pure, self.attribution = ledger, pure, attribution

    @property
    def hold_id(self) -> str:
        return str(self.pure.hold_id)

    @property
    def key(self) -> str | None:
        return self.pure.key

    @property
    def state(self) -> HoldState:
        return self.pure.state

    @property
    def budgets(self) -> Collection[str]:
        return self.pure.budgets

    @property
    def units(self) -> Set[Unit]:
        return self.pure.units

    @property
    def amounts(self) -> Mapping[Unit, int]:
        return self.pure.amounts

    @property
    def shadowed(self) -> tuple[Refusal, ...]:
        return self.pure.shadowed

    def status(self, budgets: Collection[str] | None = None) -> Sequence[AccountDetails]:
        return self.pure.status(budgets)

    def settle(self, usd: USDAmount | None = None, **more: Unpack[Amounts]) -> Settlement | None:
        with self.ledger.locked() as place:
            settlement = place.state.settle(self.pure, amounts_of(usd, **more))
            place.doubts.pop(self.hold_id, None)
            return settlement

    def settle_known(self, usd: USDAmount | None = None, **more: Unpack[Amounts]) -> Settlement | None:
        with suppress(LedgerUnavailableError), self.ledger.locked() as place:
            settlement = place.state.settle_known(self.pure, amounts_of(usd, **more))
            if settlement is not None and self.state == "in_doubt":
                self.note("left unsettled")
            return settlement
        return None

    def settle_another(self, usd: USDAmount | None = None, **more: Unpack[Amounts]) -> Settlement | None:
        with self.ledger.locked() as place:
            return place.state.settle_another(self.pure, amounts_of(usd, **more))[1]

    def doubt_another(self, units: Collection[Unit] = UNITS) -> None:
        with self.ledger.locked() as place:
            another = place.state.hold_another(self.pure, units)
            if another.accounts:
                self.ledger.hold_class(self.ledger, another, self.attribution).doubt()

    def release(self) -> bool:
        with self.ledger.locked() as place:
            return place.state.release(self.pure)

    def doubt(self, reason: str = "left unsettled") -> bool:
        with suppress(LedgerUnavailableError), self.ledger.locked() as place:
            if not place.state.doubt(self.pure):
                return False
            self.note(reason)
            return True
        return False

    def note(self, reason: str) -> None:
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

    async def extend(self, usd: USDAmount | None = None, **more: Unpack[Amounts]) -> None:
        await anyio.lowlevel.checkpoint()
        with self.ledger.locked() as place:
            refusal = place.state.extend(self.pure, amounts_of(usd, **more))
        if refusal is not None:
            raise refusal.error()

    async def __aenter__(self) -> Self:
        return self

    async def __aexit__(
        self, kind: type[BaseException] | None, error: BaseException | None, traceback: TracebackType | None
    ) -> None:
        self.doubt()

    def __del__(self) -> None:
        with suppress(LedgerUnavailableError):
            self.doubt("nobody kept it")


class MemoryLedger:
    """A `hivecost.ledger.LedgerStore`."""

    hold_class = MemoryHold
    is_open = False

    def __init__(self, place: Place, budgets: Iterable[Budget], clock: Clock) -> None:
        self.place, self.own_budgets, self.clock = place, tuple(budgets), clock
        self.holds: WeakValueDictionary[int, MemoryHold] = WeakValueDictionary()

    @contextmanager
    def locked(self) -> Iterator[Place]:
        """Give the place, for one decision, while this ledger is open. Raise LedgerUnavailableError."""
        with self.place.lock:
            if not self.is_open:
                raise LedgerUnavailableError("this ledger is not open; what it held is in doubt")
            yield self.place

    async def __aenter__(self) -> Self:
        LedgerState(self.own_budgets)
        with self.place.lock:
            self.place.configure(self.own_budgets, (), "configuration", self.clock.now_ns())
        self.is_open = True
        return self

    async def __aexit__(
        self,
        kind: type[BaseException] | None = None,
        error: BaseException | None = None,
        traceback: TracebackType | None = None,
    ) -> None:
        with self.place.lock:
            for hold in list(self.holds.values()):
                hold.doubt("its ledger was closed")
            self.is_open = False

    async def reserve(
        self,
        attribution: Mapping[str, str],
        usd: USDAmount | None = None,
        *,
        key: str | None = None,
        ancestors: Ancestors = (),
        is_partial: bool = False,
        **more: Unpack[Amounts],
    ) -> MemoryHold:
        await anyio.lowlevel.checkpoint()
        answer = self.decide(attribution, amounts_of(usd, **more), key, ancestors, is_partial)
        if isinstance(answer, Refusal):
            raise answer.error(attribution.get("execution", ""))
        return answer

    def reserve_nowait(
        self,
        attribution: Mapping[str, str],
        usd: USDAmount | None = None,
        *,
        key: str | None = None,
        ancestors: Ancestors = (),
        is_partial: bool = False,
        **more: Unpack[Amounts],
    ) -> MemoryHold | None:
        answer = self.decide(attribution, amounts_of(usd, **more), key, ancestors, is_partial)
        return None if isinstance(answer, Refusal) else answer

    def decide(
        self,
        attribution: Mapping[str, str],
        amounts: Mapping[Unit, int],
        key: str | None,
        ancestors: Ancestors,
        is_partial: bool,
    ) -> MemoryHold | Refusal:
        """Return a hold, or why there is none."""
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

    async def charge(
        self,
        attribution: Mapping[str, str],
        usd: USDAmount | None = None,
        *,
        ancestors: Ancestors = (),
        budgets: Collection[str] | None = None,
        **more: Unpack[Amounts],
    ) -> tuple[MemoryHold, Settlement]:
        await anyio.lowlevel.checkpoint()
        amounts = amounts_of(usd, **more)
        with self.locked() as place:
            bill, settlement = place.state.charge(
                attribution, self.clock.now_ns(), amounts, ancestors=ancestors, budgets=budgets
            )
            return self.hold_class(self, bill.further_of or bill, dict(attribution)), settlement

    async def status(self) -> list[AccountStatus]:
        with self.locked() as place:
            return place.status(self.clock.now_ns())

    async def remaining(self, attribution: Mapping[str, str], ancestors: Ancestors = ()) -> dict[Unit, int]:
        with self.locked() as place:
            return place.state.remaining(attribution, self.clock.now_ns(), ancestors)

    async def in_doubt(self) -> list[DoubtfulHold]:
        with self.locked() as place:
            return sorted(place.doubts.values(), key=lambda doubt: doubt.since_ns)

    async def resolve(self, hold_id: str, usd: USDAmount | None = None, *, by: str, **more: Unpack[Amounts]) -> None:
        with self.locked() as place:
            if place.doubts.pop(hold_id, None) is None:
                raise ConfigError(f"hold {hold_id!r}", "the id of a hold that is in doubt")
            place.state.resolve(int(hold_id), amounts_of(usd, **more))
            self.note("resolve", hold_id, by)

    def note(self, what: str, subject: str, by: str) -> None:
        """Put on record who changed what."""
        self.place.note(what, subject, by, self.clock.now_ns())

    async def changes(self, limit: int = 100) -> list[BudgetChange]:
        with self.locked() as place:
            return place.newest_changes(limit)

    async def budgets(self) -> list[BudgetState]:
        with self.locked() as place:
            return place.states()

    async def configure(self, budgets: Iterable[Budget] = (), *, retire: Iterable[str] = (), by: str) -> None:
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

    async def set_limit(self, budget: str, limit: Limit, *, scope: Mapping[str, str] | None = None, by: str) -> int:
        with self.locked() as place:
            known, key, _ = place.find(budget, scope)
            amount = known.amount_of(limit)
            require_name(by)
            place.set_limit(budget, key, amount)
            self.note("set_limit", budget, by)
            return amount

    async def raise_limit(
        self, budget: str, by_amount: Limit, *, scope: Mapping[str, str] | None = None, by: str
    ) -> int:
        with self.locked() as place:
            known, key, before = place.find(budget, scope)
            raised = raise_amount(before, by_amount, known.counted_unit, key="amount")
            place.set_limit(budget, key, raised)
            self.note("raise_limit", budget, by)
            return raised

    async def unset_limit(self, budget: str, *, scope: Mapping[str, str] | None = None, by: str) -> int:
        with self.locked() as place:
            _, key, _ = place.find(budget, scope)
            place.set_limit(budget, key, None)
            self.note("unset_limit", budget, by)
            return place.find(budget, scope)[2]

    async def limit_in_force(self, budget: str, *, scope: Mapping[str, str] | None = None) -> int:
        with self.locked() as place:
            return place.find(budget, scope)[2]

    async def freeze(self, budget: str, reason: str, *, by: str) -> None:
        with self.locked() as place:
            require_name(by)
            place.state.freeze(budget, reason)
            self.note("freeze", budget, by)

    async def unfreeze(self, budget: str, *, by: str) -> bool:
        with self.locked() as place:
            done = place.state.unfreeze(budget)
            if done:
                self.note("unfreeze", budget, by)
            return done

    def forget_execution(self, execution_id: str) -> None:
        with self.locked() as place:
            place.state.forget_execution(execution_id)


class MemoryLedgerReader:
    """A `hivecost.ledger.LedgerReader` of a place. Nobody dies alone here: who holds what is in the accounts."""

    def __init__(self, place: Place) -> None:
        self._place = place

    def budgets(self) -> list[BudgetState]:
        with self._place.lock:
            return self._place.states()

    def status(self, at_ns: int) -> list[AccountStatus]:
        with self._place.lock:
            return [row for row in self._place.status(at_ns) if self._is_shared(row.budget)]

    def _is_shared(self, budget: str) -> bool:
        return self._place.budgets[budget].window != "execution"

    def status_of(self, accounts: Sequence[Account]) -> dict[Account, AccountStatus]:
        with self._place.lock:
            known = {account: self._place.accounts.get((account.budget.name, account.key)) for account in accounts}
            return {account: found.status() for account, found in known.items() if found is not None}

    def in_doubt(self, at_ns: int) -> list[DoubtfulHold]:
        with self._place.lock:
            return sorted(self._place.doubts.values(), key=lambda doubt: doubt.since_ns)

    def holders(self, budget: str) -> dict[tuple[str, str], list[Holder]]:
        return {}

    def own_limits(self, *, limit: int = 1_000) -> list[OwnLimit]:
        with self._place.lock:
            found = [
                OwnLimit(
                    budget=name,
                    scope=format_key(budget.account_attributes, key),
                    unit=budget.counted_unit,
                    limit=amount,
                    configured_limit=budget.own_limits.get(key),
                )
                for name, budget in sorted(self._place.budgets.items())
                for key, amount in self._place.own_limits[name].items()
                if amount is not None and amount != budget.own_limits.get(key)
            ]
        return found[:limit]
