"""Who spends: flat attributes, taken from an event after the call or from a request before it."""

from __future__ import annotations

from typing import Final

from hivecost.events import Event
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

#: The attributes that every turn may have; tags come on top and never take these names.
ATTRIBUTES: Final = tuple(_FIELDS)


def attribution(source: Event | TurnRequest) -> dict[str, str]:
    """The attributes that are set, such as `{"user": "ada", "model": "gpt-4o", "customer": "acme"}`.

    A tag that is called like a fixed attribute is left out: nobody moves spend to another account with a tag.
    """
    found = {name: tag for name, tag in source.tags.items() if name not in _FIELDS}
    for name, field in _FIELDS.items():
        value = getattr(source, field, "")
        if value:
            found[name] = value
    return found
