"""Requests that are no such thing as they say: each gives a value and no exception."""

from __future__ import annotations

import gzip
import json
import zlib

import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from hivecost.dialects import DIALECTS, ModelRequest, Unknown, Unreadable, read_request, recognise
from hivecost.dialects.content_encoding import SIZE_MAX
from tests.unit.dialects.samples import JSON, SAMPLES, read

OPENAI, CHAT = "api.openai.com", "/v1/chat/completions"
BODY = {"model": "gpt-4o", "messages": [], "max_tokens": 5}


@pytest.mark.parametrize(
    ("body", "said"),
    [
        (b"", "no '{'"),
        (b"[1]", "no '{'"),
        (b"null", "no '{'"),
        (b'{"model": "m"', "no ','"),
        (b'{"model": "m"} x', "more after its end"),
        (b'{"model": "m",}', "Expecting value"),
        (b"{1: 2}", "a key is no text"),
        (b'{"model" "m"}', "no ':'"),
        (b"\xff\xfe{}", "it is no UTF-8"),
        (b'{"model": "m", "max_tokens": ' + b"9" * 5000 + b"}", "digit"),
        (b'{"model": "m", "messages": ' + b"[" * 200_000, "recursion"),
        (b'{"model": "m", "max_tokens": 1, "max_tokens": 9}', "'max_tokens' stands twice"),
        (b'{"model": "m", "model": "n"}', "'model' stands twice"),
        (b'{"model": "m", "stream_options": 5}', "'stream_options' is no object"),
        (b'{"messages": []}', "names no model"),
        (b'{"model": 5}', "names no model"),
    ],
)
def test_a_body_that_cannot_be_read_is_a_value(body, said):
    """Which says why; what counts twice is not guessed."""
    found = read(OPENAI, CHAT, body)
    assert isinstance(found, Unreadable)
    assert said in found.reason


def test_keys_within_count_once_too():
    """Of the objects that limits stand in."""
    body = b'{"generationConfig": {"maxOutputTokens": 1, "maxOutputTokens": 9}}'
    found = read("generativelanguage.googleapis.com", "/v1beta/models/g:generateContent", body)
    assert isinstance(found, Unreadable)
    assert "'maxOutputTokens' stands twice" in found.reason


@pytest.mark.parametrize("encoding", ["zstd", "br", "gzip, gzip", "nonsense"])
def test_an_encoding_that_the_standard_library_lacks_is_named(encoding):
    """Such a request is not guessed at."""
    found = read(OPENAI, CHAT, b"(\xb5/\xfd", JSON | {"Content-Encoding": encoding})
    assert isinstance(found, Unreadable)
    assert encoding in found.reason


@pytest.mark.parametrize(
    ("encoding", "encode"),
    [
        ("gzip", gzip.compress),
        ("deflate", zlib.compress),
        ("deflate", lambda data: zlib.compress(data, wbits=-15)),
        ("identity", bytes),
    ],
)
def test_a_compressed_body_is_read_and_changed_in_the_clear(encoding, encode):
    """Unchanged it keeps its bytes; changed it is not compressed any more."""
    sent = encode(json.dumps(BODY).encode())
    request = read(OPENAI, CHAT, sent, JSON | {"content-encoding": encoding})
    assert request.asked.max_tokens == 5
    assert request.to_send() is sent
    assert json.loads(request.to_send(3)) == BODY | {"max_tokens": 3}


@pytest.mark.parametrize(
    ("sent", "said"),
    [
        (b"\x1f\x8bnonsense", "not compressed as it says"),
        (gzip.compress(b"0" * (SIZE_MAX + 1)), "more than 134,217,728"),
    ],
    ids=["broken", "bomb"],
)
def test_what_is_compressed_wrongly_or_too_much_is_a_value(sent, said):
    """A small body may say a large one."""
    found = read(OPENAI, CHAT, sent, JSON | {"content-encoding": "gzip"})
    assert isinstance(found, Unreadable)
    assert said in found.reason


def test_a_hundred_megabytes_are_read():
    """Files come in the body; what is longer than any provider takes is not read."""
    body = json.dumps(BODY)[:-1].encode() + b',"file":"' + b"x" * 100_000_000 + b'"}'
    assert read(OPENAI, CHAT, body).asked.max_tokens == 5
    assert isinstance(read(OPENAI, CHAT, body.ljust(SIZE_MAX + 1)), Unreadable)


def test_a_body_that_is_a_stream_is_not_read():
    """Reading it would use it up."""
    found = read_request(recognise("POST", OPENAI, CHAT), JSON, None)
    assert isinstance(found, Unreadable)
    assert "stream" in found.reason


@pytest.mark.parametrize("path", ["/v1/messages", "/forms/responses", "/api/chat", "/v1/embeddings"])
def test_others_have_such_paths_too(path):
    """At a host that nobody knows, what names no model or is no JSON is somebody else's."""
    assert isinstance(read("api.example.com", path, {"to": "me", "text": "hi"}), Unknown)
    form = {"content-type": "application/x-www-form-urlencoded"}
    assert isinstance(read("api.example.com", path, b"a=b", form), Unknown)
    assert isinstance(read("api.example.com", "/model/mine/invoke", {"instances": []}), Unknown)
    assert isinstance(read("api.example.com", path, {"model": "m"}), ModelRequest)
    assert isinstance(read("api.example.com", path, b'{"model": "m", "model": "n"}'), Unreadable)


json_values = st.recursive(
    st.none() | st.booleans() | st.integers() | st.floats() | st.text(max_size=5),
    lambda inner: st.lists(inner, max_size=3) | st.dictionaries(st.text(max_size=5), inner, max_size=3),
    max_leaves=8,
)
KEYS = [
    "model", "messages", "n", "stream", "stream_options", "max_tokens", "thinking", "generationConfig", "options",
    "inferenceConfig", "service_tier", "tools", "models", "input", "anthropic_version", "additionalModelRequestFields",
]  # fmt: skip


@settings(deadline=None)
@given(st.sampled_from(SAMPLES), st.dictionaries(st.sampled_from(KEYS), json_values) | json_values)
def test_any_json_is_read_or_named(sample, value):
    """Any value anywhere, in any dialect."""
    found = read(sample.host, sample.path, json.dumps(value).encode())
    assert isinstance(found, ModelRequest | Unreadable)
    if isinstance(found, ModelRequest):
        assert found.to_send(10**6)


@settings(deadline=None)
@given(st.binary())
def test_any_bytes_are_read_or_named(body):
    """No dialect raises for what is no JSON."""
    for host in (OPENAI, "example.com"):
        route = recognise("POST", host, CHAT)
        for dialect in DIALECTS:
            assert read_request(type(route)(dialect=dialect, target=route.target, match=route.match), JSON, body)
