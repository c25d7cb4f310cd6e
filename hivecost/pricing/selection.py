"""Which of the user's models a task can afford."""

from __future__ import annotations

from collections.abc import Mapping
from decimal import Decimal

import msgspec

from hivecost.errors import ConfigError, PriceUnknownError
from hivecost.money import format_usd, to_nanousd
from hivecost.pricing.book import PriceBook


class ModelChoice(msgspec.Struct, frozen=True, kw_only=True):
    """The model to use, and the arithmetic that led to it."""

    model: str
    #: The tier it stands for: the difficulty asked for, or an easier one.
    tier: str
    #: What the task costs on this model, at most.
    estimated_nanousd: int
    available_nanousd: int
    #: False when even the cheapest tier costs more than is available.
    affordable: bool
    #: True when an easier tier than asked for was taken.
    downgraded: bool
    #: Each tier that was weighed, with its cost: `hard gpt-4o $0.0125 > $0.0100`.
    arithmetic: tuple[str, ...]


def select_model(
    difficulty: str,
    available_budget: str | float | Decimal,
    tiers: Mapping[str, str],
    book: PriceBook,
    *,
    input_tokens: int = 2_000,
    output_tokens: int = 500,
) -> ModelChoice:
    """Return the tier's own model if the budget (USD) covers the task, else the hardest easier tier that it covers.

    `tiers` names a model per difficulty, from easy to hard: `{"easy": "gpt-4o-mini", "hard": "gpt-4o"}`. The task is
    taken to use `input_tokens` and `output_tokens`. When nothing is affordable, the cheapest tier is named and
    `affordable` is False. Raise ConfigError for a difficulty that is no tier, PriceUnknownError for a model
    without a price.
    """
    if difficulty not in tiers:
        raise ConfigError("difficulty", f"one of {', '.join(tiers)}", got=difficulty)
    available = to_nanousd(available_budget, key="available_budget")
    names = list(tiers)
    weighed: list[tuple[int, str]] = []
    arithmetic: list[str] = []
    for tier in reversed(names[: names.index(difficulty) + 1]):
        cost = book.upper_bound_nanousd(tiers[tier], input_tokens=input_tokens, output_tokens=output_tokens)
        if cost is None:
            raise PriceUnknownError(tiers[tier])
        sign = "<=" if cost <= available else ">"
        arithmetic.append(f"{tier} {tiers[tier]} {format_usd(cost)} {sign} {format_usd(available)}")
        weighed.append((cost, tier))
        if cost <= available:
            break
    cost, tier = weighed[-1] if weighed[-1][0] <= available else min(weighed, key=lambda pair: pair[0])
    return ModelChoice(
        model=tiers[tier],
        tier=tier,
        estimated_nanousd=cost,
        available_nanousd=available,
        affordable=cost <= available,
        downgraded=tier != difficulty,
        arithmetic=tuple(arithmetic),
    )
