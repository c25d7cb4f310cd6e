"""What of a conversation may never go, and what should not."""

from __future__ import annotations

import msgspec

from hivecost.compaction.draft import Draft
from hivecost.compaction.grouping import Unit


class Pins(msgspec.Struct, frozen=True):
    """Units that stay, by how firmly."""

    #: What may never go: system messages, the user's last words, what is running, thinking of the turn that is
    #: running, what the provider compacted, results that are the newest; the newest unit where that is nothing.
    firm: frozenset[Unit]
    #: What goes only where there is no room for it, the first of these first: the prefix that the caller marked for the
    #: cache, earlier summaries, the user's first message, the newest message.
    loose: tuple[Unit, ...]
    summaries: frozenset[Unit]
    #: Units that a provider would refuse: they go whole, or stay as they are.
    broken: frozenset[Unit]


def find_pins(draft: Draft) -> Pins:
    """Return what stays."""
    entries, pairing = draft.conversation.entries, draft.conversation.pairing
    unit_of = {index: unit for unit in draft.units for index in unit}
    broken = frozenset(unit_of[index] for index, _ in (*pairing.orphans, *pairing.unanswered))
    words = [index for index, entry in enumerate(entries) if entry.has_words]
    last_words = words[-1] if words else -1
    firm = {
        unit_of[index]
        for index, entry in enumerate(entries)
        if entry.kind == "system" or entry.is_opaque or (entry.is_thinking and index > last_words)
    }
    # The last of these may have said nothing.
    spoken = [i for i, entry in enumerate(entries) if entry.kind == "user" and not (entry.answers or entry.is_summary)]
    firm |= {unit_of[index] for index in (*words[-1:], *spoken[-1:])}
    if pairing.running_from is not None:
        firm.add(unit_of[pairing.running_from])
    newest = [unit for unit in draft.units if unit[-1] == len(entries) - 1 and unit not in broken]
    firm.update(unit for unit in newest if any(entries[index].answers for index in unit))
    if draft.shape.begins_with_user:
        firm.update(_beginning(draft, firm))
    if not firm:  # an empty conversation is one that every provider refuses
        firm.update(([unit for unit in draft.units if unit not in broken] or draft.units)[-1:])
    summaries = [unit_of[index] for index, entry in enumerate(entries) if entry.is_summary]
    loose = dict.fromkeys((*_marked_prefix(draft), *summaries, *(unit_of[index] for index in words[:1]), *newest))
    return Pins(frozenset(firm), tuple(unit for unit in loose if unit not in firm), frozenset(summaries) - firm, broken)


def _beginning(draft: Draft, firm: set[Unit]) -> list[Unit]:
    """Return the first message of the user's where what has to stay begins with another's."""
    kinds = {unit: draft.conversation.entries[unit[0]].kind for unit in draft.units}
    first = next((unit for unit in draft.units if unit in firm and kinds[unit] != "system"), None)
    if first is None or kinds[first] == "user":
        return []
    return [unit for unit in draft.units if unit < first and kinds[unit] == "user"][:1]


def _marked_prefix(draft: Draft) -> list[Unit]:
    """Return the messages before the first cache mark, if that leaves half of the room to others."""
    entries = draft.conversation.entries
    marked = next((index for index, entry in enumerate(entries) if entry.is_marked and entry.kind != "system"), -1)
    prefix = [unit for unit in draft.units if unit[-1] <= marked]
    tokens = draft.tokens_of(index for unit in prefix for index in unit)
    return prefix if tokens <= draft.target // 2 else []
