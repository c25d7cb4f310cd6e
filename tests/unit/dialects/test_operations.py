"""Calls of botocore's, before they are signed."""

from __future__ import annotations

import io
import json
import subprocess
import sys

import pytest

from hivecost.dialects import (
    Answer,
    Free,
    ModelRequest,
    Route,
    Unknown,
    Unmetered,
    Unreadable,
    read_operation,
    recognise_operation,
)
from hivecost.events import Usage

SERVICE = "bedrock-runtime"
MESSAGES = [{"role": "user", "content": [{"text": "hi"}, {"cachePoint": {"type": "default", "ttl": "1h"}}]}]
CLAUDE = "anthropic.claude-sonnet-4-5"


def read(operation: str, **parameters):
    route = recognise_operation(SERVICE, operation, parameters)
    assert isinstance(route, Route)
    return read_operation(route, parameters)


def test_a_converse_is_read_and_limited():
    """The parameters are copied where they change; the caller's own are not."""
    parameters = {
        "modelId": CLAUDE, "messages": MESSAGES, "inferenceConfig": {"maxTokens": 900, "topP": 0.5},
        "serviceTier": {"type": "flex"}, "toolConfig": {"tools": [{"toolSpec": {"name": "f"}}]},
    }  # fmt: skip
    request = read("ConverseStream", **parameters)
    assert (request.model, request.provider, request.route.dialect.name) == (CLAUDE, "aws", "bedrock.converse")
    assert (request.asked.max_tokens, request.asked.stream, request.asked.service_tier) == (900, True, "flex")
    assert (request.cache_write, len(request.tools)) == ("1h", 1)
    sent = request.to_send(5)
    assert sent == parameters | {"inferenceConfig": {"maxTokens": 5, "topP": 0.5}}
    assert parameters["inferenceConfig"]["maxTokens"] == 900
    assert sent["messages"] is MESSAGES
    assert request.to_send() == parameters


@pytest.mark.parametrize("config", [{}, {"inferenceConfig": None}, {"inferenceConfig": {}}])
def test_a_limit_is_added_where_there_is_none(config):
    """In a configuration of its own, if need be."""
    request = read("Converse", modelId=CLAUDE, messages=MESSAGES, **config)
    assert (request.asked.max_tokens, request.asked.stream) == (0, False)
    assert request.to_send(5)["inferenceConfig"] == {"maxTokens": 5}


@pytest.mark.parametrize("kind", [str, bytes, bytearray])
def test_the_body_of_an_invocation_is_read(kind):
    """Text or bytes; it comes back with its limit as bytes, and else as it was."""
    text = json.dumps({"anthropic_version": "bedrock-2023-05-31", "max_tokens": 900, "messages": []})
    body = text if kind is str else kind(text.encode())
    request = read("InvokeModelWithResponseStream", modelId=CLAUDE, body=body, serviceTier="priority", accept="*/*")
    assert (request.asked.max_tokens, request.asked.stream, request.asked.service_tier) == (900, True, "priority")
    assert request.to_send(5) == {
        "modelId": CLAUDE,
        "body": text.replace("900", "5").encode(),
        "serviceTier": "priority",
        "accept": "*/*",
    }
    assert request.to_send()["body"] is body


@pytest.mark.parametrize(
    "parameters",
    [
        {"body": io.BytesIO(b"{}"), "modelId": CLAUDE},
        {"modelId": CLAUDE},
        {"body": b"no json", "modelId": CLAUDE},
        {"body": "\ud800", "modelId": CLAUDE},
        {"body": b'{"max_tokens": 1, "max_tokens": 2}', "modelId": CLAUDE},
        {"body": b'{"strange": 1}', "modelId": "arn:aws:bedrock:us-east-1:1:provisioned-model/x"},
        {"body": b'{"messages": []}', "modelId": None},
        {"body": b"[" * 200_000, "modelId": CLAUDE},
    ],
)
def test_what_cannot_be_read_is_a_value(parameters):
    """And a file that is to be read by botocore stays unread."""
    assert isinstance(read("InvokeModel", **parameters), Unreadable)
    assert isinstance(read("Converse", modelId=CLAUDE, inferenceConfig=5), Unreadable)
    endless: list = []
    endless.append(endless)
    assert isinstance(read("Converse", modelId=CLAUDE, messages=endless), Unreadable)


@pytest.mark.parametrize(
    ("service", "operation", "found"),
    [
        (SERVICE, "CountTokens", Free),
        (SERVICE, "ListAsyncInvokes", Free),
        (SERVICE, "StartAsyncInvoke", Unmetered),
        (SERVICE, "ApplyGuardrail", Unmetered),
        (SERVICE, "InvokeModelWithBidirectionalStream", Unmetered),
        ("bedrock-agent-runtime", "InvokeAgent", Unmetered),
        ("bedrock-agent-runtime", "GetAgentMemory", Free),
        ("s3", "GetObject", Unknown),
        ("dynamodb", "PutItem", Unknown),
    ],
)
def test_other_calls_are_known_for_what_they_are(service, operation, found):
    """Free, billed by who knows what, or somebody else's."""
    assert isinstance(recognise_operation(service, operation, {}), found)


def test_events_that_botocore_decoded_are_read():
    """One by one, and they can be ended as Bedrock does."""
    request = read("ConverseStream", modelId=CLAUDE, messages=MESSAGES)
    assert isinstance(request, ModelRequest)
    answer = Answer(request)
    answer.observe({"messageStart": {"role": "assistant"}})
    answer.observe({"contentBlockDelta": {"contentBlockIndex": 0, "delta": {"text": "hello"}}})
    assert answer.output_bound == 5
    ends = [event.data for event in answer.events_at_limit(Usage(7, 2))]
    assert [next(iter(event)) for event in ends] == ["contentBlockStop", "messageStop", "metadata"]
    answer.observe({"metadata": {"usage": {"inputTokens": 7, "outputTokens": 2, "totalTokens": 9}}})
    assert answer.is_finished
    assert (answer.reading().usage.input_tokens, answer.reading().usage.output_tokens) == (7, 2)


def test_what_is_nested_in_itself_is_too_deep_for_any_interpreter():
    """Also for one whose limit of recursion was raised beyond its stack."""
    code = """
import sys
from hivecost.prompts import asked_cache_write, reaches_outside
sys.setrecursionlimit(10**6)
endless = []
endless.append({"content": endless})
for read in (asked_cache_write, reaches_outside):
    try:
        read(endless)
    except RecursionError as error:
        print(error)
"""
    done = subprocess.run([sys.executable, "-c", code], capture_output=True, text=True, check=True)
    assert done.stdout == "a prompt is nested more than 200 deep\n" * 2
