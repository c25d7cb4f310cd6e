"""Rate cards: one model's prices compiled to integers, so that a turn is a few exact multiplications.

Counts of a `Usage` are inclusive. What was read from a cache or written to one has a rate of its own; audio, images
and video are charged the difference between their rate and that of the text they are counted with.
Every card has a scale of its own: some published rates have 18 decimals, and none is rounded here.
"""

from __future__ import annotations

from bisect import bisect_left
from collections.abc import Collection
from decimal import Decimal
from fractions import Fraction
from math import lcm

import msgspec

from hivecost.events import Usage
from hivecost.pricing.offers import Price
from hivecost.pricing.units import FEE_UNITS, INPUT_UNITS, OUTPUT_UNITS, PIECE_UNITS, UNPRICED, is_for_tokens
from hivecost.prompts import CacheWrite

#: USD per million tokens to nano-USD per token, and USD per piece to nano-USD.
_NANO_PER_TOKEN = 1000
_NANO_PER_PIECE = 10**9

#: (unit of all tokens of the kind, unit of those of them that were read from a cache)
_INPUT_KINDS = (
    ("input_audio", "cache_audio_read"),
    ("input_image", "cache_image_read"),
    ("input_video", "cache_video_read"),
)
_OUTPUT_KINDS = ("output_audio", "output_image", "output_video", "output_citation")

#: What a token of text can be: by the cache writes that the request asks for, "" being none.
_TEXT_UNITS = {
    "": ("input", "cache_read"),
    "5m": ("input", "cache_read", "cache_write"),
    "1h": ("input", "cache_read", "cache_write", "cache_write_1h"),
}
#: With an amount of cache writes behind it, the name of the dearest rate.
_TEXT = "dearest_text_"

#: What a provider's own tools bill by the call.
_OF_TOOLS = ("web_search_requests", "file_search_calls", "code_containers")

#: What a turn costs, in nano-USD x scale: input, output and fees, then what of the input was read from a cache and
#: written to one, and what of the output was reasoning; last what is in doubt, "" for nothing. A tuple for its speed.
Amounts = tuple[int, int, int, int, int, int, str]


class InputKind(msgspec.Struct, frozen=True, gc=False):
    """Audio, images or video: what one token costs more than text, fresh and in a cache."""

    field: str
    charge: int
    cached_field: str
    cached_charge: int


class Band(msgspec.Struct, frozen=True, gc=False):
    """The rates of requests with more than `above` input tokens, in nano-USD x scale per token."""

    above: int
    #: Of what was neither read from a cache nor written to one.
    input: int
    cache_read: int
    cache_write: int
    #: On top of `cache_write`.
    cache_write_1h: int
    output: int
    reasoning: int
    input_kinds: tuple[InputKind, ...]
    #: (field, on top of `output`)
    output_kinds: tuple[tuple[str, int], ...]
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
    #: (field, nano-USD x scale for one)
    fees: tuple[tuple[str, int], ...]
    #: The counts that have no price here.
    unpriced: tuple[str, ...]
    #: Those of them that ordinary turns have.
    gaps: tuple[str, ...]
    #: False where only pieces have a price.
    has_tokens: bool = True

    def band(self, input_tokens: int) -> Band:
        """Return the band of a request: it is past every start that its input exceeds."""
        return self.bands[bisect_left(self.starts, input_tokens)]

    def amounts(self, usage: Usage, band: Band) -> Amounts:
        """Return what input, output and fees cost, never too little where kinds overlap and nobody reported how."""
        read, written, thoughts = usage.cache_read_tokens, usage.cache_write_tokens, usage.reasoning_tokens
        cached = read * band.cache_read
        writing = written * band.cache_write + usage.cache_write_1h_tokens * band.cache_write_1h if written else 0
        spent_in = (usage.input_tokens - read - written) * band.input + cached + writing
        reasoning = thoughts * band.reasoning
        spent_out = (usage.output_tokens - thoughts) * band.output + reasoning
        if not _is_ordinary(usage):
            return self._with_kinds(usage, band, (spent_in, spent_out, self.request_fee, cached, writing, reasoning))
        doubt = ""
        for field in self.gaps:
            if count := getattr(usage, field):
                said = _doubt(field, count)
                doubt = f"{doubt}; {said}" if doubt else said
        return spent_in, spent_out, self.request_fee, cached, writing, reasoning, doubt

    def _with_kinds(self, usage: Usage, band: Band, plain: tuple[int, ...]) -> Amounts:
        spent_in, spent_out, fees, cached, written, reasoning = plain
        spent_in, cached, doubled_in = _add_input_kinds(usage, band, spent_in, cached, written)
        spent_out, doubled_out = _add_output_kinds(usage, band, spent_out)
        fees += sum(getattr(usage, field) * fee for field, fee in self.fees)
        found = ((field, getattr(usage, field)) for field in self.unpriced)
        doubts = [_doubt(field, count) for field, count in found if count]
        for side, doubled in (("input", doubled_in), ("output", doubled_out)):
            if doubled > 0:
                doubts.append(f"{doubled:,} {side} tokens are of two kinds at once: charged as both")
        return spent_in, spent_out, fees, cached, written, min(reasoning, spent_out), "; ".join(doubts)

    def counts_pieces(self, usage: Usage) -> bool:
        """Tell whether this turn has something that is priced by the piece."""
        return any(getattr(usage, field) for field, _ in self.fees)

    def upper_bound(
        self,
        input_tokens: int,
        output_tokens: int,
        web_search_requests: int,
        cache_write: CacheWrite = "1h",
        *,
        is_text: bool = False,
        tool_calls: int = 0,
    ) -> int:
        """Return what no turn with at most these counts exceeds, in nano-USD, rounded up.

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
        most += self.request_fee
        if web_search_requests or tool_calls:
            fees = dict(self.fees)
            most += web_search_requests * fees.get("web_search_requests", 0)
            most += tool_calls * max(fees.get(field, 0) for field in _OF_TOOLS)
        return -(-most // self.scale)


def compile_card(
    prices: dict[str, Price], uplift: Fraction = Fraction(1), *, as_other: Collection[str] = ()
) -> Card | None:
    """Return the card of these prices, token rates times `uplift`; None when they price nothing that a `Usage` counts.

    `as_other` are units that have no rate because they cost what other tokens of their side do.
    """
    if not any(unit in prices for unit in ("input", *PIECE_UNITS)):
        return None
    starts = sorted({above for price in prices.values() for above, _ in price.tiers})
    rates = [_rates(prices, above, uplift) for above in [0, *(start + 1 for start in starts)]]
    fees = {unit: Fraction(prices[unit].base) * _NANO_PER_PIECE for unit in FEE_UNITS if unit in prices}
    fees = {unit: fee * PIECE_UNITS[unit][1] if unit in PIECE_UNITS else fee for unit, fee in fees.items()}
    fractions = [fraction for band in rates for fraction in band.values()]
    scale = lcm(*(fraction.denominator for fraction in [*fractions, *fees.values()]))
    unpriced = _unpriced(prices, as_other)
    return Card(
        scale=scale,
        bands=tuple(
            _band(prices, above, {unit: int(fraction * scale) for unit, fraction in band.items()}, uplift)
            for above, band in zip([0, *starts], rates, strict=True)
        ),
        starts=tuple(starts),
        request_fee=int(fees.pop("request", 0) * scale),
        fees=tuple((PIECE_UNITS[unit][0], int(fee * scale)) for unit, fee in fees.items()),
        unpriced=unpriced,
        gaps=tuple(field for field in unpriced if field in _ORDINARY),
        has_tokens="input" in prices,
    )


def half_even(numerator: int, denominator: int) -> int:
    """Return the quotient, rounded to the even neighbour when it lies in the middle."""
    quotient, rest = divmod(numerator, denominator)
    twice = 2 * rest
    return quotient + (twice > denominator or (twice == denominator and quotient & 1))


#: What the short way prices; a turn with any other count takes the long one.
_ORDINARY = ("output_tokens", "cache_read_tokens", "cache_write_tokens", "cache_write_1h_tokens")


def _is_ordinary(usage: Usage) -> bool:
    """Tell whether nothing is counted but text, what a cache did with it, and reasoning."""
    return not (
        usage.input_audio_tokens
        or usage.output_audio_tokens
        or usage.cache_audio_read_tokens
        or usage.input_image_tokens
        or usage.output_image_tokens
        or usage.web_search_requests
        or usage.citation_tokens
        or usage.input_video_tokens
        or usage.output_video_tokens
        or usage.cache_image_read_tokens
        or usage.cache_video_read_tokens
        or usage.audio_seconds
        or usage.pages
        or usage.search_units
        or usage.file_search_calls
        or usage.code_containers
    )


_CHARGED_AS = {field: f"{noun}: {charged}" for field, (noun, charged) in UNPRICED.items()}


def _doubt(field: str, count: int) -> str:
    """Say of a count that has no price how it is charged, or that it is not."""
    return f"no price is known for {count} {_CHARGED_AS[field]}"


def _add_input_kinds(usage: Usage, band: Band, spent: int, cached: int, written: int) -> tuple[int, int, int]:
    """Return the cost of the input with its kinds, the part read from a cache, and how many tokens are of two kinds."""
    fresh_of_kind = cached_of_kind = 0
    for kind in band.input_kinds:
        in_cache = getattr(usage, kind.cached_field)
        fresh = max(getattr(usage, kind.field) - in_cache, 0)
        spent += fresh * kind.charge + in_cache * kind.cached_charge
        cached += in_cache * kind.cached_charge
        fresh_of_kind += fresh
        cached_of_kind += in_cache
    fresh_text = usage.input_tokens - usage.cache_read_tokens - usage.cache_write_tokens
    doubled = max(fresh_of_kind - fresh_text, 0) + max(cached_of_kind - usage.cache_read_tokens, 0)
    if doubled:
        spent = min(spent + doubled * band.input, usage.input_tokens * band.dearest_input)
    return spent, min(cached, spent - written), doubled


def _add_output_kinds(usage: Usage, band: Band, spent: int) -> tuple[int, int]:
    """Return the cost of the output with its kinds, and how many of its tokens are of two kinds."""
    of_kind = usage.reasoning_tokens if band.reasoning != band.output else 0
    for field, charge in band.output_kinds:
        count = getattr(usage, field)
        spent += count * charge
        of_kind += count
    doubled = max(of_kind - usage.output_tokens, 0)
    if doubled:
        spent = min(spent + doubled * band.output, usage.output_tokens * band.dearest_output)
    return spent, doubled


def _unpriced(prices: dict[str, Price], as_other: Collection[str]) -> tuple[str, ...]:
    """Return the counts that a turn may have and these prices do not cover."""
    pieces = [field for unit, (field, _) in PIECE_UNITS.items() if unit not in prices]
    if "input" not in prices or not any(price.base or price.tiers for price in _of_tokens(prices).values()):
        return tuple(pieces)  # where all tokens are free, so is each kind of them
    missing = [
        (unit, field)
        for unit, field in (INPUT_UNITS | OUTPUT_UNITS).items()
        if unit not in prices and unit not in as_other and unit not in {"input", "reasoning"}
    ]
    units = {unit for unit, _ in missing}
    if "cache_write" in units:
        units.discard("cache_write_1h")
    for kind, in_cache in _INPUT_KINDS:
        if kind not in prices:  # what has no price at all is named once
            units.discard(in_cache)
    return (*(field for unit, field in missing if unit in units), *pieces)


def _of_tokens(prices: dict[str, Price]) -> dict[str, Price]:
    return {unit: price for unit, price in prices.items() if is_for_tokens(unit)}


def _rates(prices: dict[str, Price], input_tokens: int, uplift: Fraction) -> dict[str, Fraction]:
    """Return nano-USD per token of every unit, kinds as differences, and the dearest rates."""
    rate = {
        unit: Fraction(price.at(input_tokens)) * _NANO_PER_TOKEN * uplift for unit, price in _of_tokens(prices).items()
    }
    plain, output = rate.get("input", Fraction(0)), rate.get("output", Fraction(0))
    read = rate.get("cache_read", plain)
    write = rate.get("cache_write", plain)
    found = {
        "input": plain,
        "cache_read": read,
        "cache_write": write,
        "cache_write_1h": rate.get("cache_write_1h", write) - write,
        "output": output,
        "reasoning": rate.get("reasoning", output),
        "dearest_input": max((rate[unit] for unit in rate if not _is_output(unit)), default=plain),
        **{_TEXT + asked: max(rate.get(unit, plain) for unit in units) for asked, units in _TEXT_UNITS.items()},
        "dearest_media": max((rate[unit] for unit in rate if _is_media(unit)), default=Fraction(0)),
        "dearest_output": max((rate[unit] for unit in rate if _is_output(unit)), default=output),
    }
    for unit, cached_unit in _INPUT_KINDS:
        kind = rate.get(unit, plain)
        # What a cache holds of a kind and has no rate of its own is dearest as that kind.
        found[unit] = kind - plain
        found[cached_unit] = rate.get(cached_unit, kind if unit in rate else read) - read
    return found | {unit: rate.get(unit, output) - output for unit in _OUTPUT_KINDS}


def _is_output(unit: str) -> bool:
    return unit in OUTPUT_UNITS or unit.startswith("output")


def _is_media(unit: str) -> bool:
    return not _is_output(unit) and unit not in _TEXT_UNITS["1h"]


def _band(prices: dict[str, Price], above: int, rates: dict[str, int], uplift: Fraction) -> Band:
    kinds = (
        InputKind(INPUT_UNITS[unit], rates[unit], INPUT_UNITS[cached_unit], rates[cached_unit])
        for unit, cached_unit in _INPUT_KINDS
    )
    return Band(
        above=above,
        input=rates["input"],
        cache_read=rates["cache_read"],
        cache_write=rates["cache_write"],
        cache_write_1h=rates["cache_write_1h"],
        output=rates["output"],
        reasoning=rates["reasoning"],
        input_kinds=tuple(kind for kind in kinds if kind.charge or kind.cached_charge),
        output_kinds=tuple((OUTPUT_UNITS[unit], rates[unit]) for unit in _OUTPUT_KINDS if rates[unit]),
        dearest_input=rates["dearest_input"],
        dearest_output=rates["dearest_output"],
        dearest_text={asked: rates[_TEXT + asked] for asked in _TEXT_UNITS},
        dearest_media=rates["dearest_media"],
        rate=_readable(prices, above, uplift),
    )


def _readable(prices: dict[str, Price], above: int, uplift: Fraction) -> str:
    """Return `input=2.5 output=10` in USD per million tokens, with `above=200000` for a long context's rates."""
    input_tokens = above + 1 if above else 0
    rates = [f"{unit}={plain_decimal(prices[unit].at(input_tokens))}" for unit in shown_order(prices)]
    if above:
        rates.append(f"above={above}")
    if uplift != 1:
        rates.append(f"times={plain_decimal(Decimal(uplift.numerator) / Decimal(uplift.denominator))}")
    return " ".join(rates)


def shown_order(prices: dict[str, Price]) -> list[str]:
    """Return the units in the order people read them: input, output, then the rest."""
    return [unit for unit in ("input", "output") if unit in prices] + [
        unit for unit in prices if unit not in {"input", "output"}
    ]


def plain_decimal(number: Decimal) -> str:
    """Return `2.5`, never `2.50` or `1E+1`."""
    text = f"{number:f}"
    return text.rstrip("0").rstrip(".") if "." in text else text
