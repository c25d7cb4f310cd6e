"""Requests of real clients: all of them are read, and nothing of them is lost."""

from __future__ import annotations

import json

import pytest

from benchmarks.recorded import read as recorded_requests
from hivecost.dialects import ModelRequest
from hivecost.gate_contract import TurnRequest
from hivecost.pricing import input_token_bound
from hivecost.prompts import reaches_outside
from hivecost.runtime.prompt_count import PromptCount
from tests.unit.dialects.samples import read

ADDRESSES = {
    "openai.chat": ("api.openai.com", "/v1/chat/completions"),
    "openai.responses": ("api.openai.com", "/v1/responses"),
    "anthropic.messages": ("api.anthropic.com", "/v1/messages"),
}
#: Of a prompt, what clients write beside messages, instructions and tools.
BESIDE_BYTES = 300


@pytest.fixture(scope="module")
def requests():
    """Each as recorded and as it is read."""
    found = [(one, read(*ADDRESSES[one.flavor], one.body)) for one in recorded_requests()]
    assert {recorded.flavor for recorded, _ in found} == ADDRESSES.keys()
    return found


def test_what_they_ask_for_is_read(requests):
    """Model, limit, stream, and what the prompt says of itself, as a turn that is given the prompt has it."""
    for recorded, request in requests:
        assert isinstance(request, ModelRequest)
        limit = recorded.limit[1] if recorded.limit else 0
        assert (request.model, request.asked.max_tokens) == (recorded.model, limit)
        assert request.asked.stream == bool(recorded.body.get("stream"))
        described = PromptCount(request.prompt, None, None).described(TurnRequest(model=request.model))
        assert (request.answers, request.cache_write) == (described.answers, described.cache_write)
        assert request.asked.service_tier == described.service_tier


def test_their_prompts_are_what_the_model_reads(requests):
    """All of it, so that the bound holds, and hardly more, so that it is tight."""
    for recorded, request in requests:
        assert recorded.prompt.items() <= request.prompt.items()
        assert reaches_outside(request.prompt) == reaches_outside(recorded.prompt)
        if not reaches_outside(request.prompt):
            beside = input_token_bound(request.prompt) - input_token_bound(recorded.prompt)
            assert 0 <= beside < BESIDE_BYTES


def test_a_limit_changes_nothing_else(requests):
    """The body that is sent says all that it said."""
    for recorded, request in requests:
        limit = max(request.asked.limit_min, 50)
        sent = json.loads(request.to_send(limit))
        asked = {"stream_options": {"include_usage": True}} if request.asked.usage_key else {}
        assert sent == recorded.body | {key: limit for (key,) in request.asked.limit_keys} | asked
        assert list(sent)[: len(recorded.body)] == list(recorded.body)
