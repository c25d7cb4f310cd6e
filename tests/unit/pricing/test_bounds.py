"""The bound of a prompt is above what any tokenizer makes of it."""

from __future__ import annotations

import pytest
from hypothesis import given
from hypothesis import strategies as st

from hivecost.errors import ConfigError
from hivecost.pricing import input_token_bound
from hivecost.pricing.bounds import TEMPLATE_TOKENS, template_bound
from hivecost.prompts import (
    TOOL_CALLS,
    asked_answers,
    asked_cache_write,
    asked_tier,
    asked_tool_calls,
    reaches_outside,
)

texts = st.text(st.characters(codec="utf-8"), max_size=50)
messages = st.lists(st.fixed_dictionaries({"role": st.sampled_from(["user", "system"]), "content": texts}), max_size=5)


@given(messages)
def test_a_token_for_each_byte_and_the_template_is_never_too_little(prompt):
    """The worst tokenizer makes each byte a token; the template adds its own for each message."""
    worst = sum(len(m["content"].encode()) + len(m["role"]) + 7 for m in prompt) + 3
    assert input_token_bound(prompt) >= worst


@given(texts)
def test_a_text_is_bounded_by_its_bytes(text):
    """Also where one character is four bytes."""
    assert input_token_bound(text) == len(text.encode()) + TEMPLATE_TOKENS


@pytest.mark.parametrize(
    "prompt",
    [
        [{"role": "user", "content": [{"type": "image_url", "image_url": {"url": "x"}}]}],
        [{"role": "user", "content": [{"type": "input_audio", "input_audio": {}}]}],
        [{"role": "user", "parts": [{"inlineData": {"mimeType": "image/png", "data": "x"}}]}],
        [{"role": "user", "parts": [{"file_data": {"file_uri": "https://example.org/film"}}]}],
        [{"role": "user", "content": [{"image": {"format": "png", "source": {"bytes": "x"}}}]}],
        {"messages": [], "tools": [{"type": "web_search_20250305", "name": "web_search"}]},
        {"input": "and then?", "previous_response_id": "resp_1"},
        {"contents": [], "tools": [{"google_search": {}}]},
        {"name": "no tool", "input": [{"role": "user", "content": [{"type": "input_file"}]}]},
        [{"role": "user", "content": [{"type": "tool_result", "content": [{"type": "image", "source": {}}]}]}],
        [object()],
    ],
)
def test_what_bytes_do_not_bound_is_refused(prompt):
    """Media count by other rules, and what a provider looks up by itself is in no byte; the caller has to say."""
    with pytest.raises(ConfigError, match="prompt"):
        input_token_bound(prompt)


@pytest.mark.parametrize(
    "prompt",
    [
        "an image of a file",
        {"tools": [{"name": "read", "input_schema": {"properties": {"image": {"type": "string"}, "file": {}}}}]},
        {"tools": [{"name": "open", "parameters": {"properties": {"type": {"type": "string"}, "conversation": {}}}}]},
        {"tools": [{"type": "function", "function": {"name": "a", "parameters": {"default": {"type": "file"}}}}]},
        [{"role": "assistant", "content": [{"type": "tool_use", "id": "1", "name": "a", "input": {"type": "image"}}]}],
        [{"role": "model", "parts": [{"functionCall": {"name": "a", "args": {"type": "document"}}}]}],
        {"tools": [{"toolSpec": {"name": "a", "inputSchema": {"json": {"enum": [{"type": "file"}]}}}}]},
        {
            "input": "x",
            "text": {"format": {"type": "json_schema", "name": "a", "schema": {"properties": {"type": {}}}}},
        },
        {"input": "hello", "previous_response_id": None},
        [{"role": "user", "content": "see document"}],
    ],
)
def test_text_about_files_is_text(prompt):
    """A tool of the caller's own that takes files brings in none by itself."""
    assert not reaches_outside(prompt)


@pytest.mark.parametrize(
    "prompt",
    [
        {"input": [{"type": "item_reference", "id": "msg_1"}, {"role": "user", "content": "go on"}]},
        {"prompt": {"id": "pmpt_1", "version": "2"}},
        {"input": "go on", "previous_interaction_id": "v1_a"},
        {"messages": [], "tools": [{"type": "x_search"}]},
        {"messages": [], "tools": [{"type": "collections_search", "collection_ids": ["c"]}]},
        {"contents": [], "tools": [{"enterpriseWebSearch": {}}]},
        {"contents": [], "tools": [{"functionDeclarations": [{"name": "a"}]}, {"retrieval": {"vertexAiSearch": {}}}]},
        {"contents": [], "tools": [{"googleMaps": {}}]},
        {"contents": [], "toolConfig": {"tools": [{"systemTool": {"name": "nova_grounding"}}]}},
        {"messages": [], "plugins": [{"id": "web"}]},
        {"messages": [], "web_search_options": {"search_context_size": "low"}},
        {"messages": [], "mcp_servers": [{"type": "url", "url": "u", "name": "n"}]},
        {"messages": [{"role": "assistant", "audio": {"id": "audio_abc"}}]},
        {"messages": [{"role": "user", "content": [{"type": "hologram", "text": "x"}]}]},
    ],
)
def test_what_nobody_knows_may_be_anything(prompt):
    """A reference, a provider's tool and a type that is new are bounded by no bytes."""
    assert reaches_outside(prompt)


@pytest.mark.parametrize(
    ("prompt", "calls"),
    [
        ({"tools": [{"type": "web_search_20250305", "name": "web_search", "max_uses": 5}]}, 5),
        ({"tools": [{"type": "web_search"}]}, TOOL_CALLS),
        ({"tools": [{"type": "web_search"}, {"type": "code_interpreter"}], "max_tool_calls": 3}, 3),
        ({"tools": [{"googleSearch": {}}]}, TOOL_CALLS),
        ({"tools": [{"type": "function", "function": {"name": "search"}}, {"name": "find", "input_schema": {}}]}, 0),
        ({"tools": [{"functionDeclarations": [{"name": "search"}]}]}, 0),
        ({"tools": None}, 0),
        ("search", 0),
    ],
)
def test_a_request_says_how_often_the_providers_tools_are_called(prompt, calls):
    """Each may be billed by the call; the caller's own are not."""
    assert asked_tool_calls(prompt) == calls


@pytest.mark.parametrize(
    ("prompt", "answers", "tier"),
    [
        ({"n": 20, "service_tier": "priority"}, 20, "priority"),
        ({"generationConfig": {"candidateCount": 3}, "serviceTier": {"type": "flex"}}, 3, "flex"),
        ({"config": {"candidate_count": 2}, "service_tier": "auto"}, 2, ""),
        ({"n": None, "service_tier": 5}, 1, ""),
        ({"n": 2.0}, 2, ""),
        ({"n": "3"}, 3, ""),
        ({"n": "9" * 40}, 1, ""),
        ({"n": float("inf")}, 1, ""),
        ([{"role": "user", "content": "n"}], 1, ""),
    ],
)
def test_a_request_says_how_many_answers_and_which_tier_it_asks_for(prompt, answers, tier):
    """Every answer is billed, and lenient servers read numbers in any form; `auto` may be the standard tier."""
    assert (asked_answers(prompt), asked_tier(prompt)) == (answers, tier)


def test_what_a_schema_lists_is_no_message():
    """A template adds tokens for messages and tools, and not for each name that a tool's parameters list."""
    schema = {"type": "object", "required": ["a", "b"], "properties": {"a": {"enum": ["x", "y", "z"]}}}
    messages = [{"role": "user", "content": "hello"}]
    for tool in (
        {"name": "t", "input_schema": schema},
        {"type": "function", "function": {"name": "t", "parameters": schema}},
    ):
        assert template_bound({"messages": messages, "tools": [tool]}) == TEMPLATE_TOKENS * 3


@pytest.mark.parametrize(
    ("prompt", "asked"),
    [
        ("a text", ""),
        ([{"role": "user", "content": "cache_control"}], ""),
        ([{"role": "user", "content": [{"type": "text", "cache_control": {"type": "ephemeral"}}]}], "5m"),
        ([{"role": "user", "content": [{"text": "x"}, {"cachePoint": {"type": "default"}}]}], "5m"),
        ({"tools": [{"name": "t", "cache_control": {"type": "ephemeral", "ttl": "5m"}}]}, "5m"),
        ({"system": [{"text": "x", "cache_control": {"type": "ephemeral", "ttl": "1h"}}]}, "1h"),
        ([{"cachePoint": {"type": "default", "ttl": "1h"}}, {"cachePoint": {"type": "default"}}], "1h"),
        ({"cache_control": {"type": "ephemeral", "ttl": "24h"}}, "1h"),
        ({"cache_control": None}, ""),
        ({"tools": [{"name": "t", "parameters": {"properties": {"cache_control": {"type": "object"}}}}]}, ""),
    ],
)
def test_a_prompt_says_which_cache_writes_it_asks_for(prompt, asked):
    """The dearest of all its marks, wherever they stand; a lifetime that nobody knows is the dearest."""
    assert asked_cache_write(prompt) == asked
