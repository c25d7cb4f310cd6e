"""What budgets do alike, whether they hold money before a turn or stop after it: tell what happens, soften turns."""

from __future__ import annotations

from collections.abc import Callable, Iterable, Sequence
from typing import Final

from hivecost.attribution import attribution_fields
from hivecost.clock import Clock
from hivecost.errors import BudgetExceededError
from hivecost.events import (
    AlertRaised,
    BudgetExceeded,
    BudgetWarning,
    Event,
    LLMTurnComplete,
)
from hivecost.gate_contract import TurnRequest
from hivecost.ledger import AccountDetails, SoftLimits, SoftStep, ThresholdCrossing, Unit, soft_refusal
from hivecost.signals import budget_exhausted, budget_warning
from hivecost.subscribers.turn_pacer import TurnThrottle

#: Gives the request as another model would be asked.
ForModel = Callable[[TurnRequest, str], TurnRequest]

_SIGNALLED: Final = ("budget", "scope", "execution_id", "used", "limit", "unit")


class BudgetPolicy:
    """Tells bus and control plane what budgets did, and does to turns what their soft limits ask for.

    `sender` is who the signals come from.
    """

    def __init__(
        self, sender: object, clock: Clock, publish: Callable[[Event], None], soft: SoftLimits | None = None
    ) -> None:
        self._sender = sender
        self._clock = clock
        self._publish = publish
        #: Of the budgets whose accounts are to be shown to `next_step`.
        self.soft = soft or SoftLimits()
        self._throttle = TurnThrottle(clock, publish)

    def warn(self, crossings: Iterable[ThresholdCrossing], cause: LLMTurnComplete | TurnRequest) -> None:
        """Tell which marks the turn brought accounts to."""
        for crossing in crossings:
            warning = BudgetWarning(
                timestamp_ns=self._clock.now_ns(),
                **attribution_fields(cause),
                budget=crossing.budget,
                scope=crossing.scope,
                period=crossing.period,
                unit=crossing.unit,
                used=crossing.used,
                limit=crossing.limit,
                fraction=crossing.fraction,
            )
            budget_warning.announce(self._sender, fraction=warning.fraction, **_facts(warning))
            self._publish(warning)

    def exceed(
        self,
        spent: ThresholdCrossing | BudgetExceededError,
        unit: Unit,
        cause: LLMTurnComplete | TurnRequest,
        action: str,
    ) -> None:
        """Tell that a turn went over a limit, or would have, and what was done about it."""
        refusal = spent if isinstance(spent, BudgetExceededError) else None
        exceeded = BudgetExceeded(
            timestamp_ns=self._clock.now_ns(),
            **attribution_fields(cause),
            budget=spent.budget,
            scope=spent.scope,
            period=spent.period,
            unit=unit,
            used=spent.used,
            limit=spent.limit,
            action=action,
            needed=refusal.needed if refusal else 0,
            remaining=refusal.remaining if refusal else 0,
        )
        budget_exhausted.announce(self._sender, **_facts(exceeded))
        self._publish(exceeded)

    def alert(
        self,
        cause: LLMTurnComplete | TurnRequest,
        *,
        rule: str,
        severity: str,
        message: str,
        budget: str = "",
        scope: str = "",
    ) -> None:
        """Raise an alert about the turn, and about an account where one is named."""
        self._publish(
            AlertRaised(
                timestamp_ns=self._clock.now_ns(),
                **attribution_fields(cause),
                rule=rule,
                severity=severity,
                message=message,
                budget=budget,
                scope=scope,
            )
        )

    def next_step(self, accounts: Sequence[AccountDetails], request: TurnRequest, done: set[str]) -> SoftStep | None:
        """Return what a soft limit wants done before the request is sent; None when it may be.

        Each of the `done` budgets has had its say.
        """
        model = "" if request.is_charge else request.model
        step = self.soft.next_step(accounts, request.executions, model, done)
        if step is None:
            self.soft.passed(accounts, request.executions)
        else:
            done.add(step.budget.name)
        return step

    async def soften(self, request: TurnRequest, step: SoftStep, for_model: ForModel) -> TurnRequest:
        """Do the step: wait, or return the request with another model. Raise BudgetExhaustedError."""
        if step.action == "refuse":
            raise soft_refusal(step, request.execution_id)
        if step.action == "downgrade":
            return for_model(request, step.budget.soft_model)
        key = step.account.scope, step.account.period
        await self._throttle.wait(request, key, step.budget.throttle_s, limiter=step.budget.name)
        return request


def _facts(event: BudgetWarning | BudgetExceeded) -> dict[str, object]:
    return {name: getattr(event, name) for name in _SIGNALLED}
