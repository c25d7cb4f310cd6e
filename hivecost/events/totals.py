"""Integer sums over turns."""

from __future__ import annotations

from operator import add, attrgetter
from typing import Any, Final

import msgspec

from hivecost.events.cost import CostStatus
from hivecost.events.turns import ChargeSettled, LLMTurnComplete
from hivecost.money import USD, to_usd

#: Looked up once: an attribute of an enum is slow where a turn takes a microsecond.
_INVALID: Final = CostStatus.INVALID
_ESTIMATED: Final = CostStatus.ESTIMATED


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
        return self.input_tokens + self.output_tokens

    @property
    def cached_tokens(self) -> int:
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
        """The sums with one more turn."""
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
        """The sums of both."""
        return Totals(*map(add, _sums(self), _sums(other)))

    def as_metrics(self) -> dict[str, Any]:
        """Every sum by its name, and `total_tokens`, `cached_tokens` and `cost_usd` (a float).

        `notional_nanousd`, and `notional_usd` with it, only where a subscription pays for any of the turns.
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
