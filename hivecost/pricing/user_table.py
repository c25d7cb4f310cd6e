"""The user's own prices: a dict or a TOML file, checked with the place of every fault.

    [prices."my-model"]
    input = 3.00          # USD per 1M tokens
    output = 15.00
    cache_read = 0.30     # optional, as is every other unit
    web_search = 0.01     # USD per request
    from = 2026-01-01     # optional validity, in UTC days
    until = 2026-07-01

    [aliases]
    my-deployment = "gpt-4o"

Several periods of one model are a list of tables: `[[prices."my-model"]]`.
"""

from __future__ import annotations

import os
import re
from collections.abc import Mapping
from datetime import date, datetime
from decimal import Decimal, InvalidOperation
from pathlib import Path
from typing import Any, Final

import msgspec

from hivecost.errors import ConfigError
from hivecost.pricing.offers import ModelRates, Offer, Price, Validity, day_ns
from hivecost.pricing.units import FEE_UNITS, INPUT_UNITS, OUTPUT_UNITS

SOURCE: Final = "user"

_UNITS: Final = (*INPUT_UNITS, *OUTPUT_UNITS, *FEE_UNITS)
_KEYS: Final = (*_UNITS, "from", "until")
_PRICE_EXPECTED: Final = "a price in USD such as 2.50, from 0 to 1,000,000"
#: More than any model charges for a million tokens; above it a price is a slip of the unit.
_PRICE_MAX: Final = Decimal(1_000_000)


class UserTable(msgspec.Struct, frozen=True):
    """Rates by exact model name, and which model a deployment's name stands for."""

    rates: dict[str, ModelRates] = {}
    aliases: dict[str, str] = {}


def read_user_table(table: Mapping[str, Any] | str | os.PathLike[str] | None) -> UserTable:
    """The table of a dict or a TOML file. Raises ConfigError, naming file, line and key, for what cannot be used."""
    if table is None:
        return UserTable()
    if isinstance(table, Mapping):
        shaped = table if table and {"prices", "aliases"}.issuperset(table) else {"prices": table}
        return _Reader("", "").read(shaped)
    return _read_file(Path(table))


def _read_file(path: Path) -> UserTable:
    import tomllib  # noqa: PLC0415  # a table is usually a dict, or none

    try:
        text = path.read_text(encoding="utf-8")
        document = tomllib.loads(text, parse_float=Decimal)
    except (OSError, UnicodeDecodeError) as error:
        raise ConfigError("prices", f"a readable TOML file ({error})", file=str(path)) from error
    except tomllib.TOMLDecodeError as error:
        raise ConfigError("prices", f"valid TOML ({error})", file=str(path)) from error
    if not {"prices", "aliases"} & document.keys():
        raise ConfigError("prices", 'a table [prices."model"] or [aliases]', file=str(path))
    return _Reader(str(path), text).read(document)


class _Reader:
    """Checks one document; it knows the file so that a fault can name its line."""

    def __init__(self, file: str, text: str) -> None:
        self._file = file
        self._lines = text.splitlines()

    def read(self, document: Mapping[str, Any]) -> UserTable:
        prices = self._mapping(document.get("prices", {}), "prices")
        aliases = self._mapping(document.get("aliases", {}), "aliases")
        for alias, target in aliases.items():
            if not isinstance(target, str) or not target:
                raise self._error(("aliases", alias), "the name of a model", target)
        return UserTable({model: self._model(model, rows) for model, rows in prices.items()}, dict(aliases))

    def _model(self, model: str, rows: Any) -> ModelRates:
        if not isinstance(model, str) or not model:
            raise self._error(("prices", str(model)), "a model's name as the key", model)
        listed = rows if isinstance(rows, list | tuple) else [rows]
        offers = tuple(self._offer(model, row) for row in listed)
        if not offers:
            raise self._error(("prices", model), "at least one set of prices", rows)
        return ModelRates("", model, offers)

    def _offer(self, model: str, row: Any) -> Offer:
        if not isinstance(row, Mapping):
            raise self._error(("prices", model), "a table with `input` and `output`", row)
        for key in row:
            if key not in _KEYS:
                raise self._error(("prices", model, str(key)), f"one of {', '.join(_KEYS)}", key)
        for key in ("input", "output"):
            if key not in row:
                raise self._error(("prices", model, key), "a price; write 0 for what is free", None)
        prices = {unit: Price(self._price(model, unit, row[unit])) for unit in _UNITS if unit in row}
        return Offer(prices, self._validity(model, row), source=SOURCE)

    def _price(self, model: str, unit: str, value: Any) -> Decimal:
        try:
            price = Decimal(str(value).strip().removeprefix("$"))
        except InvalidOperation:
            raise self._error(("prices", model, unit), _PRICE_EXPECTED, value) from None
        if isinstance(value, bool) or not price.is_finite() or not 0 <= price <= _PRICE_MAX:
            raise self._error(("prices", model, unit), _PRICE_EXPECTED, value)
        return price

    def _validity(self, model: str, row: Mapping[str, Any]) -> Validity:
        first = self._day(model, "from", row.get("from"))
        until = self._day(model, "until", row.get("until"))
        if first is not None and until is not None and until <= first:
            raise self._error(("prices", model, "until"), "a day after `from`", row["until"])
        return Validity(from_ns=first, until_ns=until)

    def _day(self, model: str, key: str, value: Any) -> int | None:
        if value is None:
            return None
        try:
            day = date.fromisoformat(value) if isinstance(value, str) else value
            return day_ns(day.date() if isinstance(day, datetime) else day)
        except (AttributeError, ValueError):
            raise self._error(("prices", model, key), "a day such as 2026-01-01", value) from None

    def _mapping(self, value: Any, key: str) -> Mapping[str, Any]:
        if not isinstance(value, Mapping):
            raise self._error((key,), "a table", value)
        return value

    def _error(self, path: tuple[str, ...], expected: str, got: object) -> ConfigError:
        line = self._line(path)
        file = f"{self._file}:{line}" if line else self._file
        key = ".".join(part if re.fullmatch(r"[\w-]+", part) else f'"{part}"' for part in path)
        return ConfigError(key, expected, file=file, got=got)

    def _line(self, path: tuple[str, ...]) -> int:
        """The line of the key, else of its table, else 0; tomllib keeps no positions."""
        found = 0
        for number, line in enumerate(self._lines, 1):
            header = re.match(r"\s*\[+(.+?)\]+\s*(?:#.*)?$", line)
            if header:
                inside = _parts(header[1])
                if inside == path[: len(inside)]:
                    found = number
                    depth = len(inside)
                else:
                    depth = 99
            elif found and depth < len(path) and "=" in line and _parts(line.split("=")[0]) == path[depth:]:
                return number
        return found


def _parts(dotted: str) -> tuple[str, ...]:
    """`prices."my.model"` as ("prices", "my.model")."""
    return tuple(quoted or bare for quoted, bare in re.findall(r"[\"']([^\"']*)[\"']|([\w-]+)", dotted))
