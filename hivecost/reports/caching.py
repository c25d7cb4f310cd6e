"""What the provider's cache saved, by the rates that the turns were priced with."""

from __future__ import annotations

from collections import defaultdict
from collections.abc import Iterable, Sequence
from decimal import Decimal
from fractions import Fraction
from typing import Final

import msgspec

from hivecost.ledger.amounts import format_exactly
from hivecost.log.steps import Step

#: USD per million tokens to nano-USD per token.
_NANO_PER_TOKEN: Final = 1000


class CachingLine(msgspec.Struct, frozen=True, kw_only=True):
    """The calls to one model at one rate that used its cache."""

    model: str
    calls: int
    read_tokens: int
    write_tokens: int
    #: Against the uncached input rate; negative when writing cost more than reading saved.
    saved_nanousd: int
    arithmetic: str


def caching_lines(steps: Iterable[Step]) -> list[CachingLine]:
    """Return the savings of caching by model and rate, the largest first.

    Calls whose rate is unknown are left out, because nobody can tell what they saved.
    """
    groups: dict[tuple[str, str], list[Step]] = defaultdict(list)
    for step in steps:
        if step.cache_read_tokens or step.cache_write_tokens:
            groups[step.counted_model, step.rate].append(step)
    lines = [_line(model, usd, group) for (model, rate), group in groups.items() if "input" in (usd := _rates(rate))]
    return sorted(lines, key=lambda line: -line.saved_nanousd)


def _rates(rate: str) -> dict[str, Decimal]:
    """Return `input=2.5 output=10` by unit; empty when somebody else wrote it in another form."""
    try:
        return {unit: Decimal(amount) for unit, amount in (pair.split("=", 1) for pair in rate.split())}
    except (ValueError, ArithmeticError):
        return {}


def _line(model: str, usd: dict[str, Decimal], steps: Sequence[Step]) -> CachingLine:
    plain = usd["input"]
    read, write = usd.get("cache_read", plain), usd.get("cache_write", plain)
    write_1h, audio = usd.get("cache_write_1h", write), usd.get("input_audio", plain)
    cached_audio = usd.get("cache_audio_read", audio if "input_audio" in usd else read)
    long_writes = sum(step.cache_write_1h_tokens for step in steps)
    heard = sum(step.cache_audio_read_tokens for step in steps)
    parts = [
        (sum(step.cache_read_tokens for step in steps) - heard, plain, read, "read"),
        (heard, audio, cached_audio, "audio read"),
        (sum(step.cache_write_tokens for step in steps) - long_writes, plain, write, "written"),
        (long_writes, plain, write_1h, "written for an hour"),
    ]
    saved = sum((tokens * Fraction(whole - cached) for tokens, whole, cached, _ in parts), Fraction(0))
    saved_nanousd = round(saved * _NANO_PER_TOKEN * Fraction(usd.get("times", Decimal(1))))
    terms = [f"{tokens:,} {word} x (${whole} - ${cached})" for tokens, whole, cached, word in parts if tokens]
    times = f" x {usd['times']}" if "times" in usd else ""
    return CachingLine(
        model=model,
        calls=len(steps),
        read_tokens=sum(step.cache_read_tokens for step in steps),
        write_tokens=sum(step.cache_write_tokens for step in steps),
        saved_nanousd=saved_nanousd,
        arithmetic=f"({' + '.join(terms)}) / 1M{times} = {_usd(saved_nanousd)}",
    )


def _usd(nanousd: int) -> str:
    """Return the amount in full: what is worked out before the reader's eyes adds up to the last digit."""
    return format_exactly(nanousd, "usd")
