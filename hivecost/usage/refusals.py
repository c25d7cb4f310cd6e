"""What refused calls and failed lines of a batch cost: nothing, unless work was done first, or nobody can know."""

from __future__ import annotations

import re
from collections.abc import Iterable, Iterator, Mapping
from contextlib import suppress
from typing import Any, Final

from hivecost.usage.raw import word
from hivecost.usage.views import from_json, plain, text, view

#: Refused before any work was done, with 407 by a proxy on the way. Every other status may be billed: 408, 409, 499
#: and 5xx come after it began.
NOT_BILLED: Final = frozenset({400, 401, 403, 404, 407, 413, 422, 429})
#: Of these, those that say what was wrong with the content of the request. A 400 must be readable, as it is the one
#: with which filters answer; the others need only be free of their marks.
_ABOUT_CONTENT: Final = frozenset({400, 403, 422})

#: How a provider's content filter says that it was it, in names, codes and messages: letters and digits, in lower case.
_FILTER_MARKS: Final[Mapping[str, tuple[str, ...]]] = {
    # code content_filter, innererror.code ResponsibleAIPolicyViolation, "… triggering … content management policy"
    "azure": ("contentfilter", "responsibleaipolicy", "contentmanagementpolicy"),
    # content_policy_violation, moderation_blocked, invalid_prompt ("… violating our usage policy"), "our safety system"
    "openai": ("contentpolicy", "moderationblocked", "invalidprompt", "usagepolic", "safetysystem", "safetyviolation"),
    # "Output blocked by content filtering policy"
    "anthropic": ("contentfiltering",),
    # promptFeedback.blockReason, a finishReason such as SAFETY where there should be none, "… Responsible AI practices"
    "gemini": ("blockreason", "finishreason", "blockedbysafety", "prohibitedcontent", "responsibleai"),
    # GUARDRAIL_INTERVENED, a ValidationException that names the guardrail, stopReason content_filtered
    "bedrock": ("guardrail", "contentfiltered"),
    # DataInspectionFailed, "… inappropriate content"
    "alibaba": ("datainspection", "inappropriatecontent"),
    # "… violates usage guidelines"
    "xai": ("usageguidelines",),
}
_MARKS: Final = tuple(dict.fromkeys(mark for marks in _FILTER_MARKS.values() for mark in marks))
_NO_LETTERS: Final = re.compile(r"[\W_]+")

#: Anthropic bills none of these, whatever went wrong.
_ANTHROPIC: Final = frozenset({"errored", "canceled", "expired"})
#: Under these names batches keep their lines apart: OpenAI, Mistral and Anthropic; Gemini; Bedrock.
_LINE_KEYS: Final = ("custom_id", "key", "recordId")
#: In a code of an error that came without an HTTP status: the call had begun, as with OpenAI's `request_timeout`.
_BEGUN: Final = ("timeout", "server", "internal")


def is_unbilled(status: int, said: Iterable[object], names: Iterable[str] = ()) -> bool:
    """Tell whether a call that was refused with this HTTP status costs nothing.

    `said` is what the refusal says: mappings, objects or JSON; `names` what it is called besides. A 400 of which
    nothing can be read may be a filter's, and so may be billed. Never raise.
    """
    if status not in NOT_BILLED:
        return False
    if status not in _ABOUT_CONTENT:
        return True
    bodies = [_readable(part) for part in said if part is not None]
    texts = [one for part in (*bodies, *names) for one in _texts(part)]
    if any(map(is_filter_mark, texts)):
        return False
    is_read = any(isinstance(body, Mapping) and body for body in bodies) and "…" not in texts
    return is_read or status != 400


def is_filter_mark(said: str) -> bool:
    """Tell whether the words are those that a content filter uses for its refusal."""
    letters = _NO_LETTERS.sub("", said.lower())
    return any(mark in letters for mark in _MARKS)


def _readable(part: object) -> Any:
    """Return a bounded copy of plain dicts, lists and texts; JSON text is parsed."""
    if isinstance(part, str | bytes):
        with suppress(ValueError, RecursionError):
            part = from_json(part)
    return plain(part)


def _texts(body: object) -> Iterator[str]:
    """Yield all names and texts in a copy that `plain` made."""
    if isinstance(body, str):
        yield body
    elif isinstance(body, Mapping):
        for key, item in body.items():
            yield key
            yield from _texts(item)
    elif isinstance(body, list):
        for item in body:
            yield from _texts(item)


def why_unbilled(payload: object) -> str:
    """Say why a line of a batch costs nothing; "" for one that may be billed, and for what is no such line.

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
    if is_filter_mark(said) or any(mark in code.lower() for mark in _BEGUN):
        return ""
    return f"not billed: the line of the batch failed{f' with {code}' if code else ''}"
