from __future__ import annotations

from hypothesis import given, settings
from hypothesis import strategies as st

from hivecost.attribute_names import ATTRIBUTES
from hivecost.attribution import Attribution
from hivecost.events import LLMTurnComplete
from hivecost.gate_contract import TurnRequest
from hivecost.ledger import Budget, LedgerState, Refusal, attributes_of

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
    assert attributes_of(LLMTurnComplete(**WHO, tags=tags)) == expected
    assert attributes_of(TurnRequest(**WHO, tags=tags)) == expected


def test_what_is_not_set_is_not_there():
    """So that `match` and `per` see the difference between no user and a user."""
    assert attributes_of(TurnRequest(model="gpt-4o")) == {"model": "gpt-4o"}


def test_a_tag_never_poses_as_a_fixed_attribute():
    """Neither over a value nor in the place of a missing one."""
    request = TurnRequest(model="gpt-4o", user_id="ada", tags={"user": "bob", "org": "evil", "team": "x"})
    assert attributes_of(request) == {"model": "gpt-4o", "user": "ada", "team": "x"}


def test_the_answer_is_the_callers_own():
    """Whoever adds to it changes nobody else's."""
    attributes_of(TurnRequest(**WHO))["user"] = "mallory"
    assert attributes_of(TurnRequest(**WHO))["user"] == "ada"


WORDS = st.sampled_from(["", "a", "b"])


@settings(deadline=None)
@given(
    st.lists(st.tuples(WORDS, WORDS, WORDS, st.booleans()), min_size=1, max_size=8),
    st.lists(st.sampled_from(["user", "org", "team", "execution"]), max_size=2, unique=True),
)
def test_a_ledger_takes_an_attribution_as_the_mapping_of_its_words(turns, per):
    """And those that it is inside of as its ancestors, but where others are given."""
    budgets = [
        Budget("all", "4 calls", per=per, mode="hard"),
        Budget("run", "4 calls", window="execution", match={"org": "a"}, mode="hard"),
    ]
    by_words, by_struct = LedgerState(budgets), LedgerState(budgets)
    known = [Attribution(execution_id="e", org_id="a")]
    for number, (user, org, team, is_given) in enumerate(turns):
        whose = Attribution(
            execution_id=f"e{number}", user_id=user, org_id=org, tags={"team": team}, parent=known[number // 2]
        )
        known.append(whose)
        given_ones = (known[0],) if is_given else ()
        words = tuple(map(dict, given_ones or whose.ancestors))
        answer = by_words.reserve(dict(whose), 0, {"calls": 1}, ancestors=words)
        same = by_struct.reserve(whose, 0, {"calls": 1}, ancestors=given_ones)
        assert isinstance(answer, Refusal) is isinstance(same, Refusal)
        assert by_words.remaining(dict(whose), 0, words) == by_struct.remaining(whose, 0, given_ones)
    assert by_words.status() == by_struct.status()
