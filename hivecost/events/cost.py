"""What a turn cost, and how we know."""

from __future__ import annotations

from enum import StrEnum
from typing import Final

import msgspec

from hivecost.money import USD, to_usd

#: How the reasons of costs end whose usage is an estimate of ours: of the whole turn, or of what was read alone.
FROM_ALL: Final = "no usage was reported: estimated from what was read of the answer, and from the prompt"
FROM_ANSWER: Final = "no usage was reported: estimated from what was read of the answer; the prompt's length is unknown"


class CostStatus(StrEnum):
    """How far a cost can be trusted."""

    #: Usage as reported, times a known rate.
    PRICED = "priced"
    #: The provider named the bill itself; it wins over the table.
    REPORTED = "reported"
    #: A known rate, but usage that is not final: a cut stream, a count of ours.
    ESTIMATED = "estimated"
    #: No rate, or no usage, is known. Never zero: the amount is None.
    UNPRICED = "unpriced"
    #: The usage that was reported cannot be. The amount is None.
    INVALID = "invalid"

    #: In C, as for EventType: each row that is logged looks its status up.
    __hash__ = str.__hash__


class Cost(msgspec.Struct, frozen=True, gc=False, kw_only=True, omit_defaults=True):
    """The cost of one turn in nano-USD, with the rate it was priced with, so that a price update never rewrites it."""

    status: CostStatus
    #: None exactly when the status is `unpriced` or `invalid`.
    nanousd: int | None = None
    #: Where the rate comes from: `user`, `genai-prices`, `patch`, `fees`, `history`, `provider`, `subscription`, or ""
    #: when unpriced.
    source: str = ""
    #: The rates applied, readable: `input=2.5 output=10` in USD per 1M tokens.
    rate: str = ""
    #: Which price table it was: a short hash of its content with its version.
    snapshot: str = ""
    #: Why there is no amount, or why it is an estimate.
    reason: str = ""
    #: The part of `nanousd` that the input side made; None when nobody can tell. Input, output and fees add up to it.
    input_nanousd: int | None = None
    output_nanousd: int | None = None
    #: What our table says where the provider's own bill won.
    table_nanousd: int | None = None
    #: Of the input's, what was read from a cache, and what was written to one. None, as the input's, when unknown.
    cached_nanousd: int | None = None
    written_nanousd: int | None = None
    #: Of the output's.
    reasoning_nanousd: int | None = None
    #: What is billed by the request, the piece or the second.
    fee_nanousd: int | None = None
    #: What a turn that a subscription pays for would have cost; `nanousd` is 0. None for any other, and when unknown.
    notional_nanousd: int | None = None

    @property
    def estimated_from(self) -> str:
        """What the usage was estimated from, where the provider told none; "" where it told.

        `prompt and answer`, or `answer` where nobody said how long the prompt was.
        """
        if not self.reason:
            return ""
        if self.reason.endswith(FROM_ANSWER):
            return "answer"
        return "prompt and answer" if self.reason.endswith(FROM_ALL) else ""

    @property
    def usd(self) -> USD | None:
        """The exact amount in USD; None when unknown."""
        return None if self.nanousd is None else to_usd(self.nanousd)
