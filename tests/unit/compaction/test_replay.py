"""45 recorded runs of an agent, sent again: nothing breaks, counts are near, and the bill is no dearer.

The agent answers as it was recorded, whatever it is shown. A provider's cache is taken to hold the longest beginning
that two prompts share, from 1,024 tokens on; OpenAI's in steps of 128.
"""

from __future__ import annotations

import json
from contextlib import suppress
from functools import cache
from pathlib import Path
from typing import NamedTuple

import msgspec
import pytest

import hivecost as hc
from hivecost.compaction import prune_tool_results

RUNS = Path(__file__).with_name("recorded_runs.jsonl")
SONNET, MINI, HAIKU = "claude-sonnet-4-5", "gpt-5-mini", "claude-haiku-4-5"
#: What a message has beside its texts, in bytes: for sharing the tokens of a turn out among its messages.
AROUND = 16
BOOK = hc.PriceBook()


class Answer(NamedTuple):
    """Where the agent asks, what the provider counted then, and how many tokens the answer had."""

    prompt_tokens: int
    output_tokens: int


class Sent(NamedTuple):
    """A message, and how many tokens the provider counts for it."""

    message: dict
    tokens: float


class Bill(NamedTuple):
    nanousd: int
    edits: int


@cache
def recorded():
    return [read_run(json.loads(line), f"r{number}") for number, line in enumerate(RUNS.read_text().splitlines())]


def read_run(lines, name):
    """Messages and answers in order; what a prompt has more than the last is shared out by size."""
    run, new, counted, calls = [], [], 0, 0
    for role, size, *more in lines:
        text = f"{name} {len(run)} ".ljust(size, "x")[:size]
        if role != "assistant":
            message = {"role": role, "content": text}
            if role == "tool":
                message |= {"tool_call_id": f"call_{calls - 1}"}
            new.append((message, size + AROUND))
            continue
        arguments, prompt, _, output = more
        weight = sum(size for _, size in new)
        run += [Sent(message, (prompt - counted) * size / weight) for message, size in new]
        run.append(Answer(prompt, output))
        function = {"name": "bash", "arguments": "x" * arguments}
        call = {"id": f"call_{calls}", "type": "function", "function": function}
        new = [({"role": "assistant", "content": text or None, "tool_calls": [call]}, size + arguments + AROUND)]
        counted, calls = prompt, calls + 1
    return run


@cache
def long_sessions():
    """Nine runs each, as of a user who never starts anew."""
    sessions = []
    for first in range(5):
        session = []
        for run in recorded()[first::5]:
            session += [
                one for one in run if not (session and isinstance(one, Sent) and one.message["role"] == "system")
            ]
        sessions.append(session)
    return sessions


class ExactCounter(hc.Counter):
    """Knows what the provider counts, as a tokenizer nearly does; without, bytes are what counts."""

    def __init__(self, known):
        super().__init__()
        self.known = known

    def size(self, message):
        return self.known.get(id(message)) or super().size(message)


def send(run, model, compact=None, *, exact=True):
    """Send a run again, and return its bill. `compact(messages, counter)` is asked before each turn."""
    known, kept = {}, []  # by id, of objects that are kept
    counter = ExactCounter(known) if exact else hc.Counter()
    messages, before, nanousd, edits = [], [], 0, 0
    for one in run:
        if isinstance(one, Sent):
            known[id(one.message)] = one.tokens
            kept.append(one.message)
            messages = [*messages, one.message]
            continue
        if compact is not None:
            with suppress(hc.ContextBudgetError):  # it is sent as it is, and the model takes it
                compaction = compact(messages, counter)
                edits += compaction.messages is not messages
                nanousd += compaction.summary_nanousd or 0
                messages = compaction.messages
                kept.append(compaction)
        sizes = [known.get(id(message)) or hc.Counter().size(message) for message in messages]
        prompt = round(sum(sizes))
        nanousd += cost(model, prompt, shared(before, messages, sizes), one.output_tokens)
        counter.report(messages, prompt)
        before = messages
    return Bill(nanousd, edits)


def shared(before, messages, sizes):
    count = next((at for at, pair in enumerate(zip(before, messages, strict=False)) if pair[0] is not pair[1]), None)
    return sum(sizes[: len(before) if count is None else count])


def cost(model, prompt, cached, output):
    cached = int(cached)
    if model == MINI:
        cached -= cached % 128
    cached = min(prompt, cached) if cached >= 1_024 else 0
    rates = hc.Rates.of(BOOK.quote(model), prompt)
    return cached * rates.read + (prompt - cached) * rates.write + output * rates.output


def budgeted(budget, model, *names, compact_to=0.5, summarize=None):
    """Compaction to a budget; `compact_to` may be what no user may set."""
    config = hc.CompactionConfig(context_overflow_strategy=names or ("prune_old_tool_results", "keep_recent"))
    msgspec.structs.force_setattr(config, "compact_to", compact_to)

    def compact(messages, counter):
        return hc.compact(
            messages,
            shape="openai_chat",
            budget=budget,
            config=config,
            count=counter,
            rates=BOOK.quote(model),
            summarize=summarize,
        )

    return compact


def pruned(keep, model, **how):
    """Results pruned to so many after each turn, if that pays."""

    def compact(messages, counter):
        return prune_tool_results(
            messages, shape="openai_chat", keep=keep, count=counter, rates=BOOK.quote(model), **how
        )

    return compact


def write_summary(request):
    """As long as it may be up to 1,500 tokens, by a cheap model."""
    tokens = min(request.max_tokens, 1_500) - 20
    rates = hc.Rates.of(BOOK.quote(HAIKU), 0)
    return hc.Summary("x" * 4 * tokens, request.prompt_tokens * rates.input + tokens * rates.output)


class Comparison(NamedTuple):
    """How much dearer than without: all runs together, and each run from the best to the worst; in percent."""

    total: float
    each: list[float]
    edits: int


@cache
def bills_without(runs, model):
    return [send(run, model) for run in runs()]


def compared(runs, model, compact, *, exact=True):
    without = bills_without(runs, model)
    bills = [send(run, model, compact, exact=exact) for run in runs()]
    each = sorted(100 * (one.nanousd / other.nanousd - 1) for one, other in zip(bills, without, strict=True))
    total = sum(bill.nanousd for bill in bills) / sum(bill.nanousd for bill in without)
    return Comparison(100 * (total - 1), each, sum(bill.edits for bill in bills))


def test_the_recorded_bill_is_what_the_replay_says():
    """The cache of the model above holds little more than the provider's did: 13,433,472 tokens of 15,255,224."""
    assert sum(isinstance(one, Answer) for run in recorded() for one in run) == 897
    assert sum(one.prompt_tokens for run in recorded() for one in run if isinstance(one, Answer)) == 15_255_224
    without = sum(bill.nanousd for bill in bills_without(recorded, MINI)) / 1e9
    as_billed = ((15_255_224 - 13_433_472) * 0.25 + 13_433_472 * 0.025 + 425_353 * 2) / 1e6
    assert 0.9 < without / as_billed < 1


@pytest.mark.parametrize("model", [SONNET, MINI])
@pytest.mark.parametrize("exact", [True, False])
def test_edits_that_have_to_pay_make_no_run_dearer(model, exact):
    """By more than 2 %; all together they save a tenth."""
    found = compared(recorded, model, pruned(3, model), exact=exact)
    assert found.each[-1] <= 2
    assert found.total <= -10
    assert found.edits > 45


@pytest.mark.parametrize("model", [SONNET, MINI])
def test_pruning_each_turn_would_make_most_runs_dearer(model):
    """What the gate is for."""
    found = compared(recorded, model, pruned(3, model, must_pay=False))
    assert found.each[-1] > 20
    assert sum(percent > 2 for percent in found.each) > 30
    assert found.total > 2


@pytest.mark.parametrize("model", [SONNET, MINI])
@pytest.mark.parametrize(("exact", "worst"), [(True, 7), (False, 9)])
def test_edits_that_a_budget_forces_are_seldom_dearer(model, exact, worst):
    """A run that ends right after one is, by some percent; all together are cheaper."""
    found = compared(recorded, model, budgeted(16_000, model), exact=exact)
    assert found.each[-1] <= worst
    assert sum(percent > 1 for percent in found.each) <= 2
    assert found.total <= -8


@pytest.mark.parametrize("model", [SONNET, MINI])
def test_compacting_to_just_under_the_budget_would_be_dearer(model):
    """What the low-water mark is for."""
    found = compared(recorded, model, budgeted(16_000, model, compact_to=1.0))
    assert found.total > 5
    assert sum(percent > 1 for percent in found.each) > 15


@pytest.mark.parametrize(("model", "goal"), [(SONNET, -40), (MINI, -25)])
def test_long_sessions_are_where_the_money_is(model, goal):
    """At a budget of 100,000; to just under the budget they would be dearer by more than half."""
    assert compared(long_sessions, model, budgeted(100_000, model)).total <= goal
    assert compared(long_sessions, model, budgeted(100_000, model, compact_to=1.0)).total > 40


def test_summaries_cost_little_of_what_they_save():
    """With a cheap summarizer, after the old results are gone."""
    names = ("prune_old_tool_results", "summarize", "keep_recent")
    found = compared(recorded, SONNET, budgeted(16_000, SONNET, *names, summarize=write_summary))
    assert found.total <= -8
    assert found.each[-1] <= 15


def prompts():
    """Each prompt that was sent: every beginning that ends before an answer."""
    for run in recorded():
        messages = []
        for one in run:
            if isinstance(one, Sent):
                messages.append(one.message)
            else:
                yield [*messages]


@pytest.mark.parametrize("names", [("prune_old_tool_results",), ("keep_recent",), ("summarize",), ()], ids=str)
def test_no_prompt_of_them_is_broken(harm, names):
    """By any tier alone, nor by all of them."""
    count = 0
    for messages in prompts():
        budget = max(600, hc.Counter().count(messages).tokens * 2 // 3)
        config = {"context_overflow_strategy": names} if names else None
        try:
            after = hc.compact(
                messages, shape="openai_chat", budget=budget, config=config, summarize=lambda _: "All is well."
            ).messages
        except hc.ContextBudgetError:
            continue
        assert harm(messages, after, "openai_chat") == []
        count += after is not messages
    assert count > 500


def test_a_window_of_messages_would_break_a_quarter_of_them(harm):
    """What units are for."""
    broken = [
        harm(messages, [messages[0], *messages[-20:]], "openai_chat") for messages in prompts() if len(messages) > 21
    ]
    assert sum(map(bool, broken)) > len(broken) / 4


def test_counts_are_near_what_the_provider_counts_next():
    """The last count and the bytes of what is new: 12 % off at most in 95 of 100 turns, even in the middle."""
    off = []
    for run in recorded():
        counter, messages, last = hc.Counter(), [], 0
        for one in run:
            if isinstance(one, Sent):
                messages.append(one.message)
                continue
            if last:
                off.append(counter.count(messages).tokens / one.prompt_tokens - 1)
            counter.report(messages, one.prompt_tokens)
            last = one.prompt_tokens
    off.sort()
    assert len(off) == 852
    assert abs(off[len(off) // 2]) < 0.01
    assert sorted(map(abs, off))[len(off) * 95 // 100] <= 0.12
