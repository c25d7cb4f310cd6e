"""The words of budgets, reports and the command line for whose a turn is, and the fields that say so."""

from collections.abc import Iterable
from typing import Final

#: Word → field of an Attribution, of events and of requests, argument of `trigger`, column of the log.
FIELD_OF: Final = {
    "agent": "agent_id",
    "user": "user_id",
    "org": "org_id",
    "session": "session_id",
    "execution": "execution_id",
    "node": "node_id",
    "task": "task_id",
}
ATTRIBUTION_FIELDS: Final = tuple(FIELD_OF.values())
#: What every turn may have, by these words; tags come on top and never take these names.
ATTRIBUTES: Final = ("model", "provider", *FIELD_OF)
#: Further names of the model and of the provider: an account is that of `model` and `provider`, and a budget matches
#: any of them.
OTHER_NAMES: Final = {"model": ("asked_model", "answered_model"), "provider": ("asked_provider",)}
#: What goes by several names, in any case, and may be asked for by a pattern.
PATTERNED: Final = OTHER_NAMES.keys()
#: What no tag may be called.
RESERVED: Final = frozenset((*ATTRIBUTES, *(name for names in OTHER_NAMES.values() for name in names)))


def fields_of(attributes: Iterable[str]) -> dict[str, str]:
    """Return the field of each of these attributes; a model and a provider are called what they are."""
    return {name: FIELD_OF.get(name, name) for name in attributes}
