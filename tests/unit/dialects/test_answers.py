"""What answers say was used, and which of their bytes the client gets."""

from __future__ import annotations

import gzip
import json
import zlib

import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from hivecost.dialects import Answer
from hivecost.dialects import answers as answers_module
from hivecost.testing import Behaviour, openai_chat
from hivecost.usage import UsageStatus
from tests.unit.dialects.samples import BY_NAME, SAMPLES, USED, joined, read

CHAT = BY_NAME["chat"]
JSON = {"content-type": "application/json"}


def split(data: bytes, where) -> list[bytes]:
    ends = sorted({min(end, len(data)) for end in where})
    return [data[start:end] for start, end in zip([0, *ends], [*ends, len(data)], strict=True)]


def passed(answer: Answer, pieces) -> bytes:
    return b"".join(map(answer.feed, pieces)) + answer.close()


def by_byte(data: bytes) -> list[bytes]:
    return [data[at : at + 1] for at in range(len(data))]


@pytest.mark.parametrize("sample", SAMPLES, ids=lambda sample: sample.name)
@settings(max_examples=30, deadline=None)
@given(where=st.lists(st.integers(0, 8000), max_size=20))
def test_any_pieces_say_the_same_usage_and_pass_the_same_bytes(sample, where):
    """As the provider billed it, and as the client would get it had we not asked for usage."""
    frames = sample.frames(Behaviour(usage=USED))
    data = joined(frames)
    expected = data.replace(frames.closing[-2], b"") if sample.name == "chat" else data
    for pieces in (split(data, where), [data]):
        answer = Answer(sample.request(), headers=sample.headers())
        assert passed(answer, pieces) == expected
        reading = answer.reading()
        assert reading.status is UsageStatus.OK
        assert answer.is_finished
        assert (reading.usage.input_tokens, reading.usage.output_tokens) == (USED.input_tokens, USED.output_tokens)
        assert reading.usage.cache_read_tokens == USED.cache_read_tokens


@pytest.mark.parametrize("sample", SAMPLES, ids=lambda sample: sample.name)
def test_every_byte_by_itself(sample):
    """The smallest pieces there are."""
    data = joined(sample.frames())
    answer = Answer(sample.request(), headers=sample.headers())
    whole = Answer(sample.request(), headers=sample.headers())
    assert passed(answer, by_byte(data)) == passed(whole, [data])
    assert answer.reading() == whole.reading()
    assert answer.reading().usage.output_tokens == 16


@pytest.mark.parametrize("sample", SAMPLES, ids=lambda sample: sample.name)
def test_a_whole_answer_passes_and_is_read(sample):
    """In one piece of JSON, compressed or not: its bytes are the provider's."""
    body = json.dumps(sample.provider.answer(sample.generation(Behaviour(usage=USED)))).encode()
    request = sample.request() if sample.name == "gemini-list" else sample.request(stream=False)
    for encoding, data in (("", body), ("gzip", gzip.compress(body)), ("deflate", zlib.compress(body))):
        answer = Answer(request, headers=JSON | ({"Content-Encoding": encoding} if encoding else {}))
        if answer.is_stream:  # Gemini's list comes as JSON, too
            continue
        assert passed(answer, by_byte(data)) == data
        assert answer.reading().usage.input_tokens == USED.input_tokens
        assert answer.reading().usage.output_tokens == USED.output_tokens
        assert answer.headers.get("Content-Encoding", "") == encoding


@pytest.mark.parametrize(
    "change",
    [
        lambda data: data.replace(b"\n", b"\r\n"),
        lambda data: data.replace(b"\n", b"\r"),
        lambda data: data[: -len(b"data: [DONE]\n\n")].rstrip(b"\n"),
        lambda data: b": keep alive\n\n" + data,
        lambda data: b"\xef\xbb\xbf" + data,
    ],
    ids=["crlf", "cr", "no last blank line", "comment", "byte order mark"],
)
def test_our_chunk_is_found_however_events_end(change):
    """And all other bytes stay as they are."""
    with_usage, without = joined(CHAT.frames()), change(_without_our_chunk())
    data = change(with_usage)
    end = data.rindex(b"[DONE]") if b"[DONE]" in data else len(data)
    cuts = [[data[:at], data[at:]] for at in range(end - 12, end)]  # in the middle of what ends our chunk
    for pieces in (by_byte(data), [data], *cuts):
        answer = Answer(CHAT.request(), headers=CHAT.headers())
        assert passed(answer, pieces).rstrip() == without.rstrip()
        assert answer.reading().usage.output_tokens == 16


def _without_our_chunk() -> bytes:
    frames = CHAT.frames()
    return joined(frames).replace(frames.closing[-2], b"")


def test_a_chunk_with_usage_that_the_caller_asked_for_stays():
    """As do chunks without choices that say something else, and usage beside choices."""
    options = {"stream_options": {"include_usage": True}}
    data = joined(CHAT.frames(**options))
    assert passed(Answer(CHAT.request(**options), headers=CHAT.headers()), [data]) == data
    filters = b'data: {"choices": [], "usage": null, "prompt_filter_results": []}\n\n'
    last = b'data: {"choices": [{"index": 0, "delta": {}, "finish_reason": "stop"}], "usage": {"prompt_tokens": 1}}\n\n'
    answer = Answer(CHAT.request(), headers=CHAT.headers())
    assert passed(answer, [filters + last]) == filters + last


@pytest.mark.parametrize(
    ("usage", "status"),
    [
        (None, UsageStatus.MISSING),
        ({"prompt_tokens": -5, "completion_tokens": 3}, UsageStatus.INVALID),
        ({"prompt_tokens": "many"}, UsageStatus.INVALID),
        ([], UsageStatus.MISSING),
    ],
)
def test_usage_that_cannot_be_is_no_usage(usage, status):
    """Null, negative, or no numbers: a status, and no exception."""
    body = {"id": "c", "object": "chat.completion", "model": "gpt-4o", "choices": [], "usage": usage}
    answer = Answer(CHAT.request(stream=False), headers=JSON)
    answer.feed(json.dumps(body).encode())
    assert answer.reading().status is status


@pytest.mark.parametrize("sample", SAMPLES, ids=lambda sample: sample.name)
def test_html_with_status_200_is_no_answer(sample):
    """It passes, whatever type it claims to be, and says no usage."""
    page = b"<html><body>Sign in to the network\n\n</body></html>"
    for kind in ("text/html", "application/json", sample.headers()["content-type"], ""):
        answer = Answer(sample.request(), headers={"content-type": kind})
        assert passed(answer, by_byte(page)) == page
        assert answer.reading().status in (UsageStatus.MISSING, UsageStatus.INVALID)
        assert answer.reading().usage.total_tokens == 0


@pytest.mark.parametrize("encoding", ["br", "zstd"])
def test_what_the_standard_library_cannot_decode_passes_unread(encoding):
    """And is said to be so."""
    headers = CHAT.headers() | {"content-encoding": encoding, "content-length": "4"}
    answer = Answer(CHAT.request(), headers=headers)
    assert passed(answer, [b"\x01\x02", b"\x03\x04"]) == b"\x01\x02\x03\x04"
    assert answer.headers == headers
    assert encoding in answer.reading().reason
    assert answer.reading().status is UsageStatus.MISSING


def test_a_compressed_stream_passes_decoded():
    """Its headers say so; what is cut or broken gives what was whole."""
    data = joined(CHAT.frames())
    headers = CHAT.headers() | {"Content-Encoding": "gzip", "Content-Length": "999"}
    for pieces in (
        [gzip.compress(data)],
        by_byte(gzip.compress(data)),
        [gzip.compress(data[:300]) + gzip.compress(data[300:])],
    ):
        answer = Answer(CHAT.request(), headers=headers)
        assert passed(answer, pieces) == _without_our_chunk()
        assert answer.headers == CHAT.headers()
    answer = Answer(CHAT.request(), headers=headers)
    assert answer.feed(b"this is no gzip") == b""
    assert answer.feed(b"nor this") == b""
    assert "not compressed as it says" in answer.reading().reason
    begun = Answer(CHAT.request(), headers=headers)
    begun.feed(gzip.compress(joined(CHAT.frames())[:3000]))
    begun.feed(b"this is no gzip")
    assert begun.reading().status is not UsageStatus.OK
    assert begun.output_bound > 0


@pytest.mark.parametrize(("status", "unbilled"), [(429, True), (401, True), (500, False), (408, False)])
def test_an_error_says_whether_it_may_be_billed(status, unbilled):
    """As the rules of refusals have it; a stream that was asked for makes no difference."""
    answer = Answer(CHAT.request(), status=status, headers=JSON)
    assert not answer.is_stream
    answer.feed(json.dumps(openai_chat.error(status, "no", "r")).encode())
    assert bool(answer.reading().unbilled) == unbilled


def test_a_stream_that_is_cut_says_what_came():
    """Never less than nothing, and that it is no final count."""
    frames = CHAT.frames()
    answer = Answer(CHAT.request(), headers=CHAT.headers())
    passed(answer, [*frames.opening, *frames.chunks[:8]])
    assert not answer.is_finished
    assert answer.output_bound >= 8
    assert answer.reading().status is not UsageStatus.OK


def test_an_answer_that_is_too_long_passes_unread(monkeypatch):
    """Nothing is kept without a limit."""
    monkeypatch.setattr(answers_module, "WHOLE_MAX_BYTES", 100)
    answer = Answer(CHAT.request(stream=False), headers=JSON)
    assert passed(answer, [b"x" * 60] * 3) == b"x" * 180
    assert "more than 100 bytes" in answer.reading().reason


def test_what_is_compressed_wrongly_passes_unread():
    """The client may make of it what it can."""
    answer = Answer(CHAT.request(stream=False), headers=JSON | {"content-encoding": "gzip"})
    assert passed(answer, [b"this is ", b"no gzip"]) == b"this is no gzip"
    assert "not compressed as it says" in answer.reading().reason


def test_several_answers_in_one_stream_are_told_apart():
    """As some gateways send them; a whole answer is one."""
    data = joined(CHAT.frames())
    answer = Answer(CHAT.request(), headers=CHAT.headers())
    answer.feed(data + data.replace(b"chatcmpl-r1", b"chatcmpl-r2"))
    assert [one.usage.output_tokens for one in answer.readings()] == [16, 16]
    whole = Answer(CHAT.request(stream=False), headers=JSON)
    whole.feed(json.dumps(openai_chat.answer(CHAT.generation(Behaviour()))).encode())
    assert [one.usage.output_tokens for one in whole.readings()] == [16]


def test_counts_that_stand_in_headers_are_read():
    """Bedrock has them there where a model's own answer says none."""
    host, path = "bedrock-runtime.us-east-1.amazonaws.com", "/model/mistral.mistral-7b/invoke"
    request = read(host, path, {"prompt": "x", "max_tokens": 5})
    counts = {"X-Amzn-Bedrock-Input-Token-Count": "12", "X-Amzn-Bedrock-Output-Token-Count": "3"}
    answer = Answer(request, headers=JSON | counts)
    answer.feed(b'{"outputs": [{"text": "hi", "stop_reason": "stop"}]}')
    assert (answer.reading().usage.input_tokens, answer.reading().usage.output_tokens) == (12, 3)
    unread = Answer(request, headers=JSON | counts)
    unread.feed(b"<html>")
    assert unread.reading().status is UsageStatus.INVALID


def test_ollama_streams_lines():
    """The last one counts."""
    lines = [{"model": "m", "message": {"content": "hi"}, "done": False}]
    lines.append({"model": "m", "done": True, "done_reason": "stop", "prompt_eval_count": 12, "eval_count": 3})
    data = b"".join(json.dumps(line).encode() + b"\n" for line in lines)
    answer = Answer(
        read("localhost:11434", "/api/chat", {"model": "m"}), headers={"content-type": "application/x-ndjson"}
    )
    assert passed(answer, by_byte(data)) == data
    assert (answer.reading().usage.input_tokens, answer.reading().usage.output_tokens) == (12, 3)
    assert answer.is_finished


@settings(max_examples=30, deadline=None)
@given(
    st.sampled_from(SAMPLES), st.lists(st.binary(max_size=30), max_size=5), st.sampled_from([200, 204, 302, 404, 500])
)
def test_any_bytes_are_an_answer(sample, pieces, status):
    """They pass, and say no usage; nothing raises."""
    answer = Answer(sample.request(), status=status, headers=sample.headers())
    assert passed(answer, pieces) == b"".join(pieces)
    assert answer.reading().usage.total_tokens == 0
    answer.end_at_limit()
