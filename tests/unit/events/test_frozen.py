"""What an event holds is as frozen as the event."""

from __future__ import annotations

import copy
import json
import pickle
from collections import OrderedDict, defaultdict
from enum import StrEnum
from types import MappingProxyType

import msgspec
import pytest
from hypothesis import given
from hypothesis import strategies as st

from hivecost.events import (
    CustomEvent,
    ExecutionStarted,
    LLMTurnComplete,
    UnknownEvent,
    decode,
    decode_json,
    encode,
    encode_json,
)
from hivecost.frozen import frozen

VALUES = st.recursive(
    st.none() | st.booleans() | st.integers(-(2**40), 2**40) | st.text(max_size=5),
    lambda inner: st.lists(inner, max_size=3) | st.dictionaries(st.text(max_size=3), inner, max_size=3),
    max_leaves=10,
)
CHANGES = [
    lambda d: d.__setitem__("team", "red"),
    lambda d: d.__delitem__("team"),
    lambda d: d.__ior__({"team": "red"}),
    lambda d: d.update(team="red"),
    lambda d: d.setdefault("other", "red"),
    lambda d: d.pop("team"),
    lambda d: d.popitem(),
    lambda d: d.clear(),
]
LIST_CHANGES = [
    lambda x: x.append(1),
    lambda x: x.extend([1]),
    lambda x: x.insert(0, 1),
    lambda x: x.pop(),
    lambda x: x.remove(1),
    lambda x: x.clear(),
    lambda x: x.sort(),
    lambda x: x.reverse(),
    lambda x: x.__setitem__(0, 1),
    lambda x: x.__delitem__(0),
    lambda x: x.__iadd__([1]),
    lambda x: x.__imul__(2),
]


@pytest.mark.parametrize("change", CHANGES)
def test_nobody_changes_the_tags_of_an_event(change):
    """Not by any method that a dict has; whoever tries is told what to do instead."""
    for event in (ExecutionStarted(tags={"team": "blue"}), decode(encode(LLMTurnComplete(tags={"team": "blue"})))):
        with pytest.raises(TypeError, match=r"take a copy: dict"):
            change(event.tags)
        assert event.tags == {"team": "blue"}


@pytest.mark.parametrize("change", LIST_CHANGES)
def test_nor_what_is_nested_in_a_payload(change):
    """Lists inside dicts inside lists refuse as well."""
    turn = LLMTurnComplete(raw_usage={"details": [{"parts": [2, 1]}]})
    event = CustomEvent(payload={"details": [{"parts": [2, 1]}]})
    for held in (turn.raw_usage, event.payload, event.data):
        with pytest.raises(TypeError, match=r"take a copy: list"):
            change(held["details"][0]["parts"])
        assert held["details"] == [{"parts": [2, 1]}]


def test_what_its_maker_changes_later_is_not_in_it():
    """The event has a copy, of what is nested too."""
    tags, payload = {"team": "blue"}, {"a": {"b": [1, {2}, bytearray(b"x"), ({},)]}}
    event = CustomEvent(tags=tags, payload=payload)
    tags["team"] = "red"
    payload["a"]["b"][3][0]["c"] = 1
    payload["a"]["b"][1].add(3)
    payload["a"]["b"][2].append(1)
    payload["a"]["b"].append(4)
    assert event.tags == {"team": "blue"}
    assert event.payload == {"a": {"b": [1, {2}, b"x", ({},)]}}


@given(VALUES)
def test_a_frozen_copy_is_the_same_to_everybody_who_reads(value):
    """It compares, encodes, pickles and copies as what it was made of."""
    made = frozen(value)
    assert made == value
    assert json.dumps(made) == json.dumps(value)
    assert msgspec.msgpack.encode(made) == msgspec.msgpack.encode(value)
    assert frozen(made) is made
    for again in (pickle.loads(pickle.dumps(made)), copy.copy(made), copy.deepcopy(made)):
        assert again == value
        assert type(again) is type(made)


@given(st.dictionaries(st.text(max_size=3), st.text(max_size=3), max_size=3), st.dictionaries(st.text(), VALUES))
def test_events_come_back_from_bytes_as_they_were(tags, payload):
    """Through msgpack, JSON and pickle; empty tags are left out of the bytes, as before."""
    event = CustomEvent(tags=tags, payload=payload)
    for again in (decode(encode(event)), decode_json(encode_json(event)), pickle.loads(pickle.dumps(event))):
        assert again == event
    assert (b'"tags"' in encode_json(CustomEvent(tags=tags))) == bool(tags)


def test_an_event_of_a_newer_version_is_frozen_too():
    """What this version does not know is kept, and stays as it came."""
    event = decode_json(b'{"type": "from_tomorrow", "tags": {"a": "b"}, "more": {"x": [1]}}')
    assert isinstance(event, UnknownEvent)
    with pytest.raises(TypeError):
        event.fields["more"]["x"].append(2)
    assert json.loads(encode_json(event)) == {"type": "from_tomorrow", "tags": {"a": "b"}, "more": {"x": [1]}}


@pytest.mark.parametrize(
    "tags", [OrderedDict(team="blue"), defaultdict(str, team="blue"), MappingProxyType({"team": "blue"})]
)
def test_any_mapping_will_do(tags):
    """It is copied into the one kind that events have."""
    turn = LLMTurnComplete(tags=tags)
    assert turn.tags == {"team": "blue"}
    assert type(turn.tags) is type(LLMTurnComplete().tags)


def test_texts_inside_become_plain():
    """A StrEnum as a tag is the text that it stands for; no codec knows other subclasses of str."""

    class Team(StrEnum):
        BLUE = "blue"

    class Name(str):
        __slots__ = ()

    event = CustomEvent(tags={Name("team"): Team.BLUE}, payload={"a": [Name("x")]})
    assert {type(text) for item in event.tags.items() for text in item} == {str}
    assert encode_json(event).endswith(b'"tags":{"team":"blue"},"payload":{"a":["x"]}}')


def test_what_holds_itself_has_an_end():
    """A circle is copied as a circle, what is held twice once, and a nest without end is shared below some depth."""
    circle = {"name": "a"}
    circle["self"] = [circle, circle]
    made = frozen(circle)
    assert made["self"][0] is made["self"][1] is made
    deep = []
    for _ in range(100_000):
        deep = [deep]
    assert type(frozen(deep)) is not list


def test_objects_are_shared():
    """What is no container cannot be frozen, and is not copied."""
    thing = object()
    assert CustomEvent(payload={"thing": thing}).payload["thing"] is thing
