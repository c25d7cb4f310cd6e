"""What usage costs, to the nano-USD."""

from hivecost.pricing.book import PriceBook
from hivecost.pricing.bounds import input_token_bound
from hivecost.pricing.cards import Band, Card, InputKind
from hivecost.pricing.default_book import calculate_cost, default_book
from hivecost.pricing.jsonl import price_line
from hivecost.pricing.listing import RateChange, RateRow, describe, diff_rates, list_rates
from hivecost.pricing.model_limits import ModelLimits
from hivecost.pricing.offers import Offer, Price, Validity
from hivecost.pricing.placement import ModelName
from hivecost.pricing.plausibility import believable_book
from hivecost.pricing.quotes import Quote
from hivecost.pricing.rate_shifts import RateShift, rate_shifts
from hivecost.pricing.repricing import Kept, reprice_turn
from hivecost.pricing.selection import ModelChoice, select_model
from hivecost.pricing.tokenizer import (
    can_count_tokens,
    count_text_tokens,
    count_tokens,
    has_tokenizer,
    import_tokenizer,
    is_vocabulary_loaded,
)

__all__ = [
    "Band",
    "Card",
    "InputKind",
    "Kept",
    "ModelChoice",
    "ModelLimits",
    "ModelName",
    "Offer",
    "Price",
    "PriceBook",
    "Quote",
    "RateChange",
    "RateRow",
    "RateShift",
    "Validity",
    "believable_book",
    "calculate_cost",
    "can_count_tokens",
    "count_text_tokens",
    "count_tokens",
    "default_book",
    "describe",
    "diff_rates",
    "has_tokenizer",
    "import_tokenizer",
    "input_token_bound",
    "is_vocabulary_loaded",
    "list_rates",
    "price_line",
    "rate_shifts",
    "reprice_turn",
    "select_model",
]
