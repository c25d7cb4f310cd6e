"""What the text of a model's name says: the parts that gateways, regions, versions and dates are added to."""

from __future__ import annotations

import re
from collections.abc import Iterator
from functools import lru_cache
from typing import Final

#: Where Bedrock's inference profiles send requests; `regional` is what the price table calls all but `global`.
_AREA: Final = r"global|regional|us-gov|us|eu|apac|ap|au|ca|jp|in|sa|me|af"
_BEDROCK: Final = re.compile(
    rf"(?:^|[/.:])(?P<ref>(?:(?P<area>{_AREA})\.)?(?P<base>(?:anthropic|amazon|meta|mistral|cohere|ai21|deepseek|openai"
    r"|qwen|writer|stability|twelvelabs|nvidia|google|moonshotai|minimax|zai|xai)\.(?P<model>.+)))$"
)
_DATE: Final = re.compile(r"[-@](?:20\d\d-?[01]\d-?[0-3]\d|[01]\d-20\d\d|latest|default|\d{4})$")
_BEDROCK_VERSION: Final = re.compile(r"(?:-v\d+(?::\d+)*(?::\d+k)?|(?:-\d+)?:\d+)$")

#: `deepseek-r1:70b`, `llama3.1:latest`: as only Ollama tells sizes, and quantizations after them.
_OLLAMA_TAG: Final = re.compile(r":(?:latest$|e?\d+(?:\.\d+)?[bm](?:$|[-_]))", re.IGNORECASE)

#: How each provider's names say a region, as a part between slashes or colons.
_AWS_REGION: Final = re.compile(rf"(?:^|[/:])({_AREA}|[a-z]{{2}}(?:-gov|-iso[a-z]?)?-[a-z]+-\d)(?=[/:])")
_AZURE_REGION: Final = re.compile(
    r"(?:^|/)(global-standard|global|eu|us|apac|us-?gov[a-z]*|usdod[a-z]+"
    r"|(?:north|south|east|west|central)+(?:us|europe|asia|india)\d?"
    r"|(?:sweden|france|switzerland|germany|uk|norway|poland|italy|spain|canada|brazil|japan|korea|australia|uae|china"
    r"|austria|belgium|chile|denmark|indonesia|israel|malaysia|mexico|newzealand|qatar|southafrica|taiwan)"
    r"(?:north|south|east|west|central)+\d?)(?=/)"
)
_GOOGLE_REGION: Final = re.compile(r"(?:^|/)locations/([^/]+)(?=/)")


def spellings(model: str) -> Iterator[tuple[str, str]]:
    """Yield (provider named in the model, rest of the name), from the name as it is to its last part.

    `bedrock/us-east-1/anthropic.claude-…` gives the whole name, then `anthropic.claude-…` at `bedrock`, and so on.
    """
    yield "", model
    if bedrock := _BEDROCK.search(model):
        yield "aws", bedrock["ref"]
        yield "aws", bedrock["base"]
    if model.startswith("ft:"):
        yield "openai", model
    named = model
    while "/" in named:
        head, named = named.split("/", 1)
        yield head, named
    head, colon, rest = model.removeprefix("gateway/").partition(":")
    if colon and "/" not in head and head != "ft":
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


def is_bedrock(model: str) -> bool:
    """Tell whether the name has the shape of Bedrock's ids, or is an ARN of Bedrock."""
    return _BEDROCK.search(model) is not None or (model.startswith("arn:aws") and ":bedrock:" in model)


def is_ollama(model: str) -> bool:
    """Tell whether the name has one of Ollama's tags at its end."""
    return _OLLAMA_TAG.search(model) is not None and not model.startswith("ft:")


def bedrock_area(model: str) -> str:
    """Return the area of an inference profile, such as `us` of `us.anthropic.claude-…`; "" where none is named."""
    found = _BEDROCK.search(model)
    area = (found["area"] or "") if found else ""
    return "" if area == "regional" else area


def region_of(model: str, provider: str) -> str:
    """Return the region that a name asks this provider for: `eu` of `azure/eu/gpt-4o`; "" where it says none."""
    name = model.strip().lower()
    if provider == "aws":
        found = _AWS_REGION.search(name)
        return bedrock_area(name) or (found[1] if found else "")
    pattern = {"azure": _AZURE_REGION, "google": _GOOGLE_REGION}.get(provider)
    found = pattern.search(name) if pattern else None
    return found[1] if found else ""


def last_name(model: str) -> str:
    """Return what a model is called at all its hosts, in lower case: without a host, a maker, a region or a version."""
    name = model.strip().lower()
    if bedrock := _BEDROCK.search(name):
        return _BEDROCK_VERSION.sub("", bedrock["model"])
    return name.rpartition("/")[2]


@lru_cache(maxsize=4_096)
def general_names(model: str) -> frozenset[str]:
    """Return all names by which somebody may mean this model, in lower case.

    Each lacks a host, a region, a version or a date, or none of them.
    `azure/gpt-4o-2024-08-06` is itself, `gpt-4o-2024-08-06` and `gpt-4o`; a fine-tuned model is only itself.
    """
    name = model.strip().lower()
    found = {name, *(name[place + 1 :] for place, letter in enumerate(name) if letter == "/")} - {""}
    for part in list(found):
        if bedrock := _BEDROCK.search(part):
            found |= {bedrock["ref"], bedrock["base"], bedrock["model"]}
    return frozenset(found.union(*(undated(part) for part in found)))
