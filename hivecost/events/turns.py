"""Events of a turn, one LLM call and the tools around it, and what turns add up to."""

from __future__ import annotations

from collections.abc import Mapping
from operator import add, attrgetter
from typing import Any, ClassVar, Final

import msgspec

from hivecost.events.base import Event, EventType, freeze_field
from hivecost.events.cost import Cost, CostStatus
from hivecost.events.sent_prompts import SentPrompt
from hivecost.events.usage import Usage
from hivecost.frozen import FrozenDict
from hivecost.money import USD, to_usd

#: Looked up once: an attribute of an enum is slow where a turn takes a microsecond.
_INVALID: Final = CostStatus.INVALID
_ESTIMATED: Final = CostStatus.ESTIMATED


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
    #: What is known of its prompt, where a node's loop keeps its conversations; None of any other.
    prompt: SentPrompt | None = None

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
            "compression_ratio": 1.0 if self.prompt is None else self.prompt.compression_ratio(usage.input_tokens),
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


class Totals(msgspec.Struct, frozen=True, gc=False):
    """What some turns add up to. Adding is exact, so any partition of the turns adds up to the same."""

    llm_calls: int = 0
    #: Includes cache reads and writes.
    input_tokens: int = 0
    #: Includes reasoning.
    output_tokens: int = 0
    cache_read_tokens: int = 0
    cache_write_tokens: int = 0
    reasoning_tokens: int = 0
    #: The sum of the known costs only; the next two say how many turns are missing from it.
    cost_nanousd: int = 0
    unpriced_calls: int = 0
    #: Turns whose reported usage, or cost, cannot be.
    invalid_calls: int = 0
    #: Turns in `cost_nanousd` whose usage is not final.
    estimated_calls: int = 0
    latency_ms: int = 0
    #: What was bought that is no call of a model; its cost is in `cost_nanousd`.
    charges: int = 0
    charged_nanousd: int = 0
    #: What turns that a subscription pays for would have cost, as far as it is known; it is not in `cost_nanousd`.
    notional_nanousd: int = 0

    @property
    def total_tokens(self) -> int:
        """Input plus output."""
        return self.input_tokens + self.output_tokens

    @property
    def cached_tokens(self) -> int:
        """Those read from a cache."""
        return self.cache_read_tokens

    @property
    def cost_usd(self) -> USD:
        """The exact cost in USD of the turns that have one."""
        return to_usd(self.cost_nanousd)

    @property
    def notional_usd(self) -> USD:
        """The exact amount in USD that turns would have cost without the subscription that pays for them."""
        return to_usd(self.notional_nanousd)

    def plus(self, turn: LLMTurnComplete) -> Totals:
        """Return the sums with one more turn."""
        usage, cost = turn.usage, turn.cost
        nanousd = None if cost is None else cost.nanousd
        unpriced_calls, invalid_calls, estimated_calls = self.unpriced_calls, self.invalid_calls, self.estimated_calls
        if cost is None or nanousd is None:
            is_invalid = cost is not None and cost.status is _INVALID
            unpriced_calls += not is_invalid
            invalid_calls += is_invalid
        elif cost.status is _ESTIMATED:
            estimated_calls += 1
        is_charge = type(turn) is ChargeSettled
        return Totals(
            self.llm_calls + (not is_charge),
            self.input_tokens + usage.input_tokens,
            self.output_tokens + usage.output_tokens,
            self.cache_read_tokens + usage.cache_read_tokens,
            self.cache_write_tokens + usage.cache_write_tokens,
            self.reasoning_tokens + usage.reasoning_tokens,
            self.cost_nanousd + (nanousd or 0),
            unpriced_calls,
            invalid_calls,
            estimated_calls,
            self.latency_ms + turn.latency_ms,
            self.charges + is_charge,
            self.charged_nanousd + (nanousd or 0) if is_charge else self.charged_nanousd,
            self.notional_nanousd + (cost.notional_nanousd or 0) if cost is not None else self.notional_nanousd,
        )

    def __add__(self, other: Totals) -> Totals:
        """Return the sums of both."""
        return Totals(*map(add, _sums(self), _sums(other)))

    def as_metrics(self) -> dict[str, Any]:
        """Return every sum by its name, and `total_tokens`, `cached_tokens` and `cost_usd` (a float).

        `notional_nanousd` and `notional_usd` are there only where a subscription pays for any of the turns.
        """
        metrics = {
            **dict(zip(Totals.__struct_fields__, _sums(self), strict=True)),
            "total_tokens": self.total_tokens,
            "cached_tokens": self.cached_tokens,
            "cost_usd": float(self.cost_usd),
        }
        if not self.notional_nanousd:
            del metrics["notional_nanousd"]
            return metrics
        return metrics | {"notional_usd": float(self.notional_usd)}


_sums: Final = attrgetter(*Totals.__struct_fields__)
