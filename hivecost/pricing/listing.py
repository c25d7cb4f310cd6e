"""Rates as people look them up: what a model costs, what a table holds, what an update changed."""

from __future__ import annotations

from collections.abc import Iterator

import msgspec

from hivecost.clock import to_datetime
from hivecost.errors import PriceUnknownError
from hivecost.pricing.book import PriceBook
from hivecost.pricing.user_table import SOURCE as USER


class RateRow(msgspec.Struct, frozen=True, kw_only=True):
    """The rates of one model at one tier, for requests of more than `above` input tokens."""

    provider: str
    model: str
    #: `user`, `genai-prices` or `patch`.
    source: str
    #: "" is the standard tier.
    tier: str
    above: int
    #: USD by unit: per 1M tokens, and per piece for `request` and `web_search`.
    rates: dict[str, str]
    #: RFC 3339; "" where there is no border.
    valid_from: str = ""
    valid_until: str = ""


class RateChange(msgspec.Struct, frozen=True, kw_only=True):
    """A rate that differs between two tables; "" where one of them has none."""

    provider: str
    model: str
    tier: str
    above: int
    unit: str
    before: str
    after: str


def describe(book: PriceBook, model: str, *, provider: str = "", at_ns: int | None = None) -> list[RateRow]:
    """Return what the model costs at an instant (now): one row per tier and long-context step.

    Raise PriceUnknownError, with near names, when the model has no price then.
    """
    rows = list(_rows(book, model, provider, at_ns))
    if not rows:
        raise PriceUnknownError(model, suggestions=book.suggestions(model))
    return rows


def list_rates(book: PriceBook, *, at_ns: int | None = None) -> Iterator[RateRow]:
    """Yield the rates of every model that is listed and has a price for tokens."""
    for provider, model in book.models():
        yield from _rows(book, model, provider, at_ns)


def diff_rates(before: PriceBook, after: PriceBook, *, at_ns: int | None = None) -> Iterator[RateChange]:
    """Yield every rate that the two tables disagree on at an instant (now), by provider and model."""
    old, new = _by_unit(before, at_ns), _by_unit(after, at_ns)
    for key in sorted(old.keys() | new.keys()):
        if old.get(key, "") != new.get(key, ""):
            provider, model, tier, above, unit = key
            yield RateChange(
                provider=provider,
                model=model,
                tier=tier,
                above=above,
                unit=unit,
                before=old.get(key, ""),
                after=new.get(key, ""),
            )


def _rows(book: PriceBook, model: str, provider: str, at_ns: int | None) -> Iterator[RateRow]:
    for tier in ("", *book.tiers(model, provider=provider)):
        quote = book.quote(model, provider=provider, at_ns=at_ns, service_tier=tier)
        if quote.card is None or (tier and (quote.reason or quote.source == USER)):
            continue
        for band in quote.card.bands:
            rates = dict(rate.split("=", 1) for rate in band.rate.split())
            rates.pop("above", None)
            yield RateRow(
                provider=quote.provider,
                model=quote.model,
                source=quote.source,
                tier=tier,
                above=band.above,
                rates=rates,
                valid_from=_instant(quote.from_ns),
                valid_until=_instant(quote.until_ns),
            )


def _by_unit(book: PriceBook, at_ns: int | None) -> dict[tuple[str, str, str, int, str], str]:
    return {
        (row.provider, row.model, row.tier, row.above, unit): usd
        for row in list_rates(book, at_ns=at_ns)
        for unit, usd in row.rates.items()
    }


def _instant(at_ns: int) -> str:
    """Return the instant as text; "" for a border beyond the calendar."""
    if abs(at_ns) > 2**62:
        return ""
    return to_datetime(at_ns).isoformat().replace("+00:00", "Z")
