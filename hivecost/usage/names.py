"""The names of counts: one table for all shapes, so that a count means the same wherever it comes from.

A name is a path in the usage part, in snake_case, after `SECTIONS` and `PREFIXES` have made the many names of one place
one: `prompt_tokens_details.cached_tokens` and `input_token_details.cached_tokens` are both `in.cached_tokens`.
"""

from __future__ import annotations

import re
from collections.abc import Mapping
from functools import lru_cache
from typing import Final, NamedTuple


class Name(NamedTuple):
    """What is counted under a name."""

    #: A field of Usage, or `total`, `write_5m`, `requests`; "" is known, and says nothing that another name does not.
    field: str
    #: Where it stands by its name: True, beside the total of its side; None, the name does not say.
    beside: bool | None = None


#: Attributes of spans under which usage stands, and what remains of their names; the longest first.
PREFIXES: Final = (
    "gen_ai.usage.", "llm.token_count.", "llm.usage.", "ai.usage.", "langfuse.observation.usage_details.",
)  # fmt: skip

#: The names of the parts in which counts are broken down.
SECTIONS: Final[Mapping[str, str]] = {
    **dict.fromkeys(
        (
            "prompt_tokens_details", "input_tokens_details", "input_token_details", "prompt_token_details",
            "prompt_details", "input_tokens_by_modality", "input_details", "input_tokens",
        ),
        "in",
    ),
    **dict.fromkeys(
        (
            "completion_tokens_details", "output_tokens_details", "output_token_details", "completion_token_details",
            "completion_details", "candidates_tokens_details", "response_tokens_details", "output_tokens_by_modality",
            "output_details", "output_tokens",
        ),
        "out",
    ),
    **dict.fromkeys(("cache_tokens_details", "cached_tokens_details", "cached_tokens_by_modality"), "cached"),
    **dict.fromkeys(("tool_use_prompt_tokens_details", "tool_use_tokens_by_modality"), "tool"),
    **dict.fromkeys(("cache_creation", "cache_creation_token_details", "cache_creation_tokens_details"), "written"),
    "server_tool_use_details": "server_tool_use",
    "server_side_tool_usage_details": "server_tool_use",
    "server_side_tool_usage": "server_tool_use",
}  # fmt: skip

_INSIDE: Final[Mapping[str, tuple[str, ...]]] = {
    "input_tokens": (
        "input_tokens", "prompt_tokens", "prompt_token_count", "total_input_tokens", "input_token_count", "prompt",
        "prompt_eval_count", "input", "billed_units.input_tokens", "in.total", "input_text_token_count",
        "native_tokens_prompt", "x-amzn-bedrock-input-token-count", "tokens_evaluated",
    ),
    "output_tokens": (
        "output_tokens", "completion_tokens", "candidates_token_count", "response_token_count", "total_output_tokens",
        "generation_token_count", "output_token_count", "completion", "eval_count", "output",
        "billed_units.output_tokens", "out.total", "generated_token_count", "total_output_text_token_count", "results",
        "native_tokens_completion", "x-amzn-bedrock-output-token-count", "tokens_predicted",
    ),
    "total": ("total_tokens", "total_token_count", "total", "tokens"),
    "cache_read_tokens": (
        "cached_tokens", "cache_read_tokens", "num_cached_tokens", "cached_input_tokens", "cached_prompt_tokens",
        "cached_content_token_count", "total_cached_tokens", "prompt_cache_hit_tokens", "cached_prompt_text_tokens",
        "cache_read.input_tokens", "in.cached_tokens", "in.cache_read", "in.cache_read_input_tokens",
        "in.cache_read_tokens", "in.cached", "in.cached_input_tokens", "details.cached_tokens",
        "details.cache_read_tokens", "details.cache_read_input_tokens", "details.cached_content_tokens",
        "prompt_cached_tokens", "cached_token_count", "native_tokens_cached", "openai.cached_input_tokens",
        "prompt/cached_tokens", "prompt_tokens_cached",
    ),
    "cache_write_tokens": (
        "cache_write_tokens", "cache_write.input_tokens", "written.input_tokens", "in.cache_write_tokens",
        "in.cache_creation", "in.cache_write", "in.cache_creation_tokens", "in.cache_creation_input_tokens",
        "details.cache_write_tokens", "details.cache_creation_tokens", "details.cache_creation_input_tokens",
        "prompt_cache_creation_tokens",
    ),
    "write_5m": ("in.ephemeral_5m_input_tokens", "in.written.ephemeral_5m_input_tokens"),
    "cache_write_1h_tokens": (
        "cache_write_1h_tokens", "in.ephemeral_1h_input_tokens", "in.written.ephemeral_1h_input_tokens",
    ),
    "reasoning_tokens": (
        "out.reasoning_tokens", "out.reasoning", "out.thinking_tokens", "reasoning.output_tokens",
        "reasoning_output_tokens", "details.reasoning_tokens", "details.thoughts_tokens", "completion_reasoning_tokens",
        "reasoning_token_count", "native_tokens_reasoning", "openai.reasoning_tokens", "completion/reasoning_tokens",
    ),
    "tool_use_prompt_tokens": ("details.tool_use_prompt_tokens",),
    "input_audio_tokens": (
        "input_audio_tokens", "in.audio_tokens", "in.audio", "details.input_audio_tokens", "audio_input_tokens",
        "details.audio_prompt_tokens",
    ),
    "output_audio_tokens": (
        "output_audio_tokens", "out.audio_tokens", "out.audio", "details.output_audio_tokens", "audio_output_tokens",
        "details.audio_candidates_tokens",
    ),
    # Documents are billed as the images that they are read as.
    "input_image_tokens": (
        "input_image_tokens", "in.image_tokens", "in.image", "in.document", "prompt_image_tokens",
        "details.image_prompt_tokens", "details.document_prompt_tokens",
    ),
    "output_image_tokens": (
        "output_image_tokens", "out.image_tokens", "out.image", "details.image_candidates_tokens",
    ),
    "input_video_tokens": ("input_video_tokens", "in.video_tokens", "in.video", "details.video_prompt_tokens"),
    "output_video_tokens": (
        "output_video_tokens", "out.video_tokens", "out.video", "details.video_candidates_tokens",
    ),
    "cache_audio_read_tokens": (
        "cache_audio_read_tokens", "cached.audio", "in.cached.audio_tokens", "in.cached_audio_tokens",
        "details.audio_cache_tokens",
    ),
    "cache_image_read_tokens": (
        "cache_image_read_tokens", "cached.image", "cached.document", "in.cached.image_tokens",
        "details.image_cache_tokens", "details.document_cache_tokens",
    ),
    "cache_video_read_tokens": (
        "cache_video_read_tokens", "cached.video", "in.cached.video_tokens", "details.video_cache_tokens",
    ),
    "tool_audio": ("tool.audio", "details.audio_tool_use_prompt_tokens"),
    "tool_image": ("tool.image", "tool.document", "details.image_tool_use_prompt_tokens"),
    "tool_video": ("tool.video", "details.video_tool_use_prompt_tokens"),
    "web_search_requests": (
        "web_search_requests", "server_tool_use.web_search_requests", "server_tool_use.web_search_calls",
        "server_tool_use.web_search", "num_search_queries", "search_queries", "web_search_calls", "num_web_searches",
        "tool_calls_details.search_web.invocation", "web_search.num_requests", "web_search.requests",
        "server_tool_use.server_side_tool_web_search", "server_tool_use.num_web_searches", "in.web_search_requests",
        "details.web_search_requests", "tool_calls_details.web_search.invocation", "connectors.web_search",
        "grounding_tool_count.google_search",
    ),
    "file_search_calls": (
        "file_search_calls", "server_tool_use.file_search_calls", "server_tool_use.file_search",
        "file_search.num_requests",
    ),
    "code_containers": ("code_containers",),
    "audio_seconds": ("audio_seconds", "prompt_audio_seconds", "seconds", "input_audio_seconds"),
    "pages": ("pages", "pages_processed"),
    "search_units": ("search_units", "billed_units.search_units", "rerank_units"),
    "requests": ("requests", "successful_requests", "num_model_requests", "success_record_count"),
    # Breakdowns of what is counted above, and what costs nothing.
    "": (
        "in.text_tokens", "in.text", "out.text_tokens", "out.text", "cached.text", "tool.text", "in.cached.text_tokens",
        "in.written.ephemeral_total_tokens", "prompt_text_tokens", "prompt_cache_miss_tokens", "tokens.input_tokens",
        "tokens.output_tokens", "out.accepted_prediction_tokens", "out.rejected_prediction_tokens",
        "in.uncached_tokens", "in.modality_unspecified", "out.modality_unspecified", "cached.modality_unspecified",
        "tool.modality_unspecified", "server_tool_use.web_fetch_requests", "server_tool_use.tool_search_requests",
        "details.input_tokens", "details.output_tokens", "details.text_tokens", "details.accepted_prediction_tokens",
        "details.rejected_prediction_tokens", "details.thinking_tokens", "details.text_prompt_tokens",
        "details.text_candidates_tokens", "details.text_cache_tokens", "details.text_tool_use_prompt_tokens",
        "details.web_fetch_requests", "details.tool_search_requests", "in.tool_use_tokens", "in.no_cache",
        "in.no_cache_tokens", "audio_total_tokens", "tool_calls", "tool_call_count", "total_record_count",
        "processed_record_count", "error_record_count", "tokens_prompt", "tokens_completion",
        "tokens_cached",
    ),
}  # fmt: skip

#: By their names, not in the total of their side. A total over both sides that says otherwise is believed.
_BESIDE: Final[Mapping[str, tuple[str, ...]]] = {
    "cache_read_tokens": (
        "cache_read_input_tokens", "input_tokens_cache_read", "cache_read_input_token_count", "input_cached_tokens",
        "input_cache_read", "anthropic.cache_read_input_tokens", "x-amzn-bedrock-cache-read-input-token-count",
    ),
    "cache_write_tokens": (
        "cache_creation_input_tokens", "cache_write_input_tokens", "input_tokens_cache_write",
        "cache_write_input_token_count", "input_cache_creation", "input_cache_write", "cache_creation_tokens",
        "anthropic.cache_creation_input_tokens", "x-amzn-bedrock-cache-write-input-token-count",
    ),
    "write_5m": ("written.ephemeral_5m_input_tokens", "cache_details.5m", "input_cache_creation_5m"),
    "cache_write_1h_tokens": ("written.ephemeral_1h_input_tokens", "cache_details.1h", "input_cache_creation_1h"),
    "reasoning_tokens": ("thoughts_token_count", "total_thought_tokens", "output_reasoning_tokens"),
    "tool_use_prompt_tokens": ("tool_use_prompt_token_count", "total_tool_use_tokens"),
    "citation_tokens": ("citation_tokens",),
}  # fmt: skip

#: Where the name leaves open what the provider does, and its shape or its total says.
_OPEN: Final[Mapping[str, tuple[str, ...]]] = {
    "reasoning_tokens": ("reasoning_tokens",),
    "tool_use_prompt_tokens": ("tool_use_prompt_tokens",),
}

NAMES: Final[Mapping[str, Name]] = {
    name: Name(count, beside)
    for table, beside in ((_INSIDE, False), (_BESIDE, True), (_OPEN, None))
    for count, names in table.items()
    for name in names
}

#: They mean a count only where they have one: elsewhere, they are words of other things.
SHORT_NAMES: Final = frozenset(
    {
        "input", "output", "total", "prompt", "completion", "seconds", "pages", "requests", "search_queries",
        "server_tool_use.web_search", "server_tool_use.file_search", "results", "tokens", "tool_calls",
    }
)  # fmt: skip

#: How a number says that it counts something, and how one says that it measures or limits it.
_COUNTS: Final = re.compile(
    r"(?:^|[._])(?:tokens?|counts?|(?:tool|search|fetch|mcp|interpreter|execution)_(?:calls?|requests?)|searches|queries|"
    r"sources|invocations?|images|pages|connectors|characters)(?:$|[._])"
)
_MEASURES: Final = re.compile(
    r"per_|limit|rate|time|duration|latency|_ms$|_s$|cost|price|usd|budget|remaining|max_|min_|threshold|percent|index"
)
#: Names of counts that some write as a part with the count's breakdown.
NESTED: Final = frozenset({"input_tokens", "output_tokens", "cache_creation"})
#: The modalities of Vertex AI where enums come as numbers.
MODALITIES: Final = ("modality_unspecified", "text", "image", "video", "audio", "document")


# The allow-list of what is told of a payload, in what is kept of it and in reasons: these names, and those of NAMES.
#: Parts in which counts stand, besides those in which a count is broken down.
_PARTS: Final = frozenset(
    {
        "answers", "cost_details", "error", "iterations", "model_usage", "models", "plugins", "request_usage_entries",
        "response", "result", "steps", "token_usage", "usage", "usage_metadata",
    }
)  # fmt: skip
#: Numbers and switches that decide a price, besides counts.
_NUMBERS: Final = frozenset(
    {
        "cost", "cost_in_usd_ticks", "input_tokens_cost", "is_byok", "output_tokens_cost", "request_cost",
        "status_code", "token_count", "total_cost", "total_cost_usd", "upstream_inference_completions_cost",
        "upstream_inference_cost", "upstream_inference_input_cost", "upstream_inference_output_cost",
        "upstream_inference_prompt_cost",
    }
)  # fmt: skip
#: Keys whose words say what a count is of, at which rate it is billed, or why nothing is.
WORDS: Final = frozenset(
    {
        "code", "inference_geo", "modality", "search_context_size", "service_tier", "speed", "status", "traffic_type",
        "ttl", "type",
    }
)  # fmt: skip
_KNOWN: Final = frozenset(
    {part for name in NAMES for part in name.split(".")} | SECTIONS.keys() | set(SECTIONS.values()) | _PARTS | _NUMBERS
)
#: A name that is not known yet: words, and durations such as `5m`, as no id has; it says what kind of thing it is.
_NEW_NAME: Final = re.compile(r"(?:[a-z]+|\d{1,2}[a-z])(?:[._](?:[a-z]+|\d{1,2}[a-z]))*")
_NEW_PART: Final = re.compile(r"(?:[a-z]+_)*(?:details|usage|metadata|modality)")
_NAME_LENGTH_MAX: Final = 60


class Place(NamedTuple):
    """Where a key of a part stands in our names, and what it counts if it is known."""

    known: Name | None
    here: str
    name: str
    #: The key as it may be told.
    spoken: str


@lru_cache(maxsize=4_096)
def place_of(place: str, key: str) -> Place:
    """Return the place of a key in the part that stands at `place`; "" is the usage part itself."""
    name = snake_name(key)
    here = f"{place}.{name}" if place else name
    return Place(NAMES.get(here), here, name, spoken_name(key))


def section_in(place: str, name: str) -> str:
    """Return the place of a part of this name in the part that stands at `place`."""
    section = SECTIONS.get(name, name)
    return section if not place or place == section else f"{place}.{section}"


def snake_name(name: str) -> str:
    """Return the name in snake_case, without a prefix that says that it is usage."""
    for prefix in PREFIXES:
        if name.startswith(prefix):
            name = name[len(prefix) :]
            break
    name = re.sub(r"(?<=[a-z0-9])([A-Z])", r"_\1", name).lower()
    head, dot, rest = name.partition(".")
    return f"{SECTIONS[head]}.{rest}" if dot and head in SECTIONS else name


@lru_cache(maxsize=4_096)
def is_count(path: str) -> bool:
    """Tell whether a name says that it counts tokens, or something else."""
    return _COUNTS.search(path) is not None and _MEASURES.search(path) is None


def spoken_name(key: str) -> str:
    """Return a name of a count or of a part with counts; `…` for any other key, which may be anybody's text."""
    return key if _is_known(key) or _is_new(key) else "…"


def _is_known(key: str) -> bool:
    name = snake_name(key)
    return name in WORDS or all(part in _KNOWN for part in name.split("."))


def _is_new(key: str) -> bool:
    """Tell whether a key that nobody knows yet says that it counts something, or is a part with counts."""
    name = snake_name(key)
    if len(name) > _NAME_LENGTH_MAX or _NEW_NAME.fullmatch(name) is None:
        return False
    return is_count(name) or _NEW_PART.fullmatch(name) is not None
