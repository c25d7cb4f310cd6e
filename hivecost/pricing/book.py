"""The price book: what a turn cost, with the rate, the source and the snapshot it was priced with."""

from __future__ import annotations

import os
from collections.abc import Iterator, Mapping
from typing import Any, Final

from msgspec.structs import replace

from hivecost.clock import SYSTEM_CLOCK, Clock
from hivecost.errors import PriceUnknownError
from hivecost.events import Cost, CostStatus, Usage
from hivecost.money import TURN_COST_MAX_NANOUSD, USD, to_usd
from hivecost.pricing.cards import Card, half_even
from hivecost.pricing.model_limits import ModelLimits
from hivecost.pricing.offers import Offer
from hivecost.pricing.passes import sum_of_costs
from hivecost.pricing.placement import ModelName
from hivecost.pricing.quotes import Quote, QuoteKey, Quoter
from hivecost.pricing.user_table import SUBSCRIPTION
from hivecost.prompts import CacheWrite
from hivecost.usage.reading import UsageReading, UsageStatus

#: A request sent now may be billed later; a bound looks this far ahead for a dearer hour.
BOUND_AHEAD_NS: Final = 3600 * 10**9

#: Where Claude's prompts are written to a cache only if the request has `cache_control` or `cachePoint`.
WRITES_WHEN_ASKED: Final = frozenset({"anthropic", "aws", "azure", "google", "openrouter"})

#: Who says in an answer what it cost; a bill of 0 from anybody else is somebody's default.
_NAMES_BILLS: Final = frozenset({"openrouter", "x-ai", "perplexity", "deepinfra", "vercel"})

#: Looked up once: an attribute of an enum is slow where a turn takes a microsecond.
_PRICED: Final = CostStatus.PRICED
_ESTIMATED: Final = CostStatus.ESTIMATED
_UNUSABLE: Final = {UsageStatus.MISSING: CostStatus.UNPRICED, UsageStatus.INVALID: CostStatus.INVALID}


class PriceBook:
    """Prices turns, in memory and without I/O once the rates are loaded: by `load`, or with the first price.

    `table` is the user's own prices, which win by name, in either case, alone or with its host (`azure/gpt-4o`): a
    dict (`{"gpt-4o": {"input": 2.50, "output": 10.00}}`, USD per 1M tokens) or the path of a TOML file. Raises
    ConfigError when the table cannot be used.
    `data` is genai-prices' JSON, as fetched; None takes what the installed package brings.
    """

    def __init__(
        self,
        table: Mapping[str, Any] | str | os.PathLike[str] | None = None,
        *,
        clock: Clock = SYSTEM_CLOCK,
        data: bytes | None = None,
    ) -> None:
        self._clock = clock
        self._quoter = Quoter(table, data)

    def load(self) -> None:
        """Load the rates now (0.15 s the first time in a process), so that pricing imports nothing later.

        An AgentRuntime does it when it is made: an import in the middle of a turn breaks clients that look through
        `sys.modules` in other threads, as openai 2 does. Raise ValueError for `data` that is no price table.
        """
        self._quoter.load()

    @property
    def snapshot(self) -> str:
        """Names this table: the edition of the rates and a short hash over them, the patches and the user's prices."""
        return self._quoter.snapshot

    def price(
        self,
        model: str,
        usage: Usage,
        *,
        provider: str = "",
        at_ns: int | None = None,
        service_tier: str = "",
        batch: bool = False,
        inference_geo: str = "",
        reported_nanousd: int | None = None,
        estimated: bool = False,
    ) -> Cost:
        """Return the cost of one turn.

        Never raise: an unknown model is `unpriced`, with near names in the reason.
        `reported_nanousd` is the provider's own bill; it wins, and the table's amount is kept beside it.
        `estimated` marks usage that is not final, such as that of a cut stream.
        """
        at = self._clock.now_ns() if at_ns is None else at_ns
        quote = self._quoter.quote((model, provider, service_tier, batch, inference_geo, "", "", ""), at)
        reason = "the usage is not final" if estimated else ""
        if quote.rivals:
            cost = self._cost(quote, usage, reason)
        else:  # most often
            cost = _table_cost(quote, usage, self._quoter.snapshot, reason)
        return cost if reported_nanousd is None else _reported(cost, reported_nanousd)

    def price_reading(
        self,
        reading: UsageReading,
        *,
        model: str = "",
        provider: str = "",
        at_ns: int | None = None,
        reported_nanousd: int | None = None,
    ) -> Cost:
        """Return the cost of a turn from the provider's payload; `model` and `provider` are what was asked for.

        Who was asked is who bills: the model that answered is priced there, or the one that was asked for, where only
        that has a price or the user's own. Where nobody names the host and several have the model, the cost is
        `estimated` by the dearest. Each of the reading's passes is priced by itself.

        A line of a batch that failed costs nothing, whatever its model. `reported_nanousd` is the provider's own bill,
        where the caller has it from elsewhere; it wins over that of the answer.
        Missing usage is `unpriced` and impossible usage `invalid`, unless the provider named its bill.
        """
        at = self._clock.now_ns() if at_ns is None else at_ns
        if reading.unbilled:
            cost = Cost(status=_PRICED, nanousd=0, snapshot=self._quoter.snapshot, reason=reading.unbilled)
        elif reading.status in _UNUSABLE:
            cost = Cost(status=_UNUSABLE[reading.status], snapshot=self._quoter.snapshot, reason=reading.reason)
        else:
            estimated = reading.reason if reading.status is UsageStatus.ESTIMATED else ""
            key = _key_of(reading, model, provider)
            if reading.passes:
                cost = self._cost_of_passes(reading, key, at, estimated)
            else:
                cost = self._cost(self._quoter.quote(key, at), reading.usage, estimated)
        if reported_nanousd is not None:
            return _reported(cost, reported_nanousd)
        bill = reading.reported_nanousd
        if bill is None:
            return cost
        host = self.resolve(model, provider).provider if bill == 0 and cost.nanousd else ""
        if self.provider_id(host) and host not in _NAMES_BILLS:
            why = f"the answer says a bill of 0, and {host} names none: priced by the table"
            return replace(cost, status=_ESTIMATED, reason="; ".join(filter(None, (why, cost.reason))))
        return _reported(cost, bill)

    def _cost(self, quote: Quote, usage: Usage, reason: str) -> Cost:
        """Return the table's cost; where the model may be at several hosts, the dearest of theirs for this usage."""
        snapshot = self._quoter.snapshot
        if not quote.rivals:
            return _table_cost(quote, usage, snapshot, reason)
        costs = [_table_cost(one, usage, snapshot, reason) for one in (quote, *quote.rivals)]
        return max(costs, key=lambda one: -1 if one.nanousd is None else one.nanousd)

    def _cost_of_passes(self, reading: UsageReading, key: QuoteKey, at: int, reason: str) -> Cost:
        """Return the cost of all runs, each at its own model's rates and long-context band, at the turn's host."""
        costs = []
        for one in reading.passes:
            pass_key = (*key[:5], one.model, *key[6:]) if one.model else key
            costs.append(self._cost(self._quoter.quote(pass_key, at), one.usage, ""))
        return sum_of_costs(costs, self._quoter.snapshot, reason)

    def quote_reading(
        self, reading: UsageReading, *, model: str = "", provider: str = "", at_ns: int | None = None
    ) -> Quote:
        """Return the quote that a reading is priced with: see `price_reading`."""
        at = self._clock.now_ns() if at_ns is None else at_ns
        return self._quoter.quote(_key_of(reading, model, provider), at)

    def resolve(self, asked: str, provider: str = "") -> ModelName:
        """Return (provider, model) as this book understands a name: `azure/gpt-4o-2024-08-06` is `azure`, `gpt-4o`.

        The model is "" where the book does not know it, and the provider where nobody says it. A `provider` that is
        given is believed; only LiteLLM and OpenAI's client, which people call any host with, say nothing. A region
        that changes the price stays a part of the model: `azure/eu/gpt-4o` is `azure`, `eu/gpt-4o`.
        """
        return self._quoter.resolve(asked, provider)

    def beside(self, asked: str, model: str, provider: str = "") -> ModelName:
        """Return (provider, model) with which to ask for another model where `asked` is, if that names a host.

        `beside("azure/gpt-4o", "gpt-4o-mini")` is `azure/gpt-4o-mini`, and with `provider="azure"` that stays. The
        model as it is and "" where no host is named, where that one does not have it, and where it names its own.
        """
        return self._quoter.beside(asked, provider, model)

    def limits(self, model: str, provider: str = "") -> ModelLimits:
        """Return how many tokens the model reads and writes at most; None for what nobody published.

        The user's own table says it with `context_window` and `max_output_tokens`; else it is the larger of what
        genai-prices and `model_limits.json` say.
        """
        return self._quoter.limits(model, provider)

    def provider_id(self, name: str) -> str:
        """Return the provider, gateway or host of the user's table (`host/model`) that goes by this name, else ""."""
        return self._quoter.provider_id(name)

    def providers(self) -> set[str]:
        """Return all that `provider_id` may give."""
        return self._quoter.providers()

    def knows(self, model: str, *, provider: str = "", at_ns: int | None = None) -> bool:
        """Tell whether a turn of this model can be priced by its tokens."""
        return self.quote(model, provider=provider, at_ns=at_ns).card is not None

    def quote(
        self,
        model: str,
        *,
        provider: str = "",
        at_ns: int | None = None,
        service_tier: str = "",
        batch: bool = False,
        inference_geo: str = "",
    ) -> Quote:
        """Return what the name was resolved to, and the card that applies then; without a card, the reason."""
        at = self._clock.now_ns() if at_ns is None else at_ns
        return self._quoter.quote((model, provider, service_tier, batch, inference_geo, "", "", ""), at)

    def upper_bound_nanousd(
        self,
        model: str,
        *,
        input_tokens: int,
        output_tokens: int,
        provider: str = "",
        at_ns: int | None = None,
        service_tier: str = "",
        batch: bool = False,
        inference_geo: str = "",
        web_search_requests: int = 0,
        cache_write: CacheWrite | None = None,
        is_text: bool = False,
        tool_calls: int = 0,
    ) -> int | None:
        """Return what no turn with at most these counts can cost, in nano-USD; None when the model is unpriced.

        Every token is taken as the dearest kind of its side that it can be, at the dearest long-context rate in reach,
        at the tier asked for or the standard one (a provider may serve either), now and within the next hour, at the
        dearest host where nobody names one. A name without a date covers its later versions, and whatever else the
        user's table has for names by which the answer may call the model.
        `cache_write` is what the request asks for: "" for none, which binds where a provider writes only what it is
        asked to, "5m" and "1h"; None, where nobody knows, is an hour. A prompt that `is_text` holds no audio, image or
        video. Each of `tool_calls` is of the dearest of the provider's own tools.
        """
        at = self._clock.now_ns() if at_ns is None else at_ns
        quotes = self._possible((model, provider, service_tier, batch, inference_geo, "", "", ""), at)
        card = quotes[0].card
        if card is None:
            return None
        if service_tier or batch:
            quotes += self._possible((model, provider, "", False, inference_geo, "", "", ""), at)
        elif len(quotes) == 1:  # most often
            writes = _writes(quotes[0], cache_write)
            return card.upper_bound(
                input_tokens, output_tokens, web_search_requests, writes, is_text=is_text, tool_calls=tool_calls
            )
        return max(
            quote.card.upper_bound(
                input_tokens,
                output_tokens,
                web_search_requests,
                _writes(quote, cache_write),
                is_text=is_text,
                tool_calls=tool_calls,
            )
            for quote in quotes
            if quote.card is not None
        )

    def _possible(self, key: QuoteKey, at: int) -> tuple[Quote, ...]:
        """Return the quotes that may price a turn now or within the next hour, those of now first."""
        found = self._quoter.possible(key, at)
        quotes = found.quotes
        while found.until_ns < at + BOUND_AHEAD_NS:
            found = self._quoter.possible(key, found.until_ns)
            quotes += found.quotes
        return quotes

    def models(self) -> Iterator[tuple[str, str]]:
        """Yield (provider, model) of everything that is listed, the user's own first, with "" as their provider."""
        yield from (("", model) for model in self._quoter.table.rates)
        yield from self._quoter.catalog.models()

    def names(self) -> Iterator[tuple[str, str]]:
        """Yield (provider, name) of all that is listed, and of the names that the rules for matching spell out."""
        yield from self._quoter.catalog.names()

    def offers(self, model: str, *, provider: str = "") -> tuple[Offer, ...]:
        """Return all that the name may be priced by, at any time and tier; () for a name that is not known."""
        return tuple(offer for rates in self._quoter.rates(model, provider) for offer in rates.offers)

    def suggestions(self, model: str) -> tuple[str, ...]:
        """Return up to three names with a price that are near to this one."""
        return self._quoter.suggest(model)

    def tiers(self, model: str, *, provider: str = "") -> tuple[str, ...]:
        """Return the service tiers for which the model has rates of their own at any time."""
        return tuple(dict.fromkeys(tier for rates in self._quoter.rates(model, provider) for tier in rates.tiers))

    def calculate_cost(self, model: str, input_tokens: int, output_tokens: int, cached_tokens: int = 0) -> USD:
        """Return USD for these counts; `cached_tokens` are those of the input that were read from cache.

        Raise PriceUnknownError, with near names, for a model without a price, and UsageInvalidError for counts
        that cannot be.
        """
        usage = Usage(input_tokens=input_tokens, output_tokens=output_tokens, cache_read_tokens=cached_tokens)
        cost = self.price(model, usage)
        if cost.nanousd is None:
            raise PriceUnknownError(model, suggestions=self.suggestions(model))
        return to_usd(cost.nanousd)


def _key_of(reading: UsageReading, model: str, provider: str) -> QuoteKey:
    return (
        model,
        provider,
        reading.service_tier,
        reading.batch,
        reading.inference_geo,
        reading.model,
        reading.provider,
        reading.hinted_provider,
    )


def _writes(quote: Quote, asked: CacheWrite | None) -> CacheWrite:
    """Return the dearest cache write that can occur. Others than Claude's hosts write, and bill, unasked.

    https://platform.claude.com/docs/en/build-with-claude/prompt-caching
    """
    if asked is None or (quote.provider not in WRITES_WHEN_ASKED or "claude" not in quote.model):
        return "1h"
    return asked


def _table_cost(quote: Quote, usage: Usage, snapshot: str, reason: str) -> Cost:
    if quote.notional is not None:
        return _subscribed(_table_cost(quote.notional, usage, snapshot, reason))
    card = quote.card
    if card is None:
        if quote.pieces is not None and _is_of_pieces(usage, quote.pieces.card):
            return _table_cost(quote.pieces, usage, snapshot, reason)
        return Cost(status=CostStatus.UNPRICED, snapshot=snapshot, reason=quote.reason)
    band = card.band(usage.input_tokens) if card.starts else card.bands[0]
    input_nanousd, output_nanousd, fees, cached, written, reasoning, doubt = card.amounts(usage, band)
    scale = card.scale
    if scale != 1:
        input_nanousd, output_nanousd, fees = _rounded(scale, input_nanousd, output_nanousd, fees)
        if cached or written:
            cached, written, _ = _rounded(scale, cached, written, 0)
        if reasoning:
            reasoning = min(half_even(reasoning, scale), output_nanousd)
    nanousd = input_nanousd + output_nanousd + fees
    if nanousd > TURN_COST_MAX_NANOUSD:
        return Cost(
            status=CostStatus.INVALID, snapshot=snapshot, reason="a turn above one million USD is a broken bill"
        )
    if quote.reason or (doubt and reason):
        reason = "; ".join(filter(None, (quote.reason, doubt, reason)))
    reason = reason or doubt
    return Cost(
        status=_ESTIMATED if reason else _PRICED,
        nanousd=nanousd,
        source=quote.source,
        rate=band.rate,
        snapshot=snapshot,
        reason=reason,
        input_nanousd=input_nanousd,
        output_nanousd=output_nanousd,
        cached_nanousd=cached,
        written_nanousd=written,
        reasoning_nanousd=reasoning,
        fee_nanousd=fees,
    )


def _is_of_pieces(usage: Usage, card: Card | None) -> bool:
    """Tell whether a turn has no tokens, and something that the card has a price for."""
    return card is not None and not usage.total_tokens and card.counts_pieces(usage)


def _rounded(scale: int, first: int, second: int, third: int) -> tuple[int, int, int]:
    """Return the parts in nano-USD, which add up to their sum rounded once."""
    one, two = half_even(first, scale), half_even(first + second, scale)
    return one, two - one, (half_even(first + second + third, scale) if third else two) - two


def _subscribed(table: Cost) -> Cost:
    """Return a cost of nothing, and beside it what the turn would have cost."""
    return Cost(
        status=_PRICED,
        nanousd=0,
        source=SUBSCRIPTION,
        rate=table.rate,
        snapshot=table.snapshot,
        reason=table.reason if table.nanousd is not None else f"what it would have cost is not known: {table.reason}",
        input_nanousd=0,
        output_nanousd=0,
        cached_nanousd=0,
        written_nanousd=0,
        reasoning_nanousd=0,
        fee_nanousd=0,
        notional_nanousd=table.nanousd,
    )


def _reported(table: Cost, reported_nanousd: int) -> Cost:
    """Return the cost by the provider's bill, with the table's beside it; over a subscription it is notional only."""
    if type(reported_nanousd) is not int or not 0 <= reported_nanousd <= TURN_COST_MAX_NANOUSD:
        return table
    if table.source == SUBSCRIPTION:
        return replace(table, notional_nanousd=reported_nanousd)
    return Cost(
        status=CostStatus.REPORTED,
        nanousd=reported_nanousd,
        source="provider",
        rate=table.rate,
        snapshot=table.snapshot,
        reason=table.reason,
        table_nanousd=table.nanousd,
    )
