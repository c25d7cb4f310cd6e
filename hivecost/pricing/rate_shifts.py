"""What a new price table does to the models that the one in use prices: free, gone, or many times dearer or cheaper."""

from __future__ import annotations

from collections.abc import Iterator, Sequence
from typing import Any, Final, Literal

import msgspec

from hivecost.events import Usage
from hivecost.money import format_usd
from hivecost.plain_text import printable
from hivecost.pricing.book import PriceBook
from hivecost.pricing.names import FIRST_PARTIES
from hivecost.pricing.offers import DAY_NS, Offer

#: A price that moved by more than this, up or down, is worth a look before it is used.
SHIFT_FACTOR: Final = 3

_MILLION: Final = 10**6
_TOKENS: Final = 100_000
#: One kind of token each, so that a price that moved is not hidden behind one that did not; and a long context.
_SAMPLES: Final = {
    "input": Usage(_TOKENS),
    "output": Usage(0, _TOKENS),
    "cache_read": Usage(_TOKENS, cache_read_tokens=_TOKENS),
    "cache_write": Usage(_TOKENS, cache_write_tokens=_TOKENS),
    "cache_write_1h": Usage(_TOKENS, cache_write_tokens=_TOKENS, cache_write_1h_tokens=_TOKENS),
    "reasoning": Usage(0, _TOKENS, reasoning_tokens=_TOKENS),
    "input_audio": Usage(_TOKENS, input_audio_tokens=_TOKENS),
    "output_audio": Usage(0, _TOKENS, output_audio_tokens=_TOKENS),
    "input_image": Usage(_TOKENS, input_image_tokens=_TOKENS),
    "output_image": Usage(0, _TOKENS, output_image_tokens=_TOKENS),
    "long input": Usage(2 * _MILLION),
    "long output": Usage(2 * _MILLION, _MILLION),
    "web_search": Usage(web_search_requests=_TOKENS),
}
_Kind = Literal["free", "lost", "changed"]
#: The gravest first.
_KINDS: Final[tuple[_Kind, ...]] = ("free", "lost", "changed")


class RateShift(msgspec.Struct, frozen=True, kw_only=True):
    """The gravest of what a new table changes for one model: what turns of one kind of tokens cost there."""

    #: "" is how the name is found when no provider is named.
    provider: str
    model: str
    kind: _Kind
    #: The kind of tokens, with the service tier where it is not the standard one.
    unit: str
    #: What the same turn costs in nano-USD; None: it has no price.
    before: int
    after: int | None

    def __str__(self) -> str:
        name = f"{self.provider} {self.model}".strip()
        before = f"it was {format_usd(self.before)} for the same turn"
        if self.after is None:
            return printable(f"{name}: {self.unit} has no price any more, {before}")
        now = "is free" if self.kind == "free" else f"is {format_usd(self.after)}"
        return printable(f"{name}: {self.unit} {now}, {before}")


def rate_shifts(before: PriceBook, after: PriceBook, *, at_ns: int) -> list[RateShift]:
    """Return the models whose price the new table takes away, or moves more than threefold, now or later.

    The gravest comes first. All names that either table lists or spells out are looked at, because a table may also
    lead a name elsewhere.
    """
    names = sorted(set(_names(before)) | set(_names(after)))
    by_name = (list(_shifts(before, after, *name, at_ns)) for name in names)
    found = sorted((min(shifts, key=_gravity) for shifts in by_name if shifts), key=_gravity)
    named = {shift.model for shift in found if shift.provider}
    return [shift for shift in found if shift.provider or shift.model not in named]


def _names(book: PriceBook) -> Iterator[tuple[str, str]]:
    for provider, model in book.names():
        yield provider, model
        if provider in FIRST_PARTIES:
            yield "", model


def _shifts(before: PriceBook, after: PriceBook, provider: str, model: str, at_ns: int) -> Iterator[RateShift]:
    old_offers, new_offers = before.offers(model, provider=provider), after.offers(model, provider=provider)
    if old_offers == new_offers or not old_offers:
        return
    if not new_offers:
        old = before.price(model, _SAMPLES["input"], provider=provider, at_ns=at_ns).nanousd
        if old is not None:
            yield RateShift(provider=provider, model=model, kind="lost", unit="input", before=old, after=None)
        return
    for instant, tier in _moments((*old_offers, *new_offers), at_ns):
        terms: dict[str, Any] = {"provider": provider, "at_ns": instant, "service_tier": tier}
        for unit, usage in _SAMPLES.items():
            old = before.price(model, usage, **terms).nanousd
            new = after.price(model, usage, **terms).nanousd
            kind = _kind(old, new)
            if old is not None and kind is not None:
                named = f"{unit} ({tier})" if tier else unit
                yield RateShift(provider=provider, model=model, kind=kind, unit=named, before=old, after=new)


def _moments(offers: Sequence[Offer], at_ns: int) -> Iterator[tuple[int, str]]:
    """Yield now and each later time at which one of the offers begins or ends, with every tier there is."""
    week = range(at_ns, at_ns + 8 * DAY_NS, DAY_NS)  # an offer may be for some hours, on some days
    borders = {border for offer in offers for day in week for border in offer.validity.borders(day) if border > at_ns}
    tiers = dict.fromkeys(("", *(offer.tier for offer in offers)))
    for instant in (at_ns, *sorted(borders)):
        yield from ((instant, tier) for tier in tiers)


def _kind(before: int | None, after: int | None) -> _Kind | None:
    if not before:
        return None
    if after is None:
        return "lost"
    if not after:
        return "free"
    return "changed" if after > before * SHIFT_FACTOR or before > after * SHIFT_FACTOR else None


def _gravity(shift: RateShift) -> tuple[int, float]:
    ratio = shift.before / shift.after if shift.after else 0.0
    return _KINDS.index(shift.kind), -max(ratio, 1 / ratio) if ratio else 0.0
