"""What is kept of a provider's usage beside a turn: counts, under the names that `names.spoken_name` lets pass.

All else, a prompt, an answer, a customer's id, reaches no event, no reason and no log.
"""

from __future__ import annotations

import re
from collections.abc import Mapping
from enum import Enum
from itertools import islice
from typing import Any, Final

from hivecost.plain_text import encodable, shown
from hivecost.usage.names import WORDS, snake_name, spoken_name
from hivecost.usage.views import name_of, scalar, view

_WORD: Final = re.compile(r"[A-Za-z0-9_.:-]{1,40}")
#: The longest number that is written as text.
_DIGITS_MAX: Final = 12
_DEPTH_MAX: Final = 8
_PARTS_MAX: Final = 1_000


def raw_of(usage: object) -> dict[str, Any]:
    """Return the counts of a usage part, as they came, and the words that say what they are of.

    A text that stands for a count becomes its kind (`<str>`); everything else is left out. Never raise.
    """
    return _kept(usage, 0, [_PARTS_MAX])


def word(value: object) -> str:
    """Return a single short word of a provider's; "" for anything else, such as a sentence."""
    return encodable(value) if isinstance(value, str) and _WORD.fullmatch(value) else ""


def spoken_value(value: object) -> str:
    """Return what stands in the place of a count: a number as it is, of anything else its kind."""
    return shown(value, 60) if type(value) in (int, float, bool) else f"<{type(value).__name__}>"


def _kept(part: object, depth: int, left: list[int]) -> dict[str, Any]:
    kept: dict[str, Any] = {}
    try:
        for key, value in islice(view(part).items(), left[0] + 1):
            left[0] -= 1
            name = name_of(key)
            if left[0] >= 0 and depth <= _DEPTH_MAX and spoken_name(name) == name:
                kept |= _entry(name, value, depth, left)
    except Exception:  # a stranger's object may raise anything, and in the middle of it
        return kept
    return kept


def _entry(name: str, value: object, depth: int, left: list[int]) -> dict[str, Any]:
    """Return the key with what is kept of its value; empty when that is nothing."""
    try:
        return _kept_entry(name, value, depth, left)
    except Exception:  # as above
        return {name: spoken_value(value)}


def _kept_entry(name: str, value: object, depth: int, left: list[int]) -> dict[str, Any]:
    if isinstance(value, Enum):
        value = value.value
    if value is None or isinstance(value, int | float):
        return {name: scalar(value)}
    if isinstance(value, str):
        return {name: _text(name, value)}
    if isinstance(value, list | tuple):  # of numbers, they are tokens or an embedding: the prompt itself
        listed = [one for one in (_kept(item, depth + 1, left) for item in value[: left[0] + 1]) if one]
        return {name: listed} if listed or not value else {}
    inside = _kept(value, depth + 1, left)
    return {name: inside} if inside or isinstance(value, Mapping) else {name: spoken_value(value)}


def _text(name: str, value: str) -> str:
    if not value:
        return ""
    digits = value.isascii() and value.isdigit() and len(value) <= _DIGITS_MAX
    if digits or snake_name(name) in WORDS:
        return word(value) or spoken_value(value)
    return spoken_value(value)
