"""What the shipped rates do not say of earlier days: tiers, and peaks, at their ratio to the day's standard rate."""

from __future__ import annotations

from collections.abc import Iterator, Mapping
from datetime import date
from decimal import Decimal
from fractions import Fraction
from typing import Final

from msgspec.structs import replace

from hivecost.pricing.offers import ModelRates, Offer, Price, Validity, day_ns
from hivecost.pricing.tiers import DISCOUNTED

#: The days on which genai-prices began to list tiers; what starts then was for sale before.
_TIERS_LISTED: Final = frozenset(day_ns(date(2026, 10, day)) for day in (12, 13, 14, 15))


def standard_periods(rates: ModelRates) -> Iterator[Offer]:
    """Yield the standard offers that hold all day, each from its day until the next one's."""
    offers = [offer for offer in rates.offers if not offer.tier and offer.validity.daily_ns is None]
    until = [offer.validity.from_ns for offer in offers[1:]]
    for offer, until_ns in zip(offers, [*until, None], strict=True):
        yield replace(offer, validity=replace(offer.validity, until_ns=until_ns))


def at_ratio(prices: Mapping[str, Price], today: Mapping[str, Price], then: Mapping[str, Price]) -> dict[str, Price]:
    """Return the prices as they were when the standard ones were `then`.

    Their ratio to the standard ones is taken to be that of `today`.
    """
    found = {}
    for unit, price in prices.items():
        reference, standard = today.get(unit), then.get(unit)
        if reference == standard:
            found[unit] = price
        elif reference is not None and reference.base and standard is not None:
            ratio = Fraction(price.base) / Fraction(reference.base)
            tiers = tuple((above, _times(usd, ratio)) for above, usd in standard.tiers)
            found[unit] = Price(_times(standard.base, ratio), tiers)
    return found


def tiers_reach_back(rates: ModelRates, source: str) -> ModelRates:
    """Return the rates with every tier that was listed late, from the model's first day on."""
    earlier = (offer for tier in rates.tiers for offer in _earlier(rates, tier, source))
    return replace(rates, offers=(*rates.offers, *earlier))


def _earlier(rates: ModelRates, tier: str, source: str) -> Iterator[Offer]:
    starts = [offer.validity.from_ns for offer in rates.offers if offer.tier == tier]
    if None in starts:
        return
    first = min(start for start in starts if start is not None)
    listed, today = rates.tier_at(first, tier), rates.standard_at(first)
    if first not in _TIERS_LISTED or listed is None or today is None:
        return
    # Batch and flex have been half the price since they exist; a premium may have been another.
    doubt = "" if tier in DISCOUNTED else f"the {tier} rate is that of a later day, the first that is known"
    for standard in standard_periods(rates):
        start, end = standard.validity.from_ns, standard.validity.until_ns
        if start is None or start < first:
            until = first if end is None else min(end, first)
            prices = at_ratio(listed.prices, today.prices, standard.prices)
            yield Offer(prices, Validity(from_ns=start, until_ns=until), tier, source, doubt)


def _times(usd: Decimal, ratio: Fraction) -> Decimal:
    exact = Fraction(usd) * ratio
    return Decimal(exact.numerator) / Decimal(exact.denominator)
