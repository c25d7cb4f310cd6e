"""What an exception that left a turn says about money: was anything sent, was it billed?"""

from __future__ import annotations

from collections.abc import Iterator, Mapping
from typing import Any, Final

#: Raised by httpx, httpx2, requests and the standard library before a single byte of the request went out.
_NOT_SENT: Final = frozenset({"ConnectError", "ConnectTimeout", "ConnectionRefusedError", "PoolTimeout", "gaierror"})


def was_never_sent(error: BaseException) -> bool:
    """True when no connection was made, so that nothing can have been billed."""
    return any(kind.__name__ in _NOT_SENT for cause in _causes(error) for kind in type(cause).__mro__)


def refusal_status(error: BaseException) -> int | None:
    """The HTTP status with which the provider refused the call (4xx): it bills no answer it did not give. Else None.

    A fault of the provider's own (5xx) says nothing about the bill.

    Reads `status_code`, as the openai and anthropic SDKs' errors have it, or `response.status_code` (httpx).
    """
    for holder in (error, _attribute(error, "response")):
        status = _attribute(holder, "status_code")
        if isinstance(status, int) and 400 <= status <= 499:
            return status
    return None


def retry_after_s(error: BaseException) -> float | None:
    """The seconds a provider asked to wait with `Retry-After`; None when it did not, or named a date."""
    headers = _attribute(_attribute(error, "response"), "headers")
    try:
        text = headers.get("retry-after") if isinstance(headers, Mapping) else None
        seconds = float(text) if text is not None else None
    except Exception:  # no number, or a stranger's object that raises
        return None
    return seconds if seconds is not None and 0 <= seconds < 86_400 else None


def _attribute(holder: object, name: str) -> Any:
    """None where there is none, or asking for it raises: the error that ended the turn is what the agent must see."""
    try:
        return getattr(holder, name, None)
    except Exception:
        return None


def _causes(error: BaseException) -> Iterator[BaseException]:
    """The error and what it was raised from. What was merely handled then may be an earlier attempt."""
    cause: BaseException | None = error
    for _ in range(10):
        if cause is None:
            return
        yield cause
        cause = cause.__cause__
