"""The kinds of events that travel on the bus."""

from __future__ import annotations

from enum import StrEnum


class EventType(StrEnum):
    """What happened; the value is the event's `type` tag on the wire."""

    EXECUTION_STARTED = "execution_started"
    LLM_TURN_COMPLETE = "llm_turn_complete"
    #: Money that is not tokens, such as a search API's.
    CHARGE_SETTLED = "charge_settled"
    TOOL_CALL_COMPLETED = "tool_call_completed"
    CONTEXT_COMPACTED = "context_compacted"
    EXECUTION_COMPLETED = "execution_completed"
    BUDGET_WARNING = "budget_warning"
    BUDGET_EXCEEDED = "budget_exceeded"
    RATE_LIMITED = "rate_limited"
    ALERT_RAISED = "alert_raised"
    CUSTOM = "custom"
    #: Read from a newer hivecost: kept as it came, see UnknownEvent.
    UNKNOWN = "unknown"

    #: As a str hashes, in C: an enum's own __hash__ is Python, and events are looked up by their type all the time.
    __hash__ = str.__hash__
