"""One price book for the whole process, for callers that only want a number."""

from __future__ import annotations

from functools import cache

from hivecost.money import USD
from hivecost.pricing.book import PriceBook


@cache
def default_book() -> PriceBook:
    """Return the shared book: shipped rates, no prices of the user's own."""
    return PriceBook()


def calculate_cost(model: str, input_tokens: int, output_tokens: int, cached_tokens: int = 0) -> USD:
    """Return USD for these counts at today's rates; `cached_tokens` are those of the input that were read from cache.

    Raise PriceUnknownError, with near names, for a model without a price, and UsageInvalidError for counts
    that cannot be.
    """
    return default_book().calculate_cost(model, input_tokens, output_tokens, cached_tokens)
