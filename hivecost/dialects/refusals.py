"""What every refusal has, whatever its dialect. How often clients ask after one was measured with their defaults.

With `x-should-retry: false`, the clients of OpenAI and Anthropic ask once whatever the status; those that do not know
it ask once for a 402 but not for a 500. 429 is what `busy` means. Codex asks six times for a 402, and once for a 429
that is an `insufficient_quota`.
"""

from __future__ import annotations

import json
import math
from collections.abc import Mapping
from typing import Any, Final

from hivecost.dialects.dialect import REFUSAL_HEADER, Refusal, RefusalAnswer, RefusalKind

STATUSES: Final[Mapping[RefusalKind, int]] = {"exhausted": 402, "busy": 429, "unpriced": 402, "misconfigured": 402}
_CODES: Final[Mapping[RefusalKind, str]] = {
    "exhausted": "budget_exhausted",
    "busy": "budget_busy",
    "unpriced": "price_unknown",
    "misconfigured": "budget_misconfigured",
}
_OPENAI_TYPES: Final[Mapping[RefusalKind, str]] = {
    "exhausted": "insufficient_quota",
    "busy": "rate_limit_error",
    "unpriced": "invalid_request_error",
    "misconfigured": "invalid_request_error",
}
_CODEX: Final = "codex"


def answer(
    refusal: Refusal, body: Any, *, status: int | None = None, headers: Mapping[str, str] | None = None
) -> RefusalAnswer:
    """Return the answer with this body as JSON, and the headers of every refusal before those given."""
    data = json.dumps(body).encode()
    common = {
        "content-type": "application/json",
        "content-length": str(len(data)),
        "x-should-retry": "false",
        REFUSAL_HEADER: refusal.kind,
    }
    if refusal.kind == "busy" and (seconds := _whole_seconds(refusal.retry_after_s)):
        common["retry-after"] = str(seconds)
    return RefusalAnswer(status or STATUSES[refusal.kind], common | dict(headers or {}), data)


def openai_answer(refusal: Refusal, headers: Mapping[str, str]) -> RefusalAnswer:
    """Return the answer in the form of OpenAI's errors: `{"error": {message, type, param, code}}`."""
    kind = _OPENAI_TYPES[refusal.kind]
    is_codex = value_of(headers, "user-agent").lower().startswith(_CODEX)
    error = {
        "message": refusal.message,
        "type": "insufficient_quota" if is_codex else kind,
        "param": None,
        "code": _CODES[refusal.kind],
    }
    return answer(refusal, {"error": error}, status=429 if is_codex else None)


def value_of(headers: Mapping[str, str], name: str) -> str:
    """Return the value of a header, whose name may be written in any case; "" where there is none."""
    return next((value for key, value in headers.items() if key.lower() == name), "")


def _whole_seconds(seconds: float | None) -> int:
    return math.ceil(seconds) if seconds is not None and 0 < seconds < math.inf else 0
