"""Only the beginning, the user's last words and the newest units stay."""

from __future__ import annotations

from typing import Final

from hivecost.compaction.draft import Draft
from hivecost.compaction.grouping import Unit
from hivecost.compaction.pins import Pins
from hivecost.compaction.strategies.prune import finished_results, prune
from hivecost.compaction.strategies.truncate import cut_results

#: Between the target and the budget, what results are cut to that are too large even by themselves.
_HALF: Final = 2


def keep_recent(draft: Draft, pins: Pins) -> None:
    """Take the oldest units out, whole, until the conversation is down to the target.

    Where what has to stay is over the budget by itself, its results are replaced and, last of all, cut at both ends.
    """
    kept = _kept(draft, pins)
    gone = [unit for unit in draft.left(draft.units) if unit not in kept]
    draft.remove(gone)
    if draft.tokens > draft.budget:
        _squeeze(draft)


def _kept(draft: Draft, pins: Pins) -> set[Unit]:
    kept = {*draft.left(pins.firm)}
    loose = draft.left(pins.loose)
    while loose and _tokens(draft, {*kept, *loose}) > draft.budget:
        loose.pop(0)
    if _tokens(draft, {*kept, *loose}) > draft.budget:
        draft.drop_summary()
    kept |= {*loose}
    kept |= {*newest_units(draft, pins, kept, draft.target - _tokens(draft, kept))}
    if draft.shape.begins_with_user:
        _begin_with_user(draft, pins, kept)
    return kept


def newest_units(draft: Draft, pins: Pins, kept: set[Unit], room: int) -> list[Unit]:
    """Return the newest units in a row that fit into so many tokens, beside what is kept; none that is broken."""
    newest = []
    for unit in reversed(draft.left(draft.units, without=kept)):
        if unit in pins.broken:
            continue
        room -= draft.tokens_of(unit)
        if room < 0:
            break
        newest.append(unit)
    return newest


def _begin_with_user(draft: Draft, pins: Pins, kept: set[Unit]) -> None:
    """Drop what stands before the first message of the user's, but for what may not go."""
    entries = draft.conversation.entries
    for unit in sorted(kept):
        kind = entries[unit[0]].kind
        if kind == "system":
            continue
        at = draft.summary_at
        if kind == "user" or (at is not None and at <= unit[0]):
            return
        if unit in pins.firm:
            return
        kept.discard(unit)


def _squeeze(draft: Draft) -> None:
    """Make results smaller that have to stay: all but the newest are replaced, then the largest are cut."""
    aim = (draft.target + draft.budget) // _HALF
    for place in finished_results(draft)[:-1]:
        if draft.tokens <= aim:
            return
        prune(draft, place)
    cut_results(draft, aim)


def _tokens(draft: Draft, units: set[Unit]) -> int:
    """Return what the conversation would have with these units alone."""
    gone = draft.tokens_of(index for unit in draft.left(draft.units) if unit not in units for index in unit)
    return draft.tokens - gone
