"""What is known of a turn's prompt: what compactions kept out of it, and which results of tools it sent again."""

from __future__ import annotations

from typing import Final

import msgspec

from hivecost.events.usage import TOKENS_PER_TURN_MAX
from hivecost.money import TURN_COST_MAX_NANOUSD

#: The newest results of a prompt are counted apart: pruning leaves as many by default.
NEWEST_RESULTS: Final = 3
#: Longer names of tools are cut.
TOOL_NAME_MAX: Final = 200


class CarriedResults(msgspec.Struct, frozen=True, gc=False, omit_defaults=True):
    """The results of one tool that a prompt held and that an earlier prompt of the conversation had held before."""

    #: "" where the call is not in the prompt.
    tool: str
    results: int
    tokens: int
    #: What they cost of the prompt; None when unknown.
    nanousd: int | None = None
    #: Of that, those that are not among the three newest results of the prompt.
    old_nanousd: int | None = None

    def __post_init__(self) -> None:
        if type(self.tool) is not str or len(self.tool) > TOOL_NAME_MAX:
            raise ValueError(f"tool must be a text of at most {TOOL_NAME_MAX} letters")
        _require_counts(self.results, self.tokens)
        _require_amounts(self.nanousd, self.old_nanousd)


class SentPrompt(msgspec.Struct, frozen=True, gc=False, omit_defaults=True):
    """A prompt of a conversation that a node's loop keeps within a budget."""

    #: How many tokens longer it would have been without the compactions of its conversation.
    compacted_tokens: int = 0
    #: What those would have cost in this turn, most often at the rate of reading a cache; None when unknown.
    saved_nanousd: int | None = 0
    #: By the name of the tool.
    carried: tuple[CarriedResults, ...] = ()

    def __post_init__(self) -> None:
        _require_counts(self.compacted_tokens)
        _require_amounts(self.saved_nanousd)

    def compression_ratio(self, input_tokens: int) -> float:
        """Return how long the prompt was, by how long it would have been; 1.0 without compactions."""
        return input_tokens / (input_tokens + self.compacted_tokens) if self.compacted_tokens else 1.0


def _require_counts(*counts: object) -> None:
    for count in counts:
        if type(count) is not int or not 0 <= count <= TOKENS_PER_TURN_MAX:
            raise ValueError(f"a count of a prompt must be from 0 to {TOKENS_PER_TURN_MAX:,}, got {count!r:.60}")


def _require_amounts(*amounts: object) -> None:
    for amount in amounts:
        if amount is not None and (type(amount) is not int or not 0 <= amount <= TURN_COST_MAX_NANOUSD):
            raise ValueError(f"an amount must be nano-USD from 0 to {TURN_COST_MAX_NANOUSD:,}, got {amount!r:.60}")
