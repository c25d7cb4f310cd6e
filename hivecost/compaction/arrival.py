"""Results of tools, when they come: how many there are, and those that are too long are cut.

Nobody has them in a cache yet.
"""

from __future__ import annotations

from collections.abc import Sequence
from typing import Any

from hivecost.compaction.counting import Counter
from hivecost.compaction.markers import cut_at_both_ends, is_placeholder
from hivecost.compaction.reading import ShapeName, read_conversation
from hivecost.compaction.shapes import Message, Shape, text_of


def cut_long_results(
    messages: list[Any], *, shape: ShapeName, tokens: int, since: int = 0, counter: Counter | None = None
) -> list[Any]:
    """Return the messages with each result of more than `tokens`, from index `since` on, cut in the middle.

    The same list where none is. Results that are no text stay as they are.
    """
    counter, known = counter or Counter(), read_conversation(messages[since:], shape)
    cut = list(messages)
    for place, entry in enumerate(known.entries):
        if entry.answers:
            cut[since + place] = _shortened(known.shape, known.messages[place], tokens, counter) or cut[since + place]
    return cut if any(new is not old for new, old in zip(cut, messages, strict=True)) else messages


def whole_results(messages: Sequence[Any], shape: ShapeName) -> int:
    """Return how many results of tools there are that were not replaced by a note."""
    known = read_conversation(messages, shape)
    answering = (message for message, entry in zip(known.messages, known.entries, strict=True) if entry.answers)
    return sum(not is_placeholder(result.content) for message in answering for result in known.shape.results(message))


def _shortened(shape: Shape, message: Message, tokens: int, counter: Counter) -> Message | None:
    """Return the message with its long results cut; None where none is."""
    shorter = message
    for which, result in enumerate(shape.results(message)):
        text = text_of(result.content)
        size = 0.0 if text is None else counter.content_size(text)
        if text is not None and size > tokens:
            start_and_end = cut_at_both_ends(text, int(len(text) * tokens / size))
            if len(start_and_end) < len(text):
                shorter = shape.with_result(shorter, which, start_and_end)
    return None if shorter is message else shorter
