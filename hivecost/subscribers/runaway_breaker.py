"""Notices agents that run in circles, and warns, slows or stops them."""

from __future__ import annotations

from collections.abc import AsyncIterator
from contextlib import asynccontextmanager, suppress
from typing import Final, Literal, get_args

from hivecost.attribution import attribution_fields
from hivecost.errors import BudgetExceededError, ConfigError, ReentrancyError
from hivecost.events import AlertRaised, Event, EventType, ExecutionCompleted, LLMTurnComplete
from hivecost.gate_contract import TurnRequest
from hivecost.plugin import PluginHost
from hivecost.rate_limits.validation import require_seconds
from hivecost.subscribers.runaway_detector import EXECUTIONS_MAX, RunawayDetector, RunawayRules
from hivecost.subscribers.turn_pacer import TurnThrottle

Action = Literal["warn", "throttle", "cancel"]
_ACTIONS: Final[tuple[str, ...]] = get_args(Action)

#: Thousands of executions may be triggered at once.
QUEUE_MAX: Final = 100_000


class RunawayBreaker:
    """Publishes ALERT_RAISED for an execution that looks like a runaway.

    With `action="throttle"` its turns pass one per `throttle_s` seconds from then on, with `"cancel"` it is cancelled.
    On by default in an AgentRuntime, with `"warn"`. `RunawayRules` has the thresholds.
    """

    name = "runaway-breaker"

    def __init__(self, rules: RunawayRules | None = None, *, action: Action = "warn", throttle_s: float = 5.0) -> None:
        if action not in _ACTIONS:
            raise ConfigError("runaway.action", f"one of {', '.join(_ACTIONS)}", got=action)
        self._detector = RunawayDetector(rules)
        self._action = action
        self._throttle_s = require_seconds("runaway.throttle_s", throttle_s)
        #: Executions that are slowed down; of too many the first goes free: its end may have come before its turns.
        self._slowed: dict[str, None] = {}

    @asynccontextmanager
    async def attached(self, host: PluginHost) -> AsyncIterator[None]:
        """Watch turns for signs of a runaway, and stop or slow executions, while the runtime runs."""

        def handle(events: list[Event]) -> None:
            for event in events:
                if isinstance(event, ExecutionCompleted):
                    self._detector.forget(event.execution_id)
                    self._slowed.pop(event.execution_id, None)
                elif isinstance(event, LLMTurnComplete):
                    self._look_at(host, event)

        subscription = host.bus.subscribe(
            event_types=[EventType.LLM_TURN_COMPLETE, EventType.EXECUTION_COMPLETED],
            handler=handle,
            batch=True,
            max_queue=QUEUE_MAX,
            name=self.name,
        )
        throttle = TurnThrottle(host.clock, host.bus.publish_nowait)

        async def check(request: TurnRequest) -> None:
            with suppress(ReentrancyError):  # a handler that takes turns cannot wait for handlers
                await host.bus.drain(subscription)
            if request.execution_id in self._slowed:
                await throttle.wait(request, request.execution_id, self._throttle_s, limiter=self.name)

        remove_check = host.add_gate_check(check) if self._action == "throttle" else None
        try:
            yield
            await host.bus.drain(subscription)  # what others said while they stopped
        finally:
            if remove_check is not None:
                remove_check()
            host.bus.unsubscribe(subscription)

    def _look_at(self, host: PluginHost, turn: LLMTurnComplete) -> None:
        for verdict in self._detector.observe(turn):
            if self._action == "throttle":
                self._slowed[turn.execution_id] = None
                if len(self._slowed) > EXECUTIONS_MAX:
                    del self._slowed[next(iter(self._slowed))]
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
