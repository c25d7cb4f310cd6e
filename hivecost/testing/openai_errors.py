"""Errors as OpenAI's APIs report them."""

from __future__ import annotations

from typing import Any, Final

_TYPES: Final = {401: "invalid_request_error", 403: "permission_error", 429: "rate_limit_error"}
_CODES: Final = {401: "invalid_api_key", 404: "not_found", 429: "rate_limit_exceeded"}


def error(status: int, message: str, request_id: str) -> dict[str, Any]:
    """Return `{"error": {message, type, param, code}}`."""
    kind = _TYPES.get(status, "server_error" if status >= 500 else "invalid_request_error")
    text = f"{message} (request {request_id})"
    return {"error": {"message": text, "type": kind, "param": None, "code": _CODES.get(status)}}
