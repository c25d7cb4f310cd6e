"""Hard budgets that stay true through concurrency, cancellation, SIGKILL, restarts and many processes."""

from __future__ import annotations

from collections.abc import Awaitable, Collection, Mapping, Sequence
from types import TracebackType
from typing import Self, TypeVar, Unpack

import anyio
from anyio.abc import TaskGroup

from hivecost.attribution import Attributes
from hivecost.clock import Clock
from hivecost.errors import ConfigError, LedgerUnavailableError, StoreError
from hivecost.forking import leave_child, tell_children
from hivecost.leasing.bank import LeaseBank, LeasePolicy
from hivecost.leasing.batch import Committed, LeaseRequest
from hivecost.leasing.controls import LedgerControls
from hivecost.leasing.leases import is_durable
from hivecost.leasing.ledger_hold import LedgerHold
from hivecost.leasing.ledger_sync import LedgerSync
from hivecost.leasing.local_ledger import LocalLedger
from hivecost.leasing.operations import Configure, Operation, Refresh
from hivecost.ledger import (
    AccountStatus,
    Amounts,
    Budget,
    Hold,
    LedgerState,
    Refusal,
    Settlement,
    Unit,
    USDAmount,
    amounts_of,
    listed_names,
)
from hivecost.ledger.own_limits import is_value

R = TypeVar("R")


class LeasedLedger(LedgerControls):
    """Holds money before each attempt, against leases of a bank, so that no account is ever spent beyond its limit.

    Open inside `async with`, once: its budgets, all `mode="hard"`, come into force, and processes that are gone are
    recovered. Any number of them, of any number of processes, may share what the bank keeps. Its coroutines may be
    awaited on any event loop while the one that opened it runs; a hold's own methods may be called from any thread.
    Opening raises LedgerUnavailableError, and ConfigError for budgets that are not `mode="hard"`, or that count
    otherwise than they did.
    """

    def __init__(
        self,
        bank: LeaseBank,
        budgets: tuple[Budget, ...],
        clock: Clock,
        *,
        holds_max: int,
        close_timeout_s: float,
        policy: LeasePolicy,
    ) -> None:
        """Take a bank that was not opened yet.

        `holds_max` bounds the holds that are open at once, and those that are settled and not committed yet.
        """
        self._bank = bank
        self._budgets = budgets
        self._clock = clock
        self._holds_max = holds_max
        self._policy = policy
        self.close_timeout_s = close_timeout_s
        self._opened: tuple[LocalLedger, LedgerSync] | None = None
        self._tasks: TaskGroup | None = None
        self._is_forked = False
        tell_children(self)

    async def __aenter__(self) -> Self:
        if self._opened is not None:
            raise LedgerUnavailableError(f"{self._bank.name}: this Ledger was opened before; make another one")
        LedgerState(self._budgets)  # what cannot be is said before anything is made
        try:
            opened = await self._bank.open(self._budgets, holds_max=self._holds_max, policy=self._policy)
        except StoreError as error:
            raise LedgerUnavailableError(str(error)) from error
        local = LocalLedger(
            self._budgets, opened.journal, opened.process_id, self._clock, sender=self, extend=self._extend
        )
        sync = LedgerSync(self._bank, local, self._policy, self._clock)
        self._opened = local, sync
        self._tasks = await anyio.create_task_group().__aenter__()
        self._tasks.start_soon(sync.run, name=f"ledger of {self._bank.name}")
        try:
            await sync.do(Refresh())  # the limits and freezes that are in force
        except BaseException:
            await self.__aexit__(None, None, None)
            raise
        return self

    async def __aexit__(
        self, kind: type[BaseException] | None, error: BaseException | None, traceback: TracebackType | None
    ) -> None:
        if self._is_forked:
            leave_child(error)
            return
        local, sync = self._require_open()
        tasks, self._tasks = self._tasks, None
        deadline = anyio.current_time() + self.close_timeout_s
        sync.stop(self.close_timeout_s)
        try:
            if tasks is not None:
                # Not told of the caller's error, because a task group would wrap it in a group.
                await tasks.__aexit__(None, None, None)
        finally:
            batch = local.leave(f"{self._bank.name}: this ledger is closed")
            await self._bank.close(batch, timeout_s=deadline - anyio.current_time())

    async def reserve(
        self,
        attribution: Attributes,
        usd: USDAmount | None = None,
        *,
        key: str | None = None,
        ancestors: Sequence[Attributes] = (),
        is_partial: bool = False,
        **more: Unpack[Amounts],
    ) -> LedgerHold:
        """Set the most that an attempt can cost aside, on every account it counts on or on none of them.

        `attribution` says whose it is: `{"org": "acme"}`, or an Attribution. With a `key` that an open hold of this
        Ledger has, gives that hold. `ancestors` are the attributes of the executions that started this one, the nearest
        first (without them those that an Attribution knows): budgets with an account for each execution hold on theirs,
        too, as if they took the turn themselves. `is_partial` says that more may be billed than is set aside, as of a
        stream that is held in steps: that is charged, said, and freezes nothing. Raise BudgetExhaustedError
        (`reset_at`), BudgetBusyError (`retry_after_s`), LedgerUnavailableError, and ConfigError for amounts that cannot
        be, and for an attribute or a key that is no text.
        """
        local, sync = self._require_open()
        amounts = amounts_of(usd, **more)
        asked = False
        while True:
            answer = local.reserve(attribution, ancestors, amounts, key, is_partial)
            if isinstance(answer, LedgerHold):
                if local.is_crowded:
                    sync.wake()
                return answer
            if asked and not isinstance(answer, Refusal) and local.is_full_of_open:
                raise LedgerUnavailableError(f"{self._holds_max:,} holds are open at once; raise holds_max")
            if asked and isinstance(answer, Refusal) and local.decides_alone(answer.budget):
                raise answer.error(attribution.get("execution", ""))
            refusal = await sync.request(local.request_for(attribution, ancestors, None, amounts))
            if refusal is not None:
                raise refusal.error(attribution.get("execution", ""))
            asked = True

    def reserve_nowait(  # spelled out, because `**more` costs each turn a mapping
        self,
        attribution: Attributes,
        usd: USDAmount | None = None,
        *,
        nanousd: int | None = None,
        tokens: int | None = None,
        calls: int | None = 1,
        key: str | None = None,
        ancestors: Sequence[Attributes] = (),
        is_partial: bool = False,
    ) -> LedgerHold | None:
        """Hold from memory alone. Return None where that cannot be decided there: `await reserve(...)` then.

        Raise LedgerUnavailableError and ConfigError.
        """
        local, _ = self._opened or self._require_open()
        amounts = amounts_of(usd, nanousd, tokens, calls)
        answer = local.reserve(attribution, ancestors, amounts, key, is_partial)
        return answer if isinstance(answer, LedgerHold) else None

    async def charge(
        self,
        attribution: Attributes,
        usd: USDAmount | None = None,
        *,
        ancestors: Sequence[Attributes] = (),
        budgets: Collection[str] | None = None,
        **more: Unpack[Amounts],
    ) -> tuple[LedgerHold, Settlement]:
        """Charge the bill of a turn that nothing was held for: in full, whatever is left, and on frozen budgets too.

        Of `budgets`, if they are named, only these are charged. What the accounts have room for pays for it; what is
        above freezes the budget: `Settlement.incidents`, or `hivecost.signals.settled_late` of the hold, where only the
        bank knows. The hold is one that was settled at nothing, and this its further answer. Raise
        LedgerUnavailableError, and ConfigError for amounts and attributes that cannot be.
        """
        local, sync = self._require_open()
        amounts = amounts_of(usd, **more)
        if budgets is not None and not isinstance(budgets, Collection):
            raise ConfigError("budgets", "the names of the budgets to charge", got=budgets)
        named = None if budgets is None else listed_names(budgets)
        while (charged := local.charge(attribution, ancestors, named, amounts)) is None:
            # So that its accounts are known; never refused.
            await sync.request(local.request_for(attribution, ancestors, named, {"calls": 0}))
        return charged

    async def _extend(self, hold: Hold, amounts: Mapping[Unit, int]) -> None:
        local, sync = self._require_open()
        asked = False
        while (short := local.extend(hold, amounts)) is not None:
            if asked and not _is_durable_in(hold, short.budget):
                raise short.error()
            refusal = await sync.request(LeaseRequest(hold.accounts, amounts))
            if refusal is not None:
                raise refusal.error()
            asked = True

    async def status(self) -> list[AccountStatus]:
        """Return one row for each account, over all processes, and those of this Ledger's executions.

        Periods that are over are left out, unless something is still held or in doubt there.
        """
        local, _ = self._require_open()
        await self._commit_news()
        return await self._read(self._bank.status()) + local.status_of_executions()

    async def remaining(self, attribution: Attributes, ancestors: Sequence[Attributes] = ()) -> dict[Unit, int]:
        """Return the most that a turn with these attributes could hold now, by the units that enforced budgets count.

        What others have leased and do not need counts as remaining: it takes a moment to come back.
        """
        local, _ = self._require_open()
        accounts = local.request_for(attribution, ancestors, None, {}).accounts
        await self._commit_news()
        return await self._read(self._bank.remaining(accounts))

    def forget_execution(self, execution_id: str) -> None:
        """Drop the accounts of an execution that is over, each once nothing is held on it any more."""
        if not is_value(execution_id):
            raise ConfigError("execution_id", "a text", got=execution_id)
        self._require_open()[0].forget_execution(execution_id)

    async def _commit_news(self) -> None:
        """Return when the bank has what this process knows. Raise LedgerUnavailableError."""
        local, sync = self._require_open()
        if local.closed:
            raise LedgerUnavailableError(local.closed)
        if local.has_news or local.has_unread_limits:
            await sync.do(Refresh())

    async def _read(self, read: Awaitable[R]) -> R:
        try:
            return await read
        except StoreError as error:
            raise LedgerUnavailableError(str(error)) from error

    async def _do(self, operation: Operation[R]) -> R:
        return await self._require_open()[1].do(operation)

    async def _configure(self, operation: Configure) -> None:
        local, sync = self._require_open()
        budgets, retired = operation.budgets, operation.retire

        def take(committed: Committed) -> None:
            known = {budget.name for budget in self._budgets}  # by now: others may have reconfigured it meanwhile
            added = tuple(budget for budget in budgets if budget.name not in known)
            local.reconfigure(added, known.intersection(retired), committed.budgets)
            self._budgets = (*(budget for budget in self._budgets if budget.name not in retired), *added)

        await sync.do(operation, take)

    def _require_open(self) -> tuple[LocalLedger, LedgerSync]:
        if self._opened is None:
            raise LedgerUnavailableError(
                f"{self._bank.name}: this Ledger is not open: use `async with Ledger.open(...)`"
            )
        return self._opened

    def _forked(self) -> None:
        """Refuse everything in a forked child."""
        self._bank.forked()
        if self._opened is not None:
            self._is_forked = True
            local, sync = self._opened
            local.orphan(f"{self._bank.name}: this ledger belongs to the parent process; open another one here")
            sync.orphan()


def _is_durable_in(hold: Hold, budget: str) -> bool:
    """Tell whether the bank decides on the hold's account of the budget, which may be retired."""
    return any(account.budget.name == budget and is_durable(account) for account in hold.made_on)
