"""How wide holds are for requests of real clients: what docs/holds.md says of it."""

from __future__ import annotations

from pathlib import Path

import pytest

from benchmarks.holds import (
    LIMIT_NANOUSD,
    RULES,
    bytes_in_full,
    counted_in_full,
    counted_in_steps,
    grown_tokens,
    refused,
    results,
    sent,
    sessions,
    spent_when_refused,
    table,
)

# The tokenizer's package, on Python 3.11 and 3.12.
pytestmark = pytest.mark.filterwarnings("ignore:open_binary is deprecated:DeprecationWarning")

#: Of the model of those requests that bytes do not bound.
CONTEXT_WINDOW = 400_000
DOCS = Path(__file__).parents[3] / "docs" / "holds.md"


@pytest.mark.parametrize("hold", [bytes_in_full, counted_in_full])
def test_whole_holds_are_never_below_the_bill(hold):
    """Whatever the cache does, and however long the answer."""
    assert all(hold(each) >= each.billed for each in sent())


def test_input_is_bounded_by_bytes_and_by_counting():
    """No request is billed for more input than it is held for; the tokenizer's count is the tighter bound."""
    for each in sent():
        billed = each.request.usage.input_tokens
        assert billed <= each.counted.input_tokens < (each.by_bytes.input_tokens or CONTEXT_WINDOW)


def test_a_request_that_grows_is_bounded_by_what_was_billed_before():
    """What was billed before and the bytes that are new are a bound, and nearly all requests of agents only grow."""
    grown = [pair for session in sessions(sent()) for pair in grown_tokens(session)]
    assert all(tokens >= request.usage.input_tokens for request, tokens in grown)
    assert len(grown) > 0.9 * len(sent())


def test_rules_get_narrower_from_left_to_right():
    """Each rule of the table holds at most what the one before holds, but for bytes instead of counts."""
    for each in sent():
        holds = {name: hold(each) for name, hold in RULES.items()}
        assert holds["bytes, whole"] >= holds["counted, whole"] >= holds["counted, steps"]
        assert holds["bytes, whole"] >= holds["bytes, steps"] >= holds["counted, steps"]
        assert holds["counted, steps"] >= holds["counted, steps, cache"]


def test_a_budget_of_half_a_dollar_lets_coding_agents_begin_only_in_steps():
    """Claude Code's first request is refused as long as its max_tokens is held in full, and not in counted steps."""
    first = [each[0] for each in sessions(sent()) if each[0].request.session.client == "claude-code"]
    opus = [each for each in first if "opus" in each.request.model]
    assert refused(opus, bytes_in_full) == refused(opus, counted_in_full) == len(opus) == 3
    assert refused(first, counted_in_steps) == 0


def test_a_replayed_budget_is_never_overspent_by_whole_holds():
    """One request after the other, each admitted by its hold and settled at its bill."""
    for session in sessions(sent()):
        for hold in (bytes_in_full, counted_in_full):
            spent = spent_when_refused(session, hold)
            assert (sum(each.billed for each in session) if spent is None else spent) <= LIMIT_NANOUSD


def test_the_figures_are_what_is_documented():
    """docs/holds.md has the table as it is computed, and every row of the benchmark meets its goal."""
    documented = DOCS.read_text().splitlines()
    assert [line for line in table() if line not in documented] == []
    assert [name for name, _, _, met in results() if not met] == []
