"""What a model costs and when: offers, in one form whichever table they come from."""

from __future__ import annotations

from collections.abc import Iterator
from datetime import UTC, date, datetime
from decimal import ROUND_CEILING, Decimal
from fractions import Fraction
from typing import Final

import msgspec

from hivecost.pricing.model_limits import ModelLimits

DAY_NS: Final = 86_400 * 10**9
#: Later than any date.
_ALWAYS_NS: Final = 2**80
_DECIMALS: Final = Decimal("1e-10")
_EVERY_DAY: Final = frozenset(range(7))


class Price(msgspec.Struct, frozen=True):
    """USD for one million tokens, or for one piece where the unit is a fee.

    `tiers` are (above, USD): the whole request is at that price once its input exceeds `above` tokens (a cliff).
    """

    base: Decimal
    tiers: tuple[tuple[int, Decimal], ...] = ()

    def at(self, input_tokens: int) -> Decimal:
        """Return the price when the request has this many input tokens."""
        price = self.base
        for above, dearer in self.tiers:
            if input_tokens > above:
                price = dearer
        return price


def scaled(price: Price, factor: Fraction) -> Price:
    """Return the price times the factor, at every length; what no decimal says is rounded up, to 1e-10 USD."""
    return Price(_times(price.base, factor), tuple((above, _times(usd, factor)) for above, usd in price.tiers))


def _times(usd: Decimal, factor: Fraction) -> Decimal:
    product = Fraction(usd) * factor
    decimal = Decimal(product.numerator) / Decimal(product.denominator)
    return decimal if Fraction(decimal) == product else decimal.quantize(_DECIMALS, ROUND_CEILING)


class Validity(msgspec.Struct, frozen=True):
    """When an offer applies, in UTC: from a day until a day, between two times of day, on some weekdays."""

    from_ns: int | None = None
    until_ns: int | None = None
    #: (start, end) in nanoseconds of the day; an end before its start runs over midnight.
    daily_ns: tuple[int, int] | None = None
    #: Monday is 0.
    weekdays: frozenset[int] = _EVERY_DAY

    def active(self, at_ns: int) -> bool:
        """Tell whether the offer applies at this instant."""
        if self.from_ns is not None and at_ns < self.from_ns:
            return False
        if self.until_ns is not None and at_ns >= self.until_ns:
            return False
        if (at_ns // DAY_NS + 3) % 7 not in self.weekdays:  # 1970-01-01 was a Thursday
            return False
        return self.daily_ns is None or _within_day(at_ns % DAY_NS, *self.daily_ns)

    def borders(self, at_ns: int) -> Iterator[int]:
        """Yield instants around `at_ns` where the answer of `active` may change."""
        if self.from_ns is not None:
            yield self.from_ns
        if self.until_ns is not None:
            yield self.until_ns
        if self.daily_ns is not None or self.weekdays != _EVERY_DAY:
            midnight = at_ns - at_ns % DAY_NS
            yield from (midnight, midnight + DAY_NS)
            yield from (midnight + moment for moment in self.daily_ns or ())


ALWAYS: Final = Validity()


class Offer(msgspec.Struct, frozen=True):
    """Prices by unit (see `units`), for when they apply and for which service tier ("" is the standard one)."""

    prices: dict[str, Price]
    validity: Validity = ALWAYS
    tier: str = ""
    #: Which table it comes from: `user`, `genai-prices`, `patch`, `fees` or `history`.
    source: str = ""
    #: Why what it prices is only an estimate.
    doubt: str = ""
    #: Paid for by the month: a turn costs nothing, and the prices, if any, say what it would have cost.
    subscription: bool = False


class ModelRates(msgspec.Struct, frozen=True):
    """All that a table knows about one model at one provider.

    Of the standard offers the last active one applies; of a tier's offers, unit by unit, the first active one.
    """

    provider: str
    model: str
    offers: tuple[Offer, ...]
    #: What this table says of the model's maxima.
    limits: ModelLimits = ModelLimits()

    @property
    def tiers(self) -> tuple[str, ...]:
        """The service tiers that have rates of their own."""
        return tuple(dict.fromkeys(offer.tier for offer in self.offers if offer.tier and offer.prices))

    def window(self, at_ns: int, tier: str) -> tuple[int, int]:
        """Return [from, until) around `at_ns` in which the same offers apply to this tier."""
        offers = [offer for offer in self.offers if offer.tier in {"", tier}]
        borders = [border for offer in offers for border in offer.validity.borders(at_ns)]
        return (
            max((border for border in borders if border <= at_ns), default=-_ALWAYS_NS),
            min((border for border in borders if border > at_ns), default=_ALWAYS_NS),
        )

    def standard_at(self, at_ns: int) -> Offer | None:
        """Return the standard offer that applies; None where a user's rates are limited to another period."""
        active = [offer for offer in self.offers if not offer.tier and offer.validity.active(at_ns)]
        return active[-1] if active else None

    def tier_at(self, at_ns: int, tier: str) -> Offer | None:
        """Return what the tier changes of the standard offer, perhaps nothing; None when the table does not know it."""
        own = [offer for offer in self.offers if offer.tier == tier and offer.validity.active(at_ns)]
        if not own:
            return None
        prices: dict[str, Price] = {}
        for offer in reversed(own):
            prices |= offer.prices
        return Offer(prices, tier=tier, source=own[0].source, doubt=own[0].doubt)


def day_ns(day: date) -> int:
    """Return the first instant of a UTC day, in nanoseconds since 1970."""
    return int(datetime(day.year, day.month, day.day, tzinfo=UTC).timestamp()) * 10**9


def _within_day(moment: int, start: int, end: int) -> bool:
    if end < start:
        return moment >= start or moment < end
    return start <= moment < end
