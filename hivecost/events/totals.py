"""Integer sums over turns."""

from __future__ import annotations

from typing import Any

import msgspec

from hivecost.events.cost import CostStatus
from hivecost.events.turns import LLMTurnComplete
from hivecost.money import USD, to_usd


class Totals(msgspec.Struct):
    """What some turns add up to. Adding is exact, so any partition of the turns adds up to the same."""

    llm_calls: int = 0
    input_tokens: int = 0
    output_tokens: int = 0
    cache_read_tokens: int = 0
    cache_write_tokens: int = 0
    reasoning_tokens: int = 0
    #: The sum of the known costs only; the next two say how many turns are missing from it.
    cost_nanousd: int = 0
    unpriced_calls: int = 0
    #: Turns whose reported usage, or cost, cannot be.
    invalid_calls: int = 0
    estimated_calls: int = 0
    latency_ms: int = 0

    @property
    def total_tokens(self) -> int:
        return self.input_tokens + self.output_tokens

    @property
    def cost_usd(self) -> USD:
        """The exact cost of the turns that have one."""
        return to_usd(self.cost_nanousd)

    def add(self, turn: LLMTurnComplete) -> None:
        """Count one more turn."""
        usage, cost = turn.usage, turn.cost
        self.llm_calls += 1
        self.input_tokens += usage.input_tokens
        self.output_tokens += usage.output_tokens
        self.cache_read_tokens += usage.cache_read_tokens
        self.cache_write_tokens += usage.cache_write_tokens
        self.reasoning_tokens += usage.reasoning_tokens
        self.latency_ms += turn.latency_ms
        if cost is None or cost.nanousd is None:
            if cost is not None and cost.status is CostStatus.INVALID:
                self.invalid_calls += 1
            else:
                self.unpriced_calls += 1
        else:
            self.cost_nanousd += cost.nanousd
            if cost.status is CostStatus.ESTIMATED:
                self.estimated_calls += 1

    def merge(self, other: Totals) -> None:
        """Count what `other` counted, too."""
        self.llm_calls += other.llm_calls
        self.input_tokens += other.input_tokens
        self.output_tokens += other.output_tokens
        self.cache_read_tokens += other.cache_read_tokens
        self.cache_write_tokens += other.cache_write_tokens
        self.reasoning_tokens += other.reasoning_tokens
        self.cost_nanousd += other.cost_nanousd
        self.unpriced_calls += other.unpriced_calls
        self.invalid_calls += other.invalid_calls
        self.estimated_calls += other.estimated_calls
        self.latency_ms += other.latency_ms

    def as_metrics(self) -> dict[str, Any]:
        """Every sum by its name, and `total_tokens`, `cached_tokens` and `cost_usd` (a float)."""
        return {
            **msgspec.structs.asdict(self),
            "total_tokens": self.total_tokens,
            "cached_tokens": self.cache_read_tokens,
            "cost_usd": float(self.cost_usd),
        }
