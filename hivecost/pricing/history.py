"""Rates that genai-prices rewrote between two editions without a date, kept so that old turns cost what they did.

Found by comparing its editions (`tools/rate_history.py`); until a day means the day on which the edition with the new
rate was published, as the day of the change itself is not known, unless another source says it. Left out is what was
a correction: an edition that moves a long-context step by one token, or replaces a gateway's rate by the maker's own.
"""

from __future__ import annotations

from collections.abc import Mapping
from datetime import date
from decimal import Decimal
from typing import Final

import msgspec
from msgspec.structs import replace

from hivecost.pricing.offers import ModelRates, Offer, Price, Validity, day_ns

SOURCE: Final = "history"


class Rewritten(msgspec.Struct, frozen=True):
    """Rates of a model until a day; what they leave out is as it is today."""

    provider: str
    model: str
    until: date
    #: USD by unit; with a long-context step: (USD, above, USD above it).
    prices: dict[str, str | tuple[str, int, str]]
    #: The last edition of genai-prices that had them.
    edition: str
    #: Who said that, or when, they changed.
    source: str


_GEMINI_CACHE: Final = "https://ai.google.dev/gemini-api/docs/pricing"
_GROQ: Final = "https://groq.com/pricing"
_ONE_MILLION: Final = "https://platform.claude.com/docs/en/about-claude/pricing#long-context-pricing"
_NOVITA: Final = "https://huggingface.co/docs/inference-providers/pricing"


def _claude_on_bedrock(model: str, rates: Mapping[str, tuple[str, int, str]]) -> Rewritten:
    return Rewritten("aws", model, date(2026, 3, 13), dict(rates), "0.0.69", _ONE_MILLION)


def _long(base: str, above: str) -> tuple[str, int, str]:
    return base, 200_000, above


#: A fifth off, until Novita's own price was passed on.
_NOVITA_MODELS: Final = (
    ("MiniMaxAI/MiniMax-M1-80k", "0.44", "1.76"),
    ("Qwen/Qwen2.5-72B-Instruct", "0.304", "0.32"),
    ("Qwen/Qwen3-235B-A22B", "0.16", "0.64"),
    ("Qwen/Qwen3-235B-A22B-Instruct-2507", "0.072", "0.464"),
    ("Qwen/Qwen3-235B-A22B-Thinking-2507", "0.24", "2.4"),
    ("Qwen/Qwen3-30B-A3B", "0.072", "0.36"),
    ("Qwen/Qwen3-32B", "0.08", "0.36"),
    ("Qwen/Qwen3-Next-80B-A3B-Instruct", "0.12", "1.2"),
    ("Qwen/Qwen3-Next-80B-A3B-Thinking", "0.12", "1.2"),
    ("Qwen/Qwen3-VL-235B-A22B-Instruct", "0.24", "1.2"),
    ("Qwen/Qwen3-VL-235B-A22B-Thinking", "0.784", "3.16"),
    ("Qwen/Qwen3-VL-30B-A3B-Instruct", "0.16", "0.56"),
    ("Qwen/Qwen3-VL-30B-A3B-Thinking", "0.16", "0.8"),
    ("Qwen/Qwen3-VL-8B-Instruct", "0.064", "0.4"),
    ("XiaomiMiMo/MiMo-V2-Flash", "0.098", "0.293"),
    ("alpindale/WizardLM-2-8x22B", "0.496", "0.496"),
    ("baidu/ERNIE-4.5-21B-A3B-PT", "0.056", "0.224"),
    ("baidu/ERNIE-4.5-300B-A47B-Base-PT", "0.224", "0.88"),
    ("baidu/ERNIE-4.5-VL-28B-A3B-PT", "0.112", "0.448"),
    ("baidu/ERNIE-4.5-VL-424B-A47B-Base-PT", "0.336", "1"),
    ("deepseek-ai/DeepSeek-Prover-V2-671B", "0.56", "2"),
    ("deepseek-ai/DeepSeek-R1", "0.56", "2"),
    ("deepseek-ai/DeepSeek-R1-Distill-Llama-70B", "0.64", "0.64"),
    ("deepseek-ai/DeepSeek-V3", "0.32", "1.04"),
    ("deepseek-ai/DeepSeek-V3-0324", "0.216", "0.896"),
    ("deepseek-ai/DeepSeek-V3.1", "0.216", "0.8"),
    ("deepseek-ai/DeepSeek-V3.2-Exp", "0.216", "0.328"),
    ("meta-llama/Llama-3.3-70B-Instruct", "0.108", "0.32"),
    ("meta-llama/Meta-Llama-3-8B-Instruct", "0.032", "0.032"),
    ("moonshotai/Kimi-K2-Instruct", "0.456", "1.84"),
    ("moonshotai/Kimi-K2-Thinking", "0.48", "2"),
    ("openai/gpt-oss-120b", "0.04", "0.2"),
    ("zai-org/GLM-4.5", "0.48", "1.76"),
    ("zai-org/GLM-4.5-Air", "0.104", "0.68"),
    ("zai-org/GLM-4.5V", "0.48", "1.44"),
    ("zai-org/GLM-4.6", "0.44", "1.76"),
)

REWRITTEN: Final = (
    Rewritten(
        "google",
        "gemini-2.5-flash",
        date(2025, 11, 7),
        {"cache_read": "0.075", "cache_audio_read": "0.25"},
        "0.0.36",
        _GEMINI_CACHE,
    ),
    Rewritten("google", "gemini-2.5-flash-lite", date(2025, 11, 7), {"cache_read": "0.025"}, "0.0.36", _GEMINI_CACHE),
    Rewritten(
        "google", "gemini-2.5-pro", date(2025, 11, 7), {"cache_read": _long("0.31", "0.625")}, "0.0.36", _GEMINI_CACHE
    ),
    Rewritten("groq", "openai/gpt-oss-120b", date(2025, 11, 13), {"output": "0.75"}, "0.0.38", _GROQ),
    Rewritten("groq", "openai/gpt-oss-20b", date(2025, 11, 13), {"input": "0.1", "output": "0.5"}, "0.0.38", _GROQ),
    # Anthropic dropped the dearer rates of long contexts on that day, as genai-prices' own data for it says.
    _claude_on_bedrock(
        "global.anthropic.claude-opus-4-6-v1:0",
        {
            "input": _long("5", "10"),
            "output": _long("25", "37.5"),
            "cache_read": _long("0.5", "1"),
            "cache_write": _long("6.25", "12.5"),
            "cache_write_1h": _long("10", "20"),
        },
    ),
    _claude_on_bedrock(
        "global.anthropic.claude-sonnet-4-6-v1:0",
        {
            "input": _long("3", "6"),
            "output": _long("15", "22.5"),
            "cache_read": _long("0.3", "0.6"),
            "cache_write": _long("3.75", "7.5"),
            "cache_write_1h": _long("6", "12"),
        },
    ),
    _claude_on_bedrock(
        "regional.anthropic.claude-opus-4-6-v1:0",
        {
            "input": _long("5.5", "11"),
            "output": _long("27.5", "41.25"),
            "cache_read": _long("0.55", "1.1"),
            "cache_write": _long("6.875", "13.75"),
            "cache_write_1h": _long("11", "22"),
        },
    ),
    _claude_on_bedrock(
        "regional.anthropic.claude-sonnet-4-6-v1:0",
        {
            "input": _long("3.3", "6.6"),
            "output": _long("16.5", "24.75"),
            "cache_read": _long("0.33", "0.66"),
            "cache_write": _long("4.125", "8.25"),
            "cache_write_1h": _long("6.6", "13.2"),
        },
    ),
    *(
        Rewritten(
            "huggingface_novita", model, date(2026, 3, 20), {"input": spent_in, "output": spent_out}, "0.0.55", _NOVITA
        )
        for model, spent_in, spent_out in _NOVITA_MODELS
    ),
)

_BY_MODEL: Final = {(entry.provider, entry.model): entry for entry in REWRITTEN}


def with_history(rates: ModelRates) -> ModelRates:
    """Return the rates, with overwritten ones before them where the table has no day for the change itself."""
    entry = _BY_MODEL.get((rates.provider, rates.model))
    if entry is None:
        return rates
    day = day_ns(entry.until)
    first, *later = rates.offers
    if first.tier or first.validity != Validity() or any(_begins_before(offer, day) for offer in later):
        return rates  # a later edition dates the change itself
    old = Offer(
        first.prices | {unit: _price(usd) for unit, usd in entry.prices.items()}, Validity(until_ns=day), source=SOURCE
    )
    return replace(rates, offers=(old, replace(first, validity=Validity(from_ns=day)), *later))


def _begins_before(offer: Offer, day: int) -> bool:
    start = offer.validity.from_ns
    return not offer.tier and (start is None or start <= day)


def _price(usd: str | tuple[str, int, str]) -> Price:
    if isinstance(usd, str):
        return Price(Decimal(usd))
    base, above, dearer = usd
    return Price(Decimal(base), ((above, Decimal(dearer)),))
