"""Rate cards: one model's prices compiled to integers, so that a turn is a few exact multiplications.

Counts of a `Usage` are inclusive, so each part is charged the difference between its own rate and that of the
whole it is part of: 100 input tokens of which 80 were read from cache cost 100 x input + 80 x (cache_read - input).
Every card has a scale of its own: some published rates have 18 decimals, and none is rounded here.
"""

from __future__ import annotations

from bisect import bisect_left
from decimal import Decimal
from fractions import Fraction
from math import lcm
from typing import Literal

import msgspec

from hivecost.events import Usage
from hivecost.pricing.offers import Price
from hivecost.pricing.units import FEE_UNITS, INPUT_UNITS, OUTPUT_UNITS, UNCOUNTED_INPUT, UNCOUNTED_OUTPUT

#: USD per million tokens to nano-USD per token, and USD per request to nano-USD.
_NANO_PER_TOKEN = 1000
_NANO_PER_REQUEST = 10**9

#: What the plain fields of a Band cover; any other unit that has a price goes to its `more`.
_PLAIN = ("input", "cache_read", "cache_write", "cache_write_1h", "output")

#: What a token of text can be: by the cache writes that the request asks for, "" being none.
_TEXT_UNITS = {
    "": ("input", "cache_read"),
    "5m": ("input", "cache_read", "cache_write"),
    "1h": ("input", "cache_read", "cache_write", "cache_write_1h"),
}
#: With an amount of cache writes behind it, the name of the dearest charge.
_TEXT = "dearest_text_"
_MEDIA_UNITS = tuple(unit for unit in (*INPUT_UNITS, *UNCOUNTED_INPUT) if unit not in _TEXT_UNITS["1h"])

CacheWrite = Literal["", "5m", "1h"]
#: From the cheapest to the dearest.
CACHE_WRITES: tuple[CacheWrite, ...] = ("", "5m", "1h")

Amounts = tuple[int, int, int]


class Band(msgspec.Struct, frozen=True, gc=False):
    """The charges of requests with more than `above` input tokens, in nano-USD x scale per counted token."""

    above: int
    input: int
    cache_read: int
    cache_write: int
    cache_write_1h: int
    output: int
    more_input: tuple[tuple[str, int], ...]
    more_output: tuple[tuple[str, int], ...]
    #: What one token may cost at most, whatever kind it is.
    dearest_input: int
    dearest_output: int
    #: What one of text may, by the cache writes that were asked for; and what an image's or a sound's may.
    dearest_text: dict[str, int]
    dearest_media: int
    #: The rates as a person reads them.
    rate: str


class Card(msgspec.Struct, frozen=True):
    """Everything needed to price a turn of one model, tier and time."""

    scale: int
    bands: tuple[Band, ...]
    starts: tuple[int, ...]
    request_fee: int
    #: None where the table does not know what a search costs.
    web_search_fee: int | None

    def band(self, input_tokens: int) -> Band:
        """The band of a request: it is past every start that its input exceeds."""
        return self.bands[bisect_left(self.starts, input_tokens)]

    def amounts(self, usage: Usage, band: Band) -> Amounts:
        """What input, output and fees cost, in nano-USD x scale."""
        spent_in = usage.input_tokens * band.input + usage.cache_read_tokens * band.cache_read
        spent_out = usage.output_tokens * band.output
        if usage.cache_write_tokens:
            spent_in += usage.cache_write_tokens * band.cache_write
            spent_in += usage.cache_write_1h_tokens * band.cache_write_1h
        for field, charge in band.more_input:
            spent_in += getattr(usage, field) * charge
        for field, charge in band.more_output:
            spent_out += getattr(usage, field) * charge
        fees = self.request_fee
        if usage.web_search_requests and self.web_search_fee:
            fees += usage.web_search_requests * self.web_search_fee
        return spent_in, spent_out, fees

    def upper_bound(
        self,
        input_tokens: int,
        output_tokens: int,
        web_search_requests: int,
        cache_write: CacheWrite = "1h",
        *,
        is_text: bool = False,
    ) -> int:
        """What no turn with at most these counts exceeds, in nano-USD, rounded up.

        In each band that can be reached, every token is the dearest kind that it can be, and there are as many as fit.
        """
        most = 0
        for number, band in enumerate(self.bands):
            if number and input_tokens <= band.above:
                break
            last = self.starts[number] if number < len(self.starts) else input_tokens
            text = band.dearest_text[cache_write]
            dearest = text if is_text else max(text, band.dearest_media)
            most = max(most, min(input_tokens, last) * dearest + output_tokens * band.dearest_output)
        fees = self.request_fee + web_search_requests * (self.web_search_fee or 0)
        return -(-(most + fees) // self.scale)


def compile_card(prices: dict[str, Price], uplift: Fraction = Fraction(1)) -> Card | None:
    """The card of these prices, token rates times `uplift`; None when they have no rate for tokens."""
    if "input" not in prices:
        return None
    starts = sorted({above for price in prices.values() for above, _ in price.tiers})
    charges = [_charges(prices, above, uplift) for above in [0, *(start + 1 for start in starts)]]
    fees = {unit: Fraction(prices[unit].base) * _NANO_PER_REQUEST for unit in FEE_UNITS if unit in prices}
    fractions = [fraction for band in charges for fraction in band.values()]
    scale = lcm(*(fraction.denominator for fraction in [*fractions, *fees.values()]))
    bands = tuple(
        _band(prices, above, {unit: int(fraction * scale) for unit, fraction in band.items()}, uplift)
        for above, band in zip([0, *starts], charges, strict=True)
    )
    return Card(
        scale=scale,
        bands=bands,
        starts=tuple(starts),
        request_fee=int(fees.get("request", 0) * scale),
        web_search_fee=int(fees["web_search"] * scale) if "web_search" in fees else None,
    )


def half_even(numerator: int, denominator: int) -> int:
    """The quotient, rounded to the even neighbour when it lies in the middle."""
    quotient, rest = divmod(numerator, denominator)
    twice = 2 * rest
    return quotient + (twice > denominator or (twice == denominator and quotient & 1))


def _charges(prices: dict[str, Price], input_tokens: int, uplift: Fraction) -> dict[str, Fraction]:
    """Nano-USD per counted token of every unit, as differences, and the dearest rates."""
    rate = {
        unit: Fraction(price.at(input_tokens)) * _NANO_PER_TOKEN * uplift
        for unit, price in prices.items()
        if unit not in FEE_UNITS
    }
    plain = rate["input"]
    read = rate.get("cache_read", plain)
    write = rate.get("cache_write", plain)
    audio = rate.get("input_audio", plain)
    # Cached audio that has no rate of its own is dearest as audio, so that is what it is charged.
    cached_audio = rate.get("cache_audio_read", audio if "input_audio" in rate else read)
    output = rate.get("output", Fraction(0))
    return {
        "input": plain,
        "cache_read": read - plain,
        "cache_write": write - plain,
        "cache_write_1h": rate.get("cache_write_1h", write) - write,
        "input_audio": audio - plain,
        "cache_audio_read": cached_audio - read - audio + plain,
        "input_image": rate.get("input_image", plain) - plain,
        "output": output,
        "reasoning": rate.get("reasoning", output) - output,
        "output_audio": rate.get("output_audio", output) - output,
        "output_image": rate.get("output_image", output) - output,
        "dearest_input": max(rate[unit] for unit in (*INPUT_UNITS, *UNCOUNTED_INPUT) if unit in rate),
        **{_TEXT + asked: max(rate[unit] for unit in units if unit in rate) for asked, units in _TEXT_UNITS.items()},
        "dearest_media": max((rate[unit] for unit in _MEDIA_UNITS if unit in rate), default=Fraction(0)),
        "dearest_output": max(
            (rate[unit] for unit in (*OUTPUT_UNITS, *UNCOUNTED_OUTPUT) if unit in rate), default=Fraction(0)
        ),
    }


def _band(prices: dict[str, Price], above: int, charges: dict[str, int], uplift: Fraction) -> Band:
    return Band(
        above=above,
        **{unit: charges[unit] for unit in _PLAIN},
        more_input=_more(INPUT_UNITS, charges),
        more_output=_more(OUTPUT_UNITS, charges),
        dearest_input=charges["dearest_input"],
        dearest_output=charges["dearest_output"],
        dearest_text={asked: charges[_TEXT + asked] for asked in _TEXT_UNITS},
        dearest_media=charges["dearest_media"],
        rate=_readable(prices, above, uplift),
    )


def _more(units: dict[str, str], charges: dict[str, int]) -> tuple[tuple[str, int], ...]:
    return tuple((field, charges[unit]) for unit, field in units.items() if unit not in _PLAIN and charges[unit])


def _readable(prices: dict[str, Price], above: int, uplift: Fraction) -> str:
    """`input=2.5 output=10` in USD per million tokens; `above=200000` where a long context changed them."""
    input_tokens = above + 1 if above else 0
    rates = [f"{unit}={plain_decimal(prices[unit].at(input_tokens))}" for unit in shown_order(prices)]
    if above:
        rates.append(f"above={above}")
    if uplift != 1:
        rates.append(f"times={plain_decimal(Decimal(uplift.numerator) / Decimal(uplift.denominator))}")
    return " ".join(rates)


def shown_order(prices: dict[str, Price]) -> list[str]:
    """The units in the order people read them: input, output, then the rest."""
    return [unit for unit in ("input", "output") if unit in prices] + [
        unit for unit in prices if unit not in {"input", "output"}
    ]


def plain_decimal(number: Decimal) -> str:
    """`2.5`, never `2.50` or `1E+1`."""
    text = f"{number:f}"
    return text.rstrip("0").rstrip(".") if "." in text else text
