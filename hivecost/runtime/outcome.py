"""What an exception that left a turn says about money: was anything sent, was it billed?"""

from __future__ import annotations

from collections.abc import Iterator
from typing import Final

#: Raised by httpx, httpx2, requests and the standard library before a single byte of the request went out.
_NOT_SENT: Final = frozenset({"ConnectError", "ConnectTimeout", "ConnectionRefusedError", "PoolTimeout", "gaierror"})


def was_never_sent(error: BaseException) -> bool:
    """True when no connection was made, so that nothing can have been billed."""
    return any(kind.__name__ in _NOT_SENT for cause in _causes(error) for kind in type(cause).__mro__)


def refusal_status(error: BaseException) -> int | None:
    """The HTTP status with which the provider refused the call: it bills no answer it did not give. Else None.

    Reads `status_code`, as the openai and anthropic SDKs' errors have it, or `response.status_code` (httpx).
    """
    for holder in (error, getattr(error, "response", None)):
        status = getattr(holder, "status_code", None)
        if isinstance(status, int) and 400 <= status <= 599:
            return status
    return None


def _causes(error: BaseException) -> Iterator[BaseException]:
    """The error and what it was raised from. What was merely handled then may be an earlier attempt."""
    cause: BaseException | None = error
    for _ in range(10):
        if cause is None:
            return
        yield cause
        cause = cause.__cause__
