"""What a turn used, in one canonical form whoever the provider is."""

from __future__ import annotations

from operator import add
from typing import Final

import msgspec

from hivecost.errors import UsageInvalidError
from hivecost.plain_text import shown

#: No turn of any model comes near this; above it a count is a fault, and sums stay inside 64 bits.
TOKENS_PER_TURN_MAX: Final = 10**9


class Usage(msgspec.Struct, frozen=True, gc=False, omit_defaults=True):
    """Token counts of one turn. Totals are inclusive, as in OpenTelemetry's GenAI conventions.

    `input_tokens` includes cache reads and writes, audio, images, video and tool-use prompts; `output_tokens` includes
    reasoning, citations, audio, images and video; `cache_read_tokens` includes what of it was audio, images and video;
    `cache_write_tokens` includes the 1-hour writes. What is billed by the second or by the piece is in no total.

    Raises UsageInvalidError for counts that are negative, no integer, above 10**9, or larger than what includes them.
    """

    input_tokens: int = 0
    output_tokens: int = 0
    cache_read_tokens: int = 0
    cache_write_tokens: int = 0
    cache_write_1h_tokens: int = 0
    reasoning_tokens: int = 0
    input_audio_tokens: int = 0
    output_audio_tokens: int = 0
    cache_audio_read_tokens: int = 0
    input_image_tokens: int = 0
    output_image_tokens: int = 0
    tool_use_prompt_tokens: int = 0
    #: Calls of a paid server tool, such as web searches; counted, not tokens.
    web_search_requests: int = 0
    citation_tokens: int = 0
    input_video_tokens: int = 0
    output_video_tokens: int = 0
    cache_image_read_tokens: int = 0
    cache_video_read_tokens: int = 0
    #: Of speech that was transcribed.
    audio_seconds: int = 0
    #: Of documents that were read by OCR.
    pages: int = 0
    #: What a reranker bills: one query over up to 100 documents.
    search_units: int = 0
    file_search_calls: int = 0
    code_containers: int = 0

    @property
    def total_tokens(self) -> int:
        """Input plus output."""
        return self.input_tokens + self.output_tokens

    def __add__(self, other: Usage) -> Usage:
        """Return the sums of all counts; `sum(usages)` works, too. Raise UsageInvalidError where one is above 10**9."""
        if not isinstance(other, Usage):
            return NotImplemented
        return Usage(*map(add, msgspec.structs.astuple(self), msgspec.structs.astuple(other)))

    def __radd__(self, other: int) -> Usage:
        return self if type(other) is int and other == 0 else NotImplemented

    def __post_init__(self) -> None:
        problem = usage_problem(msgspec.structs.astuple(self))
        if problem:
            raise UsageInvalidError(problem)


#: The names of all counts, in order.
USAGE_FIELDS: Final = Usage.__struct_fields__

#: (part, whole): no part may be larger than its whole.
_PARTS: Final = tuple(
    (USAGE_FIELDS.index(part), USAGE_FIELDS.index(whole))
    for part, whole in [
        ("cache_write_1h_tokens", "cache_write_tokens"),
        ("reasoning_tokens", "output_tokens"),
        ("input_audio_tokens", "input_tokens"),
        ("output_audio_tokens", "output_tokens"),
        ("cache_audio_read_tokens", "cache_read_tokens"),
        ("input_image_tokens", "input_tokens"),
        ("output_image_tokens", "output_tokens"),
        ("tool_use_prompt_tokens", "input_tokens"),
        ("citation_tokens", "output_tokens"),
        ("input_video_tokens", "input_tokens"),
        ("output_video_tokens", "output_tokens"),
        ("cache_image_read_tokens", "cache_read_tokens"),
        ("cache_video_read_tokens", "cache_read_tokens"),
    ]
)
#: Where the fields begin that are a part of another; few turns have any.
_FIRST_PART: Final = USAGE_FIELDS.index("cache_write_1h_tokens")
_ONLY_INT: Final = {int}


def usage_problem(counts: tuple[object, ...]) -> str:
    """Say why these counts (in the order of USAGE_FIELDS) cannot be one turn's usage; "" when they can."""
    if set(map(type, counts)) != _ONLY_INT:
        name, count = next((n, c) for n, c in zip(USAGE_FIELDS, counts, strict=True) if type(c) is not int)
        return f"{name} must be an integer, got {shown(count, 60)}"
    numbers: tuple[int, ...] = counts  # type: ignore[assignment]  # all int, checked above
    if min(numbers) < 0 or max(numbers) > TOKENS_PER_TURN_MAX:
        name, number = next(
            (n, c) for n, c in zip(USAGE_FIELDS, numbers, strict=True) if not 0 <= c <= TOKENS_PER_TURN_MAX
        )
        return f"{name} must be between 0 and {TOKENS_PER_TURN_MAX:,}, got {shown(number, 60)}"
    if numbers[2] + numbers[3] > numbers[0]:
        return (
            f"input_tokens ({numbers[0]:,}) must include cache_read_tokens ({numbers[2]:,}) "
            f"and cache_write_tokens ({numbers[3]:,})"
        )
    if not any(numbers[_FIRST_PART:]):
        return ""
    for part, whole in _PARTS:
        if numbers[part] > numbers[whole]:
            return f"{USAGE_FIELDS[whole]} ({numbers[whole]:,}) must include {USAGE_FIELDS[part]} ({numbers[part]:,})"
    return ""
