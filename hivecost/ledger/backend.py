"""What a runtime asks of the ledger that holds its money, wherever that keeps it: `hivecost.Ledger` is one in SQLite.

Another one passes `hivecost.testing.LedgerContract`, and is given as `AgentRuntime(…, open_ledger=…)`.
"""

from __future__ import annotations

from collections.abc import Collection, Iterable, Mapping, Sequence, Set
from pathlib import Path
from types import TracebackType
from typing import Protocol, Self, Unpack, runtime_checkable

from hivecost.clock import Clock
from hivecost.ledger.account import Account, AccountDetails, AccountStatus
from hivecost.ledger.amounts import UNITS, Amounts, Unit, USDAmount
from hivecost.ledger.book import Ancestors
from hivecost.ledger.budget import Budget, Limit
from hivecost.ledger.hold import HoldState, Refusal, Settlement
from hivecost.ledger.views import BudgetChange, BudgetState, DoubtfulHold, Holder, OwnLimit


class LedgerStoreHold(Protocol):
    """Money that is set aside for one attempt. Left unsettled, by an exception or not, it is in doubt.

    So it is, at the latest, when nobody keeps it any more and it is collected.
    All but `extend` never wait, are safe in any cancellation, and may be called from any thread. Once the ledger is
    closed what is not settled is in doubt, and they raise LedgerUnavailableError; those that only doubt need not.
    """

    @property
    def hold_id(self) -> str:
        """Unique where the ledger keeps its holds; what `LedgerStore.resolve` takes."""
        ...

    @property
    def key(self) -> str | None:
        """What it was reserved with, so that an attempt is not held twice."""
        ...

    @property
    def state(self) -> HoldState:
        """`held`, `in_doubt`, `settled` or `released`."""
        ...

    @property
    def budgets(self) -> Collection[str]:
        """The names of the budgets that it counts on."""
        ...

    @property
    def units(self) -> Set[Unit]:
        """The units in which its budgets count it."""
        ...

    def status(self, budgets: Collection[str] | None = None) -> Sequence[AccountDetails]:
        """Return how its accounts stand by now, or those of `budgets` alone, in the order of the budgets.

        With the limits and sums that this process knows: soft limits go by `settled`.
        """
        ...

    @property
    def amounts(self) -> Mapping[Unit, int]:
        """What is set aside, by unit."""
        ...

    @property
    def shadowed(self) -> tuple[Refusal, ...]:
        """What shadow budgets would have refused."""
        ...

    def settle(
        self,
        usd: USDAmount | None = None,
        **more: Unpack[Amounts],
    ) -> Settlement | None:
        """Charge the bill and give the rest back; None, and nothing changes, if that was done before.

        A unit that is not named is charged as it was held. A bill above its hold, or of one that was released, is
        charged in full and freezes the budget, unless the hold is partial: `Settlement.incidents`. So is what a bill is
        above the amount that somebody resolved its hold at; of a bill below that nothing is given back. Raise
        ConfigError for an amount that cannot be. From a finalizer or a signal handler that comes in the middle of the
        ledger's own work it may give None and settle a moment later; `hivecost.signals.settled_late` then has what it
        would have given, and it has incidents that only come to light where all processes' accounts are.
        """
        ...

    def settle_another(
        self,
        usd: USDAmount | None = None,
        **more: Unpack[Amounts],
    ) -> Settlement | None:
        """Charge the bill of one more answer that came for it, on its accounts and in its periods.

        What earlier bills left of the hold pays for it, as far as the accounts still have room: after `settle` the rest
        is anybody's. What is above is charged in full and freezes the budget, as in `settle`. A unit that is not named
        is charged at nothing, calls at one. Each call is another answer. None, and `settled_late`, as in `settle`.
        """
        ...

    def doubt_another(self, units: Collection[Unit] = UNITS) -> None:
        """Put one more answer that came for the hold in doubt: nobody knows its bill in these units.

        What is left of the hold there is in doubt as one of its own, as far as the accounts still have room.
        """
        ...

    def settle_known(
        self,
        usd: USDAmount | None = None,
        **more: Unpack[Amounts],
    ) -> Settlement | None:
        """Charge what is known of the bill: a unit that is not named stays in doubt, until `settle` or `resolve`.

        Named once, a unit stays as it was charged. None, and nothing changes, for a hold that is not held any more;
        otherwise as `settle`, though a closed ledger may give None as well.
        """
        ...

    def release(self) -> bool:
        """Give the whole hold back, because it is sure that nothing was sent; False if it is not held any more."""
        ...

    def doubt(self) -> bool:
        """Put the hold in doubt: it may have been sent, its bill is unknown. Return False if it is held no more."""
        ...

    async def extend(
        self,
        usd: USDAmount | None = None,
        **more: Unpack[Amounts],
    ) -> None:
        """Set more aside, on all accounts of the hold or on none. Raise as `LedgerStore.reserve` does."""
        ...

    async def __aenter__(self) -> Self: ...

    async def __aexit__(
        self, kind: type[BaseException] | None, error: BaseException | None, traceback: TracebackType | None
    ) -> None: ...


class LedgerStore(Protocol):
    """Holds money before each attempt, so that no account is ever spent beyond its limit.

    Open inside `async with`, once: its budgets, all `mode="hard"`, come into force then, and what others left behind
    that died is in doubt. Many may be open on one place at once, in as many processes, and spend the same accounts.
    Opening, and every method of one that is not open, raises LedgerUnavailableError: nothing is granted on a guess.
    The coroutines belong to the event loop that opened it. Those who change something say who they are: `by`, a text.
    """

    async def __aenter__(self) -> Self: ...

    async def __aexit__(
        self, kind: type[BaseException] | None, error: BaseException | None, traceback: TracebackType | None
    ) -> None: ...

    async def reserve(
        self,
        attribution: Mapping[str, str],
        usd: USDAmount | None = None,
        *,
        key: str | None = None,
        ancestors: Ancestors = (),
        is_partial: bool = False,
        **more: Unpack[Amounts],
    ) -> LedgerStoreHold:
        """Set the most that an attempt can cost aside, on every account it counts on or on none of them.

        Its periods are those of this instant, whenever it is settled. With a `key` that something held by this
        ledger has, gives that hold. `ancestors` are the attributes of the executions that started this one, the nearest
        first: budgets with an account for each execution hold on theirs, too, as if they took the turn themselves.
        `is_partial` says that more may be billed, as of a stream that is held in steps: what the bill is above the hold
        is an incident that freezes nothing, after restarts and by whoever resolves it, too.
        Raise BudgetExhaustedError (`reset_at`), BudgetBusyError (`retry_after_s`), LedgerUnavailableError, and
        ConfigError for amounts that cannot be.
        """
        ...

    def reserve_nowait(
        self,
        attribution: Mapping[str, str],
        usd: USDAmount | None = None,
        *,
        key: str | None = None,
        ancestors: Ancestors = (),
        is_partial: bool = False,
        **more: Unpack[Amounts],
    ) -> LedgerStoreHold | None:
        """Reserve without waiting; return None where that cannot be decided so, and `await reserve(…)` is needed.

        One that always has to ask elsewhere always gives None. Raise LedgerUnavailableError and ConfigError.
        """
        ...

    async def charge(
        self,
        attribution: Mapping[str, str],
        usd: USDAmount | None = None,
        *,
        ancestors: Ancestors = (),
        budgets: Collection[str] | None = None,
        **more: Unpack[Amounts],
    ) -> tuple[LedgerStoreHold, Settlement]:
        """Charge the bill of a turn that nothing was held for: in full, whatever is left, and on frozen budgets too.

        Of `budgets`, if they are named, only these are charged. What the accounts have room for pays for it; what is
        above is an incident and freezes the budget, now or by `settled_late` of the hold. The hold is one that was
        settled at nothing, and this its further answer: see `settle_another`. Raise LedgerUnavailableError, and
        ConfigError for amounts that cannot be.
        """
        ...

    async def status(self) -> list[AccountStatus]:
        """Return a row for each account, over all processes, and those of this one's executions.

        Periods that are over are left out, unless something is still held or in doubt there.
        """
        ...

    async def remaining(self, attribution: Mapping[str, str], ancestors: Ancestors = ()) -> dict[Unit, int]:
        """Return the most that a turn with these attributes could hold now, by the units of the enforced budgets."""
        ...

    async def in_doubt(self) -> list[DoubtfulHold]:
        """Return the holds in doubt of all processes, oldest first."""
        ...

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
        ...

    async def budgets(self) -> list[BudgetState]:
        """Return all budgets that were ever configured here, as they are in force for all processes, by name."""
        ...

    async def changes(self, limit: int = 100) -> list[BudgetChange]:
        """Return the newest entries of the audit trail, the newest first: who changed what, and when.

        Every change that somebody makes is one: `configure` for each budget with other limits, `retire`, `set_limit`,
        `raise_limit`, `unset_limit`, `freeze`, `unfreeze` and `resolve`. Raise ConfigError.
        """
        ...

    async def configure(self, budgets: Iterable[Budget] = (), *, retire: Iterable[str] = (), by: str) -> None:
        """Bring other limits and other budgets into force, as opening it with them would, while others hold.

        A limit that an operator set, for a budget or for one value, stays until another one is configured. A budget
        that it was not opened with binds from its next hold on. One that is named in `retire` refuses no more: what is
        held on it is settled as ever, and `status` may leave its accounts out or not. All of it, or nothing: raises
        ConfigError for a difference to a budget that it has but in limits, for one that counts otherwise than it ever
        did here, for one that is not `mode="hard"`, and for a name to retire that it does not have.
        """
        ...

    async def set_limit(self, budget: str, limit: Limit, *, scope: Mapping[str, str] | None = None, by: str) -> int:
        """Give a budget another limit, for all processes and after restarts; what was spent stays.

        With a scope such as `{"agent": "planner"}` only the accounts of these values, which then have a limit of their
        own. A scope names all account attributes of its budget; that of the window, `session` or `execution`, may be
        left out where there are others. In its own unit if `limit` names none. Gives it in what the budget counts.
        Raise ConfigError.
        """
        ...

    async def raise_limit(
        self, budget: str, by_amount: Limit, *, scope: Mapping[str, str] | None = None, by: str
    ) -> int:
        """Raise the limit that is in force by an amount above zero; of two that raise at once, both count.

        Gives the new limit in what the budget counts. Raise ConfigError.
        """
        ...

    async def unset_limit(self, budget: str, *, scope: Mapping[str, str] | None = None, by: str) -> int:
        """Take back what an operator set: the configured limit is in force again, of a scope without one the budget's.

        Gives that limit; nothing changes where nothing was set. Raise ConfigError.
        """
        ...

    async def limit_in_force(self, budget: str, *, scope: Mapping[str, str] | None = None) -> int:
        """Return the limit that the budget, or the accounts of these values, have now. Raise ConfigError."""
        ...

    async def freeze(self, budget: str, reason: str, *, by: str) -> None:
        """Grant nothing more on a budget, in any process; what is held may still be settled. Raise ConfigError."""
        ...

    async def unfreeze(self, budget: str, *, by: str) -> bool:
        """Grant again, after someone has looked. Return False if it was not frozen. Raise ConfigError."""
        ...

    def forget_execution(self, execution_id: str) -> None:
        """Drop the accounts of an execution that is over, each once nothing is held on it any more."""
        ...


class LedgerReader(Protocol):
    """Reads a ledger that is not opened: for those who only look. Synchronous, as a `hivecost.log.LogReader` is.

    A ledger that is missing reads as an empty one; reading makes nothing and changes nothing. Every method raises
    StoreErrors.
    """

    def budgets(self) -> list[BudgetState]:
        """Return all hard budgets that were ever configured here, as they are in force, by name."""
        ...

    def status(self, at_ns: int) -> list[AccountStatus]:
        """Return the accounts whose period is not over by then, or that have something held or in doubt.

        Over all processes, but for the accounts of executions, which live in their own.
        """
        ...

    def status_of(self, accounts: Sequence[Account]) -> dict[Account, AccountStatus]:
        """Return how the accounts with these budgets, periods and values stand; those that are not there are left out.

        Those included whose period is over.
        """
        ...

    def in_doubt(self, at_ns: int) -> list[DoubtfulHold]:
        """Return the holds in doubt of all processes, oldest first, and those of processes that have died since."""
        ...

    def holders(self, budget: str) -> dict[tuple[str, str], list[Holder]]:
        """Return who holds what of the accounts of a budget, by scope and period."""
        ...

    def own_limits(self, *, limit: int = 1_000) -> list[OwnLimit]:
        """Return the limits of single values that operators set, by budget and value, so many at most."""
        ...


@runtime_checkable
class ClosesInTime(Protocol):
    """What a ledger may have besides: a runtime that closes says here how much time is left, and cancels it later.

    Without it, closing is cancelled when the runtime's `close_timeout_s` is over.
    """

    close_timeout_s: float


class OpenLedger(Protocol):
    """Makes the ledger of a runtime, to be opened with `async with`: `Ledger.open` is one."""

    def __call__(self, base_path: str | Path, *, budgets: Sequence[Budget], clock: Clock) -> LedgerStore:
        """Return a ledger of these budgets, all `mode="hard"`. One that keeps no files has no use for `base_path`."""
        ...
