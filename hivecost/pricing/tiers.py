"""The service tiers that providers name, in one vocabulary, and what those cost that the shipped rates leave out.

That is a documented share of the standard rate. A rule counts where the shipped rates have nothing for the tier.
Figures that no page names were read in litellm 1.110.2, which is published under the MIT licence, on 2026-11-28.
"""

from __future__ import annotations

import re
from collections.abc import Iterator
from fractions import Fraction
from typing import Final, NamedTuple

from msgspec.structs import replace

from hivecost.pricing.offers import ModelRates, Offer, scaled
from hivecost.pricing.units import is_for_tokens

#: Half the price and no promise of speed: the standard rate bounds them from above.
DISCOUNTED: Final = frozenset({"batch", "flex"})

_STANDARD: Final = frozenset(
    {"", "auto", "default", "none", "not_available", "on_demand", "scale", "standard", "standard_only", "unspecified"}
)
_PREFIXES: Final = ("service_tier_", "traffic_type_", "on_demand_")

SOURCE: Final = "patch"

_HALF: Final = Fraction(1, 2)
_SAME: Final = Fraction(1)
_AZURE: Final = "https://azure.microsoft.com/en-us/pricing/details/cognitive-services/openai-service/"
_BEDROCK: Final = "https://aws.amazon.com/bedrock/service-tiers/"
_GOOGLE: Final = "https://ai.google.dev/gemini-api/docs/optimization"
#: Those that Bedrock also runs faster or later.
_BEDROCK_TIERED: Final = (
    r"(?:.*\.)?(?:amazon\.nova-(?:2|pro|premier)|deepseek\.v|google|minimax|mistral\.(?!mi[sx]tral-(?:7|8|large-240)|pix)"
    r"|moonshot|nvidia|openai\.gpt-oss|qwen|writer|xai|zai).*"
)


def canonical_tier(service_tier: str, *, batch: bool = False) -> str:
    """Return the tier: "" (standard), `batch`, `flex`, `priority`, `fast` or the provider's own word in lower case."""
    if batch:
        return "batch"
    tier = service_tier.strip().lower().replace("-", "_")
    for prefix in _PREFIXES:
        tier = tier.removeprefix(prefix)
    return "" if tier in _STANDARD else tier


class TierFactor(NamedTuple):
    """A tier's share of the standard rate, for the models of a provider that the pattern matches whole."""

    provider: str
    models: str
    tier: str
    factor: Fraction
    source: str
    #: Why it is only an estimate; "" where the page names the share for all of these models.
    doubt: str = ""
    #: Whether what was read from a cache costs what it does at the standard tier.
    keeps_cached: bool = False


_ABOUT: Final = "the {tier} rate is taken as {factor:g} of the standard one, as Bedrock says for most models"

TIER_FACTORS: Final = (
    TierFactor("anthropic", r"claude-.*", "batch", _HALF, "https://platform.claude.com/docs/en/about-claude/pricing"),
    TierFactor("aws", r".*", "batch", _HALF, "https://aws.amazon.com/bedrock/pricing/", _ABOUT),
    TierFactor("aws", _BEDROCK_TIERED, "flex", _HALF, _BEDROCK, _ABOUT),
    TierFactor("aws", _BEDROCK_TIERED, "priority", Fraction(7, 4), _BEDROCK, _ABOUT),
    TierFactor("azure", r"(?:gpt-|o[134]).*", "batch", _HALF, _AZURE),
    TierFactor("google", r"claude-.*", "batch", _HALF, "https://cloud.google.com/vertex-ai/generative-ai/pricing"),
    TierFactor("google", r"gemini-.*", "batch", _HALF, _GOOGLE, keeps_cached=True),
    TierFactor("google", r"gemini-.*", "flex", _HALF, _GOOGLE, keeps_cached=True),
    TierFactor("google", r"gemini-.*", "priority", Fraction(9, 5), _GOOGLE),
    TierFactor("groq", r".*", "batch", _HALF, "https://console.groq.com/docs/batch"),
    TierFactor("groq", r".*", "flex", _SAME, "https://console.groq.com/docs/flex-processing"),
    TierFactor("mistral", r".*", "batch", _HALF, "https://docs.mistral.ai/capabilities/batch/"),
)


def with_factored_tiers(rates: ModelRates) -> ModelRates:
    """Return the rates, with those tiers that a rule gives a share of the standard rate and nobody lists."""
    listed = rates.tiers
    more = [
        offer
        for rule in TIER_FACTORS
        if rule.provider == rates.provider and rule.tier not in listed and re.fullmatch(rule.models, rates.model)
        for offer in _shares(rates, rule)
    ]
    return replace(rates, offers=(*rates.offers, *more)) if more else rates


def _shares(rates: ModelRates, rule: TierFactor) -> Iterator[Offer]:
    """Yield a tier's offers beside the standard ones, the last first.

    Of the standard offers the last active one applies, of a tier's the first.
    """
    doubt = rule.doubt.format(tier=rule.tier, factor=float(rule.factor))
    for offer in reversed([offer for offer in rates.offers if not offer.tier and offer.prices]):
        prices = {
            unit: scaled(price, rule.factor)
            for unit, price in offer.prices.items()
            if is_for_tokens(unit) and not (rule.keeps_cached and unit.startswith("cache_"))
        }
        yield replace(offer, prices=prices, tier=rule.tier, source=SOURCE, doubt=doubt or offer.doubt)
