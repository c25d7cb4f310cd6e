"""Money is integer nano-USD (1 USD = 10**9), so that totals equal the sum of their parts exactly."""

from __future__ import annotations

from decimal import ROUND_HALF_EVEN, Decimal, InvalidOperation
from typing import Any, Final

from hivecost.errors import ConfigError

NANOUSD_PER_USD: Final = 10**9

#: A single turn above this is a broken bill, not a cost: one million USD. It also keeps sums inside 64 bits.
TURN_COST_MAX_NANOUSD: Final = 1_000_000 * NANOUSD_PER_USD

_NANO = Decimal(1).scaleb(-9)


class USD(Decimal):
    """An exact amount in USD that also adds to a float, because running totals often start at `0.0`."""

    def __add__(self, other: Any) -> Any:
        """USD with an exact number, a float with a float."""
        if isinstance(other, float):
            return float(self) + other
        total = super().__add__(other)
        return total if total is NotImplemented else USD(total)

    __radd__ = __add__


def to_nanousd(amount: str | int | float | Decimal, *, key: str = "amount") -> int:
    """USD as nano-USD: `"$0.50"`, `"1,200"`, `0.5`, `Decimal("0.5")`; rounded half-even past nine decimals.

    Raises ConfigError, naming `key`, for anything that is not a finite, non-negative number.
    """
    expected = 'an amount in USD such as "$0.50" or 0.5'
    if isinstance(amount, bool):
        raise ConfigError(key, expected, got=amount)
    try:
        usd = Decimal(str(amount).strip().replace("$", "", 1).replace(",", "").replace("_", ""))
    except (InvalidOperation, ValueError):  # the second for an integer that Python does not write out
        raise ConfigError(key, expected, got=amount) from None
    if not usd.is_finite() or usd < 0 or usd > 10**9:
        raise ConfigError(key, f"{expected}, from 0 to 1,000,000,000", got=amount)
    return int(usd.scaleb(9).to_integral_value(ROUND_HALF_EVEN))


def to_usd(nanousd: int) -> USD:
    """The exact amount in USD."""
    return USD(Decimal(nanousd) * _NANO)


def format_usd(nanousd: int, *, decimals: int = 4) -> str:
    """`$0.0885`: at least `decimals` places, and more where fewer would leave less than two digits of a cost."""
    amount = Decimal(nanousd).scaleb(-9)
    while decimals < 9 and abs(amount) < Decimal(10).scaleb(-decimals) and amount != round(amount, decimals):
        decimals += 1
    sign = "-" if nanousd < 0 else ""
    return f"{sign}${abs(amount):,.{decimals}f}"
