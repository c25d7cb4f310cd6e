"""Which card prices a turn: resolved once per model, tier and geography, and again when its time is over."""

from __future__ import annotations

import hashlib
import os
from collections.abc import Callable, Mapping
from fractions import Fraction
from functools import cached_property, partial
from threading import RLock
from typing import Any, Final, NamedTuple

import msgspec

from hivecost.forking import tell_children
from hivecost.pricing.cards import Card, compile_card
from hivecost.pricing.catalog import Catalog, fetched_catalog, shipped_catalog
from hivecost.pricing.fees import FEES, PIECE_MODELS, SAME_RATES, tool_fees, units_at_other_rates
from hivecost.pricing.history import REWRITTEN
from hivecost.pricing.model_limits import ModelLimits, larger, limits_table, published_limits
from hivecost.pricing.names import GATEWAYS, last_parts, near_names
from hivecost.pricing.offers import ModelRates, Offer, Price
from hivecost.pricing.patches import GEOGRAPHY_UPLIFT, KNOWN_GEOGRAPHIES, PATCHES
from hivecost.pricing.patches import SOURCE as PATCH
from hivecost.pricing.placement import Asked, ModelName, Placement
from hivecost.pricing.regions import REGIONS
from hivecost.pricing.resolver import Resolver
from hivecost.pricing.tiers import DISCOUNTED, TIER_FACTORS, canonical_tier
from hivecost.pricing.units import OUTPUT_UNITS, uncounted
from hivecost.pricing.user_table import FREE, SUBSCRIPTION, read_user_table
from hivecost.pricing.user_table import SOURCE as USER

#: Names remembered, known and unknown ones alike; the oldest goes first.
REMEMBERED_MAX: Final = 4096

#: (model, provider, service tier, batch, geography) in the caller's words, then what the answer says: (model, provider,
#: hinted provider).
QuoteKey = tuple[str, str, str, bool, str, str, str, str]


class Quote(msgspec.Struct, frozen=True):
    """The card for [from_ns, until_ns), or the reason why there is none."""

    from_ns: int
    until_ns: int
    card: Card | None
    provider: str = ""
    model: str = ""
    source: str = ""
    #: Why there is no card; with a card, why its amount is only an estimate.
    reason: str = ""
    #: Where the host is unknown: what others would charge. The dearest prices a turn.
    rivals: tuple[Quote, ...] = ()
    #: For turns without tokens, where only pieces have a price and `card` is None.
    pieces: Quote | None = None
    #: For turns that a subscription pays for: what they would have cost, or why nobody can tell. `card` is for nothing.
    notional: Quote | None = None


class PossibleQuotes(NamedTuple):
    """What may turn out to price a turn sent in [from_ns, until_ns): what the name means comes first, then its rivals.

    Last is what the answer may call itself: a later version of the model, another name in the user's table.
    """

    from_ns: int
    until_ns: int
    quotes: tuple[Quote, ...]


class Quoter:
    """Answers with the card that applies; the tables are loaded by `load`, or when the first question comes."""

    def __init__(self, table: Mapping[str, Any] | str | os.PathLike[str] | None, data: bytes | None) -> None:
        self.table = read_user_table(table)
        self._data = data
        self._slots: dict[QuoteKey, _Slot] = {}
        self._opening = RLock()  # a finalizer may settle a turn in the middle of it
        tell_children(self)

    def _forked(self) -> None:
        self._opening = RLock()  # a thread of the parent may hold the other one

    @cached_property
    def catalog(self) -> Catalog:
        """The shipped rates."""
        return shipped_catalog() if self._data is None else fetched_catalog(self._data)

    @cached_property
    def snapshot(self) -> str:
        """The edition of the rates, and a short hash over them, the patches and the user's own prices."""
        patches = [(patch.name, patch.source) for patch in PATCHES]
        ours = FEES, PIECE_MODELS, SAME_RATES, REWRITTEN, REGIONS, str(TIER_FACTORS)
        content = msgspec.json.encode([self.catalog.edition, patches, ours, self.table], order="sorted")
        return f"{self.catalog.edition}-{hashlib.sha256(content).hexdigest()[:12]}"

    @cached_property
    def _resolver(self) -> Resolver:
        return Resolver(self.table, self.catalog)

    def load(self) -> None:
        """Read the rates, and import all that answering takes: no question does after that."""
        import difflib  # noqa: F401, PLC0415  # for near names; both take a fraction of a second, and are not for everyone

        _ = self.snapshot, self._known_names, limits_table()
        self._resolver.load()

    def quote(self, key: QuoteKey, at_ns: int) -> Quote:
        """Return the quote that applies at this instant. Never raise."""
        slot = self._slots.get(key)
        if slot is None:
            slot = self._open(key)
        quote = slot.current
        if quote.from_ns <= at_ns < quote.until_ns:
            return quote
        return slot.renew(at_ns)

    def possible(self, key: QuoteKey, at_ns: int) -> PossibleQuotes:
        """Return all that may come to apply to a turn that is sent at this instant, which a bound has to cover."""
        return self._slot(key).possible(at_ns)

    def resolve(self, model: str, provider: str) -> ModelName:
        """Return what the name means; cached with its quotes."""
        return self._slot(_key(model, provider)).name

    def beside(self, asked: str, provider: str, model: str) -> ModelName:
        """Return how to ask for another model at the host that was named for `asked`, if that has it."""
        return self._resolver.beside(asked, provider, model)

    def provider_id(self, name: str) -> str:
        """Return the provider, gateway or host that goes by this name; "" for none."""
        return self._resolver.provider_id(name)

    def providers(self) -> set[str]:
        """Return all that `provider_id` may give."""
        return {*self.catalog.provider_ids(), *GATEWAYS, *self._resolver.hosts()}

    def limits(self, model: str, provider: str) -> ModelLimits:
        """Return the maxima of the model that is meant; cached with its quotes."""
        return self._slot(_key(model, provider)).limits

    def rates(self, model: str, provider: str) -> tuple[ModelRates, ...]:
        """Return all rates that the name may mean, best first; cached with its quotes."""
        return self._slot(_key(model, provider)).rates

    def suggest(self, model: str) -> tuple[str, ...]:
        """Return names with a price that are near to this one."""
        return near_names(model, self._known_names)

    @cached_property
    def _known_names(self) -> dict[str, str]:
        shipped = (model for _, model in self.catalog.models())
        return last_parts([*self.table.rates, *self.table.aliases, *shipped])

    def _slot(self, key: QuoteKey) -> _Slot:
        return self._slots.get(key) or self._open(key)

    def _open(self, key: QuoteKey) -> _Slot:
        model, provider, service_tier, batch, geography, answered, answering, hint = key
        with self._opening:
            placement = self._resolver.place(Asked(model, provider, answered, answering, hint))
            missing = partial(self._missing, placement, model or answered)
            slot = _Slot(placement, canonical_tier(service_tier, batch=batch), geography.lower(), missing)
            if len(self._slots) >= REMEMBERED_MAX:
                self._slots.pop(next(iter(self._slots)), None)
            self._slots[key] = slot
        return slot

    def _missing(self, placement: Placement, model: str) -> str:
        near = self.suggest(model) if model else ()
        hint = f"; did you mean {', '.join(map(repr, near))}?" if near else ""
        return placement.missing + hint


def _key(model: str, provider: str) -> QuoteKey:
    return (model, provider, "", False, "", "", "", "")


def _limits(rates: ModelRates) -> ModelLimits:
    """Return a table's maxima of a model, and what is published of a shipped one.

    A model without a rate for output writes none.
    """
    said = rates.limits
    if not rates.provider:
        return said
    published = published_limits(rates.provider, rates.model)
    units = {unit for offer in rates.offers for unit in offer.prices}
    output = published.output_tokens_max
    if units and units.isdisjoint(OUTPUT_UNITS):
        output = 0
    return ModelLimits(larger(said.context_window, published.context_window), output)


class _Slot:
    """One model's cards over time; `current` is replaced whole, so that threads never see half of it."""

    def __init__(self, placement: Placement, tier: str, geography: str, missing: Callable[[], str]) -> None:
        self.name = placement.name
        self._placement = placement
        self.rates = (*placement.own, *placement.shipped)
        self._tier = tier
        self._geography = geography
        self._quotes: dict[tuple[bool, ...], Quote] = {}
        self._missing = missing
        #: Empty windows: the first question renews them.
        self.current = Quote(0, 0, None)
        self._possible = PossibleQuotes(0, 0, ())

    @cached_property
    def limits(self) -> ModelLimits:
        """What the user says of the model's maxima, else what is published; of several hosts, the most."""
        own, shipped = (list(map(_limits, rates)) for rates in (self._placement.own, self._placement.shipped))
        published = ModelLimits(
            larger(*(one.context_window for one in shipped)), larger(*(one.output_tokens_max for one in shipped))
        )
        said = [*own, published]
        return ModelLimits(
            next((one.context_window for one in said if one.context_window is not None), None),
            next((one.output_tokens_max for one in said if one.output_tokens_max is not None), None),
        )

    def renew(self, at_ns: int) -> Quote:
        """Return the quote at this instant, kept until the next border. A name without rates stays unknown for ever."""
        if not self.rates:
            self.current = Quote(-(2**80), 2**80, None, reason=self._missing())
            return self.current
        active = tuple(offer.validity.active(at_ns) for rates in self.rates for offer in rates.offers)
        quote = self._quotes.get(active)
        if quote is None:
            quote = self._quotes[active] = self._quote(at_ns)
        windows = [rates.window(at_ns, self._tier) for rates in self.rates]
        self.current = msgspec.structs.replace(
            quote, from_ns=max(start for start, _ in windows), until_ns=min(end for _, end in windows)
        )
        return self.current

    def possible(self, at_ns: int) -> PossibleQuotes:
        """Return the quotes that may come to apply at this instant, kept until the next border."""
        found = self._possible
        if not found.from_ns <= at_ns < found.until_ns:
            found = self._possible = self._all_possible(at_ns)
        return found

    def _all_possible(self, at_ns: int) -> PossibleQuotes:
        quote = self.renew(at_ns)
        offers = ((rates, rates.standard_at(at_ns)) for rates in self._later)
        later = (self._priced(rates, offer, at_ns) for rates, offer in offers if offer is not None)
        others = tuple(one for one in later if one.card not in (None, quote.card))
        windows = [(quote.from_ns, quote.until_ns), *(rates.window(at_ns, self._tier) for rates in self._later)]
        until_ns = min(end for _, end in windows)
        return PossibleQuotes(max(start for start, _ in windows), until_ns, (quote, *quote.rivals, *others))

    @cached_property
    def _later(self) -> tuple[ModelRates, ...]:
        return self._placement.later()

    def _quote(self, at_ns: int) -> Quote:
        """Return the quote by the user's own price where it applies, else by that of the host."""
        own = [(rates, offer) for rates in self._placement.own if (offer := rates.standard_at(at_ns)) is not None]
        if not own:
            return self._listed(at_ns)
        rates, offer = own[0]
        if not offer.subscription:
            return self._priced(rates, offer, at_ns)
        priced = next((pair for pair in own if pair[1].prices), None)
        if priced:
            notional = self._priced(*priced, at_ns)
        elif self._placement.shipped:
            notional = self._listed(at_ns)
        else:
            notional = Quote(0, 0, None, model=rates.model, reason=self._placement.missing)
        return Quote(0, 0, _NOTHING, notional.provider, rates.model, SUBSCRIPTION, notional=notional)

    def _listed(self, at_ns: int) -> Quote:
        """Return the quote by the host's price; of several possible hosts, the dearest, with the others as rivals."""
        offers = [
            (rates, offer) for rates in self._placement.shipped if (offer := rates.standard_at(at_ns)) is not None
        ]
        if not offers:
            name = self.rates[0].model
            return Quote(0, 0, None, model=name, reason=f"the price of {name!r} is for another period")
        found = [self._priced(rates, offer, at_ns) for rates, offer in offers]
        doubt, why = self._placement.doubt, self._placement.unknown_host
        if not why:
            return _doubted(found[0], doubt)
        priced = sorted((quote for quote in found if quote.card is not None), key=_dearness, reverse=True)
        if not priced:
            return found[0]
        count = len({quote.provider for quote in priced})
        among = f"the dearest of {count} hosts" if count > 1 else "the only host known"
        first, *others = (_doubted(one, f"{why}: priced as at {one.provider}, {among}") for one in priced)
        rivals: list[Quote] = []
        for other in others:  # as often as not, several hosts charge the same
            if other.card != first.card and all(other.card != one.card for one in rivals):
                rivals.append(other)
        return msgspec.structs.replace(first, rivals=tuple(rivals))

    def _priced(self, rates: ModelRates, standard: Offer, at_ns: int) -> Quote:
        prices, source, reason = standard.prices, standard.source, standard.doubt
        if self._tier and source != USER:
            own = rates.tier_at(at_ns, self._tier)
            if own is not None:
                prices, source, reason = prices | own.prices, own.source, own.doubt or reason
            else:
                reason = f"no {self._tier} rate is known for {rates.model!r}"
                if self._tier not in DISCOUNTED:
                    return Quote(0, 0, None, rates.provider, rates.model, reason=reason)
                reason += ": the standard rate is an upper bound"
        if source == USER:
            card = compile_card(prices)
        else:
            uplift = GEOGRAPHY_UPLIFT.get((rates.provider, self._geography), Fraction(1))
            if rates.provider == "anthropic" and self._geography not in KNOWN_GEOGRAPHIES:
                reason = f"no price is known for inference in {self._geography!r}: the global rate is taken"
            source = PATCH if uplift != 1 else source
            same = units_at_other_rates(rates.provider, rates.model)
            card = compile_card(
                prices | _lacking(tool_fees(rates.provider, rates.model), prices), uplift, as_other=same
            )
        unknown = uncounted(prices)
        if unknown:
            reason = f"{rates.model!r} is billed by {', '.join(unknown)} as well, which no usage counts"
        quote = Quote(0, 0, card, rates.provider, rates.model, source, reason)
        if card is not None and card.has_tokens:
            return quote
        reason = reason or f"{rates.model!r} has no price for tokens"
        return Quote(0, 0, None, rates.provider, rates.model, reason=reason, pieces=quote if card else None)


def _lacking(fees: dict[str, Price], prices: dict[str, Price]) -> dict[str, Price]:
    return {unit: fee for unit, fee in fees.items() if unit not in prices}


def _doubted(quote: Quote, doubt: str) -> Quote:
    """Return the quote with one more reason why its amount is an estimate."""
    reason = "; ".join(filter(None, (doubt, quote.reason)))
    return msgspec.structs.replace(quote, reason=reason) if doubt else quote


def _dearness(quote: Quote) -> int:
    """Return what an ordinary turn costs at most, to compare quotes."""
    return 0 if quote.card is None else quote.card.upper_bound(10_000, 1_000, 0)


_NOTHING: Final = compile_card(FREE)
