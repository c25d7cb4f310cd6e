"""Gemini's shape, in REST's camelCase and the SDK's snake_case: thoughts stand beside the candidates."""

from __future__ import annotations

from collections.abc import Mapping
from typing import Any, Final

from hivecost.usage.builder import UsageBuilder
from hivecost.usage.views import items, snake, text, view

#: Where the tokens of a modality are counted; documents are billed as images, video has no count of its own.
_MODALITIES: Final[Mapping[str, Mapping[str, str]]] = {
    "prompt_tokens_details": {
        "AUDIO": "input_audio_tokens",
        "IMAGE": "input_image_tokens",
        "DOCUMENT": "input_image_tokens",
    },
    "tool_use_prompt_tokens_details": {
        "AUDIO": "input_audio_tokens",
        "IMAGE": "input_image_tokens",
        "DOCUMENT": "input_image_tokens",
    },
    "cache_tokens_details": {"AUDIO": "cache_audio_read_tokens"},
    "candidates_tokens_details": {"AUDIO": "output_audio_tokens", "IMAGE": "output_image_tokens"},
}


def read_gemini(builder: UsageBuilder) -> None:
    """generateContent's `usageMetadata`: tool results are added to the prompt, thoughts to the output."""
    usage = snake(builder.usage)
    response = snake(builder.response)
    builder.take("input_tokens", "prompt_token_count", of=usage)
    tool_use = builder.take("tool_use_prompt_tokens", "tool_use_prompt_token_count", of=usage)
    builder.add("input_tokens", tool_use or None, "toolUsePromptTokenCount")
    builder.take("cache_read_tokens", "cached_content_token_count", of=usage)
    builder.take("output_tokens", "candidates_token_count", of=usage)
    builder.take("output_tokens", "response_token_count", of=usage)
    thoughts = builder.take("reasoning_tokens", "thoughts_token_count", of=usage)
    builder.add("output_tokens", thoughts or None, "thoughtsTokenCount")
    for details, fields in _MODALITIES.items():
        for entry in items(usage.get(details)):
            _modality(builder, fields, snake(view(entry)))
    builder.provider = "google"
    builder.model = text(response.get("model_version")) or builder.model
    builder.service_tier = text(usage.get("service_tier")) or text(usage.get("traffic_type")) or builder.service_tier
    candidates = items(response.get("candidates"))
    if candidates:
        builder.stop_reason = text(snake(view(candidates[0])).get("finish_reason"))


def _modality(builder: UsageBuilder, fields: Mapping[str, str], entry: Mapping[str, Any]) -> None:
    field = fields.get(text(entry.get("modality")).upper())
    if field:
        builder.take(field, "token_count", of=entry)
