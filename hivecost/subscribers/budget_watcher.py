"""Budgets of the strengths `observe` and `stop_after`: counts what was spent, warns, and stops what goes over."""

from __future__ import annotations

import logging
from collections.abc import AsyncIterator, Callable, Iterable
from contextlib import asynccontextmanager, suppress
from pathlib import Path
from typing import Final
from weakref import WeakKeyDictionary

import anyio

from hivecost.bus import DropNewest
from hivecost.errors import (
    BudgetExceededError,
    BudgetExhaustedError,
    BusClosedError,
    ConfigError,
    PriceUnknownError,
    ReentrancyError,
)
from hivecost.events import Event, EventType, ExecutionCompleted, ExecutionStarted, LLMTurnComplete
from hivecost.gate_contract import TurnRequest
from hivecost.ledger import (
    ACCOUNTS_MAX,
    SESSIONS_MAX,
    Account,
    AccountStatus,
    Budget,
    Lineage,
    SoftLimits,
    SpendAccounts,
    ThresholdCrossing,
    ancestry,
    ancestry_of,
    attribution,
    exceeded_of,
    is_unseen,
    listed_budgets,
    soft_refusal,
    unseen_of,
    warning_of,
    whose,
)
from hivecost.ledger.amounts import format_amount
from hivecost.ledger.period import counting_since, resetting
from hivecost.plugin import PluginHost
from hivecost.pricing import PriceBook
from hivecost.subscribers.budget_signals import announce_exhausted, announce_warning
from hivecost.subscribers.logged_spending import LoggedSpending
from hivecost.subscribers.turn_throttle import TurnThrottle

QUEUE_MAX: Final = 100_000

_log = logging.getLogger("hivecost.budgets")


class BudgetWatcher:
    """Stops after the fact: an execution that takes an account over its limit is cancelled when its turn is reported.

    The overshoot is at most the turns in flight, and what other processes spent since the last look into the runtime
    log: there is one every two seconds, beside the turns. A turn of an account that is spent already is refused at the
    gate; past a soft limit, or where a budget throttles, it may have to wait there, or to take another model.
    What was spent before a restart is read from the log before the first turn. What a sub-agent spends counts on the
    executions that it is inside of, too: the one whose account goes over its limit is cancelled.

    Of a budget with an account for each session the 10,000 that were used last are kept in memory, of any other budget
    100,000 accounts: what was spent on the others is read from the log when a turn comes. `is_logged` says whether this
    runtime's turns are in the log; where they are not, 100,000 are kept of each, and the others begin anew.

    Raises ConfigError for a hard budget, which holds money before turns: give that to the runtime, or say
    `mode="stop_after"`.

    Calls whose usage or price nobody knows are counted, said once per account (ALERT_RAISED, rule `budget.unseen`), or
    refused, as `on_unpriced` says; by `prices` a model without one is known before it is sent.
    """

    name = "budget-watcher"

    def __init__(
        self,
        budgets: Budget | Iterable[Budget],
        *,
        is_logged: Callable[[], bool] = lambda: True,
        prices: PriceBook | None = None,
    ) -> None:
        self.accounts = SpendAccounts(_counting(budgets), opened=self._opened)
        self._soft = SoftLimits()
        self._lineage = Lineage()
        #: Executions that were told to stop and have not ended yet.
        self._cancelled: set[str] = set()
        self._is_logged = is_logged
        self._logged = LoggedSpending(self.accounts)
        self._prices = prices
        #: Accounts that could not see what a call of this process spent, and why.
        self._blind: WeakKeyDictionary[Account, str] = WeakKeyDictionary()
        #: Of the log, while it is attached.
        self._base_path: str | Path | None = None

    async def add(self, budgets: Iterable[Budget]) -> None:
        """Watch these budgets too, from the next turn on, by what was spent in their periods so far.

        Raises ConfigError for the name of one that is there, and for a hard one.
        """
        await self._logged.add(_counting(budgets), self._base_path)

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
                try:  # noqa: SIM105  # each turn passes here
                    await drain()
                except ReentrancyError:  # a handler that takes turns cannot wait for handlers
                    pass
                accounts = self.accounts.find(attribution(allowed), host.clock.now_ns(), ancestry(allowed))
                await self._logged.read_back(host.base_path, accounts)
                try:
                    self._refuse_spent(accounts, allowed)
                    self._refuse_unseen(accounts, allowed)
                    again = await self._soften(host, throttle, accounts, allowed, softened)
                except BudgetExceededError as refusal:
                    self._report(host, allowed, refusal)
                    raise
                if again is None:
                    return None if allowed is request else allowed
                allowed = again

        subscription = host.bus.subscribe(
            event_types=[
                EventType.LLM_TURN_COMPLETE,
                EventType.CHARGE_SETTLED,
                EventType.EXECUTION_STARTED,
                EventType.EXECUTION_COMPLETED,
            ],
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
            accounts = self.accounts.find_of(event, ancestry_of(event, self._lineage.ancestors(event.execution_id)))
            self._logged.counted(event.event_id, accounts)
            for crossing in self.accounts.add_to(accounts, event):
                if crossing.exceeded:
                    self._exceed(host, event, crossing)
                else:
                    warning = warning_of(crossing, event, host.clock.now_ns())
                    announce_warning(self, warning)
                    host.bus.publish_nowait(warning)
            if event.cost is None or event.cost.nanousd is None or event.cost.estimated_from:
                for account in accounts:
                    if is_unseen(account, event) and account not in self._blind:
                        self._note_blind(host, event, account)
        elif isinstance(event, ExecutionStarted):
            self._lineage.started(event.execution_id, event.parent_execution_id, whose(event))
        elif isinstance(event, ExecutionCompleted):
            self._cancelled.discard(event.execution_id)
            for execution_id in self._lineage.ended(event.execution_id):
                self.accounts.forget_execution(execution_id)
                self._soft.forget_execution(execution_id)

    def _note_blind(self, host: PluginHost, turn: LLMTurnComplete, account: Account) -> None:
        """Say so, once per account; what is refused after it is decided at the gate."""
        self._blind[account] = "" if turn.cost is None else turn.cost.reason
        if account.budget.on_unpriced == "ignore":
            return
        alert = unseen_of(account.status(), turn, host.clock.now_ns())
        _log.warning("%s", alert.message)
        host.bus.publish_nowait(alert)

    def _refuse_spent(self, accounts: Iterable[Account], request: TurnRequest) -> None:
        """Raise for a turn of an account that is spent already; one of a budget that is retired by now stops nobody."""
        for account in accounts:
            if account.is_spent and _stops(account.budget) and account.budget.name in self.accounts.budgets:
                raise _exhausted(account, request.execution_id)

    def _refuse_unseen(self, accounts: Iterable[Account], request: TurnRequest) -> None:
        """Raise for a turn of an account that is to see everything and did not, or would not see this one."""
        for account in accounts:
            budget = account.budget
            if budget.on_unpriced != "refuse" or budget.mode != "stop_after" or budget.shadow:
                continue
            prices = self._prices
            if account.unit == "usd" and prices and not prices.knows(request.model, provider=request.provider):
                raise PriceUnknownError(request.model, suggestions=prices.suggestions(request.model))
            if account in self._blind:
                status = account.status()
                raise BudgetExhaustedError(
                    _blind_sentence(status, self._blind[account]),
                    budget=status.budget,
                    execution_id=request.execution_id,
                    reset_at=status.reset_at,
                )

    def _exceed(self, host: PluginHost, turn: LLMTurnComplete, crossing: ThresholdCrossing) -> None:
        budget = self.accounts.budgets[crossing.budget]
        action = "throttled" if budget.on_exceed == "throttle" and not budget.shadow else "none"
        if _stops(budget):
            execution_id = crossing.execution_id or turn.execution_id
            error = BudgetExceededError(
                _sentence(crossing, crossing.since_ns), budget=crossing.budget, execution_id=execution_id
            )
            after_turn = budget.cancel == "after_turn"
            if host.cancel_execution_nowait(execution_id, error, after_turn=after_turn):
                action = "cancelled"
                self._cancelled.add(execution_id)
        exceeded = exceeded_of(crossing, crossing.unit, turn, action, host.clock.now_ns())
        announce_exhausted(self, exceeded)
        host.bus.publish_nowait(exceeded)

    def _report(self, host: PluginHost, request: TurnRequest, refusal: BudgetExceededError) -> None:
        if request.execution_id in self._cancelled:  # its end has been told, and is on its way
            return
        unit = self.accounts.budgets[refusal.budget].counted_unit
        exceeded = exceeded_of(refusal, unit, request, "refused", host.clock.now_ns())
        announce_exhausted(self, exceeded)
        with suppress(BusClosedError):  # the refusal itself is what counts
            host.bus.publish_nowait(exceeded)

    async def _soften(
        self,
        host: PluginHost,
        throttle: TurnThrottle,
        accounts: tuple[Account, ...],
        request: TurnRequest,
        done: set[str],
    ) -> TurnRequest | None:
        """The request to look at again because an account is past its soft limit; None when it may be sent.

        Each of the `done` budgets has had its say.
        """
        step = self._soft.next_step(accounts, request.executions, "" if request.is_charge else request.model, done)
        if step is None:
            self._soft.passed(accounts, request.executions)
            return None
        account, budget = step.account, step.account.budget
        done.add(budget.name)
        if step.action == "refuse":
            raise soft_refusal(account, request.execution_id)
        if step.action == "downgrade":
            return host.for_model(request, budget.soft_model)
        await throttle.wait(request, account.key, budget.throttle_s, limiter=budget.name)
        return request


def _counting(budgets: Budget | Iterable[Budget]) -> tuple[Budget, ...]:
    """The budgets. Raises ConfigError for a hard one, which would stop nobody here."""
    listed = listed_budgets(budgets)
    for budget in listed:
        if budget.mode == "hard":
            expected = (
                "mode='stop_after' or 'observe', written down, for a BudgetWatcher, which hears of turns when they are "
                "over; a budget is hard unless it says otherwise, and AgentRuntime(budgets=[…]) holds money for it"
            )
            raise ConfigError(f"budget {budget.name!r}.mode", expected, got=budget.mode)
    return listed


def _stops(budget: Budget) -> bool:
    return budget.mode == "stop_after" and budget.on_exceed == "cancel" and not budget.shadow


def _exhausted(account: Account, execution_id: str) -> BudgetExhaustedError:
    status = account.status()
    error = BudgetExhaustedError(
        _sentence(status, account.since_ns), budget=status.budget, execution_id=execution_id, reset_at=status.reset_at
    )
    error.scope, error.period = status.scope, status.period
    error.used, error.limit, error.remaining = status.settled, status.limit, status.remaining
    return error


def _blind_sentence(account: AccountStatus, reason: str) -> str:
    whose = f" of {account.scope}" if account.scope else ""
    why = f" ({reason})" if reason else ""
    return (
        f"budget {account.budget!r}{whose} could not see what a call spent{why}, and refuses further ones: give the "
        "model a price, have its provider report usage, or set on_unpriced='estimate'"
        f"{resetting(account.reset_at)}"
    )


def _sentence(account: ThresholdCrossing | AccountStatus, since_ns: int) -> str:
    used = account.used if isinstance(account, ThresholdCrossing) else account.settled
    whose = f" of {account.scope}" if account.scope else ""
    spent, limit = (format_amount(amount, account.unit) for amount in (used, account.limit))
    return f"budget {account.budget!r}{whose} is spent: {spent} of {limit}{counting_since(account.period, since_ns)}"
