"""What an exception that left a turn says about money: whether anything was sent, and whether it was billed."""

from __future__ import annotations

import inspect
from collections.abc import Iterator, Mapping
from typing import Any, Final

from hivecost.usage import is_unbilled

#: How a prompt is called too long: the code of OpenAI and most hosts, and what Anthropic, Gemini and Bedrock say.
_OVERFLOW_MARKS: Final = (
    *("context_length_exceeded", "maximum context length", "context window", "prompt is too long"),
    *("exceeds the maximum number of tokens", "input is too long"),
)
#: Raised by httpx, httpx2, requests and the standard library before a single byte of the request went out.
_NOT_SENT: Final = frozenset({"ConnectError", "ConnectTimeout", "ConnectionRefusedError", "PoolTimeout", "gaierror"})


def was_never_sent(error: BaseException) -> bool:
    """Tell whether no connection was made, so that nothing can have been billed."""
    return any(kind.__name__ in _NOT_SENT for cause in _causes(error) for kind in type(cause).__mro__)


def refusal_status(error: BaseException) -> int | None:
    """Return the HTTP status with which the provider refused the call, where that costs nothing. Else None.

    Nobody knows what other statuses cost: timeouts and faults of the provider come after work was done, and Azure,
    for one, bills what its content filter refused.

    Reads `status_code`, as the openai and anthropic SDKs' errors have it, or `response.status_code` (httpx).
    """
    response = _attribute(error, "response")
    try:
        for holder in (error, response):
            status = _attribute(holder, "status_code")
            if isinstance(status, int):
                return int(status) if is_unbilled(status, _said(error, response), _names(error)) else None
    except Exception:  # a stranger's object may raise even when it is asked for its class
        return None
    return None


def is_context_overflow(error: BaseException) -> bool:
    """Tell whether a provider refused the call because its prompt is longer than the model reads."""
    said = [text for cause in _causes(error) for text in (*_names(cause), *map(str, _said(cause, None)))]
    letters = "".join(said).lower()
    return any(mark in letters for mark in _OVERFLOW_MARKS)


def _said(error: BaseException, response: object) -> list[object]:
    """Return what the refusal says, from all places where SDKs keep it; a body that cannot be read is none."""
    codes = {name: code for name in ("code", "type") if isinstance(code := _attribute(error, name), str) and code}
    return [codes, *(_attribute(error, name) for name in ("body", "details", "error")), _json_of(response)]


def _json_of(response: object) -> Any:
    if isinstance(response, Mapping):  # botocore's
        return response
    try:
        read = getattr(response, "json", None)
        body = read() if callable(read) else None
        if inspect.iscoroutine(body):  # aiohttp's: nobody can wait for it here
            body.close()
            return None
    except Exception:  # it was streamed and not read, or is no JSON
        return _attribute(response, "text")
    return body


def _names(error: BaseException) -> list[str]:
    """Return the error's classes and its message."""
    try:
        message = str(error)
    except Exception:
        message = ""
    return [*(kind.__name__ for kind in type(error).__mro__), message]


def retry_after_s(error: BaseException) -> float | None:
    """Return the seconds a provider asked to wait with `Retry-After`; None when it did not, or named a date."""
    headers = _attribute(_attribute(error, "response"), "headers")
    try:
        text = headers.get("retry-after") if isinstance(headers, Mapping) else None
        seconds = float(text) if text is not None else None
    except Exception:  # no number, or a stranger's object that raises
        return None
    return seconds if seconds is not None and 0 <= seconds < 86_400 else None


def _attribute(holder: object, name: str) -> Any:
    """Return the attribute; None where there is none, or asking for it raises.

    The error that ended the turn is what the agent must see.
    """
    try:
        return getattr(holder, name, None)
    except Exception:
        return None


def _causes(error: BaseException) -> Iterator[BaseException]:
    """Yield the error and what it was raised from. What was merely handled then may be an earlier attempt."""
    cause: BaseException | None = error
    for _ in range(10):
        if cause is None:
            return
        yield cause
        cause = cause.__cause__
