"""Messages that live or die together."""

from __future__ import annotations

from collections.abc import Sequence
from typing import Any

from hivecost.compaction.reading import Conversation, ShapeName, read_conversation

#: The indices of its messages, in order.
Unit = tuple[int, ...]


def units(messages: Sequence[Any], shape: ShapeName) -> tuple[Unit, ...]:
    """Return the indices of messages that live or die together, each index once, by the first of each unit.

    A message with calls is one with all its results; what an answer of the Responses API brought is one, with the
    results of its calls; a batch that is running is one to the end. Whatever has no partner is by itself. Raise
    ConfigError for a shape that nobody knows.
    """
    return units_of(read_conversation(messages, shape))


def units_of(conversation: Conversation) -> tuple[Unit, ...]:
    """Return the units of a conversation that was read."""
    count, pairing = len(conversation.entries), conversation.pairing
    unit_of = [[index] for index in range(count)]
    running_from = count if pairing.running_from is None else pairing.running_from
    for one, other in (*pairing.bonds, *((running_from, index) for index in range(running_from + 1, count))):
        joined, added = unit_of[one], unit_of[other]
        if joined is not added:
            joined += added
            for index in added:
                unit_of[index] = joined
    return tuple({id(unit): tuple(sorted(unit)) for unit in unit_of}.values())
