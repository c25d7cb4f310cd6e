"""Lines of a batch that failed: they have no usage, because they were not billed."""

from __future__ import annotations

from typing import Any, Final

from hivecost.usage.raw import word
from hivecost.usage.refusals import is_filter_mark, is_unbilled
from hivecost.usage.views import plain, text, view

#: Anthropic bills none of these, whatever went wrong.
_ANTHROPIC: Final = frozenset({"errored", "canceled", "expired"})
#: Under these names batches keep their lines apart: OpenAI, Mistral and Anthropic; Gemini; Bedrock.
_LINE_KEYS: Final = ("custom_id", "key", "recordId")
#: In a code of an error that came without an HTTP status: the call had begun, as with OpenAI's `request_timeout`.
_BEGUN: Final = ("timeout", "server", "internal")


def why_unbilled(payload: object) -> str:
    """Why a line of a batch costs nothing; "" for one that may be billed, and for what is no such line.

    An HTTP status counts as it does for a call by itself. Errors without one were never begun (`batch_expired`,
    `batch_cancelled`), unless they are a content filter's, or say that time ran out or the provider failed.
    """
    line = view(payload)
    if not any(key in line for key in _LINE_KEYS):
        return ""
    kind = text(view(line.get("result")).get("type"))
    if kind in _ANTHROPIC:
        return f"not billed: the line of the batch is {kind}"
    response, error = view(line.get("response")), line.get("error")
    status = _status(response.get("status_code"), view(error).get("code"), view(error).get("errorCode"))
    if status is not None:
        return _of_status(status, [response.get("body"), error])
    return _of_error(error) if error and not response else ""


def _status(*places: Any) -> int | None:
    return next((number for number in places if type(number) is int and number >= 400), None)


def _of_status(status: int, said: list[object]) -> str:
    return f"not billed: the line of the batch was refused with {status}" if is_unbilled(status, said) else ""


def _of_error(error: object) -> str:
    code = word(view(error).get("code"))
    said = str(plain(error))
    if is_filter_mark(said) or any(word in code.lower() for word in _BEGUN):
        return ""
    return f"not billed: the line of the batch failed{f' with {code}' if code else ''}"
