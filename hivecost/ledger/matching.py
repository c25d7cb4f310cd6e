"""Which turns a budget counts: those whose attributes have the values that it names."""

from __future__ import annotations

from collections.abc import Callable, Mapping, Sequence
from fnmatch import fnmatchcase
from functools import lru_cache

from hivecost.attribute_names import PATTERNED
from hivecost.attribution import Attributes
from hivecost.ledger.attributes import names_of
from hivecost.model_names import general_names

#: Whether a turn with these attributes counts.
Matches = Callable[[Attributes], bool]


def matcher(match: Mapping[str, Sequence[str]]) -> Matches:
    """Return a test of attributes: each of those in `match` must have one of its values.

    A model matches by any of its names, a date, a host and a region left out or not, and by patterns of them; so does a
    provider. What a turn does not say, it does not match.
    """
    plain = [(name, frozenset(values)) for name, values in match.items() if name not in PATTERNED]
    patterned = [(name, tuple(values)) for name, values in match.items() if name in PATTERNED]
    if not match:
        return _matches_all
    if not patterned:
        return lambda attributes: all(attributes.get(name) in values for name, values in plain)

    def matches(attributes: Attributes) -> bool:
        if not all(attributes.get(name) in values for name, values in plain):
            return False
        provider = attributes.get("provider", "")
        return all(_is_named(tuple(names_of(attributes, name)), provider, values) for name, values in patterned)

    return matches


def _matches_all(_: Attributes) -> bool:
    return True


@lru_cache(maxsize=4_096)
def _is_named(names: tuple[str, ...], provider: str, values: tuple[str, ...]) -> bool:
    every = {general for name in names for general in general_names(name)}
    if provider:
        every |= {f"{provider.lower()}/{name}" for name in every}
    return any(fnmatchcase(name, value.strip().lower()) for value in values for name in every)
