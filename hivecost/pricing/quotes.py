"""Which card prices a turn: resolved once per model, tier and geography, and again when its time is over."""

from __future__ import annotations

import hashlib
import os
from collections.abc import Iterator, Mapping
from fractions import Fraction
from functools import cached_property
from threading import RLock
from typing import Any, Final

import msgspec

from hivecost.forking import tell_children
from hivecost.pricing.cards import Card, compile_card
from hivecost.pricing.catalog import Catalog, fetched_catalog, shipped_catalog
from hivecost.pricing.fees import FEES, PIECE_MODELS, SAME_RATES, tool_fees, units_at_other_rates
from hivecost.pricing.history import REWRITTEN
from hivecost.pricing.names import GATEWAYS, last_parts, near_names
from hivecost.pricing.offers import ModelRates, Offer, Price
from hivecost.pricing.patches import GEOGRAPHY_UPLIFT, PATCHES
from hivecost.pricing.patches import SOURCE as PATCH
from hivecost.pricing.resolver import ModelName, Resolver
from hivecost.pricing.tiers import DISCOUNTED, canonical_tier
from hivecost.pricing.units import uncounted
from hivecost.pricing.user_table import FREE, SUBSCRIPTION, read_user_table
from hivecost.pricing.user_table import SOURCE as USER

#: Names remembered, known and unknown ones alike; the oldest goes first.
REMEMBERED_MAX: Final = 4096

#: (model, provider, service tier, batch, geography), in the caller's words.
QuoteKey = tuple[str, str, str, bool, str]


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
    #: For turns without tokens, where only pieces have a price and `card` is None.
    pieces: Quote | None = None
    #: For turns that a subscription pays for: what they would have cost, or why nobody can tell. `card` is for nothing.
    notional: Quote | None = None


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
        ours = FEES, PIECE_MODELS, SAME_RATES, REWRITTEN
        content = msgspec.json.encode([self.catalog.edition, patches, ours, self.table], order="sorted")
        return f"{self.catalog.edition}-{hashlib.sha256(content).hexdigest()[:12]}"

    @cached_property
    def _resolver(self) -> Resolver:
        return Resolver(self.table.rates, self.table.aliases, self.catalog)

    def load(self) -> None:
        """Read the rates, and import all that answering takes: no question does after that."""
        import difflib  # noqa: F401, PLC0415  # for near names; both take a fraction of a second, and are not for everyone

        _ = self.snapshot, self._resolver, self._known_names

    def quote(self, key: QuoteKey, at_ns: int) -> Quote:
        """What applies at this instant. Never raises."""
        slot = self._slots.get(key)
        if slot is None:
            slot = self._open(key)
        quote = slot.current
        if quote.from_ns <= at_ns < quote.until_ns:
            return quote
        return slot.renew(at_ns)

    def resolve(self, model: str, provider: str) -> ModelName:
        """What the name means; remembered with its quotes."""
        key = (model, provider, "", False, "")
        return (self._slots.get(key) or self._open(key)).name

    def provider_id(self, name: str) -> str:
        """The provider, gateway or host that goes by this name; "" for none."""
        return self._resolver.provider_id(name)

    def providers(self) -> set[str]:
        """All that `provider_id` may give."""
        return {*self.catalog.provider_ids(), *GATEWAYS, *self._resolver.hosts()}

    def rates(self, model: str, provider: str) -> Iterator[ModelRates]:
        """All rates that the name may mean, best first."""
        found = list(self._resolver.find(model, provider))
        shipped = [rates for rates in found if rates.provider]
        yield from (rates for rates in found if not rates.provider)
        yield from self.table.matching(model, provider, shipped)
        yield from shipped

    def suggest(self, model: str) -> tuple[str, ...]:
        """Names with a price that are near to this one."""
        return near_names(model, self._known_names)

    @cached_property
    def _known_names(self) -> dict[str, str]:
        shipped = (model for _, model in self.catalog.models())
        return last_parts([*self.table.rates, *self.table.aliases, *shipped])

    def _open(self, key: QuoteKey) -> _Slot:
        model, provider, service_tier, batch, geography = key
        with self._opening:
            rates = tuple(self.rates(model, provider))
            reason = "" if rates else self._unknown(model, provider)
            name = self._resolver.name(model, provider, rates)
            slot = _Slot(name, rates, canonical_tier(service_tier, batch=batch), geography.lower(), reason)
            if len(self._slots) >= REMEMBERED_MAX:
                self._slots.pop(next(iter(self._slots)), None)
            self._slots[key] = slot
        return slot

    def _unknown(self, model: str, provider: str) -> str:
        if not model:
            return "no model is named"
        near = self.suggest(model)
        where = f" at provider {provider!r}" if provider else ""
        hint = f"; did you mean {', '.join(map(repr, near))}?" if near else ""
        return f"no price is known for model {model!r}{where}{hint}"


class _Slot:
    """One model's cards over time; `current` is replaced whole, so that threads never see half of it."""

    def __init__(self, name: ModelName, rates: tuple[ModelRates, ...], tier: str, geography: str, reason: str) -> None:
        self.name = name
        self._rates = rates
        self._tier = tier
        self._geography = geography
        self._quotes: dict[tuple[bool, ...], Quote] = {}
        #: Empty window: the first question renews it. A name without rates stays unknown for ever.
        self.current = Quote(0, 0, None) if rates else Quote(-(2**80), 2**80, None, reason=reason)

    def renew(self, at_ns: int) -> Quote:
        """The quote at this instant, kept until the next border."""
        active = tuple(offer.validity.active(at_ns) for rates in self._rates for offer in rates.offers)
        quote = self._quotes.get(active)
        if quote is None:
            quote = self._quotes[active] = self._quote(at_ns)
        windows = [rates.window(at_ns, self._tier) for rates in self._rates]
        self.current = msgspec.structs.replace(
            quote, from_ns=max(start for start, _ in windows), until_ns=min(end for _, end in windows)
        )
        return self.current

    def _quote(self, at_ns: int) -> Quote:
        active = [(rates, offer) for rates in self._rates if (offer := rates.standard_at(at_ns)) is not None]
        if not active:
            name = self._rates[0].model
            return Quote(0, 0, None, model=name, reason=f"the price of {name!r} is for another period")
        rates, offer = active[0]
        if not offer.subscription:
            return self._priced(rates, offer, at_ns)
        listed = next((pair for pair in active if pair[1].prices), None)
        unknown = Quote(0, 0, None, model=rates.model, reason=f"no price is known for model {rates.model!r}")
        notional = self._priced(*listed, at_ns) if listed else unknown
        return Quote(0, 0, _NOTHING, notional.provider, rates.model, SUBSCRIPTION, notional=notional)

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


_NOTHING: Final = compile_card(FREE)
