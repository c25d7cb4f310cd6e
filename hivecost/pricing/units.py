"""The units a provider bills, and how the counts of a `Usage` make them up."""

from __future__ import annotations

from collections.abc import Iterable
from fractions import Fraction
from typing import Final

#: Priced per one million tokens: (unit, the Usage field that counts it).
INPUT_UNITS: Final = {
    "input": "input_tokens",
    "cache_read": "cache_read_tokens",
    "cache_write": "cache_write_tokens",
    "cache_write_1h": "cache_write_1h_tokens",
    "input_audio": "input_audio_tokens",
    "cache_audio_read": "cache_audio_read_tokens",
    "input_image": "input_image_tokens",
    "cache_image_read": "cache_image_read_tokens",
    "input_video": "input_video_tokens",
    "cache_video_read": "cache_video_read_tokens",
}
OUTPUT_UNITS: Final = {
    "output": "output_tokens",
    "reasoning": "reasoning_tokens",
    "output_audio": "output_audio_tokens",
    "output_image": "output_image_tokens",
    "output_video": "output_video_tokens",
    "output_citation": "citation_tokens",
}

#: Priced by the piece, in USD: (unit, the Usage field that counts it, how many units one count is).
PIECE_UNITS: Final = {
    "web_search": ("web_search_requests", Fraction(1)),
    "file_search": ("file_search_calls", Fraction(1)),
    "code_container": ("code_containers", Fraction(1)),
    "search_unit": ("search_units", Fraction(1)),
    "page": ("pages", Fraction(1)),
    "audio_hour": ("audio_seconds", Fraction(1, 3600)),
}
#: All that is no rate for tokens; `request` is owed once by every turn.
FEE_UNITS: Final = (*PIECE_UNITS, "request")


def is_for_tokens(unit: str) -> bool:
    """Tell whether the unit is a million tokens, which may be one of genai-prices' that we do not know."""
    return unit in INPUT_UNITS or unit in OUTPUT_UNITS or unit.endswith("_mtok")


def uncounted(units: Iterable[str]) -> list[str]:
    """Return the units that no count of a `Usage` makes up."""
    known = {*INPUT_UNITS, *OUTPUT_UNITS, *FEE_UNITS}
    return [unit for unit in units if unit not in known]


#: How a reason names a count that has no price, and what is done with it: (noun, how it is charged).
UNPRICED: Final = {
    "output_tokens": ("output tokens", "not included"),
    "cache_read_tokens": ("cached tokens", "charged as other input"),
    "cache_write_tokens": ("tokens written to a cache", "charged as other input"),
    "cache_write_1h_tokens": ("tokens written to a cache for an hour", "charged as written for five minutes"),
    "input_audio_tokens": ("audio tokens", "charged as text"),
    "input_image_tokens": ("image tokens", "charged as text"),
    "input_video_tokens": ("video tokens", "charged as text"),
    "cache_audio_read_tokens": ("cached audio tokens", "charged as audio"),
    "cache_image_read_tokens": ("cached image tokens", "charged as images"),
    "cache_video_read_tokens": ("cached video tokens", "charged as video"),
    "output_audio_tokens": ("audio tokens of the output", "charged as text"),
    "output_image_tokens": ("image tokens of the output", "charged as text"),
    "output_video_tokens": ("video tokens of the output", "charged as text"),
    "citation_tokens": ("citation tokens", "charged as output"),
    "web_search_requests": ("web searches", "not included"),
    "file_search_calls": ("file searches", "not included"),
    "code_containers": ("code containers", "not included"),
    "search_units": ("search units", "not included"),
    "pages": ("pages", "not included"),
    "audio_seconds": ("seconds of audio", "not included"),
}
