"""The first calls of an answer run, and each further one gets an error result: no call is left without one."""

from __future__ import annotations

from typing import Any, Final

import msgspec
import pytest

import hivecost as hc
from hivecost.compaction import limit_tool_calls, problems

NAMES: Final = ("read", "write", "list")


def chat() -> dict[str, Any]:
    calls = [
        {"id": f"call_{name}", "type": "function", "function": {"name": name, "arguments": "{}"}} for name in NAMES
    ]
    return {"choices": [{"message": {"role": "assistant", "content": None, "tool_calls": calls}}]}


def anthropic() -> dict[str, Any]:
    blocks = [{"type": "tool_use", "id": f"toolu_{name}", "name": name, "input": {}} for name in NAMES]
    return {"role": "assistant", "content": [{"type": "text", "text": "I look."}, *blocks]}


def responses() -> dict[str, Any]:
    kinds = ("function_call", "custom_tool_call", "function_call")
    named = zip(kinds, NAMES, strict=True)
    return {
        "output": [{"type": "reasoning"}, *({"type": k, "call_id": f"c_{name}", "name": name} for k, name in named)]
    }


class _Answer:
    """As SDKs have them: attributes, and None for what is not there."""

    def __init__(self, values: dict[str, Any]) -> None:
        self.__dict__ = {key: _object(value) for key, value in values.items()}

    def __getattr__(self, name: str) -> None:
        return None


def _object(value: Any) -> Any:
    if isinstance(value, dict):
        return _Answer(value)
    return [_object(item) for item in value] if isinstance(value, list) else value


def test_the_others_of_a_chat_completion_get_a_message_each():
    [message] = [choice["message"] for choice in chat()["choices"]]
    calls = limit_tool_calls(chat(), 1)
    assert calls.to_run == (message["tool_calls"][0],)
    ran = {"role": "tool", "tool_call_id": "call_read", "content": "a file"}
    assert [(one["role"], one["tool_call_id"]) for one in calls.refused] == [("tool", f"call_{n}") for n in NAMES[1:]]
    assert not problems([{"role": "user", "content": "Go on."}, message, ran, *calls.refused], "openai_chat")


def test_the_others_of_a_message_of_anthropics_get_a_block_each():
    calls = limit_tool_calls(anthropic(), 2)
    assert [call["id"] for call in calls.to_run] == ["toolu_read", "toolu_write"]
    assert [(one["tool_use_id"], one["is_error"]) for one in calls.refused] == [("toolu_list", True)]
    ran = [{"type": "tool_result", "tool_use_id": call["id"], "content": "ok"} for call in calls.to_run]
    sent = [{"role": "user", "content": "Go on."}, anthropic(), {"role": "user", "content": [*ran, *calls.refused]}]
    assert not problems(sent, "anthropic")


def test_the_others_of_the_responses_api_get_an_item_each():
    """Of the type that answers the call's."""
    calls = limit_tool_calls(responses(), 1)
    assert [call["call_id"] for call in calls.to_run] == ["c_read"]
    assert [one["type"] for one in calls.refused] == ["custom_tool_call_output", "function_call_output"]
    ran = {"type": "function_call_output", "call_id": "c_read", "output": "a file"}
    sent = [{"role": "user", "content": "Go on."}, *responses()["output"][1:], ran, *calls.refused]
    assert not problems(sent, "responses")


@pytest.mark.parametrize("answer", [chat, anthropic, responses])
@pytest.mark.parametrize("limit", [3, 4, None])
def test_within_the_limit_all_run(answer, limit):
    calls = limit_tool_calls(answer(), limit)
    assert (len(calls.to_run), calls.refused) == (3, ())


@pytest.mark.parametrize("answer", [chat, anthropic, responses])
def test_an_answer_may_be_an_object_of_an_sdk_or_its_parts(answer):
    """The calls that run are the client's own objects."""
    plain, made = answer(), _object(answer())
    assert limit_tool_calls(made, 1).refused == limit_tool_calls(plain, 1).refused
    assert isinstance(limit_tool_calls(made, 1).to_run[0], _Answer)
    message = plain["choices"][0]["message"] if "choices" in plain else plain.get("content") or plain["output"]
    assert limit_tool_calls(message, 1) == limit_tool_calls(plain, 1)


@pytest.mark.parametrize(
    "answer",
    [
        {"choices": [{"message": {"role": "assistant", "content": "Done.", "tool_calls": None}}]},
        {"choices": [{"message": {"role": "assistant", "content": None, "tool_calls": []}}]},
        {"role": "assistant", "content": [{"type": "text", "text": "Done."}]},
        {"output": [{"type": "message", "content": []}, {"type": "web_search_call", "id": "ws_1"}]},
        [],
    ],
)
def test_an_answer_without_calls_has_none(answer):
    """Nor are those its own that the provider runs."""
    assert limit_tool_calls(answer, 1) == limit_tool_calls([], None)


def test_what_no_text_answers_is_run_and_counts():
    items = [{"type": "function_call", "call_id": "a"}, {"type": "computer_call", "call_id": "b"}]
    assert limit_tool_calls(items, 1).to_run == tuple(items)
    assert [one["call_id"] for one in limit_tool_calls(items[::-1], 1).refused] == ["a"]


def test_the_one_call_of_an_old_chat_completion_runs():
    message = {"role": "assistant", "content": None, "function_call": {"name": "read", "arguments": "{}"}}
    assert limit_tool_calls(message, 1).to_run == (message["function_call"],)


@pytest.mark.parametrize("answer", [None, {"candidates": [{"content": {"parts": []}}]}, msgspec.Raw(b"{}")])
def test_an_answer_of_a_shape_that_nobody_knows_is_an_error(answer):
    """To run nothing of it, in silence, would be worse."""
    with pytest.raises(hc.HiveCostError, match=f"in a {type(answer).__name__}: give"):
        limit_tool_calls(answer, 1)
