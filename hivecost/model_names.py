"""What the text of a model's name says: the parts that gateways, regions, versions and dates are added to."""

from __future__ import annotations

import re
from collections.abc import Iterator
from functools import lru_cache
from typing import Final

_BEDROCK: Final = re.compile(
    r"(?:^|[/.])(?P<ref>(?:(?:global|regional|us|us-gov|eu|apac|ap|au|ca|jp|in|sa|me|af)\.)?(?P<base>"
    r"(?:anthropic|amazon|meta|mistral|cohere|ai21|deepseek|openai|qwen|writer|stability|twelvelabs)\.(?P<model>.+)))$"
)
_DATE: Final = re.compile(r"[-@](?:20\d\d-?[01]\d-?[0-3]\d|[01]\d-20\d\d|latest|\d{4})$")
_BEDROCK_VERSION: Final = re.compile(r"-v\d+(?::\d+)*(?::\d+k)?$")


def spellings(model: str) -> Iterator[tuple[str, str]]:
    """Yield (provider named in the model, rest of the name), from the name as it is to its last part.

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
    """Yield the name without its Bedrock version, date or `-latest`: what the provider calls the model in general."""
    if model.startswith("ft:"):
        return
    for pattern in (_BEDROCK_VERSION, _DATE):
        shorter = pattern.sub("", model)
        if shorter != model:
            yield shorter
            model = shorter


@lru_cache(maxsize=4_096)
def general_names(model: str) -> frozenset[str]:
    """All names by which somebody may mean this one, in lower case: without a host, a region, a version, a date.

    `azure/gpt-4o-2024-08-06` is itself, `gpt-4o-2024-08-06` and `gpt-4o`; a fine-tuned model is only itself.
    """
    name = model.strip().lower()
    found = {name, *(name[place + 1 :] for place, letter in enumerate(name) if letter == "/")} - {""}
    for part in list(found):
        if bedrock := _BEDROCK.search(part):
            found |= {bedrock["ref"], bedrock["base"], bedrock["model"]}
    return frozenset(found.union(*(undated(part) for part in found)))
