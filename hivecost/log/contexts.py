"""What context budgets came to, by session and node: compactions and what they spared, results that were sent again."""

from __future__ import annotations

from typing import Final

import msgspec


class CompactionTotals(msgspec.Struct, frozen=True, kw_only=True):
    """What the compactions of a node came to. Sums are of the known amounts."""

    node_id: str
    compactions: int = 0
    #: By how much the conversations were shortened, once each.
    tokens_saved: int = 0
    #: What summaries cost.
    cost_nanousd: int = 0
    #: What providers charged for writing the rest of the prompts into their cache again.
    cache_rewrite_nanousd: int = 0
    #: Those with an amount that nobody knows.
    unpriced_compactions: int = 0
    #: Turns whose prompts were shorter for it.
    later_turns: int = 0
    #: What those did not send, each time.
    spared_tokens: int = 0
    #: What that would have cost.
    saved_nanousd: int = 0
    #: Those of which nobody knows what it would have cost.
    unpriced_turns: int = 0

    @property
    def net_nanousd(self) -> int:
        """What was saved, and what it cost taken off; negative where it did not pay."""
        return self.saved_nanousd - self.cost_nanousd - self.cache_rewrite_nanousd


class CarriedTotals(msgspec.Struct, frozen=True, kw_only=True):
    """What a tool's results cost when they were sent again, after the turn that brought them."""

    node_id: str
    #: "" where the call is not in the prompt.
    tool: str
    #: Turns that sent results of it again.
    turns: int = 0
    #: Each as often as it was sent again.
    results: int = 0
    tokens: int = 0
    nanousd: int = 0
    #: Of that, results that were not among the three newest of their prompt.
    old_nanousd: int = 0
    #: Turns without a known cost.
    unpriced_turns: int = 0


COMPACTION_NAMES: Final = CompactionTotals.__struct_fields__[1:]
CARRIED_NAMES: Final = CarriedTotals.__struct_fields__[2:]
