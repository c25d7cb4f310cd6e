"""Conversations that are over their budget: what compaction makes of them, and what it never breaks."""

from __future__ import annotations

import copy
import json

import openai.types.chat
import pytest

import hivecost as hc
from hivecost.compaction import problems

LONG = " ".join(f"spoke{number}" for number in range(120))  # 240 tokens
ENDLESS = LONG * 50


@pytest.fixture
def compacted(harm):
    """Compacts, and checks what holds for every conversation."""

    def compacted(messages, shape, budget, **options):
        before = copy.deepcopy(messages)
        result = hc.compact(messages, shape=shape, budget=budget, **options)
        assert messages == before
        assert harm(before, result.messages, shape) == []
        assert result == hc.compact(copy.deepcopy(messages), shape=shape, budget=budget, **options)
        again = hc.compact(result.messages, shape=shape, budget=budget, **options)
        assert again.messages is result.messages
        assert result.tokens_after <= budget
        return result

    return compacted


@pytest.fixture
def agent(talk):
    """A conversation of an agent's: a task, and so many calls with their results."""

    def agent(shape, calls=12, result=LONG, end="And the chain?"):
        conversation = talk(shape).system("You mend bicycles.").user("List the parts.")
        for number in range(calls):
            conversation.thinks().tools((f"w{number}", result))
        return conversation.user(end) if end else conversation

    return agent


def test_under_the_budget_nothing_happens(agent, shape):
    """The very list comes back, and says so."""
    messages = agent(shape).messages
    result = hc.compact(messages, shape=shape, budget=100_000)
    assert result.messages is messages
    assert (result.status, result.steps, result.first_changed) == ("unchanged", (), None)
    assert result.tokens_before == result.tokens_after > 0


def test_an_empty_conversation_is_left_alone(shape):
    """There is nothing to do."""
    assert hc.compact([], shape=shape, budget=1).messages == []


def test_old_results_go_first_and_the_task_stays(agent, shape, compacted, texts_of):
    """To half of the budget; the newest three results are as they were."""
    messages = agent(shape).messages
    result = compacted(messages, shape, 3_000)
    assert result.strategy == "prune_old_tool_results"
    assert result.tokens_after <= 1_500 < result.tokens_before
    assert len(result.messages) == len(messages)
    assert texts_of(result.messages).count(LONG) >= 3
    assert any("the result of look was taken out" in text for text in texts_of(result.messages))


def test_a_window_never_begins_with_a_result(agent, shape, compacted):
    """The oldest units go whole; what was touched last is the conversation's end."""
    messages = agent(shape).messages
    result = compacted(messages, shape, 900, config={"context_overflow_strategy": "keep_recent"})
    assert result.steps[0].strategy == result.strategy == "keep_recent"
    assert len(result.messages) < len(messages)
    assert result.messages[-3:] == messages[-3:]


def test_the_users_last_words_stay_wherever_they_are(agent, shape, compacted):
    """The only ones of all may be the first message."""
    messages = agent(shape, calls=24, end="").messages
    result = compacted(messages, shape, 700)
    first = 0 if shape == "anthropic" else 1
    assert result.messages[: first + 1] == messages[: first + 1]


def test_parallel_calls_live_or_die_together(talk, shape, compacted):
    """All five are gone, or none."""
    talk = talk(shape).system("You mend.").user("Look.").calls("p1", "p2", "p3", "p4", "p5")
    talk.results(*((name, LONG * 2) for name in ("p3", "p1", "p5", "p2", "p4"))).says("Done with five.")
    messages = talk.user("Now mend it.").tools(("p6", "ok")).messages
    text = json.dumps(compacted(messages, shape, 900).messages)
    assert len({f'"{name}"' in text for name in ("p1", "p2", "p3", "p4", "p5")}) == 1


def test_system_messages_stay_in_order_also_in_the_middle(talk, compacted):
    """And developers'."""
    talk = talk("openai_chat").system("First.").add({"role": "developer", "content": "Prices in euro."}).user("Hi")
    talk.says(LONG).system("Later.").user(LONG).says(LONG).user("How much?")
    result = compacted(talk.messages, "openai_chat", 300)
    assert [message["content"] for message in result.messages if message["role"] == "system"] == ["First.", "Later."]


def test_calls_that_are_running_stay_as_they_are(agent, compacted):
    """With what has come of their results, whatever their size."""
    for shape in ("openai_chat", "responses"):
        talk = agent(shape).calls("r1", "r2").results(("r1", LONG))
        result = compacted(talk.messages, shape, 1_200)
        count = 2 if shape == "openai_chat" else 3
        assert result.messages[-count:] == talk.messages[-count:]
    talk = agent("anthropic").calls("r1", "r2")
    assert compacted(talk.messages, "anthropic", 1_200).messages[-1] is talk.messages[-1]


def test_calls_that_are_running_have_room_before_all_else(talk, shape, compacted):
    """Also where they are more than the target."""
    talk = talk(shape).user("Go.").says(LONG * 3).calls("r", arguments={"text": LONG * 2})
    assert compacted(talk.messages, shape, 700).messages == [talk.messages[0], talk.messages[-1]]


def test_a_call_of_the_marked_prefix_gets_no_result_that_is_not_its_own(talk, compacted):
    """They would be neighbours once what is between them is gone."""
    talk = talk("anthropic").user("Go.").calls("x").user("Never mind.").says(LONG * 4).results(("x", "lost"))
    talk.messages[1]["content"][0]["cache_control"] = {"type": "ephemeral"}
    result = compacted(talk.says("Seen.").user("And now?").messages, "anthropic", 500)
    assert result.messages == [*talk.messages[:2], *talk.messages[-2:]]


def test_anthropic_begins_with_the_user_whatever_is_left_of_it(talk, compacted):
    """A result that has lost its call may be all that the user has said."""
    talk = talk("anthropic").results(("gone", "lost")).says(LONG * 4).tools(("a", LONG))
    assert compacted(talk.messages, "anthropic", 450).messages[0] == talk.messages[0]


@pytest.mark.parametrize("shape", ["openai_chat", "anthropic"])
def test_what_was_broken_is_dropped_whole_or_left(talk, shape, compacted):
    """No result is mated with a call of the same id that it did not answer."""
    talk = talk(shape).user("Go.").calls("x").user("Never mind.").says(LONG * 4).results(("x", LONG)).says(LONG * 4)
    messages = talk.user("And now?").messages
    for budget in (2_500, 1_500, 600, 200):
        after = compacted(messages, shape, budget).messages
        names = [problem.name for problem in problems(after, shape)]
        assert names.count("call_without_result") == names.count("result_without_call")


def test_a_result_that_is_over_the_budget_by_itself_is_cut(talk, shape, compacted, texts_of):
    """Both its ends stay; nothing older is left to go."""
    messages = talk(shape).system("You mend.").user("Read the log.").tools(("o1", f"begin {ENDLESS} end")).messages
    result = compacted(messages, shape, 600)
    (text,) = (text for text in texts_of(result.messages) if "characters were cut here" in text)
    assert text.startswith("begin spoke0")
    assert text.endswith(" end")
    assert result.tokens_after > 300  # it is not cut to nothing


@pytest.mark.parametrize("result", ["a" * 1_000_000, "a" * 10_000_000])
def test_a_result_of_megabytes_is_no_fault(talk, shape, compacted, result):
    """Nor one that no tokenizer takes."""
    messages = talk(shape).user("Read the log.").tools(("o1", result)).messages
    counter = hc.Counter("gpt-5-mini")
    assert compacted(messages, shape, 2_000, count=counter).tokens_after <= 2_000


def test_a_budget_below_what_may_never_go(talk, shape):
    """The error says how much is needed, of what, and what is the largest; the messages are as they were."""
    talk = talk(shape).system(ENDLESS).user(ENDLESS if shape == "anthropic" else "Hello?")
    before = copy.deepcopy(talk.messages)
    with pytest.raises(hc.ContextBudgetError, match=r"needs \d\d,\d+ tokens, and its context budget is 20;") as raised:
        hc.compact(talk.messages, shape=shape, budget=20)
    assert talk.messages == before
    assert raised.value.budget == 20 < raised.value.need
    assert raised.value.largest[0][0] == 0


def test_a_conversation_in_which_nobody_asks_is_never_empty():
    """Without words of the user's the newest message is what may never go, since no provider takes an empty one."""
    silent = [{"role": "assistant", "content": LONG}, {"role": "assistant", "content": LONG * 10}]
    for shape in ("openai_chat", "responses"):
        assert hc.compact(silent, shape=shape, budget=2_600).messages == silent[1:]
        with pytest.raises(hc.ContextBudgetError, match="message 1"):
            hc.compact(silent, shape=shape, budget=1_000)


def test_thinking_of_the_running_turn_stays_to_the_byte(talk, compacted):
    """Its results may go; older thinking goes with its message."""
    talk = talk("anthropic").user("Plan it.").thinking("old", LONG * 2).says("Planned.").user("Now do it.")
    talk.thinking("h1", LONG * 2).thinking("h2", LONG * 2).thinking("h3", "ok")
    result = compacted(talk.messages, "anthropic", 700)
    kept = [part["signature"] for message in result.messages for part in message["content"] if "signature" in part]
    assert kept == ["signature h1", "signature h2", "signature h3"]


def test_what_the_user_says_beside_results_is_the_users_word(talk, compacted):
    """A message of Anthropic's may hold both; they stay together, with the calls."""
    talk = talk("anthropic").user("Go.").says(LONG * 6).calls("a").results(("a", LONG * 4)).says(LONG * 6)
    words = {"type": "text", "text": "Never touch the brake."}
    talk.messages[3] = {**talk.messages[3], "content": [*talk.messages[3]["content"], words]}
    result = compacted(talk.messages, "anthropic", 3_000)
    assert words in [message for message in result.messages if message["role"] == "user"][-1]["content"]


def test_marks_for_the_cache_stay_on_their_blocks(agent, compacted):
    """None is added, and none is left on a text that is empty."""
    messages = agent("anthropic").messages
    mark = {"cache_control": {"type": "ephemeral"}}
    messages[2]["content"][0] |= mark
    result = compacted(messages, "anthropic", 3_000)
    assert result.messages[2]["content"][0].keys() == {"type", "tool_use_id", "content", "cache_control"}
    assert json.dumps(result.messages).count("cache_control") == 1


def test_what_the_provider_compacted_stays(agent, compacted):
    """Nobody else can read it."""
    item = {"type": "compaction", "encrypted_content": "x" * 40_000}
    for shape in ("responses", "anthropic"):
        messages = agent(shape).messages
        message = (
            item
            if shape == "responses"
            else {"role": "assistant", "content": [{"type": "compaction", "content": LONG}]}
        )
        messages.insert(3, message)
        assert message in compacted(messages, shape, 900).messages


def test_tools_of_the_provider_stay_in_one_message(talk, compacted):
    """Call and result are of one message, which is cut in no way."""
    search = [
        {"type": "server_tool_use", "id": "srv", "name": "web_search", "input": {"query": "chain"}},
        {
            "type": "web_search_tool_result",
            "tool_use_id": "srv",
            "content": [{"type": "web_search_result", "title": LONG}],
        },
        {"type": "text", "text": "Found."},
    ]
    talk = (
        talk("anthropic").user("Search.").add({"role": "assistant", "content": search}).user("Thanks.").says(LONG * 3)
    )
    messages = talk.user("Go on.").messages
    for budget in (900, 700, 200):
        assert [
            m
            for m in compacted(messages, "anthropic", budget).messages
            if m["role"] == "assistant" and m not in messages
        ] == []


def test_contents_of_every_form_are_taken(talk, compacted):
    """None, parts, a refusal, an image that is no text, and parts of tomorrow."""
    picture = {"type": "image_url", "image_url": {"url": "data:image/png;base64," + "A" * 400_000}}
    talk = talk("openai_chat").add(
        {"role": "user", "content": [{"type": "text", "text": LONG}, picture]},
        {"role": "assistant", "content": None, "refusal": "No."},
        {"role": "user", "content": [{"type": "hologram", "data": {"x": 1}}, {"type": "text", "text": LONG}]},
        {"role": "critic", "content": LONG},
    )
    messages = talk.tools(("n1", [{"type": "text", "text": LONG}])).user("Why?").messages
    assert hc.compact(messages, shape="openai_chat", budget=4_000).status == "unchanged"
    for budget in (2_000, 500, 120):
        compacted(messages, "openai_chat", budget)


def test_objects_of_clients_stay_the_same_objects(talk):
    """What is not touched is handed back as it came."""
    function = {"name": "look", "arguments": "{}"}
    call = {"id": "a", "type": "function", "function": function}
    message = openai.types.chat.ChatCompletionMessage.model_validate({"role": "assistant", "tool_calls": [call]})
    talk = talk("openai_chat").user("Go.").says(LONG * 9).add(message).results(("a", "42"))
    result = hc.compact(talk.messages, shape="openai_chat", budget=300)
    assert result.messages[-2] is message


@pytest.mark.parametrize(
    ("options", "error"),
    [
        ({"budget": 0}, "budget: expected a whole number, 1 or more, got 0"),
        ({"turns_ahead": 0}, "turns_ahead: expected a whole number, 1 or more"),
        ({"cache": "hot"}, "cache: expected one of warm, cold, none, got 'hot'"),
        ({"config": {"compact_to": 1.0}}, r"compact_to: expected 0.1 to 0.75: .* a loss of 81 % .*, got 1.0"),
        ({"config": {"context_overflow_strategy": "forget"}}, "context_overflow_strategy: expected one or several"),
        ({"config": {"keep_tool_results": -1}}, "keep_tool_results: expected a whole number, 0 or more, got -1"),
        ({"config": {"protected_tools": "read"}}, "protected_tools: expected a tuple of names of tools, got 'read'"),
        ({"config": {"protected_tools": ["read", 3]}}, r"protected_tools: expected .*, got \('read', 3\)"),
        ({"config": {"summary_share": 0.9}}, "summary_share: expected a share of the budget"),
        ({"config": {"compactto": 0.5}}, "config: expected some of context_overflow_strategy"),
    ],
)
def test_values_that_cannot_be(options, error):
    """Each is named, with what was expected."""
    with pytest.raises(hc.ConfigError, match=error):
        hc.compact([], **{"shape": "openai_chat", "budget": 1_000, **options})


def test_a_loop_config_is_a_configuration(agent):
    """It has some of the fields; the others have their defaults."""
    config = hc.LoopConfig(context_overflow_strategy="keep_recent")
    result = hc.compact(agent("openai_chat").messages, shape="openai_chat", budget=1_000, config=config)
    assert [step.strategy for step in result.steps] == ["keep_recent"]
