"""What a limit is counted in, and how people write and read it: `"$0.50"`, `"200k tokens"`, `"200 calls"`."""

from __future__ import annotations

import re
from decimal import Decimal, DecimalException
from typing import Final, Literal, TypedDict, get_args

from hivecost.errors import ConfigError
from hivecost.money import format_usd, require_no_leftover, to_nanousd, without_separators
from hivecost.plain_text import plain_str

Unit = Literal["usd", "tokens", "calls"]
USDAmount = str | int | float | Decimal

UNITS: Final[tuple[Unit, ...]] = get_args(Unit)

#: Keeps every sum of an account inside 64 bits.
AMOUNT_MAX: Final = 10**18


class Amounts(TypedDict, total=False):
    """What may be given beside `usd`, as keywords: `reserve(who, usd="0.01", tokens=500)`.

    What is left out, or None, is not given; of a hold and of a bill that nothing was held for, calls are then one.
    """

    #: In place of `usd`: an integer of nano-USD.
    nanousd: int | None
    tokens: int | None
    calls: int | None


_EXPECTED: Final = 'an amount above zero such as "$0.50", "1_000_000 tokens" or "200 calls"'
_LIMIT: Final = re.compile(
    r"(?P<dollar>\$?)\s*(?P<number>[\d.,_]+)\s*(?P<scale>[km](?![a-z]))?\s*(?P<unit>[a-z]*)", re.IGNORECASE
)
_SCALES: Final = {"": 1, "k": 10**3, "m": 10**6}
_UNIT_NAMES: Final[dict[str, Unit]] = {
    "usd": "usd",
    "token": "tokens",
    "tokens": "tokens",
    "call": "calls",
    "calls": "calls",
}


def amounts_of(
    usd: USDAmount | None = None,
    nanousd: int | None = None,
    tokens: int | None = None,
    calls: int | None = None,
) -> dict[Unit, int]:
    """Return the amounts that are given, by unit: `amounts_of(usd, **more)` of some `Amounts`.

    Raise ConfigError for USD that cannot be, or is given twice.
    """
    amounts: dict[Unit, int] = {}
    if usd is not None:
        if nanousd is not None:
            raise ConfigError("usd", "either usd or nanousd, not both")
        amounts["usd"] = to_nanousd(usd, key="usd")
    elif nanousd is not None:
        amounts["usd"] = nanousd
    if tokens is not None:
        amounts["tokens"] = tokens
    if calls is not None:
        amounts["calls"] = calls
    return amounts


def require_unit(unit: object, *, key: str) -> str:
    """Return the name of a unit, or "" where none is said. Raise ConfigError, naming `key`, for anything else."""
    if not isinstance(unit, str) or (unit and unit.lower() not in _UNIT_NAMES):
        raise ConfigError(key, f"one of {', '.join(map(repr, UNITS))}", got=unit)
    return unit


def parse_limit(limit: object, unit: str, *, key: str) -> tuple[Decimal, Unit]:
    """Return the limit as a number, and its unit: USD, tokens or calls.

    A number without a unit is USD unless `unit` says otherwise. Raise ConfigError, naming `key`, for anything
    that is not above zero, is no whole number of tokens or calls, or contradicts `unit`.
    """
    number, written = _split(limit, key)
    chosen = _UNIT_NAMES.get((written or unit or "usd").lower())
    if chosen is None:
        raise ConfigError(key, f"{_EXPECTED}, in one of {', '.join(UNITS)}", got=limit)
    if written and unit and chosen != _UNIT_NAMES[unit.lower()]:
        raise ConfigError(key, f"an amount in {_UNIT_NAMES[unit.lower()]}, which the budget counts", got=limit)
    if not 0 < to_amount(number, chosen, key=key) <= AMOUNT_MAX:
        raise ConfigError(key, _EXPECTED, got=limit)
    return number, chosen


def to_amount(number: Decimal, unit: Unit, *, key: str) -> int:
    """Return the number in what accounts count: nano-USD, tokens or calls. Raise ConfigError, naming `key`."""
    if unit == "usd":
        return to_nanousd(number, key=key)
    if not number.is_finite() or not -AMOUNT_MAX <= number <= AMOUNT_MAX or number != number.to_integral_value():
        raise ConfigError(key, f"a whole number of {unit}, at most {AMOUNT_MAX:,}", got=str(number))
    return int(number)


def parse_amount(limit: object, unit: str, *, key: str) -> int:
    """Return the limit in what accounts count. Raise ConfigError as `parse_limit` does."""
    number, chosen = parse_limit(limit, unit, key=key)
    return to_amount(number, chosen, key=key)


def raise_amount(amount: int, by_amount: object, unit: Unit, *, key: str) -> int:
    """Return `amount`, in `unit`, raised by `by_amount`, as people write it.

    Raise ConfigError, naming `key`, as `parse_limit` does, and where the sum would be more than an account can count.
    """
    raised = amount + parse_amount(by_amount, unit, key=key)
    if raised > AMOUNT_MAX:
        room = format_exactly(AMOUNT_MAX - amount, unit)
        raise ConfigError(key, f"at most {room}: above that nothing is counted", got=str(by_amount))
    return raised


def format_amount(amount: int, unit: Unit) -> str:
    """Return `$0.5000`, `1,000 tokens` or `1 call`: rounded as costs are."""
    return format_usd(amount) if unit == "usd" else f"{amount:,} {unit if amount != 1 else unit.removesuffix('s')}"


def format_exactly(amount: int, unit: Unit) -> str:
    """Return `$0.5000`, `$0.123456789` or `1,000 tokens`: for the record, nothing is rounded away."""
    if unit != "usd":
        return format_amount(amount, unit)
    decimals = next(places for places in range(4, 10) if amount % 10 ** (9 - places) == 0)
    return format_usd(amount, decimals=decimals)


def overrun_reason(billed: int, held: int, unit: Unit) -> str:
    """Say why a budget is frozen: `a bill of $0.3000 was above its hold of $0.2500`."""
    return f"a bill of {format_exactly(billed, unit)} was above its hold of {format_exactly(held, unit)}"


def _split(limit: object, key: str) -> tuple[Decimal, str]:
    """Return the number, and the unit that was written with it."""
    if isinstance(limit, bool) or not isinstance(limit, str | int | float | Decimal):
        raise ConfigError(key, _EXPECTED, got=limit)
    if isinstance(limit, int) and abs(limit) > AMOUNT_MAX:  # Python writes no integer of thousands of digits
        raise ConfigError(key, _EXPECTED)
    text, written, scale = (plain_str(limit) if isinstance(limit, str) else str(limit)).strip(), "", 1
    if isinstance(limit, str):
        require_no_leftover(text, key=key)
    if isinstance(limit, str) and (match := _LIMIT.fullmatch(text)):
        text = without_separators(match["number"], key=key)
        scale = _SCALES[(match["scale"] or "").lower()]
        written = match["unit"] or ("usd" if match["dollar"] else "")
        if match["dollar"] and written.lower() != "usd":
            raise ConfigError(key, _EXPECTED, got=limit)
    try:
        number = Decimal(text)
        return number * scale if scale > 1 else number, written  # a product is rounded
    except DecimalException:
        raise ConfigError(key, _EXPECTED, got=limit) from None
