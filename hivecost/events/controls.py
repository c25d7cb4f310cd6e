"""Events of what hivecost itself did about spending."""

from __future__ import annotations

from typing import Any, ClassVar

from hivecost.events.base import Event, EventType


class BudgetWarning(Event, frozen=True, kw_only=True, tag=EventType.BUDGET_WARNING.value):
    """An account passed one of its warning fractions, or its soft limit."""

    type: ClassVar[EventType] = EventType.BUDGET_WARNING

    budget: str = ""
    #: Which account of the budget: `execution=exec_…`, `user=ada`, or "" for one account over all.
    scope: str = ""
    #: The period's name, such as `2026-11-22`.
    period: str = ""
    #: `usd` (amounts in nano-USD), `tokens` or `calls`.
    unit: str = "usd"
    used: int = 0
    limit: int = 0
    fraction: float = 0.0

    def _derived(self) -> dict[str, Any]:
        return {"used_pct": 100 * self.used / self.limit if self.limit else 100.0}


class BudgetExceeded(Event, frozen=True, kw_only=True, tag=EventType.BUDGET_EXCEEDED.value):
    """An account went over its limit, or a turn was refused because it would have."""

    type: ClassVar[EventType] = EventType.BUDGET_EXCEEDED

    budget: str = ""
    scope: str = ""
    period: str = ""
    unit: str = "usd"
    used: int = 0
    limit: int = 0
    #: What was done: `cancelled`, `refused`, `paused`, `throttled`, `stopped` (in mid-answer) or `none`.
    action: str = ""
    #: What a turn that was refused asked for; 0 where its budget asks after the fact, or nobody said.
    needed: int = 0
    #: What was left for it.
    remaining: int = 0


class RateLimited(Event, frozen=True, kw_only=True, tag=EventType.RATE_LIMITED.value):
    """A turn had to wait for its slot before it was sent."""

    type: ClassVar[EventType] = EventType.RATE_LIMITED

    limiter: str = ""
    waited_ms: int = 0


class AlertRaised(Event, frozen=True, kw_only=True, tag=EventType.ALERT_RAISED.value):
    """A rule fired."""

    type: ClassVar[EventType] = EventType.ALERT_RAISED

    rule: str = ""
    severity: str = ""
    message: str = ""
    #: Which account it is about; "" for one that is about none.
    budget: str = ""
    scope: str = ""
