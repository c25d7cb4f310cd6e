"""Usage out of whatever a provider answered."""

from __future__ import annotations

from collections.abc import Callable, Mapping
from typing import Final

from msgspec.structs import replace

from hivecost.errors import ConfigError
from hivecost.events import Usage
from hivecost.plain_text import shown
from hivecost.usage.anthropic import read_anthropic
from hivecost.usage.bedrock import read_bedrock
from hivecost.usage.builder import UsageBuilder
from hivecost.usage.canonical import read_canonical
from hivecost.usage.cohere import read_cohere
from hivecost.usage.detection import answer_id_of, find_usage, flavor_of
from hivecost.usage.failed_lines import why_unbilled
from hivecost.usage.gemini import read_gemini
from hivecost.usage.openai import (
    read_chat,
    read_deepseek,
    read_litellm,
    read_mistral,
    read_openrouter,
    read_perplexity,
    read_responses,
    read_xai,
)
from hivecost.usage.otel import read_otel
from hivecost.usage.reading import UsageReading, UsageStatus
from hivecost.usage.views import decoded, plain, view

#: The shapes that are known, by name, and what reads them.
FLAVORS: Final[Mapping[str, Callable[[UsageBuilder], None]]] = {
    "anthropic": read_anthropic,
    "bedrock": read_bedrock,
    "canonical": read_canonical,
    "cohere": read_cohere,
    "deepseek": read_deepseek,
    "gemini": read_gemini,
    "litellm": read_litellm,
    "mistral": read_mistral,
    "openai": read_chat,
    "openrouter": read_openrouter,
    "otel": read_otel,
    "perplexity": read_perplexity,
    "responses": read_responses,
    "xai": read_xai,
}


def read_usage(payload: object, *, flavor: str | None = None) -> UsageReading:
    """The usage in a provider's answer: dict, SDK object, JSON text or `Usage`, the whole or only its usage part.

    `flavor` is one of FLAVORS; None detects it. Whatever a provider may send gives a reading and no exception:
    `missing` without usage, `invalid` for counts that cannot be. A failed line of a batch says that it is `unbilled`.
    Raises ConfigError for a flavor that is none.
    """
    if flavor is not None and flavor not in FLAVORS:
        raise ConfigError("flavor", f"one of {', '.join(FLAVORS)}", got=flavor)
    try:
        if isinstance(payload, UsageReading):
            return payload
        if isinstance(payload, Usage):
            return UsageReading(usage=payload, flavor="canonical")
        return _read(decoded(payload), flavor)
    except Exception as error:  # a stranger's object may raise anything from a property
        return UsageReading(
            status=UsageStatus.INVALID,
            reason=f"cannot be read: {shown(error)}",
            raw={"payload": shown(payload, 1_000)},
        )


def _read(payload: object, flavor: str | None) -> UsageReading:
    found = find_usage(payload)
    unbilled = "" if found.usage else why_unbilled(payload)
    if unbilled:
        return UsageReading(unbilled=unbilled, batch=True, raw=plain(payload))
    detected = flavor or flavor_of(found)
    if not detected:
        parts = view(found.usage) or view(payload)
        raw = plain(parts) if found.usage else None
        reason, answer_id = "the payload says nothing about usage", answer_id_of(found.response)
        return UsageReading(status=UsageStatus.MISSING, reason=reason, answer_id=answer_id, raw=raw)
    usage = found.usage or (found.response if flavor else {})
    builder = UsageBuilder(found.response, usage, detected)
    FLAVORS[detected](builder)
    reading = builder.finished()
    return replace(reading, batch=True) if found.batch else reading
