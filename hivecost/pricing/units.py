"""The units a provider bills, and how the counts of a `Usage` make them up."""

from __future__ import annotations

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
}
OUTPUT_UNITS: Final = {
    "output": "output_tokens",
    "reasoning": "reasoning_tokens",
    "output_audio": "output_audio_tokens",
    "output_image": "output_image_tokens",
}

#: Priced by the piece, in USD: `request` is owed once by every turn.
FEE_UNITS: Final = ("web_search", "request")

#: Rates that no count of a `Usage` tells apart; a bound on what a turn may cost still has to know them.
UNCOUNTED_INPUT: Final = ("cache_image_read", "input_video")
UNCOUNTED_OUTPUT: Final = ("output_video", "output_citation")
