"""The calls that one answer asks for: the first ones to run, and an error result for each of the others."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from typing import Any, Final

import msgspec

from hivecost.errors import HiveCostError

_NOT_RUN: Final = (
    "Error: not run, since an answer may call {} here. Call it again in a later answer if it is still needed."
)
#: Of items of the Responses API: calls that a text answers.
_ITEMS: Final = frozenset({"function_call", "custom_tool_call"})
#: Calls that another form of output answers: nobody can refuse them in words.
_FORMS: Final = frozenset({"local_shell_call", "shell_call", "apply_patch_call", "computer_call"})


class ToolCalls(msgspec.Struct, frozen=True):
    """The calls of an answer."""

    #: As they are in the answer, in its order.
    to_run: tuple[Any, ...] = ()
    #: A result for each of the others, to be sent with those of the calls that run: messages of the role `tool`, for
    #: Anthropic's API blocks of the one message with results, for the Responses API items.
    refused: tuple[dict[str, Any], ...] = ()


def limit_tool_calls(answer: Any, limit: int | None) -> ToolCalls:
    """Return the first `limit` calls of an answer, to be run, and an error result for each further one.

    `answer` is what the provider sent, as its SDK gives it or as JSON values: the whole of it, its message, or the
    list of its blocks or items. None is no limit. Calls of a provider's own form (`computer_call`, `shell_call` …)
    count, and always run: no text answers them. Raises HiveCostError for an answer whose calls nobody can find.
    """
    calls = _calls_of(answer)
    if limit is None or len(calls) <= limit:
        return ToolCalls(tuple(calls))
    said = _NOT_RUN.format("one tool" if limit == 1 else f"{limit} tools")
    results = [_result(call, said) for call in calls[limit:]]
    late = (call for call, result in zip(calls[limit:], results, strict=True) if result is None)
    return ToolCalls((*calls[:limit], *late), tuple(result for result in results if result is not None))


def _calls_of(answer: Any) -> list[Any]:
    """Return the calls in order."""
    if isinstance(answer, list | tuple):
        return [part for part in answer if _get(part, "type") in ("tool_use", *_ITEMS, *_FORMS)]
    choices = _get(answer, "choices")
    message = _get(choices[0], "message") if _is_list(choices) and choices else answer
    if _is_list(calls := _get(message, "tool_calls")) and calls:
        return [*calls]
    if (old := _get(message, "function_call")) is not None:
        return [old]
    for name in ("output", "content"):
        parts = _get(message, name)
        if _is_list(parts):
            return _calls_of(parts)
        if isinstance(parts, str):
            return []
    if _get(message, "role") == "assistant":  # it says nothing
        return []
    raise HiveCostError(
        f"no calls of tools can be found in a {type(answer).__name__}: give the response of OpenAI's or Anthropic's "
        "API, or its message"
    )


def _result(call: Any, text: str) -> dict[str, Any] | None:
    """Return a call's error as its result; None where no text answers it."""
    kind = _get(call, "type")
    if kind == "tool_use":
        return {"type": "tool_result", "tool_use_id": _get(call, "id"), "content": text, "is_error": True}
    if kind in _ITEMS:
        return {"type": f"{kind}_output", "call_id": _get(call, "call_id"), "output": text}
    return None if kind in _FORMS else {"role": "tool", "tool_call_id": _get(call, "id"), "content": text}


def _get(value: Any, name: str) -> Any:
    return value.get(name) if isinstance(value, Mapping) else getattr(value, name, None)


def _is_list(value: Any) -> bool:
    return isinstance(value, Sequence) and not isinstance(value, str | bytes)
