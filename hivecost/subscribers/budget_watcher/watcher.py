"""Budgets of the strengths `observe` and `stop_after`: counts what was spent, warns, and stops what goes over."""

from __future__ import annotations

from collections.abc import AsyncIterator, Callable, Iterable
from contextlib import asynccontextmanager, suppress
from pathlib import Path
from typing import Final

import anyio

from hivecost.attribution import Attribution
from hivecost.bus import DropNewest
from hivecost.errors import (
    BudgetExceededError,
    BudgetExhaustedError,
    BusClosedError,
    ConfigError,
    HiveCostError,
    ReentrancyError,
)
from hivecost.events import Event, EventType, ExecutionCompleted, ExecutionStarted, LLMTurnComplete
from hivecost.gate_contract import TurnRequest
from hivecost.ledger import (
    ACCOUNTS_MAX,
    SESSIONS_MAX,
    Account,
    AccountDetails,
    AccountStatus,
    Budget,
    Lineage,
    SoftLimits,
    SpendAccounts,
    ThresholdCrossing,
    ancestry,
    ancestry_of,
    attributes_of,
    listed_budgets,
)
from hivecost.ledger.amounts import format_amount
from hivecost.ledger.period import counting_since
from hivecost.plugin import PluginHost
from hivecost.pricing import PriceBook
from hivecost.subscribers.budget_policy import BudgetPolicy
from hivecost.subscribers.budget_watcher.logged_spending import LoggedSpending
from hivecost.subscribers.budget_watcher.unseen_calls import UnseenCalls

QUEUE_MAX: Final = 100_000


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
        self._soft = SoftLimits(self.accounts.budgets.values())
        self._lineage = Lineage()
        #: Executions that were told to stop and have not ended yet.
        self._cancelled: set[str] = set()
        self._is_logged = is_logged
        self._logged = LoggedSpending(self.accounts)
        self._unseen = UnseenCalls(prices)
        #: Of the log, while it is attached.
        self._base_path: str | Path | None = None

    async def add(self, budgets: Iterable[Budget]) -> None:
        """Watch these budgets too, from the next turn on, by what was spent in their periods so far.

        Raise ConfigError for the name of one that is there, and for a hard one.
        """
        await self._logged.add(_counting(budgets), self._base_path)
        self._soft.set_budgets(self.accounts.budgets.values())

    def retire(self, name: str) -> None:
        """Watch a budget no more: it stops and refuses nothing from now on."""
        self.accounts.retire(name)
        self._soft.set_budgets(self.accounts.budgets.values())
        self._logged.forget_budget(name)

    @asynccontextmanager
    async def attached(self, host: PluginHost) -> AsyncIterator[None]:
        """Count the turns of the log, then watch those of the bus while the runtime runs."""
        self._logged.is_logged = self._is_logged()
        self.accounts.sessions_max = SESSIONS_MAX if self._logged.is_logged else ACCOUNTS_MAX
        await self._logged.recover(host.base_path, host.clock)
        policy = BudgetPolicy(self, host.clock, host.bus.publish_nowait, self._soft)

        def handle(events: list[Event]) -> None:
            for event in events:
                self._handle(host, policy, event)

        async def drain() -> None:
            await host.bus.drain(subscription)

        def passes(request: TurnRequest) -> bool:
            if self._soft.budgets or not subscription.handle_waiting():
                return False
            accounts = self.accounts.find(attributes_of(request), host.clock.now_ns(), ancestry(request))
            try:
                self._refuse_spent(accounts, request)
                self._unseen.refuse(accounts, request)
            except HiveCostError:
                return False  # `check` says so
            return self._logged.are_read(accounts)

        async def check(request: TurnRequest) -> TurnRequest | None:
            allowed, softened = request, set[str]()
            while True:
                try:  # noqa: SIM105  # each turn passes here
                    await drain()
                except ReentrancyError:  # a handler that takes turns cannot wait for handlers
                    pass
                accounts = self.accounts.find(attributes_of(allowed), host.clock.now_ns(), ancestry(allowed))
                await self._logged.read_back(host.base_path, accounts)
                try:
                    self._refuse_spent(accounts, allowed)
                    self._unseen.refuse(accounts, allowed)
                    step = policy.next_step(self._details(accounts), allowed, softened) if self._soft.budgets else None
                    if step is None:
                        return None if allowed is request else allowed
                    allowed = await policy.soften(allowed, step, host.for_model)
                except BudgetExceededError as refusal:
                    self._report(policy, allowed, refusal)
                    raise

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
        remove_check = host.add_gate_check(check, passes=passes)
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
        """Return a row for each account that was spent on."""
        return self.accounts.status()

    def _opened(self, account: Account) -> Account:
        return self._logged.opened(account)

    def _details(self, accounts: Iterable[Account]) -> list[AccountDetails]:
        """Return the details of the accounts that soft limits look at."""
        return [account.details() for account in accounts if account.budget.name in self._soft.budgets]

    def _handle(self, host: PluginHost, policy: BudgetPolicy, event: Event) -> None:
        if isinstance(event, LLMTurnComplete):
            accounts = self.accounts.find_of(event, ancestry_of(event, self._lineage.ancestors(event.execution_id)))
            self._logged.counted(event.event_id, accounts)
            for crossing in self.accounts.add_to(accounts, event):
                if crossing.exceeded:
                    policy.exceed(crossing, crossing.unit, event, self._stop(host, event, crossing))
                else:
                    policy.warn([crossing], event)
            self._unseen.note(event, accounts, policy)
        elif isinstance(event, ExecutionStarted):
            self._lineage.started(Attribution.of(event), event.parent_execution_id)
        elif isinstance(event, ExecutionCompleted):
            self._cancelled.discard(event.execution_id)
            for execution_id in self._lineage.ended(event.execution_id):
                self.accounts.forget_execution(execution_id)
                self._soft.forget_execution(execution_id)

    def _refuse_spent(self, accounts: Iterable[Account], request: TurnRequest) -> None:
        """Raise for a turn of an account that is spent already; one of a budget that is retired by now stops nobody."""
        for account in accounts:
            if account.is_spent and _stops(account.budget) and account.budget.name in self.accounts.budgets:
                raise _exhausted(account, request.execution_id)

    def _stop(self, host: PluginHost, turn: LLMTurnComplete, crossing: ThresholdCrossing) -> str:
        """Cancel the execution whose account is spent, if its budget does; the name of what was done about it."""
        budget = self.accounts.budgets[crossing.budget]
        if _stops(budget):
            execution_id = crossing.execution_id or turn.execution_id
            error = BudgetExceededError(
                _sentence(crossing, crossing.since_ns), budget=crossing.budget, execution_id=execution_id
            )
            if host.cancel_execution_nowait(execution_id, error, after_turn=budget.cancel == "after_turn"):
                self._cancelled.add(execution_id)
                return "cancelled"
        return "throttled" if budget.on_exceed == "throttle" and not budget.shadow else "none"

    def _report(self, policy: BudgetPolicy, request: TurnRequest, refusal: BudgetExceededError) -> None:
        if request.execution_id in self._cancelled:  # its end has been told, and is on its way
            return
        unit = self.accounts.budgets[refusal.budget].counted_unit
        with suppress(BusClosedError):  # the refusal itself is what counts
            policy.exceed(refusal, unit, request, "refused")


def _counting(budgets: Budget | Iterable[Budget]) -> tuple[Budget, ...]:
    """Return the budgets. Raise ConfigError for a hard one, which would stop nobody here."""
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


def _sentence(account: ThresholdCrossing | AccountStatus, since_ns: int) -> str:
    used = account.used if isinstance(account, ThresholdCrossing) else account.settled
    whose = f" of {account.scope}" if account.scope else ""
    spent, limit = (format_amount(amount, account.unit) for amount in (used, account.limit))
    return f"budget {account.budget!r}{whose} is spent: {spent} of {limit}{counting_since(account.period, since_ns)}"
