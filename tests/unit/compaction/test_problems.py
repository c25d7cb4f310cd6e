"""What a provider would refuse in a conversation, by name."""

from __future__ import annotations

import pytest

from hivecost.compaction import Problem, problems


def names(messages, shape):
    return [problem.name for problem in problems(messages, shape)]


def test_a_sound_conversation_has_none(talk, shape):
    """Nor has one whose last calls are running."""
    sound = talk(shape).system("Mend.").user("Go.").thinks().tools(("a", "1"), ("b", "2")).says("Done.").user("And?")
    assert problems(sound.messages, shape) == []
    assert problems(sound.calls("c").messages, shape) == []


def test_calls_and_results_without_each_other(talk, shape):
    """By the id they have, in the order of their messages."""
    broken = talk(shape).results(("gone", "1")).user("Go.").calls("a").user("Never mind.").says("Fine.")
    first = "first_not_user"
    found = [problem for problem in problems(broken.messages, shape) if problem.name != first]
    assert found == [Problem("result_without_call", "gone", 0), Problem("call_without_result", "a", 2)]


def test_a_batch_that_is_half_answered(talk, shape):
    """The other half is a problem once the conversation went on."""
    half = talk(shape).user("Go.").calls("a", "b").results(("a", "1"))
    if shape != "anthropic":  # where all results are in one message
        assert problems(half.messages, shape) == []
    assert [problem.id for problem in problems(half.user("Well?").messages, shape)] == ["b"]


@pytest.mark.parametrize(
    ("message", "name"),
    [
        ({"role": "user", "content": []}, "empty_message"),
        ({"role": "user", "content": [{"type": "text", "text": ""}]}, "empty_text"),
        (
            {"role": "user", "content": [{"type": "text", "text": "x"}, {"type": "tool_result", "tool_use_id": "a"}]},
            "result_not_first",
        ),
        (
            {"role": "user", "content": [{"type": "text", "text": "", "cache_control": {"type": "ephemeral"}}]},
            "mark_on_empty_text",
        ),
    ],
)
def test_what_anthropic_refuses_in_a_message(message, name):
    """Each by its name."""
    assert name in names([{"role": "user", "content": "Go."}, message], "anthropic")


def test_anthropic_begins_with_the_user_and_takes_four_marks(talk):
    """The fifth is the first that is too much."""
    assert names(talk("anthropic").says("Hi").user("Hi").messages, "anthropic") == ["first_not_user"]
    marked = [{"type": "text", "text": "x", "cache_control": {"type": "ephemeral"}}]
    messages = [{"role": "user", "content": marked} for _ in range(6)]
    assert names(messages, "anthropic") == ["too_many_marks"] * 2


def test_an_empty_result_is_legal_at_anthropic(talk):
    """A tool may have nothing to say."""
    assert problems(talk("anthropic").user("Go.").tools(("a", "")).messages, "anthropic") == []


def test_an_assistant_that_says_nothing(talk):
    """But for one that refuses, which has no content either."""
    empty = {"role": "assistant", "content": None}
    assert names([empty], "openai_chat") == ["empty_message"]
    assert names([{**empty, "refusal": "No."}], "openai_chat") == []


def test_reasoning_that_nothing_followed(talk):
    """At the end something may still come."""
    assert names(talk("responses").thinks().user("Hi").messages, "responses") == ["reasoning_alone"]
    assert names(talk("responses").user("Hi").thinks().messages, "responses") == []
