"""What is known of one conversation between its turns."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from typing import Any, Final

from hivecost.compaction import (
    Compaction,
    Counter,
    Prompt,
    PromptBill,
    PromptLayout,
    Rates,
    carried_results,
    needs_cache_marks,
    read_conversation,
    whole_results,
    with_cache_marks,
)
from hivecost.errors import ContextBudgetError
from hivecost.events import Cost, SentPrompt, Usage
from hivecost.frozen import EMPTY

#: Turns between two events that say that an edit would not pay.
SKIPS_TOLD_EVERY: Final = 10


class Conversation:
    """A conversation of a node: what was given, what was sent, and how its compactions went."""

    def __init__(self, model: str, provider: str, prompt: Prompt) -> None:
        self.model = model
        self.counter = Counter(model, provider=provider, around=prompt.around)
        #: Without the marks that are set for the cache.
        self.kept: list[Any] = []
        self.sent_s: float | None = None
        #: Results of tools that were not replaced yet.
        self.results = 0
        #: How many tokens there were when a compaction was of no use.
        self.stalled_at: int | None = None
        #: How often, one after the other.
        self.stalls = 0
        #: What was wrong then.
        self.error: ContextBudgetError | None = None
        #: How often its provider called it too long, one after the other.
        self.overflows = 0
        #: Turns since it was said last that an edit would not pay.
        self.turns_since_skip = SKIPS_TOLD_EVERY
        #: How many tokens longer its prompts would be without its compactions.
        self.compacted_tokens = 0
        self._layout = PromptLayout(self.counter.around_size)
        #: How many messages were as before after the last compaction.
        self._anchor: int | None = None
        #: The messages as the agent gave them last, and as they were given back.
        self._given: list[Any] = []
        self._sent: list[Any] = []
        #: Whether marks for the cache are ours to set. Asked once: later the agent may have them back from us.
        self._sets_marks = needs_cache_marks(prompt)

    def continues(self, messages: Sequence[Any]) -> list[Any] | None:
        """Return what is to be sent for these messages, before any edit; None where they are of another conversation.

        They go on from what the agent gave before, or from what it was given back.
        """
        for known in (self._given, self._sent):
            if known and len(known) <= len(messages) and list(messages[: len(known)]) == known:
                return [*self.kept, *messages[len(known) :]]
        return None

    def stall(self, tokens: int, error: ContextBudgetError | None) -> None:
        """Note that a compaction was of no use."""
        self.stalled_at, self.error = tokens, error
        self.stalls += 1

    def send(
        self, given: Prompt, fitted: Prompt, results: int, compaction: Compaction | None, warm: Rates | None
    ) -> FittedPrompt:
        """Note what is sent for what was given, all at once; `warm` are the rates of a prompt that is in a cache."""
        messages = fitted.messages if compaction is None else compaction.messages
        is_compacted = compaction is not None and compaction.status == "done"
        if compaction is not None and is_compacted:
            self._anchor, results = compaction.first_changed, whole_results(messages, fitted.shape)
            self.compacted_tokens += max(0, compaction.tokens_saved)
            self._layout = PromptLayout(self.counter.around_size)
        layout, added = self._layout, len(fitted.messages) - len(self.kept)
        first_new = max(0, len(messages) - added)
        if is_compacted:
            layout.add(read_conversation(messages[:first_new], fitted.shape), self.counter)
        again = len(layout.results)
        layout.add(read_conversation(messages[first_new:], fitted.shape), self.counter)
        prompt = Prompt(messages, fitted.shape, fitted.request, fitted.key)
        sent = with_cache_marks(prompt, anchor=self._anchor) if self._sets_marks else prompt.with_messages(messages)
        self._sent = sent if fitted.request is None else sent[fitted.key]
        self._given, self.kept, self.results = list(given.messages), messages, results
        self.turns_since_skip += 1
        spilled = EMPTY if compaction is None else compaction.spilled
        known = KnownPrompt(layout, again, self.compacted_tokens, warm if is_compacted else None)
        return FittedPrompt(sent, self._sent, self, spilled, known)


class KnownPrompt:
    """What is known of one prompt of a conversation, until its bill comes."""

    def __init__(self, layout: PromptLayout, again: int, compacted_tokens: int, warm: Rates | None) -> None:
        self._results, self._size, self._again = [*layout.results], layout.size, again
        self._compacted_tokens = compacted_tokens
        #: Of one that was just compacted, and would have been read from the cache.
        self._warm = warm

    def billed(self, usage: Usage, cost: Cost | None) -> SentPrompt | None:
        """Return what compactions spared it, and what results cost that were sent again; None for neither."""
        if not self._compacted_tokens and not self._again:
            return None
        bill, tokens = PromptBill(usage, cost), self._compacted_tokens
        saved = bill.unread(tokens)
        if saved is not None and self._warm is not None and not usage.cache_read_tokens:
            saved = self._warm.nanousd(tokens * self._warm.read)
        carried = carried_results(self._results, self._size, self._again, bill)
        return SentPrompt(tokens, saved, (*carried,))


class FittedPrompt:
    """A prompt that is ready to be sent. Tell what came of it: the next count begins there."""

    def __init__(
        self,
        prompt: Any,
        messages: Any,
        conversation: Conversation | None = None,
        spilled: Mapping[str, Any] = EMPTY,
        known: KnownPrompt | None = None,
    ) -> None:
        #: As it was given, with the messages that are to be sent.
        self.prompt = prompt
        #: The messages to send; of what is no conversation, all of it.
        self.messages = messages
        #: Results that were just replaced, by the place that their note names.
        self.spilled = spilled
        #: What is known of it beside.
        self.known = known
        self._conversation = conversation
        self._kept = [] if conversation is None else conversation.kept

    def report(self, input_tokens: int) -> None:
        """Take what the provider counted for it."""
        if self._conversation is not None and input_tokens > 0:
            self._conversation.overflows = 0
            self._conversation.counter.report(self._kept, input_tokens)

    def overflow(self) -> None:
        """Halve the budget of the conversation's next prompt, because the provider refused this one as too long."""
        if self._conversation is not None:
            self._conversation.overflows += 1
