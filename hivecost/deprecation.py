"""How something public goes: for one minor release it works and warns, in the next one it is gone."""

from __future__ import annotations

import warnings


def warn_deprecated(thing: str, *, since: str, instead: str, stacklevel: int = 1) -> None:
    """Warn the caller of the calling function, once per place, that `thing` will be gone.

    `since` is the version that deprecated it, such as `0.3.0`; `instead` is what to write. `stacklevel` is how many
    functions of hivecost stand between the one that calls this and the user's own, that one included.
    """
    message = (
        f"{thing} is deprecated since hivecost {since} and goes with the next minor release; use {instead} instead"
    )
    warnings.warn(message, DeprecationWarning, stacklevel=stacklevel + 2)
