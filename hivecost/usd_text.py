"""Amounts of money as text, from integers alone: what prints one waits for no decimal library."""

from __future__ import annotations

#: A nano-USD has so many places.
_DECIMALS_MAX = 9


def format_usd(nanousd: int, *, decimals: int = 4) -> str:
    """Return `$0.0885`: at least `decimals` places (1 to 9), rounded half-even.

    There are more places where fewer would leave less than two digits of a cost.
    """
    amount = abs(nanousd)
    while decimals < _DECIMALS_MAX and amount < 10 ** (10 - decimals) and amount % 10 ** (_DECIMALS_MAX - decimals):
        decimals += 1
    unit = 10 ** (_DECIMALS_MAX - decimals)
    shown, rest = divmod(amount, unit)
    if 2 * rest > unit or (2 * rest == unit and shown % 2):
        shown += 1
    whole, fraction = divmod(shown, 10**decimals)
    sign = "-" if nanousd < 0 else ""
    return f"{sign}${whole:,}.{fraction:0{decimals}d}"
