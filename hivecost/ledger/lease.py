"""Leases as pure policy: how much of what remains one process is lent, so that it decides most holds in memory."""

from __future__ import annotations

from fractions import Fraction


def lease_amount(needed: int, remaining: int, *, share: Fraction, contested: bool) -> int:
    """Return what to lend to a process that lacks `needed`, where `remaining` is at least that.

    It is a `share` of what remains: few syncs while there is much, and near the limit, where that is less than what is
    needed, exactly that; so it is while others wait for the same account (`contested`).
    """
    return needed if contested else max(needed, remaining * share.numerator // share.denominator)
