from __future__ import annotations

from hivecost.events import LLMTurnComplete
from hivecost.gate_contract import TurnRequest
from hivecost.ledger import ATTRIBUTES, attribution

WHO = {
    "org_id": "acme",
    "user_id": "ada",
    "agent_id": "planner",
    "task_id": "t1",
    "node_id": "plan",
    "session_id": "s1",
    "execution_id": "e1",
    "model": "gpt-4o",
    "provider": "openai",
}


def test_before_and_after_the_call_a_turn_has_the_same_attributes():
    """All fixed ones and the tags, from the request and from the event alike."""
    tags = {"customer": "acme-eu"}
    expected = {name: WHO[name if name in WHO else f"{name}_id"] for name in ATTRIBUTES} | tags
    assert attribution(LLMTurnComplete(**WHO, tags=tags)) == expected
    assert attribution(TurnRequest(**WHO, tags=tags)) == expected


def test_what_is_not_set_is_not_there():
    """So that `match` and `per` see the difference between no user and a user."""
    assert attribution(TurnRequest(model="gpt-4o")) == {"model": "gpt-4o"}


def test_a_tag_never_poses_as_a_fixed_attribute():
    """Neither over a value nor in the place of a missing one."""
    request = TurnRequest(model="gpt-4o", user_id="ada", tags={"user": "bob", "org": "evil", "team": "x"})
    assert attribution(request) == {"model": "gpt-4o", "user": "ada", "team": "x"}


def test_the_answer_is_the_callers_own():
    """Whoever adds to it changes nobody else's."""
    attribution(TurnRequest(**WHO))["user"] = "mallory"
    assert attribution(TurnRequest(**WHO))["user"] == "ada"
