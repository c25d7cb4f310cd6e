"""Usage as providers report it, in one form; and what it cost, to the nano-USD."""

from hivecost.pricing.book import PriceBook
from hivecost.pricing.default_book import calculate_cost, default_book
from hivecost.pricing.lines import price_line
from hivecost.pricing.listing import RateChange, RateRow, describe, diff_rates, list_rates
from hivecost.pricing.quotes import Quote
from hivecost.pricing.readings import UsageReading, UsageStatus
from hivecost.pricing.selection import ModelChoice, select_model
from hivecost.pricing.usage import FLAVORS, UsageStream, read_usage

__all__ = [
    "FLAVORS",
    "ModelChoice",
    "PriceBook",
    "Quote",
    "RateChange",
    "RateRow",
    "UsageReading",
    "UsageStatus",
    "UsageStream",
    "calculate_cost",
    "default_book",
    "describe",
    "diff_rates",
    "list_rates",
    "price_line",
    "read_usage",
    "select_model",
]
