"""Notices agents that run in circles, and warns or stops them."""

from __future__ import annotations

from collections.abc import AsyncIterator
from contextlib import asynccontextmanager
from typing import Final, Literal, get_args

from hivecost.errors import BudgetExceededError, ConfigError
from hivecost.events import AlertRaised, Event, EventType, ExecutionCompleted, LLMTurnComplete, attribution_fields
from hivecost.ledger import RunawayDetector, RunawayRules
from hivecost.plugin import PluginHost

Action = Literal["warn", "cancel"]
_ACTIONS: Final[tuple[str, ...]] = get_args(Action)


class RunawayBreaker:
    """Publishes ALERT_RAISED for an execution that looks like a runaway; with `action="cancel"` it cancels it, too.

    On by default in an AgentRuntime, with `warn`. `RunawayRules` has the thresholds.
    """

    name = "runaway-breaker"

    def __init__(self, rules: RunawayRules | None = None, *, action: Action = "warn") -> None:
        if action not in _ACTIONS:
            raise ConfigError("runaway.action", f"one of {', '.join(_ACTIONS)}", got=action)
        self._detector = RunawayDetector(rules)
        self._action = action

    @asynccontextmanager
    async def attached(self, host: PluginHost) -> AsyncIterator[None]:
        def handle(events: list[Event]) -> None:
            for event in events:
                if isinstance(event, ExecutionCompleted):
                    self._detector.forget(event.execution_id)
                elif isinstance(event, LLMTurnComplete):
                    self._look_at(host, event)

        subscription = host.bus.subscribe(
            event_types=[EventType.LLM_TURN_COMPLETE, EventType.EXECUTION_COMPLETED],
            handler=handle,
            batch=True,
            name=self.name,
        )
        try:
            yield
        finally:
            host.bus.unsubscribe(subscription)

    def _look_at(self, host: PluginHost, turn: LLMTurnComplete) -> None:
        for verdict in self._detector.observe(turn):
            if self._action == "cancel":
                error = BudgetExceededError(f"runaway: {verdict.message}", execution_id=turn.execution_id)
                host.cancel_execution_nowait(turn.execution_id, error)
            host.bus.publish_nowait(
                AlertRaised(
                    timestamp_ns=host.clock.now_ns(),
                    **attribution_fields(turn),
                    rule=f"runaway.{verdict.sign}",
                    severity="P1" if self._action == "cancel" else "P2",
                    message=verdict.message,
                )
            )
