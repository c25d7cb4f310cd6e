"""What is said of a turn's model and host, and the rates that were found for it."""

from __future__ import annotations

from collections.abc import Callable
from typing import NamedTuple

from hivecost.pricing.offers import ModelRates


class ModelName(NamedTuple):
    """What a name means to a price book; "" is what it does not know."""

    provider: str
    model: str


class Asked(NamedTuple):
    """All that names a turn's model and host: what was asked for, what the answer says, and what it hints at."""

    model: str
    provider: str = ""
    answered: str = ""
    #: The provider that the answer names, or shows itself to be of.
    answering: str = ""
    hint: str = ""


class Placement(NamedTuple):
    """The rates that price a turn."""

    name: ModelName
    #: The user's own, which win where they apply.
    own: tuple[ModelRates, ...] = ()
    #: The shipped ones: of the host, or of every host that it may be.
    shipped: tuple[ModelRates, ...] = ()
    #: Gives those of later versions, which the name may come to mean before anybody tells us: only a bound asks.
    later: Callable[[], tuple[ModelRates, ...]] = tuple
    #: What is in doubt about the rate.
    doubt: str = ""
    #: Why nobody can tell the host; "" where it is known.
    unknown_host: str = ""
    #: Why there is no price.
    missing: str = ""
