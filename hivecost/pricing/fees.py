"""What the shipped rates leave out: fees for tools, models that are billed by the piece, kinds that cost as others do.

Each entry names its source; where a provider's page is named, the figures were read in litellm 1.110.2, which is
published under the MIT licence, on 2026-11-28.
"""

from __future__ import annotations

from collections.abc import Iterator
from decimal import Decimal
from fnmatch import fnmatchcase
from functools import cache
from typing import Final

import msgspec

from hivecost.pricing.offers import ModelRates, Offer, Price

SOURCE: Final = "fees"

_OPENAI: Final = "https://developers.openai.com/api/docs/pricing"
_AZURE: Final = "https://azure.microsoft.com/en-us/pricing/details/cognitive-services/openai-service/"
_GOOGLE: Final = "https://ai.google.dev/gemini-api/docs/pricing"
_ANTHROPIC: Final = "https://platform.claude.com/docs/en/about-claude/pricing"
_BEDROCK: Final = "https://aws.amazon.com/bedrock/pricing/"
_COHERE: Final = "https://cohere.com/pricing"
_VOYAGE: Final = "https://docs.voyageai.com/docs/pricing"
_MISTRAL_ON_AZURE: Final = "https://azure.microsoft.com/en-us/pricing/details/ai-foundry-models/mistral/"
_FINE_TUNED: Final = "https://developers.openai.com/api/docs/pricing#fine-tuning"
_FOUNDRY: Final = "https://prices.azure.com/api/retail/prices?$filter=serviceName eq 'Foundry Models'"
_X_AI: Final = "https://docs.x.ai/docs/models"


class Fee(msgspec.Struct, frozen=True):
    """What one piece costs where the shipped rates do not say: the first entry that matches counts."""

    provider: str
    #: A pattern, as a shell has them.
    models: str
    unit: str
    usd: Decimal
    source: str


class PieceModel(msgspec.Struct, frozen=True):
    """A model that the shipped rates do not list: USD by unit."""

    provider: str
    model: str
    prices: dict[str, Decimal]
    source: str


class SameRate(msgspec.Struct, frozen=True):
    """Kinds of tokens without a rate that cost what the other tokens of their side do."""

    provider: str
    models: str
    units: tuple[str, ...]
    source: str


def _tokens(spent_in: str, spent_out: str, cached: str) -> dict[str, Decimal]:
    prices = {"input": Decimal(spent_in), "output": Decimal(spent_out)}
    return prices | {"cache_read": Decimal(cached)} if cached else prices


#: OpenAI's models that may be given its tools.
_WITH_TOOLS: Final = ("gpt-*", "chatgpt-*", "o1*", "o3*", "o4*", "codex-*")

FEES: Final = (
    *(Fee("openai", models, "file_search", Decimal("0.0025"), _OPENAI) for models in _WITH_TOOLS),
    *(Fee("openai", models, "code_container", Decimal("0.03"), _OPENAI) for models in _WITH_TOOLS),
    # In chat completions, these models search for every answer, and none of them counts it.
    *(
        Fee("openai", models, unit, Decimal(usd), _OPENAI)
        for models, a_search in (("gpt-4o*search-preview*", "0.025"), ("gpt-5-search-api*", "0.01"))
        for unit, usd in (("request", a_search), ("web_search", "0"))
    ),
    Fee("openai", "gpt-5*", "web_search", Decimal("0.01"), _OPENAI),
    Fee("openai", "gpt-6*", "web_search", Decimal("0.01"), _OPENAI),
    Fee("openai", "o3*", "web_search", Decimal("0.01"), _OPENAI),
    Fee("openai", "o4*", "web_search", Decimal("0.01"), _OPENAI),
    *(
        Fee("azure", models, unit, Decimal(usd), _AZURE)
        for models in _WITH_TOOLS
        for unit, usd in (("code_container", "0.033"), ("file_search", "0.0025"), ("web_search", "0.014"))
    ),
    Fee("azure", "claude-*", "web_search", Decimal("0.01"), _ANTHROPIC),
    Fee("google", "gemini-1*", "web_search", Decimal("0.035"), _GOOGLE),
    Fee("google", "gemini-2*", "web_search", Decimal("0.035"), _GOOGLE),
    Fee("google", "gemini-live-2*", "web_search", Decimal("0.035"), _GOOGLE),
    Fee("google", "gemini-3*", "web_search", Decimal("0.014"), _GOOGLE),
    Fee("google", "gemini-4*", "web_search", Decimal("0.014"), _GOOGLE),
    Fee("google", "gemini-robotics-er-2*", "web_search", Decimal("0.014"), _GOOGLE),
    Fee("google", "claude-*", "web_search", Decimal("0.01"), _ANTHROPIC),
    Fee("anthropic", "claude-*", "web_search", Decimal("0.01"), _ANTHROPIC),
    Fee("groq", "openai/gpt-oss-*", "web_search", Decimal("0.005"), "https://groq.com/pricing"),
    # The fee of a request is that of its searches.
    *(
        Fee("perplexity", model, "web_search", Decimal(0), "https://docs.perplexity.ai/getting-started/pricing")
        for model in ("sonar", "sonar-pro", "sonar-reasoning", "sonar-reasoning-pro")
    ),
    Fee("x-ai", "grok-[4-9]*", "web_search", Decimal("0.005"), "https://docs.x.ai/docs/models#tools-pricing"),
)

PIECE_MODELS: Final = (
    *(
        PieceModel("cohere", model, {"search_unit": Decimal(usd)}, _COHERE)
        for model, usd in (
            ("rerank-english-v3.0", "0.002"),
            ("rerank-multilingual-v3.0", "0.002"),
            ("rerank-v3.5", "0.002"),
            ("rerank-v4.0-fast", "0.002"),
            ("rerank-v4.0-pro", "0.0025"),
        )
    ),
    PieceModel("cohere", "rerank-v5.0-fast", {"input": Decimal("0.02")}, "https://cohere.com/blog/rerank-5"),
    PieceModel("cohere", "rerank-v5.0-pro", {"input": Decimal("0.05")}, "https://cohere.com/blog/rerank-5"),
    PieceModel("cohere", "parse-v5.0", {"page": Decimal("0.0015")}, "https://cohere.com/blog/parse"),
    *(
        PieceModel("voyageai", model, {"input": Decimal(usd)}, _VOYAGE)
        for model, usd in (
            ("rerank-1", "0.05"),
            ("rerank-lite-1", "0.02"),
            ("rerank-2", "0.05"),
            ("rerank-2-lite", "0.02"),
            ("rerank-2.5", "0.05"),
            ("rerank-2.5-lite", "0.02"),
            ("rerank-3", "0.05"),
            ("rerank-3-lite", "0.02"),
        )
    ),
    PieceModel("aws", "cohere.rerank-v3-5:0", {"search_unit": Decimal("0.002")}, _BEDROCK),
    PieceModel("aws", "amazon.rerank-v1:0", {"search_unit": Decimal("0.001")}, _BEDROCK),
    PieceModel("azure", "cohere-rerank-v4.0-fast", {"search_unit": Decimal("0.002")}, _COHERE),
    PieceModel("azure", "cohere-rerank-v4.0-pro", {"search_unit": Decimal("0.0025")}, _COHERE),
    PieceModel("azure", "mistral-ocr-2505", {"page": Decimal("0.001")}, _MISTRAL_ON_AZURE),
    PieceModel("azure", "mistral-ocr-2512", {"page": Decimal("0.002")}, _MISTRAL_ON_AZURE),
    PieceModel("azure", "mistral-ocr-4-0", {"page": Decimal("0.004")}, _MISTRAL_ON_AZURE),
    *(
        PieceModel("openai", f"gpt-4o-mini-search-preview{date}", _tokens("0.15", "0.6", ""), _OPENAI)
        for date in ("", "-2025-03-11")
    ),
    # Foundry sells them itself, not at the prices of their makers' own APIs.
    *(
        PieceModel("azure", model, _tokens(spent_in, spent_out, cached), _FOUNDRY)
        for model, spent_in, spent_out, cached in (
            ("deepseek-r1", "1.35", "5.4", ""),
            ("deepseek-r1-0528", "1.35", "5.4", ""),
            ("deepseek-v3-0324", "1.14", "4.56", ""),
            ("deepseek-v3.1", "1.23", "4.94", ""),
            ("deepseek-v3.2", "0.58", "1.68", ""),
            ("deepseek-v3.2-speciale", "0.58", "1.68", ""),
            ("deepseek-v4-flash", "0.19", "0.51", "0.028"),
            ("deepseek-v4-flash-0731", "0.44", "1.32", "0.014"),
            ("deepseek-v4-pro", "1.74", "3.48", "0.145"),
            ("deepseek-v4.1-flash", "0.3", "1.2", "0.006"),
            ("gpt-oss-120b", "0.15", "0.6", ""),
            ("grok-3-mini", "0.25", "1.27", ""),
            ("llama-3.3-70b-instruct", "0.71", "0.71", ""),
            ("mistral-large-3", "0.5", "1.5", ""),
            ("mistral-medium-3-5", "1.5", "7.5", ""),
        )
    ),
    # What a fine-tuned model costs, whoever trained it: `ft:gpt-4.1-2025-04-14:acme::id`.
    *(
        PieceModel("openai", model, _tokens(spent_in, spent_out, cached), _FINE_TUNED)
        for model, spent_in, spent_out, cached in (
            ("ft:babbage-002", "1.6", "1.6", ""),
            ("ft:davinci-002", "12", "12", ""),
            ("ft:gpt-4.1-2025-04-14", "3", "12", "0.75"),
            ("ft:gpt-4.1-mini-2025-04-14", "0.8", "3.2", "0.2"),
            ("ft:gpt-4.1-nano-2025-04-14", "0.2", "0.8", "0.05"),
            ("ft:o4-mini-2025-04-16", "4", "16", "1"),
        )
    ),
    PieceModel("azure", "whisper", {"audio_hour": Decimal("0.36")}, _AZURE),
    PieceModel("azure", "whisper-1", {"audio_hour": Decimal("0.36")}, _AZURE),
)

SAME_RATES: Final = (
    # "Input price (text / image / video)"; audio is listed apart wherever it costs something else.
    SameRate("google", "*", ("input_audio", "input_image", "input_video"), _GOOGLE),
    # Where a model makes nothing else, its output rate is that of what it makes.
    SameRate("google", "*tts*", ("output_audio",), _GOOGLE),
    SameRate("openai", "gpt-image-*", ("output_image",), _OPENAI),
    SameRate("x-ai", "*", ("input_image",), _X_AI),
)


def _without_region(provider: str, model: str) -> str:
    """Return `gpt-5` for `eu/gpt-5`: no model of these providers has a path."""
    return model.rpartition("/")[2] if provider in {"aws", "azure", "google"} else model


def tool_fees(provider: str, model: str) -> dict[str, Price]:
    """Return the fees of this provider for this model, by unit, as far as they are known beside the shipped rates."""
    found: dict[str, Price] = {}
    model = _without_region(provider, model)
    for fee in FEES:
        if fee.provider == provider and fnmatchcase(model, fee.models):
            found.setdefault(fee.unit, Price(fee.usd))
    return found


def units_at_other_rates(provider: str, model: str) -> frozenset[str]:
    """Return the units that need no rate there, because they cost what the other tokens of their side do."""
    model = _without_region(provider, model)
    return frozenset(
        unit
        for same in SAME_RATES
        if same.provider == provider and fnmatchcase(model, same.models)
        for unit in same.units
    )


def more_rates(provider: str, model: str) -> ModelRates | None:
    """Return the rates of a model that the shipped ones do not list; None where it is unknown here, too."""
    name = model.lower()
    if name.startswith("ft:"):
        name = ":".join(name.split(":")[:2])
    return _piece_models().get((provider, name))


def more_models() -> Iterator[tuple[str, str]]:
    """Yield (provider, model) of the models of `more_rates`."""
    return iter(_piece_models())


@cache
def _piece_models() -> dict[tuple[str, str], ModelRates]:
    return {
        (entry.provider, entry.model): ModelRates(
            entry.provider,
            entry.model,
            (Offer({unit: Price(usd) for unit, usd in entry.prices.items()}, source=SOURCE),),
        )
        for entry in PIECE_MODELS
    }
