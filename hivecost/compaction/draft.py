"""A conversation while it is compacted: what is taken out, written anew and put in, and how large that leaves it."""

from __future__ import annotations

from collections.abc import Collection, Iterable, Sequence
from math import ceil
from typing import Any

from hivecost.compaction.config import CompactionConfig
from hivecost.compaction.counting import Counter
from hivecost.compaction.grouping import Unit, units_of
from hivecost.compaction.reading import read_conversation
from hivecost.compaction.shapes import Message


class Draft:
    """The edits of one compaction, over messages that stay as they are, and are `before` tokens."""

    def __init__(
        self,
        messages: Sequence[Any],
        shape: str,
        *,
        config: CompactionConfig,
        counter: Counter,
        budget: int,
        before: int,
    ) -> None:
        self.conversation = read_conversation(messages, shape)
        self.shape = self.conversation.shape
        self.units = units_of(self.conversation)
        self.config = config
        self.counter = counter
        self.budget = budget
        #: What a compaction comes down to, in tokens.
        self.target = int(budget * config.compact_to)
        #: What was replaced, by the place where the caller keeps it.
        self.spilled: dict[str, Any] = {}
        self._originals = messages
        self._sizes = counter.sizes(messages)
        self._size = counter.around_size + sum(self._sizes)
        #: How many tokens an estimated one is: never so few that the estimate is less than what was counted.
        self.ratio = counter.ratio
        if self._size and before > ceil(self._size * self.ratio):
            self.ratio = before / self._size
        self._rewritten: dict[int, Message] = {}
        self._removed: set[int] = set()
        #: (index that it stands before, message, its size)
        self._summary: tuple[int, Message, float] | None = None

    @property
    def tokens(self) -> int:
        """How many tokens the conversation has now."""
        return ceil(self._size * self.ratio)

    @property
    def is_small(self) -> bool:
        """Whether it is down to the target."""
        return self._size * self.ratio <= self.target

    @property
    def has_summary(self) -> bool:
        """Whether a summary was put in."""
        return self._summary is not None

    @property
    def summary_at(self) -> int | None:
        """The index of the message before which the summary stands."""
        return self._summary[0] if self._summary else None

    @property
    def first_changed(self) -> int | None:
        """How many messages at the beginning are as they were; None where all are."""
        places = {*self._rewritten, *self._removed}
        if self._summary:
            places.add(self._summary[0])
        return min(places, default=None)

    def message(self, index: int) -> Message:
        """Return a message as it is now."""
        return self._rewritten.get(index) or self.conversation.messages[index]

    def is_there(self, index: int) -> bool:
        """Return whether a message was not taken out."""
        return index not in self._removed

    def tokens_of(self, indices: Iterable[int]) -> int:
        """Return how many tokens messages have now, rounded up together."""
        return ceil(sum(self._sizes[index] for index in indices if index not in self._removed) * self.ratio)

    def is_smaller(self, index: int, tokens: int) -> bool:
        """Return whether a message has fewer tokens."""
        return self._sizes[index] * self.ratio < tokens

    def content_tokens(self, content: Any) -> float:
        """Return how many tokens a part of a message is."""
        return self.counter.content_size(content) * self.ratio

    def summary_tokens(self) -> int:
        """Return how many tokens the summary has that was put in."""
        return ceil(self._summary[2] * self.ratio) if self._summary else 0

    def rewrite(self, index: int, message: Message) -> bool:
        """Put a message in the place of another if it is smaller, and return whether it is."""
        size = self.counter.size(message)
        if size >= self._sizes[index]:
            return False
        self._size += size - self._sizes[index]
        self._sizes[index] = size
        self._rewritten[index] = message
        return True

    def remove(self, units: Iterable[Unit]) -> None:
        """Take units out."""
        for unit in units:
            for index in unit:
                if index not in self._removed:
                    self._removed.add(index)
                    self._size -= self._sizes[index]

    def insert_summary(self, index: int, message: Message) -> None:
        """Put a summary in before a message that was taken out."""
        size = self.counter.size(message)
        self._summary = (index, message, size)
        self._size += size

    def drop_summary(self) -> None:
        """Take the summary out again."""
        if self._summary:
            self._size -= self._summary[2]
            self._summary = None

    def result(self) -> list[Any]:
        """Return the messages as they are now: what was not touched are the same objects."""
        messages = []
        for index, original in enumerate(self._originals):
            if self._summary and self._summary[0] == index:
                messages.append(self._summary[1])
            if index not in self._removed:
                messages.append(self._rewritten.get(index, original))
        return messages

    def rewritten_tokens(self) -> int:
        """Return how many tokens a provider that has the old prompt in its cache has to write anew."""
        first = self.first_changed
        return 0 if first is None else self.tokens_of(range(first, len(self._sizes))) + self.summary_tokens()

    def largest(self, count: int = 3) -> tuple[tuple[int, int], ...]:
        """Return the largest messages that are left, as (index, tokens)."""
        left = [(index, self.tokens_of((index,))) for index in range(len(self._sizes)) if index not in self._removed]
        return tuple(sorted(left, key=lambda item: (-item[1], item[0]))[:count])

    def left(self, units: Iterable[Unit], *, without: Collection[Unit] = ()) -> list[Unit]:
        """Return the units that were not taken out."""
        return [unit for unit in units if unit not in without and self.is_there(unit[0])]
