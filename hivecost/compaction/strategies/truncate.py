"""The longest texts are cut at both ends."""

from __future__ import annotations

from collections.abc import Callable, Sequence
from typing import Final, NamedTuple

from hivecost.compaction.draft import Draft
from hivecost.compaction.markers import cut_at_both_ends, is_placeholder
from hivecost.compaction.pins import Pins
from hivecost.compaction.shapes import Message, text_of
from hivecost.compaction.strategies.prune import finished_results

#: No text is cut to less.
TEXT_TOKENS_MIN: Final = 64


class _Text(NamedTuple):
    """A text that may be cut, and how it is put back."""

    at: int
    which: int
    text: str
    tokens: float
    put: Callable[[Message, int, str], Message]


def truncate_longest(draft: Draft, pins: Pins) -> None:
    """Cut the longest results and texts of the assistant's to one length, in one pass, so that the target is met."""
    _cut_longest(draft, [*_results(draft), *_texts(draft, pins)], draft.target)


def cut_results(draft: Draft, aim: int) -> None:
    """Cut the longest results so that the conversation has so many tokens, if that can be."""
    _cut_longest(draft, _results(draft), aim)


def _cut_longest(draft: Draft, texts: Sequence[_Text], aim: int) -> None:
    length = _common_length([text.tokens for text in texts], draft.tokens - aim + len(texts))  # each note is escaped
    for text in texts:
        if text.tokens > length and draft.tokens > aim:
            message = draft.message(text.at)
            shorter = _shortened(draft, text, max(length, TEXT_TOKENS_MIN))
            draft.rewrite(text.at, text.put(message, text.which, shorter))


def _common_length(lengths: Sequence[float], excess: float) -> float:
    """Return the length to which all longer ones have to be cut, so that they have so much less together."""
    ordered = sorted(lengths, reverse=True)
    for count, length in enumerate(ordered, 1):
        following = ordered[count] if count < len(ordered) else 0.0
        excess -= count * (length - following)
        if excess <= 0:
            return following - excess / count
    return 0.0


def _shortened(draft: Draft, text: _Text, tokens: float) -> str:
    """Return a text of at most so many tokens, the note of the cut included where it can be."""
    characters = int(len(text.text) * tokens / text.tokens)
    shorter = cut_at_both_ends(text.text, characters)
    while characters > 0 and draft.content_tokens(shorter) > tokens:
        characters = characters * 9 // 10  # what is at the ends has more tokens a character than the middle
        shorter = cut_at_both_ends(text.text, characters)
    return shorter


def _results(draft: Draft) -> list[_Text]:
    texts = []
    for index, which in finished_results(draft):
        text = text_of(draft.shape.results(draft.message(index))[which].content)
        if text and not is_placeholder(text) and not draft.is_smaller(index, TEXT_TOKENS_MIN):
            tokens = draft.content_tokens(text)
            texts.append(_Text(index, which, text, tokens, draft.shape.with_result))
    return texts


def _texts(draft: Draft, pins: Pins) -> list[_Text]:
    entries = draft.conversation.entries
    firm = {index for unit in pins.firm for index in unit}
    texts = []
    for index, entry in enumerate(entries):
        follows_reasoning = index > 0 and entries[index - 1].is_reasoning
        if entry.kind != "assistant" or index in firm or follows_reasoning or not draft.is_there(index):
            continue
        if not draft.is_smaller(index, TEXT_TOKENS_MIN):
            for which, text in enumerate(draft.shape.texts(draft.message(index))):
                tokens = draft.content_tokens(text)
                texts.append(_Text(index, which, text, tokens, draft.shape.with_text))
    return texts
