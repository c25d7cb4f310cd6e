"""The user's own prices: a dict or a TOML file, checked with the place of every fault.

    [prices."my-model"]
    input = 3.00          # USD per 1M tokens
    output = 15.00
    cache_read = 0.30     # optional, as is every other unit
    web_search = 0.01     # USD for one; so are file_search, page and such, and audio_hour
    context_window = 200_000     # optional: tokens, of the prompt at most
    max_output_tokens = 64_000   # and of one answer
    from = 2026-01-01     # optional validity, in UTC days
    until = 2026-07-01

    [prices]
    "ollama/*" = 0        # a pattern, and the one number that is no table: it is free

    [prices."anthropic/*"]
    billing = "subscription"    # a turn costs nothing; what it would have cost is kept beside it

    [aliases]
    my-deployment = "gpt-4o"

A model may stand beside these tables as well, without `prices` in front; so may it in a dict:
`{"my-model": {"input": 3, "output": 15}, "aliases": {"my-deployment": "gpt-4o"}}`.

Several periods of one model are a list of tables: `[[prices."my-model"]]`. A model's own entry wins over a pattern, and
a longer pattern over a shorter one. Patterns are those of a shell; they match `model` and `provider/model`, as the
caller named them and as they were resolved, but `anthropic/*` is no model that another host sells under such a name.
"""

from __future__ import annotations

import os
from collections.abc import Collection, Iterator, Mapping
from datetime import date, datetime
from decimal import Decimal, InvalidOperation
from fnmatch import fnmatchcase
from typing import Any, Final

import msgspec
from msgspec.structs import replace

from hivecost.errors import ConfigError
from hivecost.frozen import frozen
from hivecost.plain_text import has_controls, shown
from hivecost.pricing.model_limits import ModelLimits
from hivecost.pricing.offers import ModelRates, Offer, Price, Validity, day_ns
from hivecost.pricing.units import FEE_UNITS, INPUT_UNITS, OUTPUT_UNITS, PIECE_UNITS
from hivecost.toml_document import KeyPath, TomlDocument, dotted

SOURCE: Final = "user"
#: The source of what a subscription pays for.
SUBSCRIPTION: Final = "subscription"

#: What every token and every piece costs where a model is free.
FREE: Final = {unit: Price(Decimal(0)) for unit in ("input", "output", *PIECE_UNITS)}

_UNITS: Final = (*INPUT_UNITS, *OUTPUT_UNITS, *FEE_UNITS)
_LIMITS: Final = {"context_window": "context_window", "max_output_tokens": "output_tokens_max"}
_KEYS: Final = (*_UNITS, *_LIMITS, "billing", "from", "until")
#: What a `hivecost.toml` has beside prices.
_CONFIG_TABLES: Final = ("data", "budget", "runtime", "graph", "runaway", "reports")
_WILDCARDS: Final = frozenset("*?[")
_PRICE_EXPECTED: Final = "a price in USD such as 2.50, from 0 to 1,000,000"
#: More than any model charges for a million tokens; above it a price is a slip of the unit.
_PRICE_MAX: Final = Decimal(1_000_000)
#: More than any model takes.
_TOKENS_MAX: Final = 10**9
#: More than any float has; a card of a price with a billion of them would never be ready.
_DECIMALS_MAX: Final = 40


class UserTable(msgspec.Struct, frozen=True):
    """Rates by exact model name and by pattern, and which model a deployment's name stands for."""

    rates: dict[str, ModelRates] = {}
    aliases: dict[str, str] = {}
    #: The longest first.
    patterns: dict[str, ModelRates] = {}

    def matching(self, names: Collection[str], model: str) -> Iterator[ModelRates]:
        """Yield the rates of the patterns that match one of the names, as the model's; the longest pattern first."""
        for pattern, rates in self.patterns.items():
            if any(fnmatchcase(name.lower(), pattern.lower()) for name in names):
                yield replace(rates, model=model)


def read_user_table(table: Mapping[str, Any] | str | os.PathLike[str] | None) -> UserTable:
    """Return the table of a dict or a TOML file. Raise ConfigError, naming file, line and key, for unusable values."""
    if table is None:
        return UserTable()
    if isinstance(table, Mapping):
        return _Reader(None).read(frozen(table))  # with plain names, whatever subclasses of str they are
    document = TomlDocument(table, owner="prices", parse_float=_exact)
    tables = {name: value for name, value in document.values.items() if name not in _CONFIG_TABLES}
    if not tables:
        raise ConfigError("prices", 'a table [prices."model"] or [aliases]', file=str(document.path))
    return _Reader(document).read(tables)


def _exact(number: str) -> Decimal:
    try:
        return Decimal(number)
    except InvalidOperation:  # an exponent beyond what Decimal holds
        return Decimal("NaN")


class _Reader:
    """Checks one table; from a document it knows which line a fault is on."""

    def __init__(self, document: TomlDocument | None) -> None:
        self._document = document

    def read(self, tables: Mapping[str, Any]) -> UserTable:
        prices = self._mapping(tables.get("prices", {}), "prices")
        aliases = self._mapping(tables.get("aliases", {}), "aliases")
        for alias, target in aliases.items():
            self._check_alias(alias, target, aliases)
        rates = {model: self._model(("prices", _key(model)), model, rows) for model, rows in prices.items()}
        for model, rows in tables.items():
            if model in ("prices", "aliases"):
                continue
            where = (_key(model),) if self._document else ("prices", _key(model))
            if model in rates:
                raise self._error(where, "one entry of the model: it has another one in `prices`", model)
            rates[model] = self._model(where, model, rows)
        patterns = sorted((name for name in rates if _WILDCARDS.intersection(name)), key=len, reverse=True)
        return UserTable(
            {model: own for model, own in rates.items() if model not in patterns},
            dict(aliases),
            {pattern: rates[pattern] for pattern in patterns},
        )

    def _check_alias(self, alias: str, target: object, aliases: Mapping[str, Any]) -> None:
        where = ("aliases", _key(alias))
        self._require_name(where, alias, "a deployment's name as the key")
        self._require_name(where, target, "the name of a model")
        for name in (alias, target):
            if _WILDCARDS.intersection(name):  # type: ignore[arg-type]  # a name, as was checked
                raise self._error(where, "names: patterns are for prices", name)
        if target in aliases:
            raise self._error(where, "the name of a model, which is no alias itself", target)

    def _model(self, where: KeyPath, model: str, rows: Any) -> ModelRates:
        self._require_name(where, model, "a model's name as the key")
        if isinstance(rows, list | tuple):
            offers = tuple(self._offer((*where, number), row) for number, row in enumerate(rows))
        else:
            offers = (self._offer(where, rows),)
        if not offers:
            raise self._error(where, "at least one set of prices", rows)
        return ModelRates("", model, offers, self._limits(where, rows))

    def _limits(self, where: KeyPath, rows: Any) -> ModelLimits:
        """Return the model's maxima; of several periods, the largest."""
        most: dict[str, int] = {}
        for row in rows if isinstance(rows, list | tuple) else (rows,):
            for key, name in _LIMITS.items():
                if isinstance(row, Mapping) and key in row:
                    tokens = row[key]
                    if type(tokens) is not int or not 0 < tokens <= _TOKENS_MAX:
                        raise self._error((*where, key), "a whole number of tokens above 0", tokens)
                    most[name] = max(tokens, most.get(name, 0))
        return ModelLimits(**most)

    def _offer(self, where: KeyPath, row: Any) -> Offer:
        if not isinstance(row, Mapping):
            if row == 0 and not isinstance(row, bool):
                return Offer(FREE, source=SOURCE)
            raise self._error(where, "a table with `input` and `output`, or 0 for what is free", row)
        for key in row:
            if key not in _KEYS:
                raise self._error((*where, _key(key)), f"one of {', '.join(_KEYS)}", key)
        billing = row.get("billing")
        if billing is not None and billing != SUBSCRIPTION:
            raise self._error((*where, "billing"), f'"{SUBSCRIPTION}", or no such key', billing)
        prices = {unit: Price(self._price((*where, unit), row[unit])) for unit in _UNITS if unit in row}
        if not (prices.keys() <= {*PIECE_UNITS} and (prices or billing)):
            for key in ("input", "output"):
                if key not in row:
                    raise self._error((*where, key), "a price; write 0 for what is free", None)
        return Offer(prices, self._validity(where, row), source=SOURCE, subscription=billing is not None)

    def _price(self, key: KeyPath, value: Any) -> Decimal:
        try:
            price = Decimal(value.strip().removeprefix("$") if isinstance(value, str) else str(value))
        except (ValueError, ArithmeticError, RecursionError):  # some of it from `str`, of what is no price at all
            raise self._error(key, _PRICE_EXPECTED, value) from None
        if isinstance(value, bool) or not price.is_finite() or not 0 <= price <= _PRICE_MAX:
            raise self._error(key, _PRICE_EXPECTED, value)
        if price.as_tuple().exponent < -_DECIMALS_MAX:  # type: ignore[operator]  # a number, as the price is finite
            raise self._error(key, f"{_PRICE_EXPECTED}, with at most {_DECIMALS_MAX} decimals", value)
        return price

    def _validity(self, where: KeyPath, row: Mapping[str, Any]) -> Validity:
        first = self._day((*where, "from"), row.get("from"))
        until = self._day((*where, "until"), row.get("until"))
        if first is not None and until is not None and until <= first:
            raise self._error((*where, "until"), "a day after `from`", row["until"])
        return Validity(from_ns=first, until_ns=until)

    def _day(self, key: KeyPath, value: Any) -> int | None:
        if value is None:
            return None
        try:
            day = date.fromisoformat(value) if isinstance(value, str) else value
            return day_ns(day.date() if isinstance(day, datetime) else day)
        except (AttributeError, ValueError):
            raise self._error(key, "a day such as 2026-01-01", value) from None

    def _mapping(self, value: Any, key: str) -> Mapping[str, Any]:
        if not isinstance(value, Mapping):
            raise self._error((key,), "a table", value)
        return value

    def _require_name(self, key: KeyPath, name: object, expected: str) -> None:
        if not isinstance(name, str) or not name:
            raise self._error(key, expected, name)
        if has_controls(name):
            raise self._error(key, f"{expected}, without control characters", name)

    def _error(self, key: KeyPath, expected: str, got: object) -> ConfigError:
        if self._document is None:
            return ConfigError(dotted(key), expected, got=got)
        return self._document.error(key, expected, got=got)


def _key(name: object) -> str:
    return name if isinstance(name, str) else shown(name)
