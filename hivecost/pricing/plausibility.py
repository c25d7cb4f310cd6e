"""Whether fetched rates can be believed: read in full, compared with those in use."""

from __future__ import annotations

from decimal import Decimal
from typing import Final

from hivecost.errors import PriceUpdateError
from hivecost.events import Usage
from hivecost.pricing.book import PriceBook
from hivecost.pricing.listing import list_rates
from hivecost.pricing.offers import DAY_NS

_SAMPLE: Final = Usage(input_tokens=10_000, output_tokens=1_000, cache_read_tokens=1_000)
#: Where older and announced rates apply.
_SAMPLE_DAYS: Final = (-365, 365)
#: No provider charges this for a million tokens, or for a request.
_RATE_MAX_USD: Final = Decimal(1_000_000)
#: A model whose price moved by this factor is odd; when most did, a unit or a column slipped.
_ODD_FACTOR: Final = 10

_Costs = dict[tuple[str, str], int]


def believable_book(data: bytes, in_use: PriceBook, *, at_ns: int) -> PriceBook:
    """Return the book of genai-prices' published JSON. Raise PriceUpdateError, saying why it should not be used.

    Every rate of `at_ns` is compiled, and every model priced then, a year before and a year after. Refused are data
    that cannot be read, rates that cannot be, fewer than half of the models that `in_use` prices, and prices of which
    most moved tenfold.
    """
    try:
        book = PriceBook(data=data)
        _check_rates(book, at_ns)
        for days in _SAMPLE_DAYS:
            _sampled(book, at_ns + days * DAY_NS)
        costs = _sampled(book, at_ns)
    except PriceUpdateError:
        raise
    except Exception as error:  # a stranger's data may break its reader anywhere
        reason = str(error).partition("\n")[0] or repr(error)
        raise PriceUpdateError(f"it is not genai-prices' data: {reason:.200}") from error
    _compare(costs, _sampled(in_use, at_ns))
    return book


def _check_rates(book: PriceBook, at_ns: int) -> None:
    for row in list_rates(book, at_ns=at_ns):
        for unit, usd in row.rates.items():
            if not 0 <= Decimal(usd) <= _RATE_MAX_USD:
                raise PriceUpdateError(f"it says that {row.provider} {row.model} costs {usd} USD for {unit}")


def _sampled(book: PriceBook, at_ns: int) -> _Costs:
    """Return what each model that has a price asks for the same turn."""
    costs = {
        (provider, model): book.price(model, _SAMPLE, provider=provider, at_ns=at_ns).nanousd
        for provider, model in book.models()
    }
    return {key: cost for key, cost in costs.items() if cost is not None}


def _compare(costs: _Costs, in_use: _Costs) -> None:
    if 2 * len(costs) < len(in_use):
        raise PriceUpdateError(
            f"it prices {len(costs):,} models, fewer than half of the {len(in_use):,} that the rates in use price"
        )
    shared = costs.keys() & in_use.keys()
    odd = [key for key in shared if _is_odd(costs[key], in_use[key])]
    if odd and 2 * len(odd) >= len(shared):
        provider, model = min(odd)
        raise PriceUpdateError(
            f"{len(odd):,} of {len(shared):,} models cost ten times more, or less, than before, "
            f"such as {provider} {model}"
        )


def _is_odd(cost: int, before: int) -> bool:
    return cost > before * _ODD_FACTOR or before > cost * _ODD_FACTOR
