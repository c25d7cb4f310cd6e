"""Compaction: the strategies in their order, the gate, and what came of it."""

from __future__ import annotations

from collections.abc import Callable, Generator, Mapping, Sequence
from typing import Any, Final

from hivecost.compaction.breaking_even import BreakEven, CacheState, Rates
from hivecost.compaction.config import CompactionConfig, StrategyName, read_config
from hivecost.compaction.counting import ContextCount, Counter
from hivecost.compaction.draft import Draft
from hivecost.compaction.gate import Gate
from hivecost.compaction.outcome import Compaction, CompactionStatus, CompactionStep, StepStatus
from hivecost.compaction.pins import Pins, find_pins
from hivecost.compaction.reading import ShapeName
from hivecost.compaction.strategies.greetings import drop_greetings
from hivecost.compaction.strategies.keep_recent import keep_recent
from hivecost.compaction.strategies.prune import prune_all_but, prune_old_tool_results
from hivecost.compaction.strategies.summarize import (
    Summarizing,
    Summary,
    SummaryRequest,
    summarize,
    summarize_older,
)
from hivecost.compaction.strategies.truncate import truncate_longest
from hivecost.errors import ConfigError, ContextBudgetError
from hivecost.pricing.quotes import Quote

_EDITS: Final[Mapping[str, Callable[[Draft, Pins], None]]] = {
    "prune_old_tool_results": prune_old_tool_results,
    "keep_recent": keep_recent,
    "drop_greetings": drop_greetings,
    "truncate_longest": truncate_longest,
}
_SUMMARIES: Final[Mapping[str, Callable[[Draft, Pins], Summarizing]]] = {
    "summarize": summarize,
    "summarize_older": summarize_older,
}

#: Gives what it asks of a summarizer, is sent the summary, and returns what came of it all.
CompactionPlan = Generator[SummaryRequest, Summary, Compaction]


def plan_compaction(
    messages: list[Any],
    *,
    shape: ShapeName,
    budget: int,
    config: Any = None,
    count: Counter | ContextCount | None = None,
    rates: Rates | Quote | None = None,
    turns_ahead: int = 5,
    cache: CacheState = "warm",
    must_pay: bool = False,
    can_summarize: bool = True,
) -> CompactionPlan:
    """Compact as `compact` does, and ask for each summary as a value: send back a Summary, whoever wrote it and how."""
    if type(budget) is not int or budget < 1:
        raise ConfigError("budget", "a whole number, 1 or more", got=budget)
    counter, before = _counted(messages, count)
    gate = Gate(rates, before.tokens, turns_ahead=turns_ahead, cache=cache, must_pay=must_pay)
    work = _Work(messages, shape, budget=budget, config=read_config(config), counter=counter, before=before, gate=gate)
    if work.before.tokens <= budget:
        return work.unchanged()
    for name in work.config.strategies:
        if work.draft.is_small:
            break
        if name in _EDITS:
            work.edit(name)
        elif can_summarize:
            yield from work.summarize(name)
    if work.draft.tokens > budget:
        if must_pay:
            return work.unchanged("skipped", "what may not go is over the budget")
        raise ContextBudgetError(need=work.draft.tokens, budget=budget, largest=work.draft.largest())
    return work.finish()


def prune_tool_results(
    messages: list[Any],
    *,
    shape: ShapeName,
    keep: int,
    config: Any = None,
    count: Counter | ContextCount | None = None,
    rates: Rates | Quote | None = None,
    turns_ahead: int = 5,
    cache: CacheState = "warm",
    must_pay: bool = True,
) -> Compaction:
    """Replace all results of tools but the newest `keep`, if that pays within `turns_ahead` turns; see `compact`.

    Raise ConfigError as `compact` does.
    """
    if type(keep) is not int or keep < 0:
        raise ConfigError("keep", "a whole number, 0 or more", got=keep)
    counter, before = _counted(messages, count)
    gate = Gate(rates, before.tokens, turns_ahead=turns_ahead, cache=cache, must_pay=must_pay)
    work = _Work(messages, shape, budget=1, config=read_config(config), counter=counter, before=before, gate=gate)
    work.record("prune_old_tool_results", lambda: prune_all_but(work.draft, keep))
    return work.finish()


class _Work:
    """One compaction while it is made."""

    def __init__(
        self,
        messages: list[Any],
        shape: ShapeName,
        *,
        budget: int,
        config: CompactionConfig,
        counter: Counter,
        before: ContextCount,
        gate: Gate,
    ) -> None:
        self.config = config
        self.before = before
        self._messages = messages
        self._shape = shape
        self._budget = budget
        self._counter = counter
        self._gate = gate
        self._steps: list[CompactionStep] = []
        self._draft: Draft | None = None

    @property
    def draft(self) -> Draft:
        """The edits, from the first one that is looked for."""
        if self._draft is None:
            self._draft = Draft(
                self._messages,
                self._shape,
                config=self.config,
                counter=self._counter,
                budget=self._budget,
                before=self.before.tokens,
            )
            self._pins = find_pins(self._draft)
        return self._draft

    def edit(self, name: StrategyName) -> None:
        """Try one strategy that asks nobody."""
        draft = self.draft
        self.record(name, lambda: _EDITS[name](draft, self._pins))

    def record(self, name: StrategyName, edit: Callable[[], None]) -> None:
        """Make an edit, and note what it did."""
        before = self.draft.tokens
        edit()
        after = self.draft.tokens
        self._steps.append(CompactionStep(name, "done" if after < before else "unchanged", before, after))

    def summarize(self, name: StrategyName) -> Generator[SummaryRequest, Summary, None]:
        """Try one strategy that asks for a summary."""
        before, asked = self.draft.tokens, False
        summarizing = _SUMMARIES[name](self.draft, self._pins)
        try:
            request = next(summarizing)
            asked = self._may_ask(request)
            summary = (yield request) if asked else Summary("", problem="it would not pay within the turns ahead")
            self._gate.buy(request, summary, self._counter.content_size)
            summarizing.send(summary)
        except StopIteration as stop:
            reason = str(stop.value)
        status: StepStatus = "done" if not reason else "discarded" if asked else "unchanged"
        self._steps.append(CompactionStep(name, status, before, self.draft.tokens, reason))

    def _may_ask(self, request: SummaryRequest) -> bool:
        left = self.draft.tokens - request.replaces_tokens
        saved = self.before.tokens - left - request.max_tokens
        return self._gate.would_buy(request, saved=saved, rewritten=left)

    def finish(self) -> Compaction:
        """Return what came of the edits; the messages as they were, where it had to pay and does not."""
        draft = self.draft
        first_changed = draft.first_changed
        if first_changed is None:
            return self.unchanged()
        after = draft.tokens
        result = self._gate.judge(saved=self.before.tokens - after, rewritten=draft.rewritten_tokens())
        if not self._gate.passes(result):
            when = "never" if result.turns is None else f"after {result.turns:.1f} turns"
            reason = f"it would pay {when}, and {self._gate.turns_ahead} are looked ahead"
            return self.unchanged("skipped", reason, result)
        return Compaction(
            messages=draft.result(),
            status="done",
            steps=tuple(self._steps),
            tokens_before=self.before.tokens,
            tokens_after=after,
            count_source=self.before.source,
            first_changed=first_changed,
            breaks_even_after=result.turns,
            cache_rewrite_nanousd=result.rewrite_nanousd,
            saves_per_turn_nanousd=result.saves_per_turn_nanousd,
            summary_nanousd=self._gate.summary_nanousd,
            is_estimated=self._gate.rates.is_estimated,
            spilled=draft.spilled,
        )

    def unchanged(
        self, status: CompactionStatus = "unchanged", reason: str = "", result: BreakEven | None = None
    ) -> Compaction:
        """Return the messages as they were."""
        return Compaction(
            messages=self._messages,
            status=status,
            steps=tuple(self._steps),
            tokens_before=self.before.tokens,
            tokens_after=self.before.tokens,
            count_source=self.before.source,
            breaks_even_after=result.turns if result else None,
            cache_rewrite_nanousd=result.rewrite_nanousd if result else 0,
            saves_per_turn_nanousd=result.saves_per_turn_nanousd if result else 0,
            summary_nanousd=self._gate.summary_nanousd,
            is_estimated=self._gate.rates.is_estimated,
            reason=reason,
        )


def _counted(messages: Sequence[Any], count: Counter | ContextCount | None) -> tuple[Counter, ContextCount]:
    if isinstance(count, Counter):
        return count, count.count(messages)
    counter = Counter()
    if count is None:
        return counter, counter.count(messages)
    counter.report(messages, count.tokens)
    return counter, count
