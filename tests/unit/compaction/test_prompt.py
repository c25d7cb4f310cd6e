"""Prompts as callers have them: which shape they are, what is cut when it comes, and where marks for the cache go."""

from __future__ import annotations

from typing import Any

import pytest

from hivecost.compaction import cut_long_results, needs_cache_marks, problems, read_prompt, with_cache_marks

USER = {"role": "user", "content": "Go on."}
CALL = {"role": "assistant", "content": [{"type": "tool_use", "id": "a", "name": "read", "input": {}}]}
RESULT = {"role": "user", "content": [{"type": "tool_result", "tool_use_id": "a", "content": "x" * 1_000}]}
TOOL = {"role": "tool", "tool_call_id": "a", "content": "x" * 1_000}
ITEM = {"type": "function_call_output", "call_id": "a", "output": "x" * 1_000}
CHAT_CALL = {"role": "assistant", "content": None, "tool_calls": [{"id": "a", "function": {"name": "read"}}]}


@pytest.mark.parametrize(
    ("prompt", "provider", "shape"),
    [
        ([USER], "", "openai_chat"),
        ([USER], "anthropic", "anthropic"),
        ([USER, CHAT_CALL, TOOL], "anthropic", "openai_chat"),
        ([USER, CALL, RESULT], "", "anthropic"),
        ([{"role": "user", "content": [{"type": "text", "text": "hi"}]}], "", "openai_chat"),
        ([USER, ITEM], "", "responses"),
        ({"messages": [USER]}, "", "openai_chat"),
        ({"messages": [USER], "system": "Be brief."}, "", "anthropic"),
        ({"input": [USER]}, "openai", "responses"),
        ({"input": "Go on."}, "openai", None),
        ({"contents": [{"parts": [{"text": "hi"}]}]}, "google", None),
        ([{"role": "user", "parts": [{"text": "hi"}]}], "google", None),
        ([{"role": "user", "content": [{"text": "hi"}]}], "aws", None),
        ("Go on.", "", None),
        (None, "", None),
        ([], "", "openai_chat"),
        ([None, 5, USER], "", "openai_chat"),
    ],
)
def test_a_prompt_has_the_shape_that_it_shows(prompt, provider, shape):
    """Else that of its provider; what compaction does not know has none."""
    read = read_prompt(prompt, provider=provider)
    assert (None if read is None else read.shape) == shape


def test_other_messages_leave_the_request_as_it_was():
    request = {"model": "m", "messages": [USER], "tools": [{"name": "read"}], "system": "Be brief."}
    read = read_prompt(request)
    assert read.with_messages([]) == {**request, "messages": []}
    assert read.around == {"system": "Be brief.", "tools": [{"name": "read"}]}
    assert request["messages"] == [USER]
    assert read_prompt([USER]).around is None


@pytest.mark.parametrize(
    ("messages", "shape"),
    [([USER, CHAT_CALL, TOOL], "openai_chat"), ([USER, CALL, RESULT], "anthropic"), ([USER, ITEM], "responses")],
)
def test_a_result_that_is_too_long_keeps_its_beginning_and_its_end(messages, shape):
    """Nothing else changes, and what came before `since` stays."""
    cut = cut_long_results(messages, shape=shape, tokens=50)
    assert cut[:-1] == messages[:-1]
    assert len(str(cut[-1])) < 400
    assert "characters were cut here" in str(cut[-1])
    assert {*problems(cut, shape)} <= {*problems(messages, shape)}
    assert cut_long_results(messages, shape=shape, tokens=5_000) is messages
    assert cut_long_results(messages, shape=shape, tokens=50, since=len(messages)) is messages


def test_each_result_of_a_message_is_cut_by_itself():
    first, second = ({"type": "tool_result", "tool_use_id": name, "content": name * 1_000} for name in "ab")
    short = {"type": "tool_result", "tool_use_id": "c", "content": "c"}
    [cut] = cut_long_results([{"role": "user", "content": [first, short, second]}], shape="anthropic", tokens=50)
    assert [len(part["content"]) <= 200 for part in cut["content"]] == [True] * 3
    assert [part["content"][0] for part in cut["content"]] == ["a", "c", "b"]


def marks(value: Any) -> list[Any]:
    """Where marks are, as paths."""
    if isinstance(value, dict):
        found = [(key, *path) for key, item in value.items() for path in marks(item)]
        return [(), *found] if "cache_control" in value else found
    return [(at, *path) for at, item in enumerate(value) for path in marks(item)] if isinstance(value, list) else []


def test_marks_are_at_the_system_the_anchor_and_the_last_two_messages():
    """At most four, each on the last block that may have one; the prompt that was given has none."""
    messages = [USER, CALL, RESULT, USER, CALL, RESULT]
    request = {"system": "Be brief.", "messages": messages}
    marked = with_cache_marks(read_prompt(request), anchor=3)
    assert marks(marked) == [
        ("system", 0),
        ("messages", 2, "content", 0),
        ("messages", 4, "content", 0),
        ("messages", 5, "content", 0),
    ]
    assert marks(request) == []
    assert needs_cache_marks(read_prompt(request))
    assert not problems(marked["messages"], "anthropic")
    assert marks(with_cache_marks(read_prompt(messages))) == [(4, "content", 0), (5, "content", 0)]


@pytest.mark.parametrize(
    "request_",
    [
        {"system": [{"type": "text", "text": "hi", "cache_control": {"type": "ephemeral"}}], "messages": [USER]},
        {
            "system": "s",
            "messages": [{"role": "user", "content": [{"type": "text", "text": "a", "cache_control": {}}]}, USER],
        }
        | {"cache_control": {"type": "ephemeral"}},
        {"system": "s", "messages": [USER], "tools": [{"name": "t", "cache_control": {"type": "ephemeral"}}]},
        {"messages": [USER, CHAT_CALL, TOOL]},
        {"input": [USER]},
    ],
)
def test_who_sets_marks_or_needs_none_gets_none(request_):
    assert not needs_cache_marks(read_prompt(request_))


def test_thinking_and_empty_text_cannot_be_marked():
    thinking = {"role": "assistant", "content": [{"type": "text", "text": "a"}, {"type": "thinking", "thinking": "b"}]}
    silent = {"role": "user", "content": [{"type": "text", "text": ""}]}
    marked = with_cache_marks(read_prompt({"system": "", "messages": [USER, thinking, silent]}, provider="anthropic"))
    assert marks(marked) == [("messages", 1, "content", 0)]
