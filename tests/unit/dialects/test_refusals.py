"""Answers to requests that are not sent."""

from __future__ import annotations

import json
import math

import pytest

from hivecost.dialects import DIALECTS, REFUSAL_HEADER, Refusal, recognise
from tests.unit.dialects.samples import SAMPLES

KINDS = ("exhausted", "busy", "unpriced", "misconfigured")
SAID = "budget 'team day' is exhausted: it needs up to $0.02, and $0.01 is left, “quoted” \n"


def refused(host: str, path: str, kind="exhausted", headers=None, **more):
    route = recognise("POST", host, path)
    return route.dialect.refused(Refusal(kind=kind, message=SAID, **more), route, headers or {})


@pytest.mark.parametrize("kind", KINDS)
@pytest.mark.parametrize("dialect", DIALECTS, ids=lambda dialect: dialect.name)
def test_a_refusal_is_not_to_be_asked_again(dialect, kind):
    """Of any kind, in any dialect: it says so, says that it is ours, and why, in JSON."""
    route = recognise("POST", SAMPLES[0].host, SAMPLES[0].path)
    answer = dialect.refused(Refusal(kind=kind, message=SAID), route, {})
    assert answer.headers["x-should-retry"] == "false"
    assert answer.headers[REFUSAL_HEADER] == kind
    assert answer.headers["content-length"] == str(len(answer.body))
    assert answer.status in (402, 429)
    assert SAID in _texts(json.loads(answer.body))


def _texts(value) -> list[str]:
    if isinstance(value, dict):
        value = list(value.values())
    if isinstance(value, list):
        return [text for part in value for text in _texts(part)]
    return [value] if isinstance(value, str) else []


@pytest.mark.parametrize(
    ("seconds", "said"), [(2.1, "3"), (1, "1"), (None, None), (0, None), (-1, None), (math.inf, None), (math.nan, None)]
)
def test_busy_says_when(seconds, said):
    """In whole seconds, never too early; no other kind does."""
    answer = refused("api.openai.com", "/v1/chat/completions", "busy", retry_after_s=seconds)
    assert (answer.status, answer.headers.get("retry-after")) == (429, said)
    other = refused("api.openai.com", "/v1/chat/completions", "exhausted", retry_after_s=seconds)
    assert "retry-after" not in other.headers


def test_each_is_in_its_clients_words():
    """What the clients read: type and code, name and status."""
    chat = json.loads(refused("api.openai.com", "/v1/chat/completions").body)["error"]
    assert (chat["type"], chat["code"], chat["message"]) == ("insufficient_quota", "budget_exhausted", SAID)
    claude = json.loads(refused("api.anthropic.com", "/v1/messages").body)
    assert claude == {"type": "error", "error": {"type": "billing_error", "message": SAID}}
    path = "/v1beta/models/g:streamGenerateContent"
    events = json.loads(refused("generativelanguage.googleapis.com", path + "?alt=sse").body)
    assert events["error"] == {"code": 402, "message": SAID, "status": "RESOURCE_EXHAUSTED"}
    assert json.loads(refused("generativelanguage.googleapis.com", path).body) == [events]
    assert json.loads(refused("localhost:11434", "/api/chat").body) == {"error": SAID}


@pytest.mark.parametrize("kind", KINDS)
def test_botocore_does_not_ask_again(kind):
    """It does for 429 and for throttling, whatever a header says."""
    answer = refused("bedrock-runtime.us-east-1.amazonaws.com", "/model/m/converse", kind)
    names = {"ServiceQuotaExceededException", "ValidationException"}
    assert answer.status == 402
    assert answer.headers["x-amzn-errortype"] in names
    assert json.loads(answer.body) == {"message": SAID}


@pytest.mark.parametrize("kind", KINDS)
def test_codex_asks_once(kind):
    """Six times for a 402, and once for a quota that is used up."""
    answer = refused("api.openai.com", "/v1/responses", kind, {"User-Agent": "codex_cli_rs/0.171.0"})
    assert (answer.status, json.loads(answer.body)["error"]["type"]) == (429, "insufficient_quota")
