"""What budgets name, checked against what the price book knows: a name that nobody has binds nothing."""

from __future__ import annotations

import logging
import math
import re
from collections.abc import Collection, Iterable, Mapping
from difflib import SequenceMatcher
from fnmatch import fnmatchcase
from typing import Any, Final

from msgspec.structs import replace

from hivecost.attribute_names import PATTERNED
from hivecost.errors import ConfigError
from hivecost.ledger import Budget
from hivecost.ledger.own_limits import format_key, split_key
from hivecost.model_names import general_names, undated
from hivecost.pricing import PriceBook

_log = logging.getLogger("hivecost.budgets")

#: Two names of models as alike as this, with the same numbers in them, differ by a slip of the keyboard.
_MODEL_RATIO: Final = 0.85
#: A provider that is not there is an error in any case: this only says which may be meant.
_PROVIDER_RATIO: Final = 0.7
#: Less of a pattern than this many letters is too like anything.
_STEM_MIN: Final = 5
_WILDCARDS: Final = re.compile(r"[*?\[]")


def placed(budget: Budget, prices: PriceBook) -> Budget:
    """Return the budget with its models and providers under the names that the price book has for them.

    Those that it matches on are added to those given; `limits` of models and providers are those of the names of their
    accounts. Raise ConfigError for a provider that nobody knows, for a model that is a slip of a known name, for a
    pattern in a key of `limits`, and for a model to downgrade to that has no price where the budget needs one. Another
    model that the book does not know is warned of: the book may be from another day; so is a dearer one to downgrade
    to, and what looks like a pattern where there are none.
    """
    _warn_of_patterns(budget)
    for model in budget.match.get("model", ()):
        _check_model(budget, "match.model", model, prices)
    for field, instead in (("on_short", budget.short_model), ("on_soft", budget.soft_model)):
        if instead:
            _check_downgrade(budget, field, instead, prices)
    changed: dict[str, Any] = {}
    if "provider" in budget.match:
        given = budget.match["provider"]
        named = (name for one in given for name in (one, _provider_id(budget, "match.provider", one, prices)))
        changed["match"] = {**budget.match, "provider": tuple(dict.fromkeys(named))}
    if budget.limits and not PATTERNED.isdisjoint(budget.account_attributes):
        changed["limits"] = {_placed_key(budget, key, prices): limit for key, limit in budget.limits.items()}
    return replace(budget, **changed) if changed else budget


def placed_scope(scope: Mapping[str, str] | None, prices: PriceBook) -> Mapping[str, str] | None:
    """Return the scope with its model and provider as accounts name them; None stays None."""
    if not isinstance(scope, Mapping) or PATTERNED.isdisjoint(scope):
        return scope
    provider, model = prices.resolve(scope.get("model", ""), scope.get("provider", ""))
    found = {"provider": provider, "model": model}
    return {name: found.get(name) or value for name, value in scope.items()}


def _placed_key(budget: Budget, text: str, prices: PriceBook) -> str:
    names = [name for name in budget.account_attributes if name != budget.window]
    scope = dict(zip(names, split_key(names, text) or (), strict=False))
    field, model, provider = f"limits.{text}", scope.get("model"), scope.get("provider")
    for name in filter(None, (model, provider)):
        if _WILDCARDS.search(name):
            expected = "the name of one account: patterns are for `match`, in a budget of their own"
            raise ConfigError(f"budget {budget.name!r}.{field}", expected, got=name)
    if model:
        _check_model(budget, field, model, prices)
    if provider:
        _provider_id(budget, field, provider, prices)
    placed = placed_scope(scope, prices) or {}
    values = tuple(placed.get(name) for name in names)
    return text if not placed else str(values[0]) if len(names) == 1 else format_key(names, values)


def _warn_of_patterns(budget: Budget) -> None:
    """Warn of `ac*` in attributes other than the model and the provider, where it is a value like any other."""
    values = [(name, value) for name, given in budget.match.items() for value in given]
    names = [name for name in budget.account_attributes if name != budget.window]
    for text in budget.limits:
        values += zip(names, split_key(names, text) or (), strict=False)
    for name, value in values:
        if name not in PATTERNED and "*" in value:
            _log.warning(
                "budget %r names %s %r, and counts that very value alone: patterns are for models and providers",
                *(budget.name, name, value),
            )


def _provider_id(budget: Budget, field: str, provider: str, prices: PriceBook) -> str:
    if _WILDCARDS.search(provider):
        known = any(fnmatchcase(name, provider.lower()) for name in prices.providers())
        found = provider if known else ""
    else:
        found = prices.provider_id(provider)
    if not found:
        near = _nearest(provider, prices.providers(), _PROVIDER_RATIO)
        expected = f"{near!r}" if near else "a provider that the price book knows (`hivecost prices list` names them)"
        raise ConfigError(f"budget {budget.name!r}.{field}", expected, got=provider)
    return found


def _check_model(budget: Budget, field: str, model: str, prices: PriceBook) -> None:
    if not _is_known(budget, field, model, prices):
        _log.warning(
            "budget %r names model %r, which the price book does not know: it counts turns, and charges "
            "(`ctx.charge`), of that very name alone",
            budget.name,
            model,
        )


def _check_downgrade(budget: Budget, field: str, instead: str, prices: PriceBook) -> None:
    """Raise ConfigError for a model to downgrade to that a hard budget in USD cannot price.

    Warn of one that is unknown, or dearer: a turn that is short of money must not fail or cost more because of it.
    """
    is_known = _is_known(budget, field, instead, prices)
    if budget.mode == "hard" and budget.counted_unit == "usd" and not prices.knows(instead):
        expected = "a model that the price book has a price for, as a hard budget in USD needs one"
        raise ConfigError(f"budget {budget.name!r}.{field}", expected, got=instead)
    if not is_known:
        _log.warning("budget %r: %s takes %r, which the price book does not know", budget.name, field, instead)
    taken = _price_of_a_turn(instead, prices)
    for model in budget.match.get("model", ()):
        if not _WILDCARDS.search(model) and _price_of_a_turn(model, prices) < taken:
            _log.warning("budget %r: %s takes %r, which is dearer than %r", budget.name, field, instead, model)


def _price_of_a_turn(model: str, prices: PriceBook) -> float:
    """Return nano-USD; where nobody knows, NaN, which compares as neither less nor more."""
    price = prices.upper_bound_nanousd(model, input_tokens=1_000, output_tokens=1_000)
    return math.nan if price is None else price


def _is_known(budget: Budget, field: str, model: str, prices: PriceBook) -> bool:
    """Tell whether the price book knows the model. Raise ConfigError for a slip of one that it knows."""
    names = {general for _, name in prices.names() for general in general_names(name)}
    names |= {general for _, name in prices.models() for general in general_names(name)}
    known = (
        any(fnmatchcase(name, model.lower()) for name in names)
        if _WILDCARDS.search(model)
        else bool(prices.resolve(model).model) or not names.isdisjoint(general_names(model))
    )
    if known:
        return True
    slip = _slip_of_pattern(model, names, prices) if _WILDCARDS.search(model) else _slip_of(model, names, prices)
    if slip:
        raise ConfigError(f"budget {budget.name!r}.{field}", f"{slip!r}, or another name of a model", got=model)
    return False


def _slip_of(model: str, known: Iterable[str], prices: PriceBook) -> str:
    """Return the known name that was meant; "" where this may be a name of its own, such as one of another version."""
    last = model.lower().rsplit("/", 1)[-1]
    name = min((last, *undated(last)), key=len)
    numbers, words = _numbers(name), sorted(re.findall(r"[a-z]+|\d+", name))
    alike = [one for one in known if _numbers(one) == numbers]
    same_words = [one for one in alike if sorted(re.findall(r"[a-z]+|\d+", one)) == words]
    # Of several the one that needs no host in front.
    return min(same_words, key=lambda one: (not prices.resolve(one).model, one), default="") or _nearest(
        name, alike, _MODEL_RATIO
    )


def _slip_of_pattern(pattern: str, known: Collection[str], prices: PriceBook) -> str:
    """Return the pattern that was meant, with a beginning of known names instead of its own; "" as in `_slip_of`."""
    whole = pattern.lower()
    stem = whole[: _first_wildcard(whole)].rstrip("-")
    if len(stem) < _STEM_MIN:
        return ""
    parts = (name.split("-") for name in known)
    beginnings = {"-".join(one[:count]) for one in parts for count in range(1, len(one) + 1)}
    meant = _slip_of(stem, beginnings, prices) + whole[len(stem) :]
    return meant if any(fnmatchcase(name, meant) for name in known) else ""


def _first_wildcard(pattern: str) -> int:
    found = _WILDCARDS.search(pattern)
    return len(pattern) if found is None else found.start()


def _numbers(name: str) -> list[str]:
    return sorted(re.findall(r"\d+", name))


def _nearest(name: str, known: Iterable[str], ratio_min: float) -> str:
    ratios = ((SequenceMatcher(None, name.lower(), one).ratio(), one) for one in known)
    ratio, nearest = max(ratios, default=(0.0, ""))
    return nearest if ratio >= ratio_min else ""
