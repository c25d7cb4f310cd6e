"""What of a conversation belongs together."""

from __future__ import annotations

from types import MappingProxyType

import anthropic.types
import openai.types.chat
import openai.types.responses
import pytest

from hivecost.compaction import units
from hivecost.errors import ConfigError


def test_a_call_and_its_result_are_one(talk, shape):
    """In any dialect; each message is in one unit, in order."""
    messages = talk(shape).user("Go.").tools(("a", "42")).says("Done.").messages
    assert units(messages, shape) == ((0,), (1, 2), (3,))


@pytest.mark.parametrize(
    ("shape", "expected"),
    [
        ("openai_chat", ((0,), (1, 2, 3, 4), (5,))),
        ("anthropic", ((0,), (1, 2), (3,))),
        ("responses", ((0,), (1, 2, 3, 4, 5, 6), (7,))),
    ],
)
def test_a_batch_is_one_whatever_order_it_is_answered_in(talk, shape, expected):
    """All calls of a message with all their results."""
    messages = talk(shape).user("Go.").calls("a", "b", "c").results(("c", "3"), ("a", "1"), ("b", "2")).says("Done.")
    assert units(messages.messages, shape) == expected


def test_ids_that_repeat_are_paired_by_where_they_are(talk, shape):
    """As local servers write them."""
    messages = talk(shape).tools(("call_0", "1")).user("Again.").tools(("call_0", "2")).messages
    assert units(messages, shape) == ((0, 1), (2,), (3, 4))


def test_a_result_answers_the_nearest_call_of_its_id(talk, shape):
    """Not one that was passed over."""
    messages = talk(shape).calls("call_0").user("Again.").tools(("call_0", "2")).user("And?").messages
    assert units(messages, shape) == ((0,), (1,), (2, 3), (4,))


def test_a_batch_that_is_running_is_one_to_the_end(talk):
    """With the results that have come, and whatever is between them."""
    messages = talk("openai_chat").user("Go.").calls("a", "b").results(("a", "1"), ("gone", "?")).messages
    assert units(messages, "openai_chat") == ((0,), (1, 2, 3))
    talk = talk("responses").user("Go.").says("Hm.").thinks().calls("a", "b")
    assert units(talk.messages, "responses") == ((0,), (1,), (2, 3, 4))
    assert units(talk.results(("a", "1")).messages, "responses") == ((0,), (1,), (2, 3, 4, 5))


def test_what_has_no_partner_is_by_itself(talk):
    """A result without a call, and a call that was passed over."""
    messages = talk("openai_chat").results(("gone", "1")).calls("a").user("Never mind.").results(("a", "1")).messages
    assert units(messages, "openai_chat") == ((0,), (1,), (2,), (3,))


def test_reasoning_is_one_with_what_followed_it(talk):
    """And with all that the same answer called; the next answer is another unit."""
    talk = talk("responses").user("Go.").thinks().calls("a", "b").results(("b", "2"), ("a", "1"))
    talk.thinks().says("Seen.").user("Next.")
    assert units(talk.messages, "responses") == ((0,), (1, 2, 3, 4, 5), (6, 7), (8,))


def test_a_message_between_reasoning_and_a_call_belongs_to_both(talk):
    """One that stands before a call alone may be of another answer."""
    led = talk("responses").user("Go.").thinks().says("I look.").tools(("a", "1")).messages
    assert units(led, "responses") == ((0,), (1, 2, 3, 4))
    alone = talk("responses").user("Go.").says("I look.").tools(("a", "1")).messages
    assert units(alone, "responses") == ((0,), (1,), (2, 3))


def test_two_messages_of_the_assistant_are_two_units(talk, shape):
    """Nobody can tell whether they are of one answer."""
    assert units(talk(shape).says("One.").says("Two.").messages, shape) == ((0,), (1,))


def test_functions_of_old_are_paired_by_their_name():
    """`function_call` and the role `function`, of before there were tools."""
    call = {"role": "assistant", "content": None, "function_call": {"name": "look", "arguments": "{}"}}
    assert units([call, {"role": "function", "name": "look", "content": "42"}], "openai_chat") == ((0, 1),)


def test_objects_of_clients_are_read_as_what_they_send():
    """Messages of openai and anthropic are often put into the list as they came."""
    function = {"name": "look", "arguments": "{}"}
    message = openai.types.chat.ChatCompletionMessage.model_validate(
        {"role": "assistant", "tool_calls": [{"id": "a", "type": "function", "function": function}]}
    )
    result = {"role": "tool", "tool_call_id": "a", "content": "42"}
    assert units([message, result], "openai_chat") == ((0, 1),)
    assert units([MappingProxyType({"role": "assistant", "tool_calls": [{"id": "a"}]}), result], "openai_chat") == (
        (0, 1),
    )
    block = anthropic.types.ToolUseBlock.model_validate({"type": "tool_use", "id": "a", "name": "look", "input": {}})
    results = [{"type": "tool_result", "tool_use_id": "a", "content": "42"}]
    conversation = [{"role": "assistant", "content": [block]}, {"role": "user", "content": results}]
    assert units(conversation, "anthropic") == ((0, 1),)
    call = openai.types.responses.ResponseFunctionToolCall(
        type="function_call", call_id="a", name="look", arguments="{}"
    )
    output = {"type": "function_call_output", "call_id": "a", "output": "42"}
    assert units([call, output], "responses") == ((0, 1),)


@pytest.mark.parametrize(
    "message",
    [
        None,
        "text",
        {},
        {"role": "critic", "content": 3},
        {"role": "assistant", "tool_calls": 7, "content": {"a": 1}},
        {"role": "assistant", "tool_calls": [None, {"id": 3, "function": "x"}]},
        {"role": "user", "content": [None, 3, {"type": "hologram"}]},
        {"type": 5, "role": []},
        {"type": "item_reference", "id": "x"},
    ],
)
def test_what_nobody_knows_is_by_itself(message, shape):
    """Roles and parts of tomorrow raise nothing."""
    assert units([{"role": "user", "content": "Hi"}, message, {"role": "user", "content": "Hi"}], shape)[0] == (0,)


def test_a_shape_that_nobody_knows_is_said():
    """With those that there are."""
    with pytest.raises(ConfigError, match="shape: expected one of openai_chat, anthropic, responses, got 'gemini'"):
        units([], "gemini")
