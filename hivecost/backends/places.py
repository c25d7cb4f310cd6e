"""Places as callers name them: a path of a folder, or a URL."""

from __future__ import annotations

import os
import re
from pathlib import Path
from typing import Final

Place = str | os.PathLike[str]

#: One letter is a drive of Windows.
_URL: Final = re.compile(r"([a-z][a-z0-9+.-]+)://", re.IGNORECASE)


def scheme_of(place: Place) -> str:
    """Return the scheme of a URL, such as `memory`; "" for a path."""
    found = _URL.match(os.fspath(place))
    return found[1].lower() if found else ""


def as_place(place: Place) -> str | Path:
    """Return a URL as a text, anything else as a Path."""
    return os.fspath(place) if scheme_of(place) else Path(place)
