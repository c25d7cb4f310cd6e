"""Who spends: flat attributes, taken from a turn after the call or from a request before it."""

from __future__ import annotations

from collections.abc import Callable, Hashable, Sequence
from functools import lru_cache
from operator import attrgetter
from typing import Final

from hivecost.events import LLMTurnComplete
from hivecost.plugin import TurnRequest

#: Attribute → the field it is read from. Any other attribute is a tag.
_FIELDS: Final = {
    "org": "org_id",
    "user": "user_id",
    "agent": "agent_id",
    "task": "task_id",
    "node": "node_id",
    "model": "model",
    "provider": "provider",
    "session": "session_id",
    "execution": "execution_id",
}
_read: Final = attrgetter(*_FIELDS.values())

#: The attributes that every turn may have; tags come on top and never take these names.
ATTRIBUTES: Final = tuple(_FIELDS)


def attribution(source: LLMTurnComplete | TurnRequest) -> dict[str, str]:
    """The attributes that are set, such as `{"user": "ada", "model": "gpt-4o", "customer": "acme"}`.

    A tag that is called like a fixed attribute is left out: nobody moves spend to another account with a tag.
    """
    found = _named(_read(source)).copy()
    for name, tag in source.tags.items():
        if name not in _FIELDS:
            found[name] = tag
    return found


def key_reader(attributes: Sequence[str]) -> Callable[[LLMTurnComplete], Hashable]:
    """Gives the same for turns that agree in these attributes, and only for them; quick if none of them is a tag."""
    fields = [_FIELDS[name] for name in attributes if name in _FIELDS]
    if len(fields) < len(attributes) or not fields:
        return lambda turn: tuple(map(attribution(turn).get, attributes))
    return attrgetter(*fields)


@lru_cache(maxsize=4_096)
def _named(values: tuple[str, ...]) -> dict[str, str]:
    """Remembered, because one execution takes many turns."""
    return {name: value for name, value in zip(ATTRIBUTES, values, strict=True) if value}
