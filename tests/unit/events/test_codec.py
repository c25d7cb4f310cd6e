"""Events survive the wire, in both formats and across versions."""

from __future__ import annotations

import msgspec
import pytest
from hypothesis import given
from hypothesis import strategies as st

from hivecost.errors import EventFormatError
from hivecost.events import (
    ContextCompacted,
    Cost,
    CostStatus,
    CustomEvent,
    EventType,
    ExecutionCompleted,
    LLMTurnComplete,
    UnknownEvent,
    Usage,
    decode,
    decode_json,
    encode,
    encode_json,
)
from hivecost.events.codec import KnownEvent

text = st.text(st.characters(codec="utf-8"), max_size=20)
usages = st.integers(0, 10**9).flatmap(lambda n: st.builds(Usage, st.just(n), st.integers(0, 10**9), st.integers(0, n)))
costs = st.builds(Cost, status=st.sampled_from(CostStatus), nanousd=st.none() | st.integers(0, 10**15), rate=text)
attribution = {
    "session_id": text,
    "execution_id": text,
    "user_id": text,
    "tags": st.dictionaries(text, text, max_size=3),
}
events = st.one_of(
    st.builds(LLMTurnComplete, model=text, usage=usages, cost=st.none() | costs, **attribution),
    st.builds(ContextCompacted, tokens_before=st.integers(0, 10**9), strategy=text, **attribution),
    st.builds(ExecutionCompleted, entry_point=text, cost_nanousd=st.integers(0, 10**18), **attribution),
    st.builds(CustomEvent, name=text, payload=st.dictionaries(text, st.integers(-5, 5) | text), **attribution),
)


@given(events)
def test_round_trip(event):
    """decode(encode(event)) == event, as msgpack and as JSON."""
    assert decode(encode(event)) == event
    assert decode_json(encode_json(event)) == event


@given(events, st.text(min_size=1).filter(lambda name: name not in {t.value for t in EventType}))
def test_an_event_of_an_unknown_type_is_kept_whole(event, new_type):
    """What a newer version wrote is read as UnknownEvent and written again as it was."""
    newer = {**msgspec.to_builtins(event), "type": new_type, "brand_new": [1, {"a": None}]}
    for write, read, again in [
        (msgspec.msgpack.encode, decode, encode),
        (msgspec.json.encode, decode_json, encode_json),
    ]:
        kept = read(write(newer))
        assert isinstance(kept, UnknownEvent)
        assert kept.session_id == event.session_id
        assert read(again(kept)).fields == newer


def test_a_refusal_from_before_it_said_what_was_needed_is_read():
    """What nobody wrote down is 0."""
    old = b'{"type":"budget_exceeded","budget":"day","used":5,"limit":5,"action":"refused"}'
    event = decode_json(old)
    assert (event.action, event.needed, event.remaining) == ("refused", 0, 0)


def test_fields_of_a_newer_version_are_ignored():
    """A known type with an additional field decodes."""
    event = decode_json(b'{"type":"llm_turn_complete","event_id":"a","timestamp_ns":1,"model":"m","novel":{"x":1}}')
    assert event == LLMTurnComplete(event_id="a", timestamp_ns=1, model="m")


@pytest.mark.parametrize(
    "data",
    [
        b"",
        b"[]",
        b"{}",
        b'{"type":5}',
        b'{"type":"llm_turn_complete","model":7}',
        b"\xff\xfe",
        b'{"type":"new","tags":3}',
    ],
)
def test_what_is_no_event_is_a_named_error(data):
    """Garbage raises EventFormatError in both formats."""
    with pytest.raises(EventFormatError):
        decode_json(data)
    with pytest.raises(EventFormatError):
        decode(data)


def test_every_event_type_has_its_struct():
    """No member of EventType is without a class that carries it."""
    classes = [*KnownEvent.__args__, UnknownEvent]
    assert {cls.type for cls in classes} == set(EventType)
    assert all(cls.__struct_config__.tag == cls.type.value for cls in classes)
