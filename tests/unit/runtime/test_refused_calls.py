"""What a refused call costs: nothing, where the provider says that it did no work; else nobody knows."""

from __future__ import annotations

import json

import anthropic
import httpx2
import openai
import pytest

import hivecost as hc
from hivecost.runtime.billing_errors import refusal_status

pytestmark = pytest.mark.anyio

INVALID = {"error": {"code": "unsupported_parameter", "type": "invalid_request_error", "message": "no such parameter"}}
AZURE = {
    "error": {
        "code": "content_filter",
        "message": "The response was filtered due to the prompt triggering Azure OpenAI's content management policy.",
        "innererror": {"code": "ResponsibleAIPolicyViolation", "content_filter_result": {"hate": {"filtered": True}}},
    }
}
FILTERED = [
    AZURE,
    {"error": {"innererror": {"code": "ResponsibleAIPolicyViolation"}}},
    {"error": {"code": "content_policy_violation", "message": "rejected as a result of our safety system"}},
    {"error": {"code": "moderation_blocked"}},
    {"error": {"code": "invalid_prompt", "message": "flagged as potentially violating our usage policy"}},
    {
        "type": "error",
        "error": {"type": "invalid_request_error", "message": "Output blocked by content filtering policy"},
    },
    {"promptFeedback": {"blockReason": "OTHER"}},
    {"candidates": [{"finishReason": "SAFETY"}]},
    {"error": {"code": 400, "message": "blocked because of PROHIBITED_CONTENT", "status": "INVALID_ARGUMENT"}},
    {"message": "ValidationException: the guardrail blocked it", "action": "GUARDRAIL_INTERVENED"},
    {"error": {"code": "data_inspection_failed", "message": "InternalError.Algo.DataInspectionFailed"}},
]


class ApiError(Exception):
    """As SDKs have it: whatever is given becomes an attribute."""

    def __init__(self, message="refused", **attributes):
        super().__init__(message)
        self.__dict__.update(attributes)


class Response:
    def __init__(self, status_code=400, body=None, error=None):
        self.status_code, self._body, self._error = status_code, body, error

    def json(self):
        if self._error is not None:
            raise self._error
        return self._body

    @property
    def text(self):
        return self.json() if isinstance(self._body, str) else json.dumps(self.json())


@pytest.mark.parametrize("status", [401, 403, 404, 407, 413, 422, 429])
def test_refusals_before_any_work(status):
    """They need say nothing more than their status."""
    assert refusal_status(ApiError(status_code=status)) == status
    assert refusal_status(ApiError(response=Response(status, error=ValueError()))) == status


@pytest.mark.parametrize("status", [*range(402, 500), 302, 500, 502, 503, 504, 529])
def test_any_other_status_says_nothing_about_the_bill(status):
    """408, 409, 499 and 5xx come after work was done; of the others nobody has said what they cost."""
    if status not in (403, 404, 407, 413, 422, 429):
        assert refusal_status(ApiError(status_code=status, body=INVALID)) is None


@pytest.mark.parametrize(
    "error",
    [
        ApiError(status_code=400, body=INVALID),
        ApiError(status_code=400, body=INVALID["error"]),
        ApiError(status_code=400, body=json.dumps(INVALID)),
        ApiError(status_code=400, code="context_length_exceeded"),
        ApiError(response=Response(400, INVALID)),
        ApiError(status_code=400, body=None, response=Response(400, INVALID)),
    ],
)
def test_a_400_that_says_what_was_wrong(error):
    """It costs nothing, wherever the SDK keeps what the provider said."""
    assert refusal_status(error) == 400


@pytest.mark.parametrize("body", FILTERED)
@pytest.mark.parametrize(
    "made",
    [
        lambda body: ApiError(status_code=400, body=body),
        lambda body: ApiError(status_code=400, code="bad_request", body=body.get("error", body)),
        lambda body: ApiError(status_code=400, body=json.dumps(body)),
        lambda body: ApiError(response=Response(400, body)),
        lambda body: ApiError(status_code=400, body=INVALID, response=Response(400, body)),
        lambda body: ApiError(f"Error code: 400 - {body}", status_code=400, code="bad_request"),
        lambda body: ApiError(status_code=403, body=body),
    ],
)
def test_a_content_filter_may_have_done_work(body, made):
    """Azure bills it: such a refusal is found wherever it stands."""
    assert refusal_status(made(body)) is None


@pytest.mark.parametrize(
    "error",
    [
        ApiError(status_code=400),
        ApiError(status_code=400, body=None, code=None, response=Response(400, error=ValueError("not read"))),
        ApiError(status_code=400, body="<html>Bad Request</html>"),
        ApiError(status_code=400, body={}),
        ApiError(status_code=400, body={"deep": [[[[[[[[[["content_filter"]]]]]]]]]]}),
        ApiError("ContentFilter", status_code=400, body=INVALID),
        type("ContentPolicyViolationError", (ApiError,), {})(status_code=400, body=INVALID),
    ],
)
def test_a_400_that_cannot_be_read_may_be_a_filters(error):
    """No body, one that was streamed, one that is no JSON or too deep to look through; a class's name counts too."""
    assert refusal_status(error) is None


class Hostile(Exception):  # noqa: N818
    """Each attribute raises, and so does its message."""

    status_code = 400

    def __getattr__(self, name):
        raise RuntimeError(name)

    def __str__(self):
        raise RuntimeError

    body = property(lambda self: 1 / 0)


def test_reading_a_strangers_error_never_raises():
    """Whatever its attributes do, and where its body can only be awaited."""

    async def later():
        return INVALID

    class Lying:
        __class__ = property(lambda self: 1 / 0)

    for error in (
        Hostile(),
        ApiError(status_code=Lying()),
        ApiError(status_code=400, response=Lying()),
        ApiError(status_code=400, body=Lying()),
        ApiError(status_code=400, response=type("R", (), {"json": staticmethod(later)})()),
    ):
        assert refusal_status(error) is None


@pytest.mark.parametrize(("body", "status"), [(INVALID, 400), (AZURE, None)])
def test_the_sdks_own_errors(body, status):
    """As OpenAI's and Anthropic's clients make them of an answer."""
    response = httpx2.Response(400, json=body, request=httpx2.Request("POST", "http://127.0.0.1/"))
    made_by_openai = openai.OpenAI(api_key="k")._make_status_error_from_response(response)
    made_by_anthropic = anthropic.Anthropic(api_key="k")._make_status_error_from_response(response)
    assert [refusal_status(error) for error in (made_by_openai, made_by_anthropic)] == [status, status]


@pytest.mark.parametrize(
    ("error", "is_refused"),
    [
        (ApiError(status_code=400, body=INVALID), True),
        (ApiError(status_code=400, body=AZURE), False),
        (ApiError(status_code=408), False),
        (type("Timeout", (ApiError,), {})(status_code=408), False),
        (ApiError(status_code=409), False),
    ],
)
async def test_what_becomes_of_the_hold(make_runtime, collect, error, is_refused):
    """Given back with the turn priced at 0, or in doubt with the turn unpriced."""
    runtime = make_runtime(budgets=[hc.Budget("b", limit="$1", mode="hard")])
    turns = collect(runtime, hc.EventType.LLM_TURN_COMPLETE)

    @runtime.entry_point("api")
    async def api(ctx, _):
        async with ctx.turn("m", input_tokens=1_000, max_tokens=100):
            raise error

    async with runtime:
        result = await runtime.trigger_and_wait("api")
        assert result.error is error
        (account,) = await runtime.budgets.status()
    assert (account.settled, account.held, account.in_doubt) == (0, 0, 0 if is_refused else 1_200_000)
    (turn,) = turns
    assert (turn.cost.nanousd, turn.stop_reason) == ((0, "refused") if is_refused else (None, "error"))
