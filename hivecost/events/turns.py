"""Events of a turn: one LLM call, and the tools around it."""

from __future__ import annotations

from collections.abc import Mapping
from typing import Any, ClassVar

from hivecost.events.base import Event, freeze_field
from hivecost.events.cost import Cost
from hivecost.events.types import EventType
from hivecost.events.usage import Usage
from hivecost.frozen import FrozenDict


class LLMTurnComplete(Event, frozen=True, kw_only=True, tag=EventType.LLM_TURN_COMPLETE.value):
    """One LLM call came back, was cut, or failed with its usage unknown."""

    type: ClassVar[EventType] = EventType.LLM_TURN_COMPLETE

    #: The model that answered, else the one that was asked for.
    model: str = ""
    provider: str = ""
    usage: Usage = Usage()
    #: None until it is priced; an `AgentRuntime` prices what reaches its bus without a cost.
    cost: Cost | None = None
    latency_ms: int = 0
    stop_reason: str = ""
    #: The service tier that was served, such as `flex` or `batch`.
    service_tier: str = ""
    #: What the provider counted, kept where it could not be understood in full: counts under known names and the words
    #: that say what they are of. The runtime log keeps nothing else of it.
    raw_usage: Mapping[str, Any] | None = None
    #: The model as the caller named it; "": nobody said.
    asked_model: str = ""
    #: The model and the provider as the price book understood them, by which reports and accounts go; "": it did not.
    resolved_model: str = ""
    resolved_provider: str = ""

    def __post_init__(self) -> None:
        # The same as of every event, written out: a call less for each turn.
        if type(self.tags) is not FrozenDict:
            freeze_field(self, "tags")
        if self.raw_usage is not None:
            freeze_field(self, "raw_usage")

    @property
    def counted_model(self) -> str:
        """The model as the price book understood it, else as it was named: that of sums and accounts."""
        return self.resolved_model or self.model

    @property
    def counted_provider(self) -> str:
        """The provider, likewise."""
        return self.resolved_provider or self.provider

    def _derived(self) -> dict[str, Any]:
        usage, cost = self.usage, self.cost
        usd = None if cost is None else cost.usd
        return {
            "input_tokens": usage.input_tokens,
            "output_tokens": usage.output_tokens,
            "total_tokens": usage.total_tokens,
            "cached_tokens": usage.cache_read_tokens,
            "cache_write_tokens": usage.cache_write_tokens,
            "reasoning_tokens": usage.reasoning_tokens,
            #: A float for metrics libraries; None when the cost is unknown. `event.cost.nanousd` is exact.
            "cost_usd": None if usd is None else float(usd),
            "cost_status": "unpriced" if cost is None else cost.status.value,
        }


class ChargeSettled(LLMTurnComplete, frozen=True, kw_only=True, tag=EventType.CHARGE_SETTLED.value):
    """Something was bought that is no call of a model: it has a cost, and `model` says what it was."""

    type: ClassVar[EventType] = EventType.CHARGE_SETTLED

    @property
    def name(self) -> str:
        """What was bought, such as `search-api`."""
        return self.model


class ToolCallCompleted(Event, frozen=True, kw_only=True, tag=EventType.TOOL_CALL_COMPLETED.value):
    """A tool returned."""

    type: ClassVar[EventType] = EventType.TOOL_CALL_COMPLETED

    tool: str = ""
    duration_ms: int = 0
    failed: bool = False
    #: What its result adds to the context, where known.
    result_tokens: int = 0
