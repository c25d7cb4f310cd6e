"""Hard budgets that stay true through concurrency, cancellation, SIGKILL, restarts and many processes."""

from __future__ import annotations

import logging
import math
import sqlite3
from collections.abc import Callable, Collection, Iterable, Mapping, Sequence
from functools import partial
from pathlib import Path
from types import TracebackType
from typing import Any, Self, TypeVar, Unpack

import anyio
from anyio.abc import TaskGroup

from hivecost.clock import SYSTEM_CLOCK, Clock
from hivecost.errors import ConfigError, HiveCostError, LedgerUnavailableError, StoreError, StoreMovedError
from hivecost.forking import leave_child, tell_children
from hivecost.ledger import (
    AccountStatus,
    Amounts,
    Ancestors,
    Budget,
    LedgerState,
    Refusal,
    Settlement,
    Unit,
    USDAmount,
    amounts_of,
    listed_budgets,
    listed_names,
)
from hivecost.ledger.own_limits import is_value
from hivecost.store.database import CLOSE_GRACE_S, database_path
from hivecost.store.faults import to_store_error
from hivecost.store.ledger.audit import last_change
from hivecost.store.ledger.batch import Ask, Batch, Committed
from hivecost.store.ledger.database import Errand, LedgerDatabase
from hivecost.store.ledger.desk import Desk, Spender
from hivecost.store.ledger.errands import LedgerErrands
from hivecost.store.ledger.hold import LedgerHold
from hivecost.store.ledger.journal import Journal
from hivecost.store.ledger.leases import is_durable
from hivecost.store.ledger.status import read_accounts, read_remaining
from hivecost.store.ledger.visitor import Visitor
from hivecost.store.os_lock import lock_error, run_locked
from hivecost.store.threads import run_in_thread

T = TypeVar("T")

_log = logging.getLogger(__name__)


class Ledger(LedgerErrands):
    """Holds money before each attempt, so that no account is ever spent beyond its limit.

    async with Ledger.open("data", budgets=[Budget("org day", limit="$50", window="day")]) as ledger:
        async with await ledger.reserve({"org": "acme"}, usd="0.01", key="attempt-1") as hold:
            ...                                  # send; leaving by exception leaves the hold in doubt
            hold.settle(usd="0.007")             # or hold.release() if it was never sent

    Any number of Ledgers, of any number of processes on one machine, may share a base path. Its coroutines may be
    awaited on any event loop while the one that opened it runs; a hold's own methods may be called from any thread.
    """

    def __init__(
        self, base_path: Path, budgets: tuple[Budget, ...], clock: Clock, *, holds_max: int, close_timeout_s: float
    ) -> None:
        """To be had from `open`."""
        self._base_path = base_path
        self._budgets = budgets
        self._clock = clock
        self._holds_max = holds_max
        self.close_timeout_s = close_timeout_s
        self._database = LedgerDatabase(self._base_path, clock)
        self._opened: tuple[Desk, Visitor] | None = None
        self._tasks: TaskGroup | None = None
        self._is_forked = False
        tell_children(self)

    @classmethod
    def open(
        cls,
        base_path: str | Path,
        *,
        budgets: Budget | Iterable[Budget] = (),
        clock: Clock = SYSTEM_CLOCK,
        holds_max: int = 8192,
        close_timeout_s: float = 30.0,
    ) -> Self:
        """The ledger of a base path, open inside `async with`: budgets come into force, the dead are recovered.

        `holds_max` bounds the holds that are open at once, and those that are settled and not committed yet.
        Opening raises LedgerUnavailableError, and ConfigError for budgets that are not `mode="hard"`, or that count
        otherwise than they did.
        """
        return cls(
            Path(base_path), listed_budgets(budgets), clock, holds_max=holds_max, close_timeout_s=close_timeout_s
        )

    async def __aenter__(self) -> Self:
        if self._opened is not None:
            raise LedgerUnavailableError(f"{self._base_path}: this Ledger was opened before; make another one")
        LedgerState(self._budgets)  # what cannot be is said before anything is made
        try:
            journal = await run_locked(self._base_path, self._open_database)
        except (StoreError, sqlite3.Error, OSError) as error:
            named = error if isinstance(error, StoreError) else to_store_error(error, database_path(self._base_path))
            raise LedgerUnavailableError(str(named)) from error
        desk = Desk(self, self._budgets, journal, self._database.process_id)
        visitor = Visitor(self._base_path, self._database, desk)
        self._opened = desk, visitor
        self._tasks = await anyio.create_task_group().__aenter__()
        self._tasks.start_soon(visitor.run, name=f"ledger of {self._base_path}")
        try:
            await visitor.do(last_change)  # the limits and freezes that are in force
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
        desk, visitor = self._require_open()
        tasks, self._tasks = self._tasks, None
        deadline = anyio.current_time() + self.close_timeout_s
        visitor.stop(self.close_timeout_s)
        try:
            if tasks is not None:
                # Not told of the caller's error, because a task group would wrap it in a group.
                await tasks.__aexit__(None, None, None)
        finally:
            batch = desk.leave(f"{self._base_path}: this ledger is closed")
            deadline = max(deadline, anyio.current_time() + CLOSE_GRACE_S)
            await self._close(partial(self._close_database, batch, desk.journal), deadline)

    async def reserve(
        self,
        attribution: Mapping[str, str],
        usd: USDAmount | None = None,
        *,
        key: str | None = None,
        ancestors: Ancestors = (),
        is_partial: bool = False,
        **more: Unpack[Amounts],
    ) -> LedgerHold:
        """Set the most that an attempt can cost aside, on every account it counts on or on none of them.

        With a `key` that an open hold of this Ledger has, gives that hold. `ancestors` are the attributes of the
        executions that started this one, the nearest first: budgets with an account for each execution hold on theirs,
        too, as if they took the turn themselves. `is_partial` says that more may be billed than is set aside, as of a
        stream that is held in steps: that is charged, said, and freezes nothing. Raises BudgetExhaustedError
        (`reset_at`), BudgetBusyError (`retry_after_s`), LedgerUnavailableError, and ConfigError for amounts that cannot
        be, and for an attribute or a key that is no text.
        """
        desk, visitor = self._require_open()
        amounts = amounts_of(usd, more)
        who = Spender(attribution, ancestors)
        asked = False
        while True:
            answer = desk.reserve(who, amounts, key, self._clock, is_partial)
            if isinstance(answer, LedgerHold):
                if desk.is_crowded:
                    visitor.wake()
                return answer
            if asked and not isinstance(answer, Refusal) and desk.is_full_of_open:
                raise LedgerUnavailableError(f"{self._holds_max:,} holds are open at once; raise holds_max")
            if asked and isinstance(answer, Refusal) and desk.decides_alone(answer.budget):
                raise answer.error(attribution.get("execution", ""))
            refusal = await visitor.ask(desk.ask(who, amounts, self._clock))
            if refusal is not None:
                raise refusal.error(attribution.get("execution", ""))
            asked = True

    def reserve_nowait(
        self,
        attribution: Mapping[str, str],
        usd: USDAmount | None = None,
        *,
        key: str | None = None,
        ancestors: Ancestors = (),
        is_partial: bool = False,
        **more: Unpack[Amounts],
    ) -> LedgerHold | None:
        """The same from memory alone; None where that cannot be decided there: `await reserve(...)` then.

        Raises LedgerUnavailableError and ConfigError.
        """
        desk, _ = self._opened or self._require_open()
        who = Spender(attribution, ancestors)
        amounts = amounts_of(usd, more)
        answer = desk.reserve(who, amounts, key, self._clock, is_partial)
        return answer if isinstance(answer, LedgerHold) else None

    async def charge(
        self,
        attribution: Mapping[str, str],
        usd: USDAmount | None = None,
        *,
        ancestors: Ancestors = (),
        budgets: Collection[str] | None = None,
        **more: Unpack[Amounts],
    ) -> tuple[LedgerHold, Settlement]:
        """Charge the bill of a turn that nothing was held for: in full, whatever is left, and on frozen budgets too.

        Of `budgets`, if they are named, only these are charged. What the accounts have room for pays for it; what is
        above freezes the budget: `Settlement.incidents`, or `hivecost.signals.settled_late` of the hold, where only the
        database knows. The hold is one that was settled at nothing, and this its further answer. Raises
        LedgerUnavailableError, and ConfigError for amounts and attributes that cannot be.
        """
        desk, visitor = self._require_open()
        amounts = amounts_of(usd, more)
        if budgets is not None and not isinstance(budgets, Collection):
            raise ConfigError("budgets", "the names of the budgets to charge", got=budgets)
        who = Spender(attribution, ancestors, None if budgets is None else listed_names(budgets))
        while (charged := desk.charge(who, amounts, self._clock)) is None:
            await visitor.ask(desk.ask(who, {"calls": 0}, self._clock))  # so that its accounts are known; never refused
        return charged

    async def extend(self, hold: LedgerHold, amounts: Mapping[Unit, int]) -> None:
        """What `LedgerHold.extend` does, with amounts by unit."""
        desk, visitor = self._require_open()
        asked = False
        while (short := desk.extend(hold, amounts)) is not None:
            if asked and not _is_durable_in(hold, short.budget):
                raise short.error()
            refusal = await visitor.ask(Ask(hold.pure.accounts, amounts))
            if refusal is not None:
                raise refusal.error()
            asked = True

    async def status(self) -> list[AccountStatus]:
        """One row for each account, over all processes, and those of this Ledger's executions.

        Periods that are over are left out, unless something is still held or in doubt there.
        """
        desk, _ = self._require_open()
        await self._commit_news()
        rows = await self._read(partial(read_accounts, self._base_path, self._clock.now_ns()))
        return rows + desk.status_of_executions()

    async def remaining(self, attribution: Mapping[str, str], ancestors: Ancestors = ()) -> dict[Unit, int]:
        """The most that a turn with these attributes could hold now, by the units that any enforced budget counts.

        What others have leased and do not need counts as remaining: it takes a moment to come back.
        """
        desk, _ = self._require_open()
        accounts = desk.ask(Spender(attribution, ancestors), {}, self._clock).accounts
        await self._commit_news()
        return await self._read(partial(read_remaining, self._base_path, accounts))

    def forget_execution(self, execution_id: str) -> None:
        """The execution is over: drop its own accounts, each once nothing is held on it any more."""
        if not is_value(execution_id):
            raise ConfigError("execution_id", "a text", got=execution_id)
        self._require_open()[0].forget_execution(execution_id)

    async def _commit_news(self) -> None:
        """Return when the database has what this process knows. Raises LedgerUnavailableError."""
        desk, visitor = self._require_open()
        if desk.closed:
            raise LedgerUnavailableError(desk.closed)
        if desk.has_news or desk.has_unread_limits:
            await visitor.do(last_change)

    async def _read(self, read: Callable[[], T]) -> T:
        """What it reads, in a thread: nobody waits for it."""
        try:
            return await run_in_thread(read)
        except (StoreError, OSError) as error:
            raise LedgerUnavailableError(str(error)) from error

    async def _do(self, errand: Errand) -> Any:
        return await self._require_open()[1].do(errand)

    async def _reconfigure(self, errand: Errand, budgets: Sequence[Budget], retired: Collection[str]) -> None:
        desk, visitor = self._require_open()

        def take(_: None, committed: Committed) -> None:
            known = {budget.name for budget in self._budgets}  # by now: others may have reconfigured it meanwhile
            added = tuple(budget for budget in budgets if budget.name not in known)
            desk.reconfigure(added, known.intersection(retired), committed.budgets)
            self._budgets = (*(budget for budget in self._budgets if budget.name not in retired), *added)

        await visitor.do(errand, take)

    def _require_open(self) -> tuple[Desk, Visitor]:
        if self._opened is None:
            raise LedgerUnavailableError(
                f"{self._base_path}: this Ledger is not open: use `async with Ledger.open(...)`"
            )
        return self._opened

    def _open_database(self) -> Journal:
        try:
            return self._database.open(self._budgets, holds_max=self._holds_max)
        except BaseException:
            self._database.close()
            raise

    async def _close(self, close: Callable[[], None], deadline: float) -> None:
        """Close under the lock; past the deadline as soon as that is free, and the next one who comes recovers us."""
        with anyio.CancelScope(deadline=deadline, shield=True) as closing:
            try:
                await self._close_locked(close)
            except OSError as error:  # there is no thread to close it in, or the lock cannot be opened
                self._abandon(to_store_error(error, database_path(self._base_path)))
        if closing.cancelled_caught:
            self._abandon(lock_error(self._base_path, self.close_timeout_s))

    async def _close_locked(self, close: Callable[[], None]) -> None:
        try:
            await run_locked(self._base_path, close, make=False, give_up=False, timeout_s=math.inf)
        except StoreMovedError:
            await run_in_thread(close)  # nobody else opens that file any more

    def _abandon(self, error: StoreError) -> None:
        """Leave everything to whoever comes next, who takes this process for dead."""
        _log.error("the ledger could not be closed in order, and will be recovered: %s", error)
        self._database.let_go()

    def _close_database(self, batch: Batch | None, journal: Journal) -> None:
        """Whatever fails here is recovered from the journal by whoever comes next."""
        try:
            self._database.leave(batch)
        except (HiveCostError, sqlite3.Error, OSError) as error:
            _log.error("%s: the ledger could not be closed in order, and will be recovered: %s", self._base_path, error)
        finally:
            self._database.close()
            self._database.let_go()
            journal.close()

    def _forked(self) -> None:
        """This process is a child of the one that opened it."""
        self._database.let_go()
        if self._opened is not None:
            self._is_forked = True
            desk, visitor = self._opened
            desk.orphan(f"{self._base_path}: this ledger belongs to the parent process; open another one here")
            visitor.orphan()


def _is_durable_in(hold: LedgerHold, budget: str) -> bool:
    """Whether the database decides on its account of the budget, which may be retired."""
    return any(account.budget.name == budget and is_durable(account) for account in hold.accounts)
