"""Whose spending something is: the Struct, and the words for its fields."""

from __future__ import annotations

import re
from collections.abc import Mapping
from pathlib import Path
from typing import get_args

import msgspec
import pytest
from hypothesis import given
from hypothesis import strategies as st

import hivecost as hc
from hivecost.attribute_names import ATTRIBUTES, ATTRIBUTION_FIELDS, FIELD_OF, RESERVED, fields_of
from hivecost.attribution import DEPTH_MAX, TAGS_MAX, TEXT_CHARS_MAX, Attribution, attribution_fields, words_of
from hivecost.events import Event
from hivecost.gate_contract import TurnRequest
from hivecost.log import Filter
from hivecost.log.rows import KEPT_DIMENSIONS, VALUE_DIMENSIONS
from hivecost.plugin import Dimension

ADA = Attribution(
    session_id="s", execution_id="e", agent_id="planner", user_id="ada", org_id="acme", tags={"plan": "pro"}
)
TEXTS = st.text(st.characters(codec="utf-8"), max_size=5)
ATTRIBUTIONS = st.builds(
    Attribution,
    **dict.fromkeys(ATTRIBUTION_FIELDS, TEXTS),
    tags=st.dictionaries(st.one_of(TEXTS, st.sampled_from(sorted(RESERVED))), TEXTS, max_size=3),
)
NOTHING = dict.fromkeys(("session_id", "agent_id", "user_id", "org_id", "task_id"))


@pytest.mark.parametrize("kind", [Attribution, Event, TurnRequest, hc.LLMTurnComplete, hc.Step])
def test_whatever_says_whose_it_is_has_the_fields_of_the_table(kind):
    """And tags: a name that only one of them had would be lost on the way from a request to the log."""
    assert {*ATTRIBUTION_FIELDS, "tags"} <= {*kind.__struct_fields__}


def test_the_struct_has_no_fields_but_those_of_the_table():
    """But for its tags, and its parent, which is an Attribution."""
    assert {*Attribution.__struct_fields__} == {*ATTRIBUTION_FIELDS, "tags", "parent"}


@pytest.mark.parametrize(
    "words",
    [VALUE_DIMENSIONS, get_args(Dimension), Filter._fields, KEPT_DIMENSIONS, RESERVED],
    ids=["usage", "plugins", "filter", "kept", "budgets"],
)
def test_reports_sums_and_budgets_have_the_words_of_the_table(words):
    """But for days, and for the further names of models."""
    others = {"day", "asked_model", "answered_model", "asked_provider"}
    assert {*words} - others <= {*ATTRIBUTES}


def test_the_documented_table_is_the_one_in_the_code():
    """Words and fields, and which of them sums, `today` and `runtime.usage` go by."""
    text = (Path(__file__).parents[2] / "docs" / "attribution.md").read_text()
    rows = re.findall(r"^\| `(\w+)` \| `(\w+)` \|.*?\| (yes)? ?\| (yes)? ?\| (yes)? ?\|$", text, re.MULTILINE)
    assert {word: field for word, field, *_ in rows} == fields_of(ATTRIBUTES)
    for column, words in ((2, KEPT_DIMENSIONS), (3, VALUE_DIMENSIONS), (4, get_args(Dimension))):
        assert {row[0] for row in rows if row[column]} == {*words} - {"day"}


def test_it_reads_like_a_mapping_by_the_words_of_budgets():
    """What is not set is not in it; tags are, under their own names."""
    expected = {"session": "s", "execution": "e", "agent": "planner", "user": "ada", "org": "acme", "plan": "pro"}
    assert isinstance(ADA, Mapping)
    assert dict(ADA) == {**ADA} == dict(ADA.items()) == expected
    assert (ADA["org"], ADA.get("task"), ADA.get("task", ""), len(ADA)) == ("acme", None, "", 6)
    assert set(ADA) == set(ADA.keys()) == set(expected)
    assert sorted(ADA.values()) == sorted(expected.values())
    assert "user" in ADA
    assert "user_id" not in ADA
    with pytest.raises(KeyError):
        ADA["task"]


def test_nothing_of_it_can_be_changed():
    """Neither a field nor a tag, nor what it reads as; the dict that its tags were made of is somebody else's."""
    tags = {"plan": "pro"}
    whose = Attribution(tags=tags)
    tags["plan"] = "free"
    with pytest.raises(AttributeError):
        whose.user_id = "mallory"
    with pytest.raises(TypeError):
        whose.tags["plan"] = "free"
    with pytest.raises(TypeError):
        whose.words["plan"] = "free"
    assert whose["plan"] == "pro"


@given(ATTRIBUTIONS)
def test_events_and_requests_of_it_are_its_own(whose):
    """From an Attribution to an event, or a request, and back; the words of all three are the same."""
    event = hc.LLMTurnComplete(**attribution_fields(whose))
    request = TurnRequest(model="m", **attribution_fields(whose))
    assert Attribution.of(event) == Attribution.of(request) == whose
    assert words_of(event) == words_of(request) == dict(whose)


@given(ATTRIBUTIONS)
def test_no_tag_poses_as_an_attribute(whose):
    """Neither over a value nor in the place of a missing one."""
    for word, field in FIELD_OF.items():
        assert whose.get(word, "") == getattr(whose, field)
    assert not {"model", "provider"} & {*whose}


@given(ATTRIBUTIONS)
def test_it_crosses_borders(whose):
    """As msgpack and back, with those that it is inside of."""
    child = msgspec.structs.replace(whose, parent=ADA)
    assert msgspec.msgpack.decode(msgspec.msgpack.encode(child), type=Attribution) == child


def test_what_begins_inside_another_inherits_what_it_is_not_given():
    """Session, agent, user, org, task and tags: not the node, nor the execution."""
    parent = msgspec.structs.replace(ADA, node_id="plan", task_id="t")
    child = Attribution.begin("e2", parent, NOTHING, {})
    assert child == msgspec.structs.replace(parent, execution_id="e2", node_id="", parent=parent)
    assert (child.parent_execution_id, parent.parent_execution_id) == ("e", "")


def test_what_is_given_comes_before_what_is_inherited():
    """An empty text is given as well; tags are given one by one."""
    child = Attribution.begin("e2", ADA, {**NOTHING, "user_id": "", "org_id": "globex"}, {"plan": "free", "team": "x"})
    assert (child.user_id, child.org_id, child.agent_id) == ("", "globex", "planner")
    assert child.tags == {"plan": "free", "team": "x"}
    assert Attribution.begin("e2", ADA, NOTHING, {"team": "x"}).tags == {"plan": "pro", "team": "x"}


def test_what_begins_in_nothing_has_what_it_is_given():
    whose = Attribution.begin("e", None, {**NOTHING, "user_id": "ada"}, {})
    assert whose == Attribution(execution_id="e", user_id="ada")
    assert whose.ancestors == ()


def test_its_ancestors_are_the_nearest_first():
    """As many as executions may be inside one another."""
    whose = None
    for number in range(DEPTH_MAX + 2):
        whose = Attribution(execution_id=f"e{number}", parent=whose)
    assert [one.execution_id for one in whose.ancestors] == [f"e{number}" for number in range(DEPTH_MAX, 0, -1)]


@pytest.mark.parametrize(
    ("given_fields", "tags", "expected"),
    [
        ({"user_id": 5}, {}, "user_id: expected a text"),
        ({"org_id": "x" * (TEXT_CHARS_MAX + 1)}, {}, "org_id: expected at most 1,024 characters"),
        ({"task_id": "\ud800"}, {}, "task_id: expected a text without lone surrogates"),
        ({}, {"plan": 5}, "tags.plan: expected a text"),
        ({}, {"org": "acme"}, "tags.org: expected org_id='acme' instead"),
        ({}, {"agent": "acme"}, "tags.agent: expected a tag of another name"),
        ({}, ["plan"], "tags: expected a dict"),
        ({}, {str(number): "" for number in range(TAGS_MAX + 1)}, "tags: expected at most 64 of them"),
    ],
)
def test_what_cannot_be_logged_is_an_error_that_names_it(given_fields, tags, expected):
    with pytest.raises(hc.ConfigError, match=expected):
        Attribution.begin("e", None, given_fields, tags)


def test_inherited_tags_and_given_ones_are_not_too_many_together():
    many = {str(number): "" for number in range(TAGS_MAX)}
    assert len(Attribution.begin("e", None, NOTHING, many).tags) == TAGS_MAX
    with pytest.raises(hc.ConfigError, match="at most 64"):
        Attribution.begin("e2", ADA, NOTHING, many)
