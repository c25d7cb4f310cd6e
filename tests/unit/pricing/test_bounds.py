"""The bound of a prompt is above what any tokenizer makes of it."""

from __future__ import annotations

import pytest
from hypothesis import given
from hypothesis import strategies as st

from hivecost.errors import ConfigError
from hivecost.pricing import input_token_bound
from hivecost.pricing.bounds import TEMPLATE_TOKENS, asked_cache_write, reaches_outside, template_bound

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
