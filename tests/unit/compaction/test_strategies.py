"""What each way of making a conversation smaller takes, and what it leaves."""

from __future__ import annotations

import json
from itertools import pairwise

import pytest

import hivecost as hc

LONG = " ".join(f"spoke{number}" for number in range(120))  # 240 tokens
PRUNED = "[hivecost: the result of"


@pytest.fixture
def run(harm):
    """Compacts a conversation with some strategies, and checks that it is not broken."""

    def run(talk, budget, *names, summarize=None, **config):
        config["context_overflow_strategy"] = names
        result = hc.compact(talk.messages, shape=talk.shape, budget=budget, config=config, summarize=summarize)
        assert harm(talk.messages, result.messages, talk.shape) == []
        return result

    return run


def results_of(messages, texts_of):
    return [text for text in texts_of(messages) if text.startswith((PRUNED, "spoke0"))]


def test_pruning_goes_by_age_and_stops_when_it_is_enough(talk, shape, run, texts_of):
    """Only as many as are needed are replaced, the oldest first; no message goes."""
    talk = talk(shape).user("Go.")
    for number in range(10):
        talk.tools((f"c{number}", LONG))
    result = run(talk, 2_500, "prune_old_tool_results", compact_to=0.75)
    pruned = [text.startswith(PRUNED) for text in results_of(result.messages, texts_of)]
    assert pruned == sorted(pruned, reverse=True)
    assert 0 < sum(pruned) < 7
    assert len(result.messages) == len(talk.messages)
    assert 1_500 < result.tokens_after <= 1_875


def test_the_note_names_the_tool_its_size_and_where_it_is_kept(talk, shape, run, texts_of):
    """What is kept is handed over by its place; what is the same is kept once, though its id repeats."""
    talk = talk(shape).user("Go.")
    for text in (LONG, LONG, LONG + "!"):
        talk.tools(("call_0", text), tool="read/file")
    talk.tools(("call_0", "ok"))
    result = run(talk, 400, "prune_old_tool_results", keep_tool_results=1, spill="notes/", compact_to=0.75)
    notes = [text for text in texts_of(result.messages) if text.startswith(PRUNED)]
    assert len({*notes}) == 2
    assert {note.partition(" characters, ")[0] for note in notes} == {
        f"{PRUNED} read/file was taken out, {size:,}" for size in (len(LONG), len(LONG) + 1)
    }
    assert sorted(result.spilled.values(), key=len) == [LONG, LONG + "!"]
    assert all(
        place.startswith("notes/read_file-") and any(place in note for note in notes) for place in result.spilled
    )


def test_a_note_is_no_result_to_be_pruned(talk, shape):
    """However long it is for the place that it names."""
    talk = talk(shape).user("Go.").tools(("a", LONG * 3)).tools(("b", LONG * 9))
    how = {"shape": shape, "config": {"spill": "/".join(["folder"] * 60)}, "must_pay": False}
    once = hc.compaction.prune_tool_results(talk.messages, keep=0, **how)
    assert once.status == "done"
    assert hc.compaction.prune_tool_results(once.messages, keep=0, **how).messages is once.messages


def test_a_note_that_is_longer_than_its_result_is_not_written(talk, shape):
    """Nothing would be saved."""
    talk = talk(shape).user("Go.").tools(("a", LONG[:300])).tools(("b", LONG))
    how = {"shape": shape, "keep": 1, "must_pay": False, "config": {"spill": "folder/" * 60}}
    assert hc.compaction.prune_tool_results(talk.messages, **how).status == "unchanged"


def test_what_is_never_pruned(talk, shape, run, texts_of):
    """The newest, errors, results of protected tools, and small ones."""
    talk = talk(shape).user("Go.").tools(("e", LONG, True)).tools(("p", LONG), tool="skill").tools(("s", "tiny"))
    talk.tools(("old", LONG)).tools(("n1", LONG)).tools(("n2", LONG))
    result = run(talk, 1_300, "prune_old_tool_results", keep_tool_results=2, protected_tools=["skill"])
    kept = results_of(result.messages, texts_of)
    assert [text.startswith(PRUNED) for text in kept] == [False, False, True, False, False]
    assert "tiny" in texts_of(result.messages)


@pytest.mark.parametrize("text", ["Error: no such file\n", "  traceback (most recent call last):\n"])
def test_an_error_in_chat_completions_is_known_by_its_text(talk, run, text):
    """They have no field for it."""
    talk = talk("openai_chat").user("Go.").tools(("e", text + LONG)).tools(("a", LONG)).tools(("n", "ok"))
    result = run(talk, 450, "prune_old_tool_results", keep_tool_results=1)
    assert [message["content"][:10] for message in result.messages[2::2]] == [text[:10], PRUNED[:10], "ok"]


def test_results_that_are_parts_or_images_are_pruned_too(talk, run):
    """The note is a text in their place."""
    picture = {"type": "image", "source": {"type": "base64", "media_type": "image/png", "data": "A" * 9_000}}
    talk = talk("anthropic").user("Go.").tools(("a", [picture, {"type": "text", "text": LONG}])).tools(("n", "ok"))
    result = run(talk, 1_000, "prune_old_tool_results", keep_tool_results=1, spill="s")
    (block,) = result.messages[2]["content"]
    assert block["content"].startswith(PRUNED)
    assert [*result.spilled.values()] == [[picture, {"type": "text", "text": LONG}]]


def test_an_output_that_must_have_its_form_stays(talk, run):
    """A screenshot's place cannot be taken by a text."""
    call = {"type": "computer_call", "call_id": "c", "action": {"type": "screenshot"}}
    output = {"type": "computer_screenshot", "image_url": "data:image/png;base64,AAAA", "text": LONG * 4}
    talk = talk("responses").user("Go.").add(call, {"type": "computer_call_output", "call_id": "c", "output": output})
    result = run(talk.tools(("a", LONG)).tools(("n", "ok")), 2_600, "prune_old_tool_results", keep_tool_results=1)
    assert result.messages == talk.messages
    talk.tools(("b", LONG * 20)).tools(("m", "ok"))
    result = run(talk, 2_600, "prune_old_tool_results", keep_tool_results=1, compact_to=0.75)
    assert result.messages[2]["output"] is output
    assert result.tokens_saved > 1_000


def test_a_result_that_follows_reasoning_stays_as_it_is(talk, run):
    """However it came there: what follows reasoning may not change."""
    talk = talk("responses").user("Go.").calls("a").thinks().results(("a", LONG)).tools(("b", LONG)).tools(("n", "ok"))
    result = run(talk, 500, "prune_old_tool_results", keep_tool_results=1)
    assert result.messages[:4] == talk.messages[:4]
    assert result.messages[5]["output"].startswith(PRUNED)


def test_long_arguments_go_only_if_asked(talk, shape, run):
    """Those of old calls; they stay what their API takes."""
    talk = talk(shape).user("Go.").tools(("w", "written"), arguments={"text": LONG * 4}, tool="write")
    talk.tools(("n", LONG), arguments={"text": LONG * 3}).says("Done.").user("And?")
    with pytest.raises(hc.ContextBudgetError):
        run(talk, 1_500, "prune_old_tool_results", keep_tool_results=1)
    result = run(talk, 1_500, "prune_old_tool_results", keep_tool_results=1, clear_tool_inputs=True)
    text = json.dumps(result.messages)
    assert text.count("characters of arguments were taken out") == 1
    assert text.count("spoke119") == 4
    call = result.messages[1]
    arguments = {
        "openai_chat": lambda: json.loads(call["tool_calls"][0]["function"]["arguments"]),
        "anthropic": lambda: call["content"][0]["input"],
        "responses": lambda: json.loads(call["arguments"]),
    }[shape]()
    assert [*arguments] == ["cleared"]


def test_arguments_that_reasoning_led_to_stay(talk, run):
    """An item that follows reasoning may not change."""
    talk = talk("responses").user("Go.").thinks().tools(("w", "written"), arguments={"text": LONG * 4})
    talk.tools(("n", LONG)).user("And?")
    with pytest.raises(hc.ContextBudgetError):
        run(talk, 1_000, "prune_old_tool_results", keep_tool_results=1, clear_tool_inputs=True)


def test_the_newest_units_that_fit_stay(talk, shape, run):
    """In a row, whole; behind the user's first words."""
    talk = talk(shape).user("The task.")
    for number in range(10):
        talk.tools((f"c{number}", LONG)).says(f"Seen {number}.")
    result = run(talk.user("Next?"), 2_000, "keep_recent")
    assert result.messages[0] == talk.messages[0]
    count = len(result.messages) - 1
    assert result.messages[1:] == talk.messages[-count:]
    assert 700 < result.tokens_after <= 1_000


def test_the_newest_are_in_a_row(talk, shape, run):
    """What is behind a unit that does not fit goes with it, however small: nothing is missing in the middle."""
    talk = talk(shape).user("The task.").says("Small.").says(LONG * 4).says("Also small.").user("Next?")
    assert run(talk, 700, "keep_recent").messages == [talk.messages[0], *talk.messages[-2:]]


def test_older_results_of_what_has_to_stay_go_before_the_newest_is_cut(talk, run):
    """Of a turn whose thinking may not go."""
    talk = talk("anthropic").user("Go.").thinking("a", LONG * 2).thinking("b", LONG * 2).thinking("c", f"{LONG}.")
    result = run(talk, 1_000, "keep_recent")
    contents = [message["content"][0].get("content") for message in result.messages[2::2]]
    assert [content.startswith(PRUNED) for content in contents] == [True, True, False]
    assert contents[-1] == f"{LONG}."


def test_the_first_words_go_where_there_is_no_room_for_them(talk, shape, run):
    """Unlike the last ones."""
    talk = talk(shape).user(LONG * 5).says("Seen.").user("Next?")
    assert run(talk, 100, "keep_recent").messages == talk.messages[1 if shape != "anthropic" else 2 :]


def test_words_of_the_assistant_at_the_end_go_where_there_is_no_room(talk, shape, run):
    """Unlike results, which it has not seen yet."""
    talk = talk(shape).user("Go.").says(LONG * 4).says(LONG * 2)
    assert run(talk, 700, "keep_recent").messages == [talk.messages[0], talk.messages[-1]]
    assert run(talk, 100, "keep_recent").messages == talk.messages[:1]
    assert run(talk.user("And?").tools(("a", "42")), 100, "keep_recent").messages[-2:] == talk.messages[-2:]


def test_a_prefix_that_is_marked_stays(talk, run):
    """The caller pays for it to be cached."""
    mark = {"cache_control": {"type": "ephemeral"}}
    talk = talk("anthropic").user("The task.").says("The plan.")
    talk.add({"role": "user", "content": [{"type": "text", "text": "The rules.", **mark}]}).says(LONG * 9)
    result = run(talk.says(LONG).user("Next?"), 1_000, "keep_recent")
    assert result.messages == [*talk.messages[:3], *talk.messages[-2:]]


def test_greetings_of_the_assistant_go(talk, shape, run):
    """The exact words and nothing else; the user's own stay, and one that carries a call, and the last message."""
    talk = talk(shape).user("hello").says("Sure").says(" Got It ").says("Sure thing").user("thanks").says(LONG)
    talk.user("hi").says("okay")
    result = run(talk, hc.Counter().count(talk.messages).tokens - 1, "drop_greetings", "truncate_longest")
    texts = json.dumps(result.messages)
    assert result.steps[0].status == "done"
    assert [word in texts for word in ('"Sure"', "Got It", "Sure thing", '"hello"', '"thanks"', '"okay"')] == [
        *(False, False, True, True, True, True)
    ]


def test_a_greeting_that_carries_a_call_is_none(talk, run):
    """It lives with its result."""
    talk = talk("openai_chat").user("hello").tools(("g", "42")).says(LONG * 2).user("hi")
    talk.messages[1]["content"] = "Sure"
    result = run(talk, 500, "drop_greetings", "truncate_longest")
    assert result.messages[1] == talk.messages[1]


@pytest.mark.parametrize("shape", ["openai_chat", "anthropic"])
def test_a_greeting_stays_between_what_must_not_meet(talk, run, shape):
    """A result would seem to answer the call before it."""
    talk = talk(shape).user("Go.").calls("x").says("Sure").results(("x", "lost")).says(LONG * 4).user("And?")
    result = run(talk, 900, "drop_greetings", "truncate_longest")
    assert [step.status for step in result.steps] == ["unchanged", "done"]


def test_a_greeting_with_a_call_that_nobody_answered_stays(talk, run):
    """It is no greeting."""
    talk = talk("openai_chat").user("Go.").calls("x").user("Never mind.").says(LONG * 4).user("And?")
    talk.messages[1]["content"] = "Sure"
    result = run(talk, 900, "drop_greetings", "truncate_longest")
    assert result.messages[1] == talk.messages[1]


def test_what_may_not_change_is_not_cut(talk, run):
    """What follows reasoning, and what the assistant says beside calls that are running."""
    led = talk("responses").user("Go.").thinks().says(LONG * 4).says(LONG * 6).user("And?")
    result = run(led, 2_200, "truncate_longest", compact_to=0.75)
    assert result.messages[2] == led.messages[2]
    assert result.messages[3] != led.messages[3]
    thought = talk("anthropic").user("Go.").thinking("a", "42").says(LONG * 6).user("And?")
    thought.messages[1]["content"].insert(1, {"type": "text", "text": LONG * 4})
    result = run(thought, 2_200, "truncate_longest", compact_to=0.75)
    assert result.messages[1] == thought.messages[1]
    running = talk("openai_chat").user("Go.").says(LONG * 6).calls("x")
    running.messages[-1]["content"] = LONG * 4
    result = run(running, 2_200, "truncate_longest", compact_to=0.75)
    assert result.messages[-1] == running.messages[-1]


def test_the_longest_are_cut_to_one_length(talk, shape, run, texts_of):
    """Results and the assistant's words, at both ends, in one pass; never the user's."""
    talk = talk(shape).user(LONG).tools(("a", f"begin {LONG * 20} end")).says(LONG * 10).tools(("b", LONG))
    result = run(talk.user("Next?"), 4_000, "truncate_longest")
    cut = [text for text in texts_of(result.messages) if "characters were cut here" in text]
    assert len(cut) == 2
    assert abs(len(cut[0]) - len(cut[1])) < 40
    assert cut[0].startswith("begin ")
    assert cut[0].endswith(" end")
    assert texts_of(result.messages).count(LONG) == 2
    assert 1_900 < result.tokens_after <= 2_000


def test_strategies_follow_each_other_until_it_is_enough(talk, shape, run):
    """Each step says what it left; those that are not needed are not tried."""
    talk = talk(shape).user("Go.")
    for number in range(10):
        talk.tools((f"c{number}", LONG)).says(LONG)
    result = run(
        talk.user("Next?"), 2_500, "drop_greetings", "prune_old_tool_results", "keep_recent", "truncate_longest"
    )
    assert [(step.strategy, step.status) for step in result.steps] == [
        ("drop_greetings", "unchanged"),
        ("prune_old_tool_results", "done"),
        ("keep_recent", "done"),
    ]
    assert all(one.tokens_after == following.tokens_before for one, following in pairwise(result.steps))
    assert result.steps[-1].tokens_after == result.tokens_after
    assert result.strategy == "keep_recent"
