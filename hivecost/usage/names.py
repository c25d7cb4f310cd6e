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
            "prompt_details", "input_tokens_by_modality", "input_details",
        ),
        "in",
    ),
    **dict.fromkeys(
        (
            "completion_tokens_details", "output_tokens_details", "output_token_details", "completion_token_details",
            "completion_details", "candidates_tokens_details", "response_tokens_details", "output_tokens_by_modality",
            "output_details",
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
        "prompt_eval_count", "input", "billed_units.input_tokens",
    ),
    "output_tokens": (
        "output_tokens", "completion_tokens", "candidates_token_count", "response_token_count", "total_output_tokens",
        "generation_token_count", "output_token_count", "completion", "eval_count", "output",
        "billed_units.output_tokens",
    ),
    "total": ("total_tokens", "total_token_count", "total"),
    "cache_read_tokens": (
        "cached_tokens", "cache_read_tokens", "num_cached_tokens", "cached_input_tokens", "cached_prompt_tokens",
        "cached_content_token_count", "total_cached_tokens", "prompt_cache_hit_tokens", "cached_prompt_text_tokens",
        "cache_read.input_tokens", "in.cached_tokens", "in.cache_read", "in.cache_read_input_tokens",
        "in.cache_read_tokens", "in.cached", "in.cached_input_tokens", "details.cached_tokens",
        "details.cache_read_tokens", "details.cache_read_input_tokens",
    ),
    "cache_write_tokens": (
        "cache_write_tokens", "cache_write.input_tokens", "written.input_tokens", "in.cache_write_tokens",
        "in.cache_creation", "in.cache_write", "in.cache_creation_tokens", "in.cache_creation_input_tokens",
        "details.cache_write_tokens", "details.cache_creation_tokens", "details.cache_creation_input_tokens",
    ),
    "write_5m": ("in.ephemeral_5m_input_tokens", "in.written.ephemeral_5m_input_tokens"),
    "cache_write_1h_tokens": (
        "cache_write_1h_tokens", "in.ephemeral_1h_input_tokens", "in.written.ephemeral_1h_input_tokens",
    ),
    "reasoning_tokens": (
        "out.reasoning_tokens", "out.reasoning", "out.thinking_tokens", "reasoning.output_tokens",
        "reasoning_output_tokens", "details.reasoning_tokens",
    ),
    "input_audio_tokens": ("input_audio_tokens", "in.audio_tokens", "in.audio", "details.input_audio_tokens"),
    "output_audio_tokens": ("output_audio_tokens", "out.audio_tokens", "out.audio", "details.output_audio_tokens"),
    # Documents are billed as the images that they are read as.
    "input_image_tokens": ("input_image_tokens", "in.image_tokens", "in.image", "in.document", "prompt_image_tokens"),
    "output_image_tokens": ("output_image_tokens", "out.image_tokens", "out.image"),
    "input_video_tokens": ("input_video_tokens", "in.video_tokens", "in.video"),
    "output_video_tokens": ("output_video_tokens", "out.video_tokens", "out.video"),
    "cache_audio_read_tokens": (
        "cache_audio_read_tokens", "cached.audio", "in.cached.audio_tokens", "in.cached_audio_tokens",
    ),
    "cache_image_read_tokens": (
        "cache_image_read_tokens", "cached.image", "cached.document", "in.cached.image_tokens",
    ),
    "cache_video_read_tokens": ("cache_video_read_tokens", "cached.video", "in.cached.video_tokens"),
    "tool_audio": ("tool.audio",),
    "tool_image": ("tool.image", "tool.document"),
    "tool_video": ("tool.video",),
    "web_search_requests": (
        "web_search_requests", "server_tool_use.web_search_requests", "server_tool_use.web_search_calls",
        "server_tool_use.web_search", "num_search_queries", "search_queries", "web_search_calls", "num_web_searches",
        "tool_calls_details.search_web.invocation", "web_search.num_requests", "web_search.requests",
        "server_tool_use.server_side_tool_web_search", "server_tool_use.num_web_searches",
    ),
    "file_search_calls": (
        "file_search_calls", "server_tool_use.file_search_calls", "server_tool_use.file_search",
        "file_search.num_requests",
    ),
    "code_containers": ("code_containers",),
    "audio_seconds": ("audio_seconds", "prompt_audio_seconds", "seconds", "input_audio_seconds"),
    "pages": ("pages", "pages_processed"),
    "search_units": ("search_units", "billed_units.search_units"),
    "requests": ("requests", "successful_requests"),
    # Breakdowns of what is counted above, and what costs nothing.
    "": (
        "in.text_tokens", "in.text", "out.text_tokens", "out.text", "cached.text", "tool.text", "in.cached.text_tokens",
        "in.written.ephemeral_total_tokens", "prompt_text_tokens", "prompt_cache_miss_tokens", "tokens.input_tokens",
        "tokens.output_tokens", "out.accepted_prediction_tokens", "out.rejected_prediction_tokens",
        "in.uncached_tokens", "in.modality_unspecified", "out.modality_unspecified", "cached.modality_unspecified",
        "tool.modality_unspecified", "num_sources_used", "server_tool_use.web_fetch_requests", "details.input_tokens",
        "details.output_tokens", "details.text_tokens", "details.accepted_prediction_tokens",
        "details.rejected_prediction_tokens", "details.thinking_tokens", "in.tool_use_tokens",
    ),
}  # fmt: skip

#: By their names, not in the total of their side. A total over both sides that says otherwise is believed.
_BESIDE: Final[Mapping[str, tuple[str, ...]]] = {
    "cache_read_tokens": (
        "cache_read_input_tokens", "input_tokens_cache_read", "cache_read_input_token_count", "input_cached_tokens",
        "input_cache_read",
    ),
    "cache_write_tokens": (
        "cache_creation_input_tokens", "cache_write_input_tokens", "input_tokens_cache_write",
        "cache_write_input_token_count", "input_cache_creation", "input_cache_write", "cache_creation_tokens",
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
        "server_tool_use.web_search", "server_tool_use.file_search",
    }
)  # fmt: skip

#: How a number says that it counts something, and how one says that it measures or limits it.
_COUNTS: Final = re.compile(r"(?:^|[._])(?:tokens?|counts?)(?:$|[._])")
_MEASURES: Final = re.compile(
    r"per_|limit|rate|time|duration|latency|_ms$|_s$|cost|price|usd|budget|remaining|max_|min_|threshold|percent|index"
)
#: The modalities of Vertex AI where enums come as numbers.
MODALITIES: Final = ("modality_unspecified", "text", "image", "video", "audio", "document")


@lru_cache(maxsize=4_096)
def section_of(name: str) -> str:
    """The place that the name of a part means."""
    return SECTIONS.get(name, name)


@lru_cache(maxsize=4_096)
def snake_name(name: str) -> str:
    """The name in snake_case, without what says that it is usage."""
    for prefix in PREFIXES:
        if name.startswith(prefix):
            name = name[len(prefix) :]
            break
    name = re.sub(r"(?<=[a-z0-9])([A-Z])", r"_\1", name).lower()
    head, dot, rest = name.partition(".")
    return f"{section_of(head)}.{rest}" if dot and head in SECTIONS else name


@lru_cache(maxsize=4_096)
def is_count(path: str) -> bool:
    """Whether a name says that it counts tokens, or something else."""
    return _COUNTS.search(path) is not None and _MEASURES.search(path) is None
