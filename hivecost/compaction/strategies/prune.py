"""Results of tools that are no longer new are replaced by a note of what they were."""

from __future__ import annotations

from collections.abc import Iterator
from hashlib import sha256
from typing import Any, Final

import msgspec

from hivecost.compaction.draft import Draft
from hivecost.compaction.markers import cleared_arguments, is_placeholder, placeholder
from hivecost.compaction.pins import Pins
from hivecost.compaction.shapes import text_of

#: A result that is smaller is not worth a note.
RESULT_TOKENS_MIN: Final = 64
#: Arguments that are shorter stay.
_ARGUMENTS_MAX: Final = 2_000

#: A result: the index of its message, and which of the message's it is.
Place = tuple[int, int]


def prune_old_tool_results(draft: Draft, pins: Pins) -> None:
    """Replace results, the oldest first, until the conversation is down to the target; then long arguments, if asked.

    The newest stay, as do errors, results of protected tools and small ones.
    """
    old = _old_results(draft, draft.config.keep_tool_results)
    for place in old:
        if draft.is_small:
            return
        _prune_if_worth(draft, place)
    if draft.config.clear_tool_inputs and old:
        _clear_arguments(draft, pins, until=old[-1][0])


def prune_all_but(draft: Draft, keep: int) -> None:
    """Replace all results but the newest, and but those that always stay."""
    for place in _old_results(draft, keep):
        _prune_if_worth(draft, place)


def finished_results(draft: Draft) -> list[Place]:
    """Return the results that may be written anew, in order: they have their calls, and their batch is not running."""
    entries, pairing = draft.conversation.entries, draft.conversation.pairing
    last = len(entries) if pairing.running_from is None else pairing.running_from
    held = {index + 1 for index, entry in enumerate(entries) if entry.is_reasoning}  # what follows it may not change
    return [place for place in pairing.tools if place[0] < last and place[0] not in held and draft.is_there(place[0])]


def prune(draft: Draft, place: Place) -> None:
    """Replace one result, whatever it is."""
    _replace(draft, place, draft.shape.results(draft.message(place[0]))[place[1]].content)


def _old_results(draft: Draft, keep: int) -> list[Place]:
    places = finished_results(draft)
    return places[: max(0, len(places) - keep)]


def _prune_if_worth(draft: Draft, place: Place) -> None:
    """Replace one result, unless it always stays."""
    index, which = place
    if draft.is_smaller(index, RESULT_TOKENS_MIN):
        return
    if draft.conversation.pairing.tools[place] in draft.config.protected_tools:
        return
    result = draft.shape.results(draft.message(index))[which]
    content = result.content
    if not (result.is_error or is_placeholder(content) or draft.content_tokens(content) < RESULT_TOKENS_MIN):
        _replace(draft, place, content)


def _replace(draft: Draft, place: Place, content: Any) -> None:
    """Replace one result by a note of its tool and its size, and of where it is kept."""
    index, which = place
    text = text_of(content)
    if text is None:
        text = _json(content)
    tool = draft.conversation.pairing.tools[place]
    kept_in = _kept_in(draft.config.spill, tool, text)
    note = placeholder(tool, len(text), draft.content_tokens(content), kept_in)
    if draft.rewrite(index, draft.shape.with_result(draft.message(index), which, note)) and kept_in:
        draft.spilled[kept_in] = content


def _clear_arguments(draft: Draft, pins: Pins, until: int) -> None:
    for unit in draft.left(draft.units, without=pins.firm):
        entries = [draft.conversation.entries[index] for index in unit]
        if draft.is_small or unit[-1] > until or any(entry.is_reasoning or entry.is_thinking for entry in entries):
            continue
        for index in unit:
            for which, arguments in _long_arguments(draft, index):
                message = draft.shape.with_arguments(draft.message(index), which, cleared_arguments(len(arguments)))
                draft.rewrite(index, message)


def _long_arguments(draft: Draft, index: int) -> Iterator[tuple[int, str]]:
    if draft.conversation.entries[index].calls:
        arguments = draft.shape.arguments(draft.message(index))
        yield from ((which, text) for which, text in enumerate(arguments) if len(text) > _ARGUMENTS_MAX)


def _kept_in(spill: str, tool: str, text: str) -> str:
    """Return a place by the content: ids repeat, and what is the same is kept once."""
    if not spill:
        return ""
    name = "".join(letter if letter.isalnum() else "_" for letter in tool)[:64] or "tool"
    return f"{spill.rstrip('/')}/{name}-{sha256(text.encode(errors='replace')).hexdigest()[:12]}"


def _json(content: Any) -> str:
    try:
        return msgspec.json.encode(content).decode()
    except Exception:  # a stranger's values
        return repr(content)
