"""Gemini and Bedrock's Converse as the emulator serves them, over plain HTTP: shapes, streams, faults and bills."""

from __future__ import annotations

import http.client
import json
import struct
import zlib
from collections.abc import Iterator
from typing import Any

import pytest

from hivecost.events import Usage
from hivecost.testing import BEHAVIOUR_HEADER, Behaviour, ProviderEmulator, ToolCall, prompt_tokens
from hivecost.usage import UsageStream, read_usage

CLAUDE = "us.anthropic.claude-sonnet-4-5-20250929-v1:0"
GEMINI = "/v1beta/models/gemini-2.5-flash"
VERTEX = "/v1/projects/p/locations/global/publishers/google/models/gemini-2.5-pro"
CONVERSE = f"/model/{CLAUDE.replace(':', '%3A')}"
CONTENTS: Any = [{"role": "user", "parts": [{"text": "Say hello."}]}]
MESSAGES: Any = [{"role": "user", "content": [{"text": "Say hello."}]}]
FULL = Usage(
    input_tokens=1000, output_tokens=300, cache_read_tokens=400, cache_write_tokens=200, cache_write_1h_tokens=50
)
TOOLS = (ToolCall("read_file", {"path": "a.py"}), ToolCall("run", {"command": "ls"}))


@pytest.fixture
def provider() -> Iterator[ProviderEmulator]:
    with ProviderEmulator() as provider:
        yield provider


def post(provider: ProviderEmulator, path: str, body: Any, **headers: str) -> tuple[int, dict[str, str], bytes]:
    """Status, headers and body; what came of the body where the connection was cut."""
    connection = http.client.HTTPConnection(provider.url.removeprefix("http://"), timeout=10)
    try:
        connection.request("POST", path, json.dumps(body), headers)
        response = connection.getresponse()
        try:
            data = response.read()
        except http.client.IncompleteRead as error:
            data = error.partial
        return response.status, {name.lower(): value for name, value in response.getheaders()}, data
    finally:
        connection.close()


def generate(provider: ProviderEmulator, call: str = "generateContent", **config: Any) -> Any:
    body = {"contents": CONTENTS, "generationConfig": config}
    return json.loads(post(provider, f"{GEMINI}:{call}", body)[2])


def converse(provider: ProviderEmulator, **more: Any) -> Any:
    return json.loads(post(provider, f"{CONVERSE}/converse", {"messages": MESSAGES} | more)[2])


def frames(data: bytes) -> list[tuple[str, Any]]:
    """The events of an event stream, read as Amazon describes it."""
    found = []
    while data:
        size, headers_size = struct.unpack_from(">II", data)
        frame, data = data[:size], data[size:]
        assert zlib.crc32(frame[:8]) == int.from_bytes(frame[8:12], "big")
        assert zlib.crc32(frame[:-4]) == int.from_bytes(frame[-4:], "big")
        name = b":event-type\x07"
        at = frame.index(name) + len(name)
        length = int.from_bytes(frame[at : at + 2], "big")
        found.append((frame[at + 2 : at + 2 + length].decode(), json.loads(frame[12 + headers_size : -4])))
    return found


def test_gemini_answers(provider: ProviderEmulator) -> None:
    """As many candidates as asked for, thoughts beside the answer's count, and what it ended for."""
    provider.script(Behaviour(text="Hello!", usage=Usage(100, 30, reasoning_tokens=10)))
    answer = generate(provider)
    assert answer["candidates"][0]["content"]["parts"] == [{"text": "Hello!"}]
    assert (answer["candidates"][0]["finishReason"], answer["modelVersion"]) == ("STOP", "gemini-2.5-flash")
    counts = {"promptTokenCount": 100, "candidatesTokenCount": 20, "thoughtsTokenCount": 10, "totalTokenCount": 130}
    assert answer["usageMetadata"] == counts
    cut = generate(provider, maxOutputTokens=5, candidateCount=2)
    assert [candidate["finishReason"] for candidate in cut["candidates"]] == ["MAX_TOKENS"] * 2
    entry = provider.bill[-1]
    assert (entry.flavor, entry.model, entry.max_tokens) == ("google.gemini", "gemini-2.5-flash", 5)
    assert entry.usage == Usage(prompt_tokens(CONTENTS), 10)
    assert read_usage(cut).usage.output_tokens == 10


def test_gemini_streams_events_or_a_list(provider: ProviderEmulator) -> None:
    """The same elements both ways; the last one counts all."""
    body = {"contents": CONTENTS}
    _, headers, events = post(provider, f"{GEMINI}:streamGenerateContent?alt=sse", body)
    assert headers["content-type"].startswith("text/event-stream")
    of_events = [json.loads(line.removeprefix("data: ")) for line in events.decode().split("\n\n") if line]
    _, headers, listed = post(provider, f"{VERTEX}:streamGenerateContent", body)
    assert headers["content-type"] == "application/json"
    of_list = json.loads(listed)
    assert len(of_events) == len(of_list) == 17
    for elements in (of_events, of_list):
        stream = UsageStream()
        for element in elements:
            stream.observe(element)
        assert stream.is_finished
        assert stream.reading().usage == provider.bill[0].usage
        texts = [element["candidates"][0]["content"]["parts"][0]["text"] for element in elements]
        assert "".join(texts).startswith("lorem ipsum")
    assert [(entry.model, entry.stream) for entry in provider.bill] == [
        ("gemini-2.5-flash", True),
        ("gemini-2.5-pro", True),
    ]


def test_converse_answers(provider: ProviderEmulator) -> None:
    """Input without what the cache read and wrote; writes told apart by how long they are kept."""
    provider.script(Behaviour(text="Hello!", usage=FULL))
    answer = converse(provider)
    assert answer["output"]["message"]["content"] == [{"text": "Hello!"}]
    assert (answer["stopReason"], answer["usage"]["inputTokens"]) == ("end_turn", 400)
    assert read_usage(answer).usage == FULL
    cut = converse(provider, inferenceConfig={"maxTokens": 5}, serviceTier={"type": "flex"})
    assert cut["stopReason"] == "max_tokens"
    entry = provider.bill[-1]
    assert (entry.flavor, entry.model, entry.max_tokens) == ("bedrock.converse", CLAUDE, 5)
    assert (entry.usage, entry.service_tier) == (Usage(prompt_tokens(MESSAGES), 5), "flex")


def test_converse_streams_frames(provider: ProviderEmulator) -> None:
    """From messageStart to metadata, each with its checksums."""
    provider.script(Behaviour(text="Hello you", tool_calls=TOOLS[:1]))
    status, headers, data = post(provider, f"{CONVERSE}/converse-stream", {"messages": MESSAGES})
    assert (status, headers["content-type"]) == (200, "application/vnd.amazon.eventstream")
    events = frames(data)
    names = [name for name, _ in events]
    assert (names[0], names[-2:]) == ("messageStart", ["messageStop", "metadata"])
    assert names.count("contentBlockStop") == 2
    assert names.count("contentBlockStart") == 1  # text has none
    deltas = [said["delta"] for name, said in events if name == "contentBlockDelta"]
    assert "".join(delta.get("text", "") for delta in deltas) == "Hello you"
    arguments = "".join(delta["toolUse"]["input"] for delta in deltas if "toolUse" in delta)
    assert json.loads(arguments) == TOOLS[0].arguments
    assert events[-1][1]["usage"]["outputTokens"] == provider.bill[0].usage.output_tokens


def test_tools_are_called(provider: ProviderEmulator) -> None:
    """After the text if there is one; what the limit cuts off is an empty object."""
    provider.always(Behaviour(text="I look.", tool_calls=TOOLS))
    parts = generate(provider)["candidates"][0]["content"]["parts"]
    assert [part["functionCall"]["args"] for part in parts[1:]] == [tool.arguments for tool in TOOLS]
    content = converse(provider)["output"]["message"]["content"]
    assert [block["toolUse"]["input"] for block in content[1:]] == [tool.arguments for tool in TOOLS]
    listed = generate(provider, "streamGenerateContent")
    calls = [part for one in listed for part in one["candidates"][0]["content"]["parts"] if "functionCall" in part]
    assert [call["functionCall"]["name"] for call in calls] == [tool.name for tool in TOOLS]
    assert generate(provider, maxOutputTokens=3)["candidates"][0]["content"]["parts"][1]["functionCall"]["args"] == {}
    cut = converse(provider, inferenceConfig={"maxTokens": 3})
    assert cut["output"]["message"]["content"][1]["toolUse"]["input"] == {}


@pytest.mark.parametrize(
    ("path", "body", "name"),
    [
        (f"{GEMINI}:generateContent", {"contents": CONTENTS}, "RESOURCE_EXHAUSTED"),
        (f"{CONVERSE}/converse", {"messages": MESSAGES}, "ThrottlingException"),
    ],
)
def test_errors_are_the_providers_own(provider: ProviderEmulator, path: str, body: Any, name: str) -> None:
    """Scripted or for a body that cannot be read: not billed, unless it was told to."""
    provider.script(Behaviour(status=429, retry_after_s=2), Behaviour(status=500, billed=True))
    status, headers, data = post(provider, path, body)
    assert (status, headers["retry-after"], name in data.decode()) == (429, "2", True)
    assert post(provider, path, body)[0] == 500
    assert post(provider, path, {"contents": 5, "messages": 5})[0] == 400
    assert post(provider, path, body, **{BEHAVIOUR_HEADER: '{"status": 503}'})[0] == 503
    assert [(entry.status, entry.billed) for entry in provider.bill] == [
        (429, False),
        (500, True),
        (400, False),
        (503, False),
    ]


@pytest.mark.parametrize(
    ("path", "body"),
    [
        (f"{GEMINI}:streamGenerateContent?alt=sse", {"contents": CONTENTS}),
        (f"{GEMINI}:streamGenerateContent", {"contents": CONTENTS}),
        (f"{CONVERSE}/converse-stream", {"messages": MESSAGES}),
    ],
)
def test_streams_are_cut_and_keep_their_usage_to_themselves(provider: ProviderEmulator, path: str, body: Any) -> None:
    """A cut one is billed up to its last chunk; an honest bill is kept of one that does not say its usage."""
    whole = post(provider, path, body)[2]
    provider.script(Behaviour(cut_after_chunks=3))
    cut = post(provider, path, body)[2]
    assert 0 < len(cut) < len(whole)
    assert provider.bill[-1].usage.output_tokens == 3
    provider.script(Behaviour(omit_usage=True))
    silent = post(provider, path, body)[2]
    assert b"okenCount" not in silent
    assert b"outputTokens" not in silent
    assert provider.bill[-1].usage.output_tokens == 16
    provider.script(Behaviour(usage_override={"candidatesTokenCount": -1, "outputTokens": -1}))
    assert b"-1" in post(provider, path, body)[2]


def test_counts_are_free(provider: ProviderEmulator) -> None:
    """And say what the same request is then billed for."""
    counted = json.loads(post(provider, f"{GEMINI}:countTokens", {"contents": CONTENTS})[2])["totalTokens"]
    asked = {"input": {"converse": {"messages": MESSAGES}}}
    of_bedrock = json.loads(post(provider, f"{CONVERSE}/count-tokens", asked)[2])["inputTokens"]
    assert provider.bill == []
    generate(provider)
    converse(provider)
    assert [entry.usage.input_tokens for entry in provider.bill] == [counted, of_bedrock]


def test_the_urls_of_their_clients(provider: ProviderEmulator) -> None:
    """Both put the whole path behind it."""
    assert provider.gemini_base_url == provider.bedrock_endpoint_url == provider.url
