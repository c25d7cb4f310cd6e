"""Whether an edit pays, the summaries that were bought for it included."""

from __future__ import annotations

from collections.abc import Callable

from hivecost.compaction.breaking_even import ESTIMATED_RATES, BreakEven, CacheState, Rates, break_even
from hivecost.compaction.strategies.summarize import Summary, SummaryRequest
from hivecost.errors import ConfigError
from hivecost.pricing.quotes import Quote


class Gate:
    """Lets an edit pass, or only if it pays within `turns_ahead` turns.

    Raises ConfigError for a value that cannot be.
    """

    def __init__(
        self, rates: Rates | Quote | None, tokens: int, *, turns_ahead: int, cache: CacheState, must_pay: bool
    ) -> None:
        if type(turns_ahead) is not int or turns_ahead < 1:
            raise ConfigError("turns_ahead", "a whole number, 1 or more", got=turns_ahead)
        if cache not in ("warm", "cold", "none"):
            raise ConfigError("cache", "one of warm, cold, none", got=cache)
        self.turns_ahead = turns_ahead
        self.must_pay = must_pay
        self.rates = Rates.of(rates, tokens) if isinstance(rates, Quote) else rates or ESTIMATED_RATES
        self._cache = cache
        #: In the unit of the rates, and in nano-USD; None where nobody knows.
        self._summary_cost = 0
        self.summary_nanousd: int | None = 0

    def buy(self, request: SummaryRequest, summary: Summary, size: Callable[[str], float]) -> None:
        """Count what a summary cost, by its tokens where nobody said; one that failed and names no cost had none."""
        cost = summary.cost_nanousd
        if cost is None:
            by_tokens = self._price(request, int(size(summary.text))) if summary.text else 0
            self._summary_cost += by_tokens
            cost = self.rates.nanousd(by_tokens) if summary.text else 0
        elif self.rates.is_estimated:
            self._summary_cost += self._price(request, int(size(summary.text)))
        else:
            self._summary_cost += cost * self.rates.scale
        known = self.summary_nanousd is not None and cost is not None
        self.summary_nanousd = (self.summary_nanousd or 0) + (cost or 0) if known else None

    def would_buy(self, request: SummaryRequest, *, saved: int, rewritten: int) -> bool:
        """Tell whether an edit may pass with a summary that is as long as it may be."""
        price = self._price(request, request.max_tokens)
        return self.passes(self.judge(saved=saved, rewritten=rewritten, price=price))

    def judge(self, *, saved: int, rewritten: int, price: int = 0) -> BreakEven:
        """Return what an edit costs and saves, with the summaries so far and one of this price."""
        cost = self._summary_cost + price
        return break_even(self.rates, saved=saved, rewritten=rewritten, summary_cost=cost, cache=self._cache)

    def passes(self, result: BreakEven) -> bool:
        """Tell whether an edit may pass."""
        return not self.must_pay or (result.turns is not None and result.turns < self.turns_ahead)

    def _price(self, request: SummaryRequest, written: int) -> int:
        return request.prompt_tokens * self.rates.input + written * self.rates.output
