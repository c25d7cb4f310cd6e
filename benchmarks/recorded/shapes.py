"""A request without its text: each text becomes its size, and a size becomes a text again, as long and as many tokens.

`"~1200/310"` stands for 1,200 bytes, written as JSON, which are 310 tokens of o200k_base.
"""

from __future__ import annotations

import json
import re
from functools import cache
from typing import Any, Final

_SIZE: Final = re.compile(r"~(\d+)/(\d+)")

#: Fields whose values say what a request is, not what anybody wrote.
_KEPT: Final = frozenset(
    ("type", "role", "model", "name", "ttl", "effort", "summary", "context", "verbosity", "tool_choice", "keep")
)

#: Words that are one token each behind any other, by their length with the blank before them.
_WORDS: Final = {
    2: " a",
    3: " is",
    4: " the",
    5: " from",
    6: " there",
    7: " people",
    8: " another",
    9: " national",
    10: " important",
    11: " technology",
    12: " information",
}


@cache
def o200k() -> Any:
    """OpenAI's vocabulary of its models since gpt-4o."""
    import bpe_openai  # noqa: PLC0415  # half a second, for those who count

    return bpe_openai.get_encoding("o200k_base")


def tokens_of(text: str) -> int:
    """How many tokens of o200k_base the text is."""
    return len(o200k().encode_ordinary(text))


def shape_of(value: Any, key: str = "") -> Any:
    """The JSON value with every text replaced by its size, but for keys, kinds and names."""
    if isinstance(value, dict):
        return {name: shape_of(item, name) for name, item in value.items()}
    if isinstance(value, list):
        return [shape_of(item, key) for item in value]
    if isinstance(value, str) and key not in _KEPT:
        return f"~{len(json.dumps(value, ensure_ascii=False).encode()) - 2}/{tokens_of(value)}"
    return value


def filled(shape: Any) -> Any:
    """The JSON value with a text of each size."""
    if isinstance(shape, dict):
        return {name: filled(item) for name, item in shape.items()}
    if isinstance(shape, list):
        return [filled(item) for item in shape]
    if isinstance(shape, str) and (size := _SIZE.fullmatch(shape)):
        return filler(int(size[1]), int(size[2]))
    return shape


@cache
def filler(size_bytes: int, tokens: int) -> str:
    """A text of exactly so many bytes, and so many tokens where words of 2 to 12 letters can make it."""
    words = []
    for left in range(tokens, 0, -1):
        if size_bytes < 2:
            break
        length = min(max(round(size_bytes / left), 2), 12, size_bytes)
        words.append(_WORDS[length])
        size_bytes -= length
    return "".join(words) + "." * size_bytes
