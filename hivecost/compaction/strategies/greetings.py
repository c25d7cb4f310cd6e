"""The assistant's words that say nothing go."""

from __future__ import annotations

from typing import Final

from hivecost.compaction.draft import Draft
from hivecost.compaction.grouping import Unit
from hivecost.compaction.pins import Pins

_GREETINGS: Final = frozenset({"hi", "hello", "thanks", "okay", "sure", "got it"})


def drop_greetings(draft: Draft, pins: Pins) -> None:
    """Take out each message of the assistant's that is a greeting and no more; the user's own always stay."""
    broken = {unit[0] for unit in pins.broken}
    last = len(draft.conversation.entries) - 1
    for unit in draft.left(draft.units, without=pins.firm):
        if draft.is_small:
            return
        is_before_broken = unit[-1] + 1 in broken  # which might be taken for what is before this one
        if unit[-1] != last and _is_greeting(draft, unit) and not is_before_broken:
            draft.remove((unit,))


def _is_greeting(draft: Draft, unit: Unit) -> bool:
    entries = [draft.conversation.entries[index] for index in unit]
    if any(entry.kind != "assistant" or entry.calls or entry.is_opaque for entry in entries):
        return False
    texts = [text for index in unit for text in draft.shape.texts(draft.message(index))]
    return len(texts) == 1 and texts[0].strip().lower() in _GREETINGS
