"""What a compaction costs and saves, with the prompt's cache: what is worth it, and what is not."""

from __future__ import annotations

import pytest

import hivecost as hc
from hivecost.compaction import break_even, prune_tool_results

LONG = " ".join(f"spoke{number}" for number in range(120))  # 240 tokens


def rates(model, tokens=100_000):
    return hc.Rates.of(hc.PriceBook().quote(model), tokens)


@pytest.mark.parametrize(
    ("model", "taken_out", "behind", "put_in", "summary_usd", "rewrite_usd", "saves_usd", "turns"),
    [
        ("claude-sonnet-4-5", 60_000, 30_000, 600, 0, 0.1056, 0.01782, 5.9),
        ("claude-sonnet-4-5", 3_000, 90_000, 60, 0, 0.3107, 0.00088, 352),
        ("claude-sonnet-4-5", 80_000, 15_000, 1_500, 0.0875, 0.0569, 0.02355, 6.1),
        ("claude-sonnet-4-5", 80_000, 15_000, 1_500, 0.0532, 0.0569, 0.02355, 4.7),
        ("gpt-5-mini", 60_000, 30_000, 600, 0, 0.0069, 0.00148, 4.6),
    ],
)
def test_the_turns_until_an_edit_has_paid(model, taken_out, behind, put_in, summary_usd, rewrite_usd, saves_usd, turns):
    """By the formula, with the price book's rates."""
    found = break_even(
        rates(model),
        saved=taken_out - put_in,
        rewritten=behind + put_in,
        summary_cost=round(summary_usd * 1e9),
        cache="warm",
    )
    assert found.rewrite_nanousd == pytest.approx(rewrite_usd * 1e9, rel=0.01)
    assert found.saves_per_turn_nanousd == pytest.approx(saves_usd * 1e9, rel=0.01)
    assert found.turns == pytest.approx(turns, rel=0.02)


def test_a_prefix_that_is_not_in_a_cache_costs_nothing_to_break():
    """It pays at once, or when the summary is paid."""
    sonnet = rates("claude-sonnet-4-5")
    for cache in ("cold", "none"):
        found = break_even(sonnet, saved=59_400, rewritten=30_600, cache=cache)
        assert (found.turns, found.rewrite_nanousd) == (0.0, 0)
    assert break_even(sonnet, saved=59_400, rewritten=0, cache="none").saves_per_turn_nanousd == 178_200_000
    dear = 400_000_000  # more than one turn's fresh input
    assert break_even(sonnet, saved=59_400, rewritten=0, summary_cost=dear, cache="none").turns == pytest.approx(
        2.24, 0.01
    )
    assert break_even(sonnet, saved=59_400, rewritten=0, summary_cost=dear, cache="cold").turns == pytest.approx(
        13.4, 0.01
    )


def test_what_saves_nothing_never_pays():
    """Nor does anything where tokens are free."""
    assert break_even(rates("gpt-5-mini"), saved=0, rewritten=10, cache="warm").turns is None
    assert break_even(rates("gpt-5-mini"), saved=-5, rewritten=10, cache="cold").turns is None
    free = hc.PriceBook({"mine": 0}).quote("mine")
    assert break_even(hc.Rates.of(free, 1), saved=100, rewritten=10, cache="warm").turns is None


def test_rates_are_those_of_the_prompts_length():
    """Long prompts are dearer at some models."""
    assert rates("claude-sonnet-4-5", 200_000) == hc.Rates(input=3_000, read=300, write=3_750, output=15_000)
    assert rates("claude-sonnet-4-5", 200_001).read == 600


def test_without_a_price_tokens_are_counted():
    """A cache is taken to be read at a tenth; there are no amounts."""
    unknown = rates("no-such-model")
    assert unknown.is_estimated
    found = break_even(unknown, saved=59_400, rewritten=30_600, cache="warm")
    assert found.turns == pytest.approx(9 * 30_600 / 59_400)
    assert (found.rewrite_nanousd, found.saves_per_turn_nanousd) == (None, None)


@pytest.fixture
def agent(talk, shape):
    """So many calls, each with its result; what is behind them is said in so many words."""

    def agent(calls, result=LONG, behind=""):
        conversation = talk(shape).user("Go.")
        for number in range(calls):
            conversation.tools((f"c{number}", result))
        return conversation.user("Next?" + behind)

    return agent


def test_pruning_to_save_money_has_to_pay(agent, shape):
    """Much in front of little pays within five turns; one result in front of much does not, and says why."""
    quote = hc.PriceBook().quote("gpt-5-mini")
    paying = prune_tool_results(agent(30).messages, shape=shape, keep=3, rates=quote)
    assert paying.status == "done"
    assert 0 < paying.breaks_even_after < 5
    assert paying.saves_per_turn_nanousd > 0 < paying.cache_rewrite_nanousd
    assert paying.first_changed == 2
    messages = agent(5, behind=LONG * 40).messages
    skipped = prune_tool_results(messages, shape=shape, keep=3, rates=quote)
    assert skipped.messages is messages
    assert skipped.status == "skipped"
    assert skipped.reason == f"it would pay after {skipped.breaks_even_after:.1f} turns, and 5 are looked ahead"
    assert skipped.tokens_before == skipped.tokens_after
    assert skipped.cache_rewrite_nanousd > skipped.saves_per_turn_nanousd > 0
    for way in ({"cache": "cold"}, {"cache": "none"}, {"turns_ahead": 1_000}, {"must_pay": False}):
        assert prune_tool_results(messages, shape=shape, keep=3, rates=quote, **way).status == "done"


def test_pruning_leaves_as_many_results_as_it_says(agent, shape, texts_of):
    """The newest; where there are no more, nothing is done."""
    messages = agent(30).messages
    for keep in (0, 3, 10):
        result = prune_tool_results(messages, shape=shape, keep=keep, must_pay=False)
        assert texts_of(result.messages).count(LONG) == keep
    few = agent(3).messages
    assert prune_tool_results(few, shape=shape, keep=3, must_pay=False).messages is few
    with pytest.raises(hc.ConfigError, match="keep: expected a whole number, 0 or more, got -1"):
        prune_tool_results(few, shape=shape, keep=-1)


def test_a_budget_forces_what_money_would_not(agent, shape):
    """An edit that is to save money is left where it does not; one that the budget needs is always made."""
    messages = agent(5, behind=LONG * 12).messages
    forced = hc.compact(messages, shape=shape, budget=4_000, rates=hc.PriceBook().quote("gpt-5-mini"))
    assert forced.status == "done"
    assert forced.breaks_even_after > 5
    skipped = hc.compact(messages, shape=shape, budget=4_000, rates=hc.PriceBook().quote("gpt-5-mini"), must_pay=True)
    assert (skipped.status, skipped.messages) == ("skipped", messages)


def test_a_budget_that_is_to_save_money_is_no_limit(agent, shape):
    """Where it cannot be met, nothing is done."""
    messages = agent(2, behind=LONG * 30).messages
    result = hc.compact(messages, shape=shape, budget=1_000, must_pay=True)
    assert (result.status, result.messages) == ("skipped", messages)
    assert result.reason == "what may not go is over the budget"


def test_a_summary_that_would_not_pay_is_not_asked_for(agent, shape):
    """Its price is known before it is written."""
    messages = agent(30).messages
    config = {"context_overflow_strategy": ("summarize", "keep_recent")}
    sonnet = hc.PriceBook().quote("claude-sonnet-4-5")
    result = hc.compact(
        messages,
        shape=shape,
        budget=7_000,
        config=config,
        rates=sonnet,
        must_pay=True,
        summarize=lambda _: pytest.fail("it was asked"),
    )
    assert result.steps[0].status == "unchanged"
    assert result.steps[0].reason == "it would not pay within the turns ahead"
    asked = []
    paid = hc.compact(
        messages,
        shape=shape,
        budget=7_000,
        config=config,
        rates=sonnet,
        must_pay=True,
        turns_ahead=100,
        summarize=lambda request: asked.append(request) or "Fine.",
    )
    assert len(asked) == 1
    assert 0 < paid.summary_nanousd < asked[0].prompt_tokens * 3_000 + 15_000 * 5


def test_an_unknown_price_is_said(agent, shape):
    """The turns are by tokens then, and no amount is made up."""
    result = prune_tool_results(agent(30).messages, shape=shape, keep=3)
    assert result.is_estimated
    assert (result.cache_rewrite_nanousd, result.saves_per_turn_nanousd) == (None, None)
    assert result.breaks_even_after < 5
