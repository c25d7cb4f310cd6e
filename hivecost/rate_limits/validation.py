"""What a limit may be: refused where it is written down."""

from __future__ import annotations

from math import isfinite

from hivecost.errors import ConfigError


def require_count(key: str, count: int, *, at_most: int | None = None) -> int:
    """Return the count itself. Raise ConfigError, naming `key`, unless it is a whole number from 1 (to `at_most`)."""
    if isinstance(count, bool) or not isinstance(count, int) or count < 1 or (at_most is not None and count > at_most):
        upper = "" if at_most is None else f" and not above {at_most:,}, or it could never be granted"
        raise ConfigError(key, f"a whole number above zero{upper}", got=count)
    return count


def require_seconds(key: str, seconds: float, *, zero: bool = False) -> float:
    """Return the seconds as a float. Raise ConfigError, naming `key`, unless finite and above zero (or zero)."""
    usable = isinstance(seconds, int | float) and not isinstance(seconds, bool) and isfinite(seconds)
    if not usable or seconds < 0 or (seconds == 0 and not zero):
        raise ConfigError(key, f"a finite number of seconds {'from' if zero else 'above'} zero", got=seconds)
    return float(seconds)
