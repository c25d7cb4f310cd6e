"""Leases as pure policy: how much of what remains one process is lent, so that it decides most holds in memory."""

from __future__ import annotations

from typing import Final

#: A process is lent one part in so many of what remains: few visits to the disk while there is much, and near the
#: limit, where a part is less than what is needed, exactly that.
_PARTS: Final = 32


def lease_amount(needed: int, remaining: int, *, contested: bool) -> int:
    """What to lend to a process that lacks `needed`, where `remaining` is at least that.

    Exactly what it needs while others wait for the same account (`contested`).
    """
    return needed if contested else max(needed, remaining // _PARTS)
