"""Limits of output tokens, as requests say them."""

from __future__ import annotations

import math
from collections.abc import Iterable
from typing import Any, Final

#: More than any model writes.
TOKENS_MAX: Final = 10**9


def limit_of(values: Iterable[Any]) -> int:
    """Return the largest of the limits that stand in a request.

    0 where none does, and where one is no number above zero: a provider may take it for none at all.
    """
    limits = [_limit(value) for value in values]
    return max(limits) if limits and all(limits) else 0


def _limit(value: Any) -> int:
    if isinstance(value, bool) or not isinstance(value, int | float) or not 0 < value < math.inf:
        return 0
    return min(math.ceil(value), TOKENS_MAX)
