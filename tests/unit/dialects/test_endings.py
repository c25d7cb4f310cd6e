"""Streams that are ended on the way, as their providers end them at the limit of output."""

from __future__ import annotations

import base64
import json

import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from hivecost.dialects import Answer
from hivecost.dialects.event_stream import chunk_frame
from hivecost.events import Usage
from hivecost.testing import Behaviour, ToolCall
from hivecost.usage import UsageStatus
from tests.unit.dialects.samples import BY_NAME, SAMPLES, joined, read

USED = Usage(input_tokens=40, output_tokens=9, cache_read_tokens=10)
TOOL = Behaviour(text="I look first.", tool_calls=(ToolCall("read_file", {"path": "a.py", "lines": 12}),))


def data_of(stream: bytes) -> list:
    """The JSON of server-sent events."""
    lines = [line.removeprefix(b"data: ") for line in stream.split(b"\n") if line.startswith(b"data: {")]
    return [json.loads(line) for line in lines]


def ended(sample, sent: list[bytes], usage: Usage = USED, **more) -> bytes:
    answer = Answer(sample.request(**more), headers=sample.headers())
    return b"".join(map(answer.feed, sent)) + answer.end_at_limit(usage)


def read_again(sample, stream: bytes):
    answer = Answer(sample.request(stream_options={"include_usage": True}), headers=sample.headers())
    assert answer.feed(stream) + answer.close() == stream
    return answer


@pytest.mark.parametrize("behaviour", [Behaviour(), TOOL], ids=["text", "tool"])
@pytest.mark.parametrize("sample", SAMPLES, ids=lambda sample: sample.name)
def test_a_stream_that_is_ended_anywhere_is_whole(sample, behaviour):
    """After each of its chunks, and before the first: it is finished, says why, and how much was used."""
    asked = {"stream_options": {"include_usage": True}} if sample.name == "chat" else {}
    frames = sample.frames(behaviour, **asked)
    for count in range(len(frames.chunks) + 1):
        sent = [*frames.opening, *frames.chunks[:count]]
        answer = read_again(sample, ended(sample, sent, **asked))
        assert answer.is_finished
        reading = answer.reading()
        assert reading.status is UsageStatus.OK
        assert reading.stop_reason.lower() in ("length", "max_tokens", "max_output_tokens")
        assert (reading.usage.input_tokens, reading.usage.output_tokens) == (40, 9)


@pytest.mark.parametrize("sample", SAMPLES, ids=lambda sample: sample.name)
def test_what_was_not_whole_is_left_out(sample):
    """Half an event before the end would make the end unreadable."""
    frames = sample.frames()
    sent = [*frames.opening, *frames.chunks[:3]]
    assert ended(sample, [*sent, frames.chunks[3][:-4]]) == ended(sample, sent)


@pytest.mark.parametrize("sample", SAMPLES, ids=lambda sample: sample.name)
def test_a_stream_can_end_before_it_began(sample):
    """With as much around its end as makes it an answer."""
    stream = ended(sample, [])
    assert read_again(sample, stream).is_finished or sample.name == "chat"  # which says usage only if asked
    if sample.name == "gemini-list":
        assert isinstance(json.loads(stream), list)


def test_usage_is_said_as_known_unless_it_is_given():
    """What the provider counted, and what came since."""
    sample = BY_NAME["messages"]
    frames = sample.frames()
    answer = Answer(sample.request(), headers=sample.headers())
    stream = b"".join(map(answer.feed, [*frames.opening, *frames.chunks[:5]])) + answer.end_at_limit()
    said = read_again(sample, stream).reading().usage
    assert said.input_tokens == json.loads(frames.opening[0].split(b"data: ")[1])["message"]["usage"]["input_tokens"]
    assert said.output_tokens >= 5


@pytest.mark.parametrize("name", ["messages", "converse"])
def test_a_block_is_closed_once(name):
    """By the provider or by us, wherever the stream ends."""
    sample = BY_NAME[name]
    frames = sample.frames(TOOL)
    for count in range(1, len(frames.chunks) + 1):
        stream = ended(sample, [*frames.opening, *frames.chunks[:count]])
        begun = 1 + (b"read_file" in stream)
        assert stream.count(b'"content_block_stop"') + stream.count(b"contentBlockStop") == begun


def test_every_choice_of_a_chat_is_ended():
    """Those that are open, each once; usage only where the caller asked for it; then nothing more."""
    sample = BY_NAME["chat"]
    closed = b'data: {"id":"c","model":"m","choices":[{"index":1,"delta":{},"finish_reason":"stop"}]}\n\n'
    events = data_of(ended(sample, [closed], n=3))
    ends = [(choice["index"], choice["finish_reason"]) for event in events[1:] for choice in event["choices"]]
    assert ends == [(0, "length"), (2, "length")]
    assert all(event["id"] == "c" for event in events)
    assert not any(event.get("usage") for event in events)
    assert ended(sample, [closed]).endswith(b"data: [DONE]\n\n")


def test_a_response_is_done_from_inside_out():
    """Text, part, item, response, in this order and numbered on; the text is what came of it."""
    sample = BY_NAME["responses"]
    frames = sample.frames(Behaviour(text="Hello you there"))
    sent = [*frames.opening, *frames.chunks[:2]]
    events = data_of(ended(sample, sent))
    kinds = [event["type"].removeprefix("response.") for event in events[-4:]]
    assert kinds == ["output_text.done", "content_part.done", "output_item.done", "incomplete"]
    assert [event["sequence_number"] for event in events] == list(range(len(events)))
    response = events[-1]["response"]
    assert (response["status"], response["output"][0]["status"]) == ("incomplete", "incomplete")
    assert response["output"][0]["content"][0]["text"] == events[-4]["text"] == "Hello yo"


def test_a_response_ends_in_the_middle_of_a_call():
    """What was done before stays as it was; the arguments are what came of them."""
    sample = BY_NAME["responses"]
    frames = sample.frames(TOOL)
    response = data_of(ended(sample, [*frames.opening, *frames.chunks[:-2]]))[-1]["response"]
    message, call = response["output"]
    assert (message["status"], message["content"][0]["text"]) == ("completed", "I look first.")
    arguments = json.dumps(TOOL.tool_calls[0].arguments)
    assert call["status"] == "incomplete"
    assert arguments.startswith(call["arguments"])
    assert call["arguments"]


def test_reasoning_of_a_response_is_kept():
    """Its summary is a part of its item."""
    sample = BY_NAME["responses"]
    place = {"item_id": "rs", "output_index": 0, "summary_index": 0}
    item = {"id": "rs", "type": "reasoning", "summary": []}
    events = [
        {"type": "response.output_item.added", "output_index": 0, "item": item, "sequence_number": 1},
        {"type": "response.reasoning_summary_part.added", **place, "part": {"type": "summary_text", "text": ""}},
        {"type": "response.reasoning_summary_text.delta", **place, "delta": "I th"},
        {"type": "response.reasoning_summary_text.delta", **place, "delta": "ink"},
    ]
    sent = [f"data: {json.dumps(event)}\n\n".encode() for event in events]
    response = data_of(ended(sample, sent))[-1]["response"]
    assert response["output"] == [{**item, "summary": [{"type": "summary_text", "text": "I think"}]}]


def invoke(model: str, body: dict, sent: list[dict]) -> list[dict]:
    """The models' own events at the end of InvokeModelWithResponseStream."""
    path = f"/model/{model}/invoke-with-response-stream"
    request = read("bedrock-runtime.us-east-1.amazonaws.com", path, body)
    answer = Answer(request, headers={"content-type": "application/vnd.amazon.eventstream"})
    stream = b"".join(answer.feed(chunk_frame(event)) for event in sent) + answer.end_at_limit(USED)
    again = Answer(request, headers={"content-type": "application/vnd.amazon.eventstream"})
    again.feed(stream)
    assert again.is_finished
    assert again.reading().usage.output_tokens == 9
    payloads = [part.split(b'"}')[0] for part in stream.split(b'{"bytes":"')[1:]]
    return [json.loads(base64.b64decode(payload)) for payload in payloads]


def test_models_of_bedrock_end_in_their_own_words():
    """And the last event has what Bedrock counted."""
    begun = [{"type": "message_start", "message": {}}, {"type": "content_block_start", "index": 0, "content_block": {}}]
    claude = invoke("anthropic.claude-3", {"anthropic_version": "x", "max_tokens": 9}, begun)
    assert [event["type"] for event in claude[2:]] == ["content_block_stop", "message_delta", "message_stop"]
    assert claude[-1]["amazon-bedrock-invocationMetrics"]["outputTokenCount"] == 9
    nova = invoke("amazon.nova-lite-v1:0", {"messages": []}, [{"messageStart": {"role": "assistant"}}])
    assert {"messageStop": {"stopReason": "max_tokens"}} in nova
    llama = invoke("meta.llama3-8b", {"prompt": "x"}, [{"generation": "hi", "stop_reason": None}])
    assert (llama[-1]["generation"], llama[-1]["stop_reason"]) == ("", "length")
    gpt = invoke("openai.gpt-oss-20b-1:0", {"messages": []}, [])
    assert gpt[-1]["choices"][0]["finish_reason"] == "length"
    for model, body in (("mistral.m", {"prompt": ""}), ("cohere.command-r", {"message": ""}), ("amazon.titan-t", {})):
        assert len(invoke(model, body, [])) == 1


def test_ollama_ends_with_a_line_that_is_done():
    """In the words of its last line."""
    request = read("localhost:11434", "/api/chat", {"model": "m"})
    answer = Answer(request, headers={"content-type": "application/x-ndjson"})
    answer.feed(b'{"model": "m:1", "created_at": "2026-11-28T00:00:00Z", "message": {"content": "hi"}}\n')
    last = json.loads(answer.end_at_limit(USED))
    assert (last["done"], last["done_reason"], last["model"], last["eval_count"]) == (True, "length", "m:1", 9)
    assert last["created_at"] == "2026-11-28T00:00:00Z"


def test_what_is_no_stream_is_not_ended():
    """There is nothing to add to a whole answer."""
    sample = BY_NAME["chat"]
    answer = Answer(sample.request(stream=False), headers={"content-type": "application/json"})
    assert answer.end_at_limit(USED) == b""
    embeddings = read("api.openai.com", "/v1/embeddings", {"model": "e", "input": "x"})
    assert Answer(embeddings, headers={}).end_at_limit(USED) == b""
    assert joined(sample.frames())


WORDS = [
    "type", "index", "choices", "finish_reason", "response", "output_index", "content_index", "item", "item_id", "part",
    "delta", "text", "sequence_number", "candidates", "contentBlockStart", "contentBlockIndex", "usage", "model",
    "response.output_item.added", "response.output_text.delta", "response.content_part.added", "message_start",
    "response.output_text.done", "response.content_part.done", "content_block_start", "response.output_item.done",
]  # fmt: skip
strange = st.recursive(
    st.none() | st.booleans() | st.integers() | st.sampled_from(WORDS),
    lambda inner: st.lists(inner, max_size=3) | st.dictionaries(st.sampled_from(WORDS), inner, max_size=5),
    max_leaves=10,
)


@settings(deadline=None)
@given(st.sampled_from(SAMPLES), st.lists(st.dictionaries(st.sampled_from(WORDS), strange, max_size=6), max_size=5))
def test_any_events_can_be_ended(sample, events):
    """Whatever a provider sent before: there is an end, and nothing raises."""
    answer = Answer(sample.request(), headers={"content-type": "text/event-stream"})
    for event in events:
        answer.feed(b"data: " + json.dumps(event).encode() + b"\n\n")
    assert answer.end_at_limit(USED).endswith(b"\n\n")
    assert answer.end_at_limit()
