"""What a limit is counted in, and how people write it: `"$0.50"`, `"1_000_000 tokens"`, `"200 calls"`."""

from __future__ import annotations

import re
from decimal import Decimal, InvalidOperation
from typing import Final, Literal, get_args

from hivecost.errors import ConfigError
from hivecost.money import to_nanousd

Unit = Literal["usd", "tokens", "calls"]

UNITS: Final[tuple[Unit, ...]] = get_args(Unit)

#: Keeps every sum of an account inside 64 bits.
AMOUNT_MAX: Final = 10**18

_EXPECTED: Final = 'a limit above zero such as "$0.50", "1_000_000 tokens" or "200 calls"'
_LIMIT: Final = re.compile(r"(?P<dollar>\$?)\s*(?P<number>[\d.,_]+)\s*(?P<unit>[a-z]*)", re.IGNORECASE)
_UNIT_NAMES: Final[dict[str, Unit]] = {
    "usd": "usd",
    "token": "tokens",
    "tokens": "tokens",
    "call": "calls",
    "calls": "calls",
}


def parse_limit(limit: object, unit: str, *, key: str) -> tuple[Decimal, Unit]:
    """The limit as a number of USD, tokens or calls, and which of them it is.

    A number without a unit is USD unless `unit` says otherwise. Raises ConfigError, naming `key`, for anything
    that is not above zero, is no whole number of tokens or calls, or contradicts `unit`.
    """
    number, written = _split(limit, key)
    chosen = _UNIT_NAMES.get((written or unit or "usd").lower())
    if chosen is None or (written and unit and chosen != _UNIT_NAMES.get(unit.lower())):
        raise ConfigError(key, f"{_EXPECTED}, in one of {', '.join(UNITS)}", got=f"{limit} {unit}".strip())
    if not 0 < to_amount(number, chosen, key=key) <= AMOUNT_MAX:
        raise ConfigError(key, _EXPECTED, got=limit)
    return number, chosen


def to_amount(number: Decimal, unit: Unit, *, key: str) -> int:
    """The number in what accounts count: nano-USD, tokens or calls. Raises ConfigError, naming `key`."""
    if unit == "usd":
        return to_nanousd(number, key=key)
    if not number.is_finite() or number != number.to_integral_value():
        raise ConfigError(key, f"a whole number of {unit}", got=str(number))
    return int(number)


def _split(limit: object, key: str) -> tuple[Decimal, str]:
    """The number, and the unit that was written with it."""
    text, written = str(limit).strip(), ""
    if isinstance(limit, str) and (match := _LIMIT.fullmatch(text)):
        text, written = re.sub("[,_]", "", match["number"]), match["unit"] or ("usd" if match["dollar"] else "")
        if match["dollar"] and written.lower() != "usd":
            raise ConfigError(key, _EXPECTED, got=limit)
    if isinstance(limit, bool) or not isinstance(limit, str | int | float | Decimal):
        raise ConfigError(key, _EXPECTED, got=limit)
    try:
        return Decimal(text), written
    except InvalidOperation:
        raise ConfigError(key, _EXPECTED, got=limit) from None
