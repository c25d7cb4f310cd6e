"""Money is integer nano-USD (1 USD = 10**9), so that totals equal the sum of their parts exactly."""

from __future__ import annotations

import re
from decimal import ROUND_HALF_EVEN, Decimal, InvalidOperation
from typing import Any, Final

from hivecost.errors import ConfigError
from hivecost.usd_text import format_usd

__all__ = [
    "NANOUSD_PER_USD",
    "TURN_COST_MAX_NANOUSD",
    "USD",
    "format_usd",
    "require_no_leftover",
    "to_nanousd",
    "to_usd",
    "without_separators",
]

NANOUSD_PER_USD: Final = 10**9

#: A single turn above this is a broken bill, not a cost: one million USD. It also keeps sums inside 64 bits.
TURN_COST_MAX_NANOUSD: Final = 1_000_000 * NANOUSD_PER_USD

_NANO = Decimal(1).scaleb(-9)
_NUMBER: Final = re.compile(r"[-+]?[\d.,_]+")
_IN_THOUSANDS: Final = re.compile(r"[-+]?[1-9]\d{0,2}(,\d{3})+(\.[\d_]*)?")
#: How people say that it is USD.
_USD: Final = re.compile(r"^\$\s*|\s*(usd|\$)$", re.IGNORECASE)
#: What a shell makes of "$0.50" and "$5/day" in double quotes: its own name for the $0, nothing for the $5.
_SHELL_LEFTOVER: Final = re.compile(
    r"-?(\S*[/.])?(a|ba|c|da|fi|k|tc|z)?sh(\.exe)?([\W\d].*)?|(\.\d+)?\s*/\s*[a-z]+", re.IGNORECASE
)


class USD(Decimal):
    """An exact amount in USD that also adds to a float, because running totals often start at `0.0`."""

    def __add__(self, other: Any) -> Any:
        """Return USD for an exact number, a float for a float."""
        if isinstance(other, float):
            return float(self) + other
        total = super().__add__(other)
        return total if total is NotImplemented else USD(total)

    __radd__ = __add__


def without_separators(number: str, *, key: str) -> str:
    """Return a number as Decimal reads it: `1,200.50` without its commas, `1_200` without its underscores.

    Raise ConfigError, naming `key`, for a comma that stands before anything but three digits: `0,50` means 0.50 to
    some and 50 to others.
    """
    if "," in number and _NUMBER.fullmatch(number) and not _IN_THOUSANDS.fullmatch(number):
        raise ConfigError(key, f"a comma only before each three digits: write {_with_a_point(number)}", got=number)
    return number.replace(",", "").replace("_", "")


def require_no_leftover(text: str, *, key: str) -> None:
    """Raise ConfigError, naming `key`, for what is left of an amount whose `$` a shell has replaced, if anything is."""
    if not text or _SHELL_LEFTOVER.fullmatch(text):
        expected = "an amount; a shell replaces the $ in double quotes: write it in single quotes, '$0.50', or 0.50usd"
        raise ConfigError(key, expected, got=text)


def _with_a_point(number: str) -> str:
    """Return the likeliest meaning of a number with misplaced commas.

    A single comma behind all points is a decimal point.
    """
    is_decimal = number.count(",") == 1 and number.find(",") > number.rfind(".")
    if not is_decimal and "." not in number:
        number += "."
    whole, _, fraction = number.rpartition("," if is_decimal else ".")
    digits, decimals = (re.sub(r"\D", "", part) for part in (whole, fraction))
    return (digits.lstrip("0") or "0") + (f".{decimals}" if decimals else "")


def to_nanousd(amount: str | int | float | Decimal, *, key: str = "amount") -> int:
    """Return USD as nano-USD: `"$0.50"`, `"0.50usd"`, `"1,200"`, `0.5`; rounded half-even past nine decimals.

    Raise ConfigError, naming `key`, for anything that is not a finite, non-negative number, and where a comma stands
    before other than three digits.
    """
    expected = 'an amount in USD such as "$0.50" or 0.5'
    if isinstance(amount, bool):
        raise ConfigError(key, expected, got=amount)
    try:
        text = str(amount).strip()
    except ValueError:  # an integer that Python does not write out
        raise ConfigError(key, expected, got=amount) from None
    if isinstance(amount, str):
        require_no_leftover(text, key=key)
        text = without_separators(_USD.sub("", text), key=key)
    try:
        usd = Decimal(text)
    except InvalidOperation:
        raise ConfigError(key, expected, got=amount) from None
    if not usd.is_finite() or usd < 0 or usd > 10**9:
        raise ConfigError(key, f"{expected}, from 0 to 1,000,000,000", got=amount)
    return int(usd.scaleb(9).to_integral_value(ROUND_HALF_EVEN))


def to_usd(nanousd: int) -> USD:
    """Return the exact amount in USD."""
    return USD(Decimal(nanousd) * _NANO)
