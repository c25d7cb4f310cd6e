"""Known faults of the shipped rates, each corrected by a small entry that names its source."""

from __future__ import annotations

from collections.abc import Callable, Iterable, Iterator, Mapping
from datetime import date
from decimal import Decimal
from fractions import Fraction
from typing import Final

import msgspec
from msgspec.structs import replace

from hivecost.pricing.history import with_history
from hivecost.pricing.offers import ModelRates, Offer, Price, day_ns
from hivecost.pricing.past import at_ratio, standard_periods, tiers_reach_back
from hivecost.pricing.tiers import with_factored_tiers
from hivecost.pricing.units import OUTPUT_UNITS

SOURCE: Final = "patch"


class Patch(msgspec.Struct, frozen=True):
    """One correction: `change` gives the rates as they should be, or the same object when it does not apply."""

    name: str
    source: str
    change: Callable[[ModelRates], ModelRates]


def patched(rates: ModelRates, patches: Iterable[Patch]) -> ModelRates:
    """Return the rates after every patch; what a patch changed says so in its source."""
    for patch in patches:
        rates = patch.change(rates)
    return rates


def _deepseek_peak_days(rates: ModelRates) -> ModelRates:
    """Return the rates with peak prices that are a multiple of the day's own.

    They hold from Monday to Friday and, on V4, from the day they were introduced.
    """
    if rates.provider != "deepseek" or not any(rates.model.startswith(name) for name in _WEEKDAY_PEAKS):
        return rates
    periods = list(standard_periods(rates))
    dated = [period for period in periods if period.validity.from_ns is not None] or periods
    today = periods[-1].prices
    offers: list[Offer] = []
    for offer in rates.offers:
        if offer.validity.daily_ns is None:
            offers.append(replace(offer, source=SOURCE))
            continue
        for period in dated:
            prices = at_ratio(offer.prices, today, period.prices)
            offers += _peak_days(replace(offer, prices=prices, source=SOURCE), period)
    return replace(rates, offers=tuple(offers))


def _peak_days(offer: Offer, period: Offer) -> Iterator[Offer]:
    """Yield the peak offer while the standard one holds.

    It holds every day before weekends became off-peak, and on working days since.
    """
    since = day_ns(_WEEKENDS_SINCE)
    start, end = period.validity.from_ns, period.validity.until_ns
    if start is None or start < since:
        until = since if end is None else min(end, since)
        yield replace(offer, validity=replace(offer.validity, from_ns=start, until_ns=until))
    if end is None or end > since:
        start = since if start is None else max(start, since)
        validity = replace(offer.validity, from_ns=start, until_ns=end, weekdays=frozenset(range(5)))
        yield replace(offer, validity=validity)


def _google_flex(rates: ModelRates) -> ModelRates:
    """Give flex the batch discount; the shipped data lists batch and mostly leaves flex out."""
    if rates.provider != "google" or "flex" in rates.tiers or not rates.model.startswith("gemini"):
        return rates
    flex = tuple(replace(offer, tier="flex", source=SOURCE) for offer in rates.offers if offer.tier == "batch")
    return replace(rates, offers=rates.offers + flex) if flex else rates


def _late_tiers(rates: ModelRates) -> ModelRates:
    """Give tiers their earlier days: they were for sale before the shipped data began to list them."""
    return tiers_reach_back(rates, SOURCE) if rates.tiers else rates


def _openrouter_free(rates: ModelRates) -> ModelRates:
    """Return a `:free` variant at no cost; the shipped data has no rates for it, which means unknown."""
    if rates.provider != "openrouter" or not rates.model.endswith(":free"):
        return rates
    if any(offer.prices for offer in rates.offers):
        return rates
    return replace(rates, offers=(Offer({"input": Price(Decimal(0)), "output": Price(Decimal(0))}, source=SOURCE),))


def _openai_audio(rates: ModelRates) -> ModelRates:
    """Add the rates of sound, which costs more than text; the shipped data has text's only."""
    sound = _AUDIO_PREVIEWS.get(rates.model) if rates.provider == "openai" else None
    if sound is None or any("input_audio" in offer.prices for offer in rates.offers):
        return rates
    prices = {"input_audio": Price(Decimal(sound[0])), "output_audio": Price(Decimal(sound[1]))}
    return replace(
        rates,
        offers=tuple(
            offer if offer.tier else replace(offer, prices=offer.prices | prices, source=SOURCE)
            for offer in rates.offers
        ),
    )


def _bedrock_long_context(rates: ModelRates) -> ModelRates:
    """Add the dearer rates of long prompts on Bedrock, as at the makers; the shipped data has one for all lengths."""
    step = next((step for words, step in _BEDROCK_STEPS.items() if words in rates.model), None)
    if (
        rates.provider != "aws"
        or step is None
        or any(price.tiers for offer in rates.offers for price in offer.prices.values())
    ):
        return rates
    offers = (replace(offer, prices=_stepped(offer.prices, step), source=SOURCE) for offer in rates.offers)
    return replace(rates, offers=tuple(offers))


def _stepped(prices: Mapping[str, Price], above: int) -> dict[str, Price]:
    return {
        unit: Price(price.base, ((above, price.base * (Decimal("1.5") if unit in OUTPUT_UNITS else 2)),))
        for unit, price in prices.items()
    }


#: Twice the input and one and a half times the output, above so many tokens; as litellm 1.110.2 has them, too.
_BEDROCK_STEPS: Final = {
    "anthropic.claude-sonnet-4-2025": 200_000,
    "anthropic.claude-sonnet-4-5-": 200_000,
    "openai.gpt-5.4": 272_000,
    "openai.gpt-5.5": 272_000,
}
#: (heard, spoken), in USD per 1M tokens, since 2024-12-17; as litellm 1.110.2 has them.
_AUDIO_PREVIEWS: Final = {"gpt-4o-audio-preview": (40, 80), "gpt-4o-mini-audio-preview": (10, 20)}
_WEEKDAY_PEAKS: Final = ("deepseek-v4", "deepseek-flash")
_WEEKENDS_SINCE: Final = date(2026, 8, 23)

PATCHES: Final = (
    Patch(
        "rewritten-rates",
        "https://pypi.org/project/genai-prices/#history",
        with_history,
    ),
    Patch(
        "deepseek-peak-days",
        "https://github.com/pydantic/genai-prices/issues/582",
        _deepseek_peak_days,
    ),
    Patch(
        "google-flex",
        "https://ai.google.dev/gemini-api/docs/optimization",
        _google_flex,
    ),
    Patch(
        "bedrock-long-context",
        "https://platform.claude.com/docs/en/about-claude/pricing#long-context-pricing",
        _bedrock_long_context,
    ),
    Patch(
        "late-tiers",
        "https://platform.openai.com/docs/guides/batch",
        _late_tiers,
    ),
    Patch(
        "tier-factors",
        "https://ai.google.dev/gemini-api/docs/optimization",
        with_factored_tiers,
    ),
    Patch(
        "openrouter-free",
        "https://openrouter.ai/docs/guides/routing/model-variants/free",
        _openrouter_free,
    ),
    Patch(
        "openai-audio",
        "https://platform.openai.com/docs/models/gpt-4o-audio-preview",
        _openai_audio,
    ),
)

#: Claude kept inside one country: every token costs 1.1 times as much. Genai-prices knows no geography.
#: https://platform.claude.com/docs/en/about-claude/pricing#data-residency-pricing
GEOGRAPHY_UPLIFT: Final = {("anthropic", "us"): Fraction(11, 10)}
KNOWN_GEOGRAPHIES: Final = frozenset({"", "global", "none", "not_available", "us"})
