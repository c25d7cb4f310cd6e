"""Amounts of money as text, from integers alone: what prints one waits for no decimal library."""

from __future__ import annotations

from collections.abc import Sequence

#: A nano-USD has so many places.
_DECIMALS_MAX = 9
_USD = 10**9
_CENT = 10**7


def format_usd(nanousd: int, *, decimals: int = 4) -> str:
    """Return `$0.0885`: at least `decimals` places (1 to 9), rounded half-even.

    There are more places where fewer would leave less than two digits of a cost.
    """
    amount = abs(nanousd)
    while decimals < _DECIMALS_MAX and amount < 10 ** (10 - decimals) and amount % 10 ** (_DECIMALS_MAX - decimals):
        decimals += 1
    return fixed_usd(nanousd, decimals)


def fixed_usd(nanousd: int, decimals: int) -> str:
    """Return `$0.0885` with so many places (1 to 9), rounded half-even."""
    amount = abs(nanousd)
    unit = 10 ** (_DECIMALS_MAX - decimals)
    shown, rest = divmod(amount, unit)
    if 2 * rest > unit or (2 * rest == unit and shown % 2):
        shown += 1
    whole, fraction = divmod(shown, 10**decimals)
    sign = "-" if nanousd < 0 and shown else ""
    return f"{sign}${whole:,}.{fraction:0{decimals}d}"


def usd_column(amounts: Sequence[int | None], *, unknown: str = "unpriced") -> list[str]:
    """Return amounts with the same number of places: 2 where any is $1 or more, else 4, or 6 where none is a cent.

    What would be written as 0 and is more is `<$0.01`; None, which is not 0, is `unknown`.
    """
    greatest = max((abs(amount) for amount in amounts if amount is not None), default=0)
    decimals = 2 if not greatest or greatest >= _USD else 4 if greatest >= _CENT else 6
    least = 10 ** (_DECIMALS_MAX - decimals)
    return [
        unknown
        if amount is None
        else f"<{fixed_usd(least, decimals)}"
        if 0 < amount < least // 2
        else fixed_usd(amount, decimals)
        for amount in amounts
    ]
