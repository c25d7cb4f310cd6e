"""What is known of one conversation between its turns."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from typing import Any, Final

from hivecost.compaction import Compaction, Counter, Prompt, needs_cache_marks, whole_results, with_cache_marks
from hivecost.errors import ContextBudgetError
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

    def send(self, given: Prompt, fitted: Prompt, results: int, compaction: Compaction | None) -> FittedPrompt:
        """Note what is sent for what was given, all at once."""
        messages = fitted.messages if compaction is None else compaction.messages
        if compaction is not None and compaction.status == "done":
            self._anchor, results = compaction.first_changed, whole_results(messages, fitted.shape)
        prompt = Prompt(messages, fitted.shape, fitted.request, fitted.key)
        sent = with_cache_marks(prompt, anchor=self._anchor) if self._sets_marks else prompt.with_messages(messages)
        self._sent = sent if fitted.request is None else sent[fitted.key]
        self._given, self.kept, self.results = list(given.messages), messages, results
        self.turns_since_skip += 1
        return FittedPrompt(sent, self._sent, self, EMPTY if compaction is None else compaction.spilled)


class FittedPrompt:
    """A prompt that is ready to be sent. Tell what came of it: the next count begins there."""

    def __init__(
        self,
        prompt: Any,
        messages: Any,
        conversation: Conversation | None = None,
        spilled: Mapping[str, Any] = EMPTY,
    ) -> None:
        #: As it was given, with the messages that are to be sent.
        self.prompt = prompt
        #: The messages to send; of what is no conversation, all of it.
        self.messages = messages
        #: Results that were just replaced, by the place that their note names.
        self.spilled = spilled
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
