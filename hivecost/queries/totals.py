"""The sums that every level of the log is reported with."""

from __future__ import annotations

from collections.abc import Sequence

import msgspec

from hivecost.money import USD, to_usd


class LoggedTotals(msgspec.Struct, frozen=True, kw_only=True):
    """Integer sums over turns, as the rollups keep them."""

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


#: The columns of a rollup, in the order of LoggedTotals.
SUM_COLUMNS = ", ".join(LoggedTotals.__struct_fields__)
#: The same, added up.
SUMS_OF_ROLLUPS = ", ".join(f"sum({name})" for name in LoggedTotals.__struct_fields__)


def sums(values: Sequence[int]) -> dict[str, int]:
    """Values in the order of SUM_COLUMNS, by name."""
    return dict(zip(LoggedTotals.__struct_fields__, values, strict=True))
