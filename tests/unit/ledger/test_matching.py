from __future__ import annotations

import pytest

from hivecost.events import LLMTurnComplete
from hivecost.gate_contract import TurnRequest
from hivecost.ledger import attributes_of, matcher

TURN = LLMTurnComplete(
    asked_model="prod",
    resolved_model="gpt-4o",
    resolved_provider="azure",
    model="gpt-4o-2024-08-06",
    provider="azure_openai",
    org_id="acme",
)


@pytest.mark.parametrize(
    "match",
    [
        {"model": ["prod"]},
        {"model": ["gpt-4o"]},
        {"model": ["GPT-4o"]},
        {"model": ["gpt-4o-2024-08-06"]},
        {"model": ["azure/gpt-4o"]},
        {"model": ["gpt-4*"]},
        {"model": ["azure/*"]},
        {"model": ["o3", "gpt-4o"]},
        {"provider": ["azure"]},
        {"provider": ["azure_openai"]},
        {"provider": ["az*"]},
        {"provider": ["azure"], "org": ["acme"], "model": ["prod"]},
        {},
    ],
)
def test_a_turn_matches_by_any_of_its_names(match):
    """Asked, resolved and answered names alike, patterns and the provider in front included."""
    assert matcher(match)(attributes_of(TURN))


@pytest.mark.parametrize(
    "match",
    [
        {"model": ["gpt-4o-mini"]},
        {"model": ["gpt-4o-2024-11-20"]},
        {"model": ["openai/gpt-4o"]},
        {"model": ["claude-*"]},
        {"provider": ["openai"]},
        {"model": ["gpt-4o"], "org": ["globex"]},
        {"org": ["ac*"]},
        {"user": ["ada"]},
        {"user": [""]},
    ],
)
def test_it_does_not_match_what_it_is_not_called(match):
    """Another snapshot, another host, a pattern of what is no name of a model, and what the turn does not say."""
    assert not matcher(match)(attributes_of(TURN))


def test_a_request_matches_by_the_models_that_answered_before():
    """A name that a gateway routes binds the budgets of every model that it was seen to route to."""
    request = TurnRequest(model="auto", resolved_model="", provider="litellm")
    assert not matcher({"model": ["gpt-4o"]})(attributes_of(request))
    who = attributes_of(request, ("claude-sonnet-4-5-20250929", "gpt-4o-2024-08-06"))
    assert matcher({"model": ["gpt-4o"]})(who)
    assert matcher({"model": ["claude-*"]})(who)


def test_a_tag_is_no_further_name():
    """Nobody moves spend to another budget with a tag that is called like a field."""
    turn = LLMTurnComplete(model="m", tags={"asked_model": "gpt-4o", "answered_model": "gpt-4o", "model": "gpt-4o"})
    assert not matcher({"model": ["gpt-4o"]})(attributes_of(turn))
