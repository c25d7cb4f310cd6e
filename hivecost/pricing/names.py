"""Names of providers as clients write them, and names of models that are near to one another."""

from __future__ import annotations

from collections.abc import Iterable, Mapping
from typing import Final

#: Prefixes and provider names that genai-prices' own matching does not know, and the provider they stand for.
PROVIDER_NAMES: Final = {
    "az.ai.inference": "azure",
    "az.ai.openai": "azure",
    "azure.ai.inference": "azure",
    "azure.ai.openai": "azure",
    "azure_ai": "azure",
    "azure_openai": "azure",
    "azure-openai": "azure",
    "azure_text": "azure",
    "fireworks_ai": "fireworks",
    "google_ai_studio": "google",
    "hf": "huggingface",
    "text-completion-openai": "openai",
    "together_ai": "together",
    "x_ai": "x-ai",
    "zhipu": "zhipuai",
}

#: They pass on other providers' models at the providers' prices; OpenAI's client is what people call gateways with.
GATEWAYS: Final = frozenset({"litellm", "litellm_proxy", "openai", "openrouter"})

#: Whose models are priced when no provider is named and the name alone says nothing.
FIRST_PARTIES: Final = (
    "openai", "anthropic", "google", "mistral", "cohere", "deepseek", "x-ai", "perplexity", "voyageai",
)  # fmt: skip

SUGGESTIONS_MAX: Final = 3

#: A longer name is no slip of the keyboard, and comparing it would take long.
_NAME_MAX: Final = 80


def last_parts(names: Iterable[str]) -> dict[str, str]:
    """Each name by its last part in lower case; of several names for one, the shortest."""
    return {name.rsplit("/", 1)[-1].lower(): name for name in sorted(names, key=len, reverse=True)}


def near_names(model: str, known: Mapping[str, str]) -> tuple[str, ...]:
    """Up to three of the names in `last_parts` form that are near to this one, nearest first."""
    from difflib import get_close_matches  # noqa: PLC0415  # only an unknown name needs it

    last = model.rsplit("/", 1)[-1].lower()[:_NAME_MAX]
    return tuple(known[name] for name in get_close_matches(last, known, n=SUGGESTIONS_MAX, cutoff=0.7))
