"""Failed lines of a batch: those that cost nothing say so, of the others nobody knows."""

from __future__ import annotations

import json
from types import SimpleNamespace

import pytest

import hivecost as hc
from hivecost.events import CostStatus


def anthropic(kind):
    return {"custom_id": "1", "result": {"type": kind, "error": {"type": "invalid_request_error", "message": "no"}}}


def openai(status=None, error=None, body=None):
    response = None if status is None else {"status_code": status, "request_id": "r", "body": body or {}}
    return {"id": "batch_req_1", "custom_id": "1", "response": response, "error": error}


INVALID = {"error": {"code": "invalid_value", "message": "no such parameter", "type": "invalid_request_error"}}
FILTERED = {"error": {"code": "content_filter", "innererror": {"code": "ResponsibleAIPolicyViolation"}}}

UNBILLED = [
    *map(anthropic, ("errored", "canceled", "expired")),
    openai(error={"code": "batch_expired", "message": "the window ended"}),
    openai(error={"code": "batch_cancelled", "message": "cancelled"}),
    openai(error="cancelled"),
    openai(400, body=INVALID),
    openai(404, body=INVALID, error={"code": "404"}),
    openai(429),
    {"key": "1", "error": {"code": 400, "message": "bad", "status": "INVALID_ARGUMENT"}},
    {"recordId": "1", "modelInput": {}, "error": {"errorCode": 400, "errorMessage": "bad"}},
]
UNKNOWN = [
    openai(error={"code": "request_timeout", "message": "the call to the model timed out"}),
    openai(error={"code": "content_filter", "message": "filtered"}),
    openai(error={"code": "server_error"}),
    openai(400, body=FILTERED),
    openai(400),
    *map(openai, (408, 409, 499, 500, 503)),
    {"key": "1", "error": {"code": 503, "message": "overloaded", "status": "UNAVAILABLE"}},
    {"custom_id": "1"},
    {"custom_id": "1", "response": {"status_code": 200, "body": {}}},
    {"error": {"code": "batch_expired"}},
]


@pytest.mark.parametrize("line", UNBILLED)
@pytest.mark.parametrize("shape", [lambda line: line, json.dumps, lambda line: SimpleNamespace(**line)])
def test_what_was_not_billed_costs_nothing(line, shape):
    """Priced at 0 with the reason, whatever the model is, and kept as it came."""
    reading = hc.read_usage(shape(line))
    cost = hc.PriceBook().price_reading(reading, model="a-model-of-our-own")
    assert (cost.status, cost.nanousd) == (CostStatus.PRICED, 0)
    assert cost.reason.startswith("not billed: the line of the batch")
    assert (reading.batch, reading.usage) == (True, hc.Usage())
    assert reading.raw


@pytest.mark.parametrize("line", UNKNOWN)
def test_what_may_have_been_billed_is_unpriced(line):
    """Filtered content, timeouts and faults of the provider; and what is no failed line of a batch at all."""
    cost = hc.PriceBook().price_reading(hc.read_usage(line), model="gpt-4o")
    assert (cost.status, cost.nanousd) == (CostStatus.UNPRICED, None)


def test_a_line_that_failed_and_has_usage_is_priced():
    """Its bill is known: the usage says more than the error."""
    line = {**openai(400, body=INVALID | {"usage": {"prompt_tokens": 1_000, "completion_tokens": 0}})}
    cost = hc.PriceBook().price_reading(hc.read_usage(line), model="gpt-4o")
    assert cost.nanousd > 0


def test_a_flavor_changes_nothing():
    """Whoever says which shape it is gets the same."""
    assert hc.read_usage(anthropic("expired"), flavor="anthropic").unbilled
