"""After how many turns a compaction has paid for itself, with prompt caching.

Of the tokens S that are taken out, the s that come in their place, the K that stay behind the first change, and the
rates r, w and i of reading, writing and fresh input, n further turns pay where

    n x (S - s) x r  >  summary + (K + s) x (w - r)      the prefix is in the provider's cache
    summary  <  (S - s) x i                              at once: no cache, or nothing in it any more
"""

from __future__ import annotations

from typing import Final, Literal

import msgspec

from hivecost.pricing.quotes import Quote

#: What the prompt's prefix is to the provider: `warm` in its cache, `cold` not in it any more, `none` without one.
CacheState = Literal["warm", "cold", "none"]


class Rates(msgspec.Struct, frozen=True):
    """What one token costs, in nano-USD x scale; without a known price, in tokens of input."""

    input: int
    read: int
    write: int
    output: int
    scale: int = 1
    is_estimated: bool = False

    @classmethod
    def of(cls, quote: Quote, input_tokens: int) -> Rates:
        """Return the rates of a price book's quote for a prompt of this length; the estimated ones without a price."""
        if quote.card is None or not quote.card.has_tokens:
            return ESTIMATED_RATES
        band = quote.card.band(input_tokens)
        return cls(band.input, band.cache_read, band.cache_write, band.output, quote.card.scale)

    def nanousd(self, amount: int) -> int | None:
        """Return an amount as nano-USD; None where no price is known."""
        return None if self.is_estimated else round(amount / self.scale)


#: Where no price is known: most providers read a cache at a tenth of fresh input, and write output at four times it.
ESTIMATED_RATES: Final = Rates(input=10, read=1, write=10, output=40, scale=10, is_estimated=True)


class BreakEven(msgspec.Struct, frozen=True):
    """What an edit costs once and saves each turn, in nano-USD; None where no price is known."""

    rewrite_nanousd: int | None
    saves_per_turn_nanousd: int | None
    #: After how many turns it has paid for itself; None for never.
    turns: float | None


def break_even(rates: Rates, *, saved: int, rewritten: int, summary_cost: int = 0, cache: CacheState) -> BreakEven:
    """Return what an edit costs and saves that takes `saved` tokens out, net, and writes `rewritten` ones anew.

    `summary_cost` is in the unit of the rates.
    """
    rewrite = rewritten * max(0, rates.write - rates.read) if cache == "warm" else 0
    each_turn = saved * (rates.input if cache == "none" else rates.read)
    costs = rewrite + summary_cost
    turns: float | None
    if saved <= 0:
        turns = None
    elif cache == "cold" and costs < saved * rates.input:
        turns = 0.0
    else:
        at_once = saved * (rates.input - rates.read) if cache == "cold" else 0
        turns = (costs - at_once) / each_turn if each_turn else None
    return BreakEven(rates.nanousd(rewrite), rates.nanousd(each_turn), turns)
