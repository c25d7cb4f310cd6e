"""Calls and their results, by position and id."""

from __future__ import annotations

from collections.abc import Sequence

from hivecost.compaction.shapes import Call, Entry, Pairing


def pair_adjacent(entries: Sequence[Entry], *, one_message: bool) -> Pairing:
    """Pair each batch of calls with the results that follow it directly: in one message, or in one message each."""
    batch, open_calls = -1, list[Call]()
    bonds, tools = list[tuple[int, int]](), dict[tuple[int, int], str]()
    orphans, unanswered = list[tuple[int, str]](), list[tuple[int, str]]()
    for index, entry in enumerate(entries):
        for which, answer in enumerate(entry.answers):
            for at, call in enumerate(open_calls):
                if call.id == answer:
                    del open_calls[at]
                    tools[index, which] = call.name
                    bonds.append((batch, index))
                    break
            else:
                orphans.append((index, answer))
        if (one_message or not entry.answers) and (open_calls or entry.calls):
            unanswered += [(batch, call.id) for call in open_calls]
            batch, open_calls = index, [*entry.calls]
    return Pairing(bonds, tools, orphans, unanswered, batch if open_calls else None)
