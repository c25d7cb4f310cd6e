"""Events of an execution: one triggered run of an entry point."""

from __future__ import annotations

from enum import StrEnum
from typing import Any, ClassVar

from hivecost.events.base import Event, EventType
from hivecost.money import to_usd


class ExecutionStatus(StrEnum):
    """Where an execution stands; the last three are how it may end.

    Readers of the log say `interrupted` of one that is logged as running and whose process is gone.
    """

    RUNNING = "running"
    COMPLETED = "completed"
    FAILED = "failed"
    CANCELLED = "cancelled"


class ExecutionStarted(Event, frozen=True, kw_only=True, tag=EventType.EXECUTION_STARTED.value):
    """An entry point was triggered."""

    type: ClassVar[EventType] = EventType.EXECUTION_STARTED

    entry_point: str = ""
    #: The runtime it runs in, by which readers of its log can tell whether that still lives; "": they cannot.
    runtime_id: str = ""
    #: The execution that started it; "": none did.
    parent_execution_id: str = ""


class ExecutionCompleted(Event, frozen=True, kw_only=True, tag=EventType.EXECUTION_COMPLETED.value):
    """An execution ended, whatever its status; there is exactly one for each."""

    type: ClassVar[EventType] = EventType.EXECUTION_COMPLETED

    status: ExecutionStatus = ExecutionStatus.COMPLETED
    entry_point: str = ""
    #: Type and message of what ended it; "" when it completed.
    error: str = ""
    #: The limit of a loop that ended it, such as `max_iterations`; "" for none.
    stop_reason: str = ""
    duration_ms: int = 0
    llm_calls: int = 0
    #: Turns whose cost is unknown, and so missing from `cost_nanousd`.
    unpriced_calls: int = 0
    input_tokens: int = 0
    output_tokens: int = 0
    cost_nanousd: int = 0
    #: What its turns that a subscription pays for would have cost; it is not in `cost_nanousd`.
    notional_nanousd: int = 0
    #: The execution that started it; "": none did.
    parent_execution_id: str = ""

    def _derived(self) -> dict[str, Any]:
        return {
            "total_tokens": self.input_tokens + self.output_tokens,
            #: USD of the priced turns, as a float for metrics libraries.
            "cost": float(to_usd(self.cost_nanousd)),
        }
