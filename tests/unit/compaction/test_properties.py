"""Conversations made up at random, sound and broken, with every order of strategies, against every budget.

`HIVECOST_SOAK_FUZZ` is how many examples each test tries; 300 when it is not set.
"""

from __future__ import annotations

import copy
import os
from itertools import permutations

import pytest
from hypothesis import HealthCheck, given, settings
from hypothesis import strategies as st

import hivecost as hc
from hivecost.compaction import Summary, plan_compaction, problems, units

EXAMPLES = int(os.environ.get("HIVECOST_SOAK_FUZZ", "300"))
SHAPES = ("openai_chat", "anthropic", "responses")
NAMES = (
    "prune_old_tool_results",
    "summarize",
    "keep_recent",
    "drop_greetings",
    "summarize_older",
    "truncate_longest",
)
ORDERS = [order for count in (1, 2, 3) for order in permutations(NAMES, count)]

pytestmark = pytest.mark.timeout(120 + EXAMPLES // 10)
unhurried = settings(
    max_examples=EXAMPLES,
    deadline=None,
    suppress_health_check=[HealthCheck.too_slow, HealthCheck.function_scoped_fixture, HealthCheck.data_too_large],
)

sizes = st.sampled_from([0, 1, 3, 80, 300, 1_500, 9_000])
texts = st.builds(lambda size, word: (word * size)[:size], sizes, st.sampled_from(["spoke ", "żółw ", '{"a": 1}\n']))
ids = st.sampled_from(["a", "b", "c", "call_0"])
greetings = st.sampled_from(["Sure", "okay", " Got it "])
results = st.lists(st.tuples(ids, texts) | st.tuples(ids, texts, st.just(True)), min_size=1, max_size=3)
sound_steps = (
    st.tuples(st.just("user"), texts)
    | st.tuples(st.just("says"), texts.filter(bool) | greetings)
    | st.tuples(st.just("tools"), st.lists(st.tuples(ids, texts), min_size=1, max_size=3, unique_by=lambda one: one[0]))
)
broken_steps = (
    st.tuples(st.just("calls"), st.lists(ids, min_size=1, max_size=2))
    | st.tuples(st.just("results"), results)
    | st.tuples(st.just("system"), texts)
    | st.tuples(st.just("thinks"), st.none())
    | st.tuples(st.just("odd"), st.sampled_from([{"role": "critic", "content": "x" * 900}, {"content": 7}]))
)


def write(talk, steps):
    for what, value in steps:
        if what == "odd":
            talk.add(value)
        elif what == "thinks":
            talk.thinks()
        elif what in ("user", "says", "system"):
            getattr(talk, what)(value)
        else:
            getattr(talk, what)(*value)
    return talk.messages


def summarizers(text):
    return lambda _: text


@unhurried
@given(
    st.sampled_from(SHAPES),
    st.lists(sound_steps | broken_steps, max_size=14),
    st.sampled_from(ORDERS),
    st.integers(1, 6_000),
    st.sampled_from(["", "All is well.", "word " * 4_000, "[hivecost: summary of the conversation so far]\nx"]),
)
def test_whatever_the_conversation_nothing_new_is_wrong_with_it(talk, harm, shape, steps, order, budget, text):
    """It fits, or the error says that it cannot; the same comes out each time, and once is enough."""
    messages = write(talk(shape), steps)
    before = copy.deepcopy(messages)
    options = {
        "shape": shape,
        "budget": budget,
        "config": {"context_overflow_strategy": order},
        "summarize": summarizers(text),
    }
    try:
        result = hc.compact(messages, **options)
    except hc.ContextBudgetError:
        assert messages == before
        with pytest.raises(hc.ContextBudgetError) as raised:
            hc.compact(messages, **options)
        assert raised.value.need > budget
        return
    assert messages == before
    assert harm(before, result.messages, shape) == []
    assert {*new_problems(before, result.messages, shape)} == set()
    assert result.tokens_after <= budget
    assert hc.Counter().count(result.messages).tokens == result.tokens_after
    assert hc.compact(copy.deepcopy(messages), **options) == result
    assert hc.compact(result.messages, **options).messages is result.messages


def new_problems(before, after, shape):
    left = [(problem.name, problem.id) for problem in problems(before, shape)]
    for problem in problems(after, shape):
        if (problem.name, problem.id) in left:
            left.remove((problem.name, problem.id))
        else:
            yield problem


@unhurried
@given(
    st.sampled_from(SHAPES),
    st.lists(sound_steps, max_size=14),
    st.integers(1, 20),
    st.integers(1, 9_000),
    st.integers(50, 6_000),
)
def test_once_is_enough_by_the_providers_count_too(talk, harm, shape, steps, sent, reported, budget):
    """However far it is from any estimate; what is left is no more than was said."""
    messages = write(talk(shape), steps)
    counter = hc.Counter()
    counter.report(messages[:sent], reported)
    try:
        result = hc.compact(messages, shape=shape, budget=budget, count=counter)
    except hc.ContextBudgetError:
        return
    assert harm(messages, result.messages, shape) == []
    assert counter.count(result.messages).tokens <= result.tokens_after <= budget
    assert hc.compact(result.messages, shape=shape, budget=budget, count=counter).messages is result.messages


@unhurried
@given(st.sampled_from(SHAPES), st.lists(sound_steps | broken_steps, max_size=14))
def test_each_message_is_in_one_unit(talk, shape, steps):
    """In order, whatever is broken."""
    messages = write(talk(shape), steps)
    found = units(messages, shape)
    assert sorted(index for unit in found for index in unit) == [*range(len(messages))]
    assert all(unit == tuple(sorted(unit)) for unit in found)


@unhurried
@given(st.sampled_from(SHAPES), st.lists(sound_steps, max_size=14), st.integers(0, 5), st.integers(1, 30))
def test_pruning_to_save_money_breaks_nothing(talk, harm, shape, steps, keep, turns_ahead):
    """It pays, or the very messages come back; what is done is done."""
    messages = write(talk(shape), steps)
    result = hc.compaction.prune_tool_results(messages, shape=shape, keep=keep, turns_ahead=turns_ahead)
    assert harm(messages, result.messages, shape) == []
    if result.status == "done":
        assert result.breaks_even_after < turns_ahead
        again = hc.compaction.prune_tool_results(result.messages, shape=shape, keep=keep, turns_ahead=turns_ahead)
        assert again.messages is result.messages
    else:
        assert result.messages is messages


@unhurried
@given(st.sampled_from(SHAPES), st.lists(sound_steps, max_size=14), st.integers(50, 3_000))
def test_a_plan_that_is_dropped_leaves_the_messages_alone(talk, shape, steps, budget):
    """A summarizer that never answers, or is cancelled, has changed nothing."""
    messages = write(talk(shape), steps)
    before = copy.deepcopy(messages)
    plan = plan_compaction(messages, shape=shape, budget=budget)
    try:
        next(plan)
        plan.close()
    except (StopIteration, hc.ContextBudgetError):
        pass
    assert messages == before
    assert Summary("").text == ""
