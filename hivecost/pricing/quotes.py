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
from hivecost.pricing.model_limits import ModelLimits, larger, limits_table, published_limits
from hivecost.pricing.names import GATEWAYS, last_parts, near_names
from hivecost.pricing.offers import ModelRates
from hivecost.pricing.patches import GEOGRAPHY_UPLIFT, PATCHES
from hivecost.pricing.patches import SOURCE as PATCH
from hivecost.pricing.resolver import ModelName, Resolver
from hivecost.pricing.tiers import DISCOUNTED, canonical_tier
from hivecost.pricing.units import OUTPUT_UNITS
from hivecost.pricing.user_table import SOURCE as USER
from hivecost.pricing.user_table import read_user_table

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
        content = msgspec.json.encode(
            [self.catalog.edition, [(patch.name, patch.source) for patch in PATCHES], self.table], order="sorted"
        )
        return f"{self.catalog.edition}-{hashlib.sha256(content).hexdigest()[:12]}"

    @cached_property
    def _resolver(self) -> Resolver:
        return Resolver(self.table.rates, self.table.aliases, self.catalog)

    def load(self) -> None:
        """Read the rates, and import all that answering takes: no question does after that."""
        import difflib  # noqa: F401, PLC0415  # for near names; both take a fraction of a second, and are not for everyone

        _ = self.snapshot, self._resolver, self._known_names, limits_table()

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

    def limits(self, model: str, provider: str) -> ModelLimits:
        """The maxima of the model that is meant; remembered with its quotes."""
        key = (model, provider, "", False, "")
        return (self._slots.get(key) or self._open(key)).limits

    def rates(self, model: str, provider: str) -> Iterator[ModelRates]:
        """All rates that the name may mean, best first."""
        return self._resolver.find(model, provider)

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
            rates = tuple(self._resolver.find(model, provider))
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


def _limits(rates: ModelRates) -> ModelLimits:
    """What a table says of a model's maxima, and what is published of a shipped one. What has no rate has no output."""
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

    def __init__(self, name: ModelName, rates: tuple[ModelRates, ...], tier: str, geography: str, reason: str) -> None:
        self.name = name
        self._rates = rates
        self._tier = tier
        self._geography = geography
        self._quotes: dict[tuple[bool, ...], Quote] = {}
        #: Empty window: the first question renews it. A name without rates stays unknown for ever.
        self.current = Quote(0, 0, None) if rates else Quote(-(2**80), 2**80, None, reason=reason)

    @cached_property
    def limits(self) -> ModelLimits:
        """What the user says of the model's maxima, else what is published."""
        window = output = None
        for rates in self._rates:
            said = _limits(rates)
            window = said.context_window if window is None else window
            output = said.output_tokens_max if output is None else output
        return ModelLimits(window, output)

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
        for rates in self._rates:
            standard = rates.standard_at(at_ns)
            if standard is not None:
                break
        else:
            name = self._rates[0].model
            return Quote(0, 0, None, model=name, reason=f"the price of {name!r} is for another period")
        prices, source, reason = standard.prices, standard.source, ""
        if self._tier and source != USER:
            own = rates.tier_at(at_ns, self._tier)
            if own is not None:
                prices, source = prices | own.prices, own.source
            else:
                reason = f"no {self._tier} rate is known for {rates.model!r}"
                if self._tier not in DISCOUNTED:
                    return Quote(0, 0, None, rates.provider, rates.model, reason=reason)
                reason += ": the standard rate is an upper bound"
        uplift = Fraction(1) if source == USER else GEOGRAPHY_UPLIFT.get((rates.provider, self._geography), Fraction(1))
        card = compile_card(prices, uplift)
        if card is None:
            return Quote(0, 0, None, rates.provider, rates.model, reason=f"{rates.model!r} has no price for tokens")
        return Quote(0, 0, card, rates.provider, rates.model, PATCH if uplift != 1 else source, reason)
