"""What a region changes of the listed price: a sourced table, and a doubt for every region that is not in it.

The shipped rates know no regions, but for Bedrock's `global.` and `regional.` Claude. A row says by how much the
listed rate is to be multiplied, written as "the region's price / the listed price" in USD per million tokens.
"""

from __future__ import annotations

import re
from fractions import Fraction
from typing import Final, NamedTuple

from msgspec.structs import replace

from hivecost.pricing.offers import ModelRates, Offer, Price, scaled
from hivecost.pricing.units import FEE_UNITS, OUTPUT_UNITS

#: LiteLLM's table, as of 28 November 2026.
LITELLM: Final = "litellm 1.110.2, model_prices_and_context_window_backup.json"
#: Since Claude 4.5 regional endpoints of Bedrock and Vertex cost a tenth more than global ones.
CLAUDE: Final = "https://platform.claude.com/docs/en/about-claude/pricing#third-party-platform-pricing"
#: The clauses of the model in the shipped data name the region.
LISTED: Final = "genai-prices 0.2.3"

#: Where the patch's rates come from, as `Cost.source` tells.
SOURCE: Final = "patch"
_OUTPUT: Final = frozenset({*OUTPUT_UNITS, "output_video", "output_citation"})


class Region(NamedTuple):
    """What some models cost in some regions of a provider; both are patterns of the whole name."""

    provider: str
    region: str
    model: str
    input: str
    #: The same factor as the input's where it is empty.
    output: str
    source: str
    #: Whether long prompts are dearer there, too.
    has_steps: bool = True

    @property
    def factors(self) -> tuple[Fraction, Fraction]:
        """The factors by which the listed rates of the input and of the output are multiplied."""
        return _fraction(self.input), _fraction(self.output or self.input)


_GOV: Final = r"us-gov(?:-(?:east|west)-1)?"
_AZURE_GOV: Final = r"us-?gov.*"
_NOT_GOV: Final = r"(?!us-gov|cn-|us-iso).+"
_CLAUDE_GOV: Final = r"claude-(?:haiku-[45]-5|opus-(?:4-8|5)|sonnet-(?:4-5|5)|fable-5-1)"
_OPENAI: Final = r"(?:gpt-|o[134]|ada$|codex-mini|computer-use|text-embedding-).*"

REGIONS: Final = (
    # Azure lists global deployments. Data zones cost a tenth more; in the EU, the sixth generation's a fifth.
    Region("azure", "global|global-standard", r".*", "1", "", LITELLM),
    Region("azure", "eu", r"gpt-6.*", "1.2", "", LITELLM),
    Region("azure", "apac", r"gpt-6\.1-(?:sol|terra)", "1.2", "", LITELLM),
    Region("azure", "eu|us", _OPENAI, "1.1", "", LITELLM),
    Region("azure", _AZURE_GOV, r"gpt-5\.1.*", "1.375", "", LITELLM),
    Region("azure", _AZURE_GOV, r"o3-mini.*", "1.513/1.1", "6.05/4.4", LITELLM),
    Region("azure", _AZURE_GOV, r"text-embedding-3-large", "0.163/0.13", "", LITELLM),
    Region("azure", _AZURE_GOV, r"text-embedding-3-small", "1.25", "", LITELLM),
    # Bedrock lists the prices of the United States.
    Region("aws", "us|us-east-[12]|us-west-2", r".*", "1", "", LITELLM),
    Region("aws", "global", r"global\..*", "1", "", LISTED),
    Region("aws", "global", r"openai\.gpt-5\.4.*", "2.5/2.75", "15/16.5", LITELLM),
    Region("aws", "global", r"openai\.gpt-5\.5.*", "5/5.5", "30/33", LITELLM),
    Region("aws", _NOT_GOV, r"regional\.anthropic\..*", "1", "", CLAUDE),
    Region("aws", "in", r"regional\.(?:moonshotai|openai)\..*", "1", "", LISTED),
    Region("aws", "eu", r"amazon\.nova-pro-v1.*", "1.05/0.8", "4.2/3.2", LITELLM),
    Region("aws", "eu", r"amazon\.nova-lite-v1.*", "0.078/0.06", "0.312/0.24", LITELLM),
    Region("aws", "eu", r"amazon\.nova-micro-v1.*", "0.046/0.035", "0.184/0.14", LITELLM),
    Region("aws", "apac", r"amazon\.nova-pro-v1.*", "0.84/0.8", "3.36/3.2", LITELLM),
    Region("aws", "apac", r"amazon\.nova-lite-v1.*", "0.063/0.06", "0.252/0.24", LITELLM),
    Region("aws", "apac", r"amazon\.nova-micro-v1.*", "0.037/0.035", "0.148/0.14", LITELLM),
    Region("aws", "eu", r"regional\.amazon\.nova-2-lite.*", "0.429/0.33", "3.597/2.75", LITELLM),
    Region("aws", "apac|jp", r"regional\.amazon\.nova-2-lite.*", "0.396/0.33", "3.311/2.75", LITELLM),
    Region("aws", "eu", r"meta\.llama3-2-1b.*", "0.13/0.1", "", LITELLM),
    Region("aws", "eu", r"meta\.llama3-2-3b.*", "0.19/0.15", "", LITELLM),
    Region("aws", "us-west-1|us-gov-west-1", r"meta\.llama3-(?:8|70)b.*", "1", "", LITELLM),
    Region("aws", "ap-south-1", r"meta\.llama3-70b.*", "3.18/2.65", "4.2/3.5", LITELLM),
    Region("aws", "ca-central-1", r"meta\.llama3-70b.*", "3.05/2.65", "4.03/3.5", LITELLM),
    Region("aws", "eu-west-1", r"meta\.llama3-70b.*", "2.86/2.65", "3.78/3.5", LITELLM),
    Region("aws", "eu-west-2", r"meta\.llama3-70b.*", "3.45/2.65", "4.55/3.5", LITELLM),
    Region("aws", "sa-east-1", r"meta\.llama3-70b.*", "4.45/2.65", "5.88/3.5", LITELLM),
    Region("aws", "us-gov-east-1", r"meta\.llama3-70b.*", "1", "", LITELLM),
    Region("aws", "ap-south-1", r"meta\.llama3-8b.*", "0.36/0.3", "0.72/0.6", LITELLM),
    Region("aws", "ca-central-1", r"meta\.llama3-8b.*", "0.35/0.3", "0.69/0.6", LITELLM),
    Region("aws", "eu-west-1", r"meta\.llama3-8b.*", "0.32/0.3", "0.65/0.6", LITELLM),
    Region("aws", "eu-west-2", r"meta\.llama3-8b.*", "0.39/0.3", "0.78/0.6", LITELLM),
    Region("aws", "sa-east-1", r"meta\.llama3-8b.*", "0.5/0.3", "1.01/0.6", LITELLM),
    Region("aws", "eu-west-3", r"mistral\.mistral-7b-instruct.*", "0.2/0.15", "0.26/0.2", LITELLM),
    Region("aws", "eu-west-3", r"mistral\.mistral-large-2402.*", "5.2/4", "15.6/12", LITELLM),
    Region("aws", "eu-west-3", r"mistral\.mixtral-8x7b-instruct.*", "0.59/0.45", "0.91/0.7", LITELLM),
    Region("aws", "eu", r"mistral\.pixtral-large-2502.*", "1", "", LITELLM),
    Region("aws", "ap-northeast-1", r"mistral\.voxtral-mini-3b.*", "0.05/0.04", "", LITELLM),
    Region("aws", "ap-southeast-2", r"mistral\.voxtral-mini-3b.*", "0.0412/0.04", "", LITELLM),
    Region("aws", "eu-west-2", r"mistral\.voxtral-mini-3b.*", "0.06/0.04", "", LITELLM),
    Region("aws", "ap-northeast-1", r"mistral\.voxtral-small-24b.*", "0.12/0.1", "0.36/0.3", LITELLM),
    Region("aws", "ap-southeast-2", r"mistral\.voxtral-small-24b.*", "0.103/0.1", "0.309/0.3", LITELLM),
    Region("aws", "eu-west-2", r"mistral\.voxtral-small-24b.*", "0.16/0.1", "0.47/0.3", LITELLM),
    Region("aws", "eu-west-2", r"nvidia\.nemotron-super-3-120b.*", "0.23/0.15", "1.01/0.65", LITELLM),
    # GovCloud costs a fifth more than what Claude costs globally, and others in the United States.
    Region("aws", _GOV, r"regional\.anthropic\.claude-3-(?:5-sonnet-20240620|7-sonnet|haiku).*", "1.2", "", LITELLM),
    # By their names, the regions of GovCloud have one rate for all lengths; its inference profile has two.
    Region("aws", r"us-gov-.+", rf"regional\.anthropic\.{_CLAUDE_GOV}.*", "1.2/1.1", "", LITELLM, has_steps=False),
    Region("aws", _GOV, rf"regional\.anthropic\.{_CLAUDE_GOV}.*", "1.2/1.1", "", LITELLM),
    Region("aws", "us-gov-west-1", r"amazon\.nova-(?:lite|micro)-v1.*", "1.2", "", LITELLM),
    Region("aws", _GOV, r"amazon\.nova-pro-v1.*", "1.2", "", LITELLM),
    Region("aws", _GOV, r"nvidia\.nemotron-(?:nano|super)-.*", "1.2", "", LITELLM),
    Region("aws", _GOV, r"openai\.gpt-(?:5\.4|oss-).*", "1.2", "", LITELLM),
    Region("aws", "us-gov-west-1", r"regional\.openai\.gpt-5\.6-(?:luna|terra).*", "1.2", "", LITELLM),
    Region("aws", _GOV, r"regional\.moonshotai\.kimi-k3", "1.2", "", LITELLM),
    # Vertex lists its global endpoint.
    Region("google", "global", r".*", "1", "", LISTED),
    Region("google", r".+", r"claude-(?:fable|haiku|opus|sonnet)-(?:4[.-][5-9]|5).*", "1.1", "", LITELLM),
    Region("google", r".+", r"claude-(?:3-[57]?.*|4-(?:opus|sonnet)|opus-4-1)", "1", "", CLAUDE),
    Region(
        "google",
        r".+",
        r"gemini-(?:3\.[5-8]-flash|3\.1-flash-(?:image|lite)|4-(?:argon|hydrogen)).*",
        "1.1",
        "",
        LITELLM,
    ),
    Region("google", r".+", r"gemini-2\..*", "1", "", LITELLM),
)


def at_region(rates: ModelRates, region: str) -> tuple[ModelRates, str]:
    """Return the rates in this region of their provider, and what is in doubt about them.

    A region without a row of its own is taken for the dearest that has one. Where a region makes a difference, or may,
    it stays a part of the model's name: `eu/gpt-4o`.
    """
    if not region:
        return rates, ""
    rows = [row for row in REGIONS if row.provider == rates.provider and re.fullmatch(row.model, rates.model)]
    known = next((row for row in rows if re.fullmatch(row.region, region)), None)
    factors = [row.factors for row in ([known] if known else rows)] or [(Fraction(1), Fraction(1))]
    factor_in, factor_out = (max(side) for side in zip(*factors, strict=True))
    if known and factor_in == factor_out == 1:
        return rates, ""
    listed = rates.offers if known is None or known.has_steps else map(_without_steps, rates.offers)
    offers = tuple(_scaled(offer, factor_in, factor_out) for offer in listed)
    doubt = "" if known else f"no price is known for region {region!r}: priced as in the dearest that is known"
    return replace(rates, model=f"{region}/{rates.model}", offers=offers), doubt


def _fraction(text: str) -> Fraction:
    price, _, listed = text.partition("/")
    return Fraction(price) / Fraction(listed or 1)


def _without_steps(offer: Offer) -> Offer:
    return replace(offer, prices={unit: Price(price.base) for unit, price in offer.prices.items()})


def _scaled(offer: Offer, input_factor: Fraction, output_factor: Fraction) -> Offer:
    if input_factor == output_factor == 1:
        return offer
    prices = {
        unit: price if unit in FEE_UNITS else scaled(price, output_factor if unit in _OUTPUT else input_factor)
        for unit, price in offer.prices.items()
    }
    return replace(offer, prices=prices, source=SOURCE) if prices else offer
