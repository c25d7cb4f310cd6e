"""What came of a compaction."""

from __future__ import annotations

from collections.abc import Mapping
from typing import Any, Literal

import msgspec

from hivecost.compaction.config import StrategyName
from hivecost.compaction.counting import CountSource

#: `done`: it changed something. `unchanged`: nothing was there to do. `skipped`: it had to pay, and would not have.
CompactionStatus = Literal["done", "unchanged", "skipped"]
#: `discarded`: a summary was written, and was of no use.
StepStatus = Literal["done", "unchanged", "discarded"]


class CompactionStep(msgspec.Struct, frozen=True):
    """What one strategy did."""

    strategy: StrategyName
    status: StepStatus
    tokens_before: int
    tokens_after: int
    reason: str = ""


class Compaction(msgspec.Struct, frozen=True, kw_only=True):
    """A conversation that was compacted, or why it was not.

    Amounts are in nano-USD, and None where no price is known; those of a `skipped` one are what it would have been.
    """

    #: The list that was given, where nothing changed; else a new one, in which whatever was not touched is the same.
    messages: list[Any]
    status: CompactionStatus
    steps: tuple[CompactionStep, ...] = ()
    tokens_before: int
    tokens_after: int
    count_source: CountSource = "estimated"
    #: How many messages at the beginning are as they were; None where all are.
    first_changed: int | None = None
    #: After how many turns it has paid for itself, writing the prompt's cache anew and the summary included; None for
    #: never, and where there was nothing to do.
    breaks_even_after: float | None = None
    cache_rewrite_nanousd: int | None = 0
    saves_per_turn_nanousd: int | None = 0
    #: What the summaries cost, the discarded ones too.
    summary_nanousd: int | None = 0
    #: Whether the price is unknown, and `breaks_even_after` goes by tokens alone.
    is_estimated: bool = False
    #: What was replaced, by the place that its note names; empty without `spill`.
    spilled: Mapping[str, Any] = {}
    reason: str = ""

    @property
    def tokens_saved(self) -> int:
        """How many tokens fewer it has."""
        return self.tokens_before - self.tokens_after

    @property
    def strategy(self) -> str:
        """The last strategy that changed something; "" for none."""
        return next((step.strategy for step in reversed(self.steps) if step.status == "done"), "")
