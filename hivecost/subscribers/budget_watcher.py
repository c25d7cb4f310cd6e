"""Budgets of the strengths `observe` and `stop_after`: counts what was spent, warns, and stops what goes over."""

from __future__ import annotations

from collections.abc import AsyncIterator, Callable, Iterable
from contextlib import asynccontextmanager, suppress
from pathlib import Path
from typing import Final

import anyio
from msgspec.structs import replace

from hivecost.bus import DropNewest
from hivecost.errors import BudgetExceededError, BudgetExhaustedError, ReentrancyError
from hivecost.events import Event, EventType, ExecutionCompleted, LLMTurnComplete
from hivecost.ledger import (
    ACCOUNTS_MAX,
    SESSIONS_MAX,
    Account,
    AccountStatus,
    Budget,
    Crossing,
    SoftLimits,
    SpendAccounts,
    attribution,
    exceeded_of,
    soft_refusal,
    warning_of,
)
from hivecost.ledger.amounts import format_amount
from hivecost.plugin import PluginHost, TurnRequest
from hivecost.signals import budget_exhausted
from hivecost.subscribers.logged_spending import LoggedSpending
from hivecost.subscribers.turn_throttle import TurnThrottle

QUEUE_MAX: Final = 100_000


class BudgetWatcher:
    """Stops after the fact: an execution that takes an account over its limit is cancelled when its turn is reported.

    The overshoot is at most the turns in flight, and what other processes spent since the last look into the runtime
    log: there is one every two seconds, beside the turns. A turn of an account that is spent already is refused at the
    gate; past a soft limit, or where a budget throttles, it may have to wait there, or to take another model.
    What was spent before a restart is read from the log before the first turn.

    Of a budget with an account for each session the 10,000 that were used last are kept in memory, of any other budget
    100,000 accounts: what was spent on the others is read from the log when a turn comes. `is_logged` says whether this
    runtime's turns are in the log; where they are not, 100,000 are kept of each, and the others begin anew.
    """

    name = "budget-watcher"

    def __init__(self, budgets: Iterable[Budget], *, is_logged: Callable[[], bool] = lambda: True) -> None:
        self.accounts = SpendAccounts(budgets, opened=self._opened)
        self._soft = SoftLimits()
        self._is_logged = is_logged
        self._logged = LoggedSpending(self.accounts)
        #: Of the log, while it is attached.
        self._base_path: Path | None = None

    async def add(self, budgets: Iterable[Budget]) -> None:
        """Watch these budgets too, from the next turn on, by what was spent in their periods so far.

        Raises ConfigError for the name of one that is there.
        """
        await self._logged.add(budgets, self._base_path)

    def retire(self, name: str) -> None:
        """Watch a budget no more: it stops and refuses nothing from now on."""
        self.accounts.retire(name)
        self._logged.forget_budget(name)

    @asynccontextmanager
    async def attached(self, host: PluginHost) -> AsyncIterator[None]:
        self._logged.is_logged = self._is_logged()
        self.accounts.sessions_max = SESSIONS_MAX if self._logged.is_logged else ACCOUNTS_MAX
        await self._logged.recover(host.base_path, host.clock)

        def handle(events: list[Event]) -> None:
            for event in events:
                self._handle(host, event)

        async def drain() -> None:
            await host.bus.drain(subscription)

        throttle = TurnThrottle(host.clock, host.bus.publish_nowait)

        async def check(request: TurnRequest) -> TurnRequest | None:
            allowed, softened = request, set[str]()
            while True:
                with suppress(ReentrancyError):  # a handler that takes turns cannot wait for handlers
                    await drain()
                accounts = self.accounts.find(attribution(allowed), host.clock.now_ns())
                await self._logged.read_back(host.base_path, accounts)
                _refuse_spent((one for one in accounts if one.budget.name in self.accounts.budgets), allowed)
                again = await self._soften(throttle, accounts, allowed, softened)
                if again is None:
                    return None if allowed is request else allowed
                allowed = again

        subscription = host.bus.subscribe(
            event_types=[EventType.LLM_TURN_COMPLETE, EventType.EXECUTION_COMPLETED],
            handler=handle,
            batch=True,
            overflow=DropNewest(),
            max_queue=QUEUE_MAX,
            name=self.name,
        )
        remove_check = host.add_gate_check(check)
        async with anyio.create_task_group() as looking:
            looking.start_soon(self._logged.follow, host.base_path, host.clock, drain)
            self._base_path = host.base_path
            try:
                yield
                await drain()  # what others said while they stopped
            finally:
                self._base_path = None
                remove_check()
                host.bus.unsubscribe(subscription)
                looking.cancel_scope.cancel()

    def status(self) -> list[AccountStatus]:
        """One row for each account that was spent on."""
        return self.accounts.status()

    def _opened(self, account: Account) -> Account:
        return self._logged.opened(account)

    def _handle(self, host: PluginHost, event: Event) -> None:
        if isinstance(event, LLMTurnComplete):
            accounts = self.accounts.find_of(event)
            self._logged.counted(event.event_id, accounts)
            for crossing in self.accounts.add_to(accounts, event):
                if crossing.exceeded:
                    self._exceed(host, event, crossing)
                else:
                    host.bus.publish_nowait(warning_of(crossing, event, host.clock.now_ns()))
        elif isinstance(event, ExecutionCompleted):
            self.accounts.forget_execution(event.execution_id)
            self._soft.forget_execution(event.execution_id)

    def _exceed(self, host: PluginHost, turn: LLMTurnComplete, crossing: Crossing) -> None:
        budget = self.accounts.budgets[crossing.budget]
        action = "throttled" if budget.on_exceed == "throttle" and not budget.shadow else "none"
        if _stops(budget):
            error = BudgetExceededError(_sentence(crossing), budget=crossing.budget, execution_id=turn.execution_id)
            after_turn = budget.cancel == "after_turn"
            if host.cancel_execution_nowait(turn.execution_id, error, after_turn=after_turn):
                action = "cancelled"
        exceeded = exceeded_of(crossing, crossing.unit, turn, action, host.clock.now_ns())
        budget_exhausted.announce(
            self,
            budget=exceeded.budget,
            scope=exceeded.scope,
            execution_id=exceeded.execution_id,
            used=exceeded.used,
            limit=exceeded.limit,
            unit=exceeded.unit,
        )
        host.bus.publish_nowait(exceeded)

    async def _soften(
        self, throttle: TurnThrottle, accounts: tuple[Account, ...], request: TurnRequest, done: set[str]
    ) -> TurnRequest | None:
        """The request to look at again because an account is past its soft limit; None when it may be sent.

        Each of the `done` budgets has had its say.
        """
        step = self._soft.next_step(accounts, request.execution_id, request.model, done)
        if step is None:
            self._soft.passed(accounts, request.execution_id)
            return None
        account, budget = step.account, step.account.budget
        done.add(budget.name)
        if step.action == "refuse":
            raise soft_refusal(account, request.execution_id)
        if step.action == "downgrade":
            return replace(request, model=budget.soft_model, provider="")
        await throttle.wait(request, account.key, budget.throttle_s, limiter=budget.name)
        return request


def _stops(budget: Budget) -> bool:
    return budget.mode == "stop_after" and budget.on_exceed == "cancel" and not budget.shadow


def _refuse_spent(accounts: Iterable[Account], request: TurnRequest) -> None:
    """Raise for a turn of an account that is spent already."""
    for account in accounts:
        if account.is_spent and _stops(account.budget):
            status = account.status()
            raise BudgetExhaustedError(
                _sentence(status), budget=status.budget, execution_id=request.execution_id, reset_at=status.reset_at
            )


def _sentence(account: Crossing | AccountStatus) -> str:
    used = account.used if isinstance(account, Crossing) else account.settled
    whose = f" of {account.scope}" if account.scope else ""
    spent, limit = (format_amount(amount, account.unit) for amount in (used, account.limit))
    return f"budget {account.budget!r}{whose} is spent: {spent} of {limit}"
