"""What strangers wrote, as text that can be printed, logged and encoded; whatever it is, nothing here raises."""

from __future__ import annotations

import reprlib
import unicodedata
from typing import Final

#: Letters that turn the text around them: what is shown is then not what is there.
_BIDI_CONTROLS: Final = frozenset("\u202a\u202b\u202c\u202d\u202e\u2066\u2067\u2068\u2069")
_CONTROL_CATEGORIES: Final = frozenset({"Cc", "Cs", "Zl", "Zp"})

#: Looks into no container further than a line can show, so that one that holds itself many times has an end.
_REPR: Final = reprlib.Repr()
_REPR.maxlevel = 2
_REPR.maxlist = _REPR.maxtuple = _REPR.maxdict = _REPR.maxset = _REPR.maxfrozenset = _REPR.maxdeque = 10
_REPR.maxstring = _REPR.maxlong = _REPR.maxother = 2_000


def shown(value: object, length_max: int = 200) -> str:
    """Return the start of `repr(value)`, printable; the kind of value where it has no repr."""
    try:
        text = _REPR.repr(value)
    except Exception:  # an integer of thousands of digits, a nest without end, or a stranger's own method
        kind = type(value).__name__
        text = f"<{kind} of {value.bit_length():,} bits>" if type(value) is int else f"<{kind}>"
    return printable(text[:length_max])


def printable(text: str) -> str:
    r"""Return the text with `\x1b` and the like in the place of what moves a cursor or cannot be seen."""
    if text.isprintable():
        return text
    return "".join(letter if letter.isprintable() else letter.encode("unicode_escape").decode() for letter in text)


def plain_str(text: str) -> str:
    """Return the text as a plain `str`, whatever subclass it is of: what a StrEnum's member, or a name, stands for."""
    return text if type(text) is str else str.__str__(text)


def encodable(text: str) -> str:
    """Return the text as a plain `str`, with `?` in the place of what is no Unicode (half of a surrogate pair)."""
    return plain_str(text) if text.isascii() else str.encode(text, errors="replace").decode()


def is_control(letter: str) -> bool:
    """Return whether the letter controls a terminal, a line or the direction of text."""
    return letter in _BIDI_CONTROLS or unicodedata.category(letter) in _CONTROL_CATEGORIES


def has_controls(text: str) -> bool:
    """Return whether a letter of the text is a control."""
    return not text.isprintable() and any(map(is_control, text))
