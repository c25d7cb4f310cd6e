"""Limits of a part of a run, in memory only: what a block or a sub-agent may spend."""

from __future__ import annotations

from collections.abc import Collection, Iterable, Mapping, Sequence
from fractions import Fraction
from math import ceil
from typing import Final, Literal

import msgspec

from hivecost.errors import ConfigError
from hivecost.ledger.account import ThresholdCrossing
from hivecost.ledger.amounts import Unit, parse_amount, parse_limit
from hivecost.ledger.hold import HoldState, Refusal

CapMode = Literal["hard", "observe"]

#: The fraction of its limit at which a cap warns, once.
WARN_AT: Final = Fraction(9, 10)
#: The window of a cap, as events and refusals name it: it has no other end than its block's.
_PERIOD: Final = "execution"


class Cap(msgspec.Struct, eq=False):
    """A limit and what is charged on it; `observe` warns, and refuses nothing."""

    name: str
    unit: Unit
    limit: int
    mode: CapMode = "hard"
    settled: int = 0
    held: int = 0
    in_doubt: int = 0
    has_warned: bool = False
    has_exceeded: bool = False

    @property
    def remaining(self) -> int:
        """What may still be held; never below zero."""
        return max(0, self.limit - self.settled - self.held - self.in_doubt)


class CapHold(msgspec.Struct, eq=False, gc=False):
    """What is set aside on some caps for one turn."""

    caps: tuple[Cap, ...]
    amounts: dict[Unit, int]
    state: HoldState = "held"
    #: What bills that are known took of the amounts.
    used: dict[Unit, int] = msgspec.field(default_factory=dict)


def new_cap(name: str, limit: object, *, mode: str = "hard") -> Cap:
    """Return a cap of `"$0.20"`, `"10_000 tokens"` or `"5 calls"`. Raise ConfigError, naming it, for anything else."""
    if mode not in ("hard", "observe"):
        raise ConfigError(f"{name}: mode", "'hard' or 'observe'", got=mode)
    _, unit = parse_limit(limit, "", key=f"{name}: limit")
    amount = parse_amount(limit, "", key=f"{name}: limit")
    return Cap(name, unit, amount, "hard" if mode == "hard" else "observe")


def reserve_on_caps(caps: Sequence[Cap], amounts: Mapping[Unit, int]) -> CapHold | Refusal:
    """Set the amounts aside on all caps, or on none: then why not, of several the refusal that lasts longest."""
    refusals = _refusals(caps, amounts, own={})
    if refusals:
        return max(refusals, key=lambda refusal: refusal.kind == "exhausted")
    for cap in caps:
        cap.held += amounts[cap.unit]
    return CapHold(tuple(caps), dict(amounts))


def extend_on_caps(hold: CapHold, amounts: Mapping[Unit, int]) -> Refusal | None:
    """Set at least these amounts aside; return the refusal where that cannot be, None when they are."""
    more = {unit: max(0, amount - hold.amounts.get(unit, 0)) for unit, amount in amounts.items()}
    refusals = _refusals(hold.caps, more, own=hold.amounts)
    if hold.state != "held" or refusals:
        return refusals[0] if refusals else None
    for cap in hold.caps:
        cap.held += more[cap.unit]
    hold.amounts = {unit: hold.amounts.get(unit, 0) + more.get(unit, 0) for unit in {**hold.amounts, **more}}
    return None


def settle_on_caps(hold: CapHold, used: Mapping[Unit, int]) -> list[ThresholdCrossing]:
    """Charge what is known, give the rest of that back, and leave the other units in doubt at what was held.

    Gives each cap's warning, and its limit once it is passed, each once. A bill above its hold is charged in full:
    nothing is left then. What was in doubt is charged once it is known.
    """
    if hold.state == "released":
        return []
    was_held, hold.state = hold.state == "held", "settled"
    news = {unit: amount for unit, amount in used.items() if unit not in hold.used}
    hold.used |= news
    crossings: list[ThresholdCrossing] = []
    for cap in hold.caps:
        held = hold.amounts[cap.unit]
        if was_held:
            cap.held -= held
            cap.in_doubt += held
        if cap.unit in news:
            cap.in_doubt -= held
            cap.settled += news[cap.unit]
            crossings += _crossings(cap)
    return crossings


def settle_another_on_caps(
    hold: CapHold, used: Mapping[Unit, int], unknown: Collection[Unit] = ()
) -> Iterable[ThresholdCrossing]:
    """Charge one more answer in full, once the first one is settled: what the hold had left was given back.

    In the units of which the bill is not known for sure, what is left after it is in doubt, as far as the cap has room.
    """
    before = hold.used
    hold.used = {unit: before.get(unit, 0) + amount for unit, amount in used.items()}
    left = {unit: max(0, amount - hold.used.get(unit, 0)) for unit, amount in hold.amounts.items()}
    hold.used |= {unit: hold.used.get(unit, 0) + left[unit] for unit in unknown if unit in left}
    for cap in hold.caps:
        cap.settled += used[cap.unit]
        if cap.unit in unknown and hold.state != "released":
            cap.in_doubt += min(left[cap.unit], cap.remaining)
        yield from _crossings(cap)


def release_on_caps(hold: CapHold) -> None:
    """Give all of the hold back, because nothing was sent."""
    if hold.state == "held":
        hold.state = "released"
        for cap in hold.caps:
            cap.held -= hold.amounts[cap.unit]


def _refusals(caps: Iterable[Cap], amounts: Mapping[Unit, int], own: Mapping[Unit, int]) -> list[Refusal]:
    return [
        _refusal(cap, amounts[cap.unit], own.get(cap.unit, 0))
        for cap in caps
        if cap.mode == "hard" and amounts[cap.unit] > cap.remaining
    ]


def _refusal(cap: Cap, needed: int, own: int) -> Refusal:
    """Return the refusal of so much more than the `own` hold."""
    fits_once_others_settle = needed <= cap.limit - cap.settled - cap.in_doubt - own
    return Refusal(
        kind="busy" if fits_once_others_settle else "exhausted",
        budget=cap.name,
        scope="",
        period=_PERIOD,
        unit=cap.unit,
        needed=needed,
        remaining=cap.remaining,
        limit=cap.limit,
    )


def _crossings(cap: Cap) -> Iterable[ThresholdCrossing]:
    exceeded = cap.settled > cap.limit
    if cap.has_exceeded or (not exceeded and (cap.has_warned or cap.settled < ceil(WARN_AT * cap.limit))):
        return
    cap.has_warned, cap.has_exceeded = True, exceeded
    yield ThresholdCrossing(
        budget=cap.name,
        scope="",
        period=_PERIOD,
        unit=cap.unit,
        used=cap.settled,
        limit=cap.limit,
        fraction=1.0 if exceeded else float(WARN_AT),
        exceeded=exceeded,
    )
