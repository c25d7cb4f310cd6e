"""The many names of one model: prefixes of gateways, regions, dates, fine-tunes; each tried from exact to loose."""

from __future__ import annotations

import re
from collections.abc import Iterable, Iterator, Mapping
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

_BEDROCK: Final = re.compile(
    r"(?:^|[/.])(?P<ref>(?:(?:global|us|us-gov|eu|apac|ap|au|ca|jp|in|sa|me|af)\.)?"
    r"(?P<base>(?:anthropic|amazon|meta|mistral|cohere|ai21|deepseek|openai|qwen|writer|stability|twelvelabs)\..+))$"
)
_DATE: Final = re.compile(r"[-@](?:20\d\d-?[01]\d-?[0-3]\d|[01]\d-20\d\d|latest|\d{4})$")
_BEDROCK_VERSION: Final = re.compile(r"-v\d+(?::\d+)*(?::\d+k)?$")

SUGGESTIONS_MAX: Final = 3

#: A longer name is no slip of the keyboard, and comparing it would take long.
_NAME_MAX: Final = 80


def spellings(model: str) -> Iterator[tuple[str, str]]:
    """(provider named in the model, rest of the name), from the name as it is to its last part.

    `bedrock/us-east-1/anthropic.claude-…` gives the whole name, then `anthropic.claude-…` at `bedrock`, and so on.
    """
    yield "", model
    found = _BEDROCK.search(model)
    if found:
        yield "aws", found["ref"]
        yield "aws", found["base"]
    if model.startswith("ft:"):
        yield "openai", model
    named = model
    while "/" in named:
        head, named = named.split("/", 1)
        yield head, named
    head, colon, rest = model.partition(":")
    if colon and "/" not in head:
        yield head, rest


def undated(model: str) -> Iterator[str]:
    """The name without its Bedrock version, date or `-latest`: what the provider calls the model in general."""
    if model.startswith("ft:"):
        return
    for pattern in (_BEDROCK_VERSION, _DATE):
        shorter = pattern.sub("", model)
        if shorter != model:
            yield shorter
            model = shorter


def last_parts(names: Iterable[str]) -> dict[str, str]:
    """Each name by its last part in lower case; of several names for one, the shortest."""
    return {name.rsplit("/", 1)[-1].lower(): name for name in sorted(names, key=len, reverse=True)}


def near_names(model: str, known: Mapping[str, str]) -> tuple[str, ...]:
    """Up to three of the names in `last_parts` form that are near to this one, nearest first."""
    from difflib import get_close_matches  # noqa: PLC0415  # only an unknown name needs it

    last = model.rsplit("/", 1)[-1].lower()[:_NAME_MAX]
    return tuple(known[name] for name in get_close_matches(last, known, n=SUGGESTIONS_MAX, cutoff=0.7))
