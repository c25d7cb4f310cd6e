"""A counted prompt is what the model's tokenizer makes of it, and never more than its bytes."""

from __future__ import annotations

import sys
import threading
from functools import cache

import anyio
import anyio.to_thread
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from hivecost.errors import ConfigError
from hivecost.pricing import count_tokens, input_token_bound, tokenizer
from hivecost.pricing.bounds import TEMPLATE_TOKENS

texts = st.text(st.characters(codec="utf-8") | st.sampled_from(' \n\t"\\<|ateh'), max_size=60)
messages = st.lists(st.fixed_dictionaries({"role": st.sampled_from(["user", "system"]), "content": texts}), max_size=4)
models = st.sampled_from(["gpt-4o", "gpt-4"])


#: The first example loads a vocabulary.
unhurried = settings(deadline=None)


@cache
def encoding(model: str):
    import bpe_openai

    return bpe_openai.get_encoding({"gpt-4o": "o200k_base", "gpt-4": "cl100k_base"}[model])


def plain(text: str, model: str) -> int:
    return len(encoding(model).encode_ordinary(text))


@pytest.mark.parametrize(
    ("text", "model", "tokens"),
    [
        ("hello world", "gpt-4o", 2),
        ("hello world", "gpt-4", 2),
        ("", "gpt-4o", 0),
        ("<|endoftext|>", "gpt-4o", 7),  # in a prompt it is ordinary text
        ("안녕하세요", "gpt-4o", 2),
        ("안녕하세요", "gpt-4", 5),
    ],
)
def test_a_text_counts_as_its_tokens_and_the_template(text, model, tokens):
    """The counts OpenAI's own tokenizer gives, which differ by the model's vocabulary."""
    assert count_tokens(text, model) == tokens + TEMPLATE_TOKENS


@pytest.mark.parametrize(
    "model",
    [
        *(
            "gpt-4o-mini",
            "chatgpt-4o-latest",
            "gpt-4.1-nano",
            "gpt-4.5-preview",
            "gpt-5",
            "gpt-5.1-codex",
            "GPT-5-mini",
        ),
        *(
            "o1",
            "o3-mini",
            "o4-mini-2025-04-16",
            "openai/gpt-4o",
            "azure/gpt-4o",
            "openrouter/openai/gpt-5",
            "openai:o3",
        ),
        *("ft:gpt-4o-mini-2024-07-18:acme::id", "openai/ft:gpt-4.1:acme::id"),
    ],
)
def test_newer_models_count_with_o200k(model):
    """Under each of the names they are called by."""
    assert count_tokens("안녕하세요", model) == 2 + TEMPLATE_TOKENS


@pytest.mark.parametrize(
    "model",
    ["gpt-4", "gpt-4-turbo", "gpt-4-0613", "gpt-3.5-turbo", "azure/gpt-35-turbo", "ft:gpt-3.5-turbo-0125:acme::id"],
)
def test_older_models_count_with_cl100k(model):
    """Their vocabulary is the smaller one."""
    assert count_tokens("안녕하세요", model) == 5 + TEMPLATE_TOKENS


@unhurried
@given(texts, models)
def test_a_text_is_between_the_plain_count_and_the_byte_bound(text, model):
    """No less than the tokenizer counts, no more than a token for each byte."""
    assert plain(text, model) + TEMPLATE_TOKENS == count_tokens(text, model) <= input_token_bound(text)


@unhurried
@given(messages, models)
def test_messages_are_between_their_contents_and_the_byte_bound(prompt, model):
    """Whatever JSON makes of the contents, none of their tokens is missing."""
    contents = sum(plain(m["role"], model) + plain(m["content"], model) + 7 for m in prompt) + 3
    assert contents <= count_tokens(prompt, model) <= input_token_bound(prompt)


def test_escapes_that_shorten_the_json_do_not_shorten_the_count():
    """A backspace before `rief` is two tokens; the JSON says `\\brief`, which is one of gpt-4's."""
    content = "\brief" * 500
    assert count_tokens([{"role": "user", "content": content}], "gpt-4") >= plain(content, "gpt-4")


def test_tools_count_in_full():
    """What is not a string counts too: the JSON text as a whole."""
    tools = [{"type": "function", "function": {"name": "sum", "strict": True, "enum": list(range(100, 200))}}]
    assert count_tokens(tools, "gpt-4o") - TEMPLATE_TOKENS * 102 >= 200


@pytest.mark.parametrize("text", ["x1!" * 80_000, "a " * 600_000])
def test_a_text_too_long_for_the_tokenizer_counts_by_its_bytes(text):
    """The package takes 200,000 tokens and a million characters."""
    assert count_tokens(text, "gpt-4o") == input_token_bound(text)


@pytest.mark.parametrize(
    "model",
    [
        "claude-sonnet-4-5",
        "gemini-2.5-pro",
        "llama-3",
        "gpt-6",
        "gpt-4x",
        "o1x",
        "huggingface/acme/gpt-4-x",
        "gpt-2",
        "",
    ],
)
def test_other_models_are_refused_by_name(model):
    """Nobody else publishes a tokenizer that is a proven count."""
    with pytest.raises(ConfigError, match=r"input_tokens=…\) or \(prompt=…\), got " + repr(model)):
        count_tokens("hello", model)


@pytest.mark.parametrize("prompt", [[{"role": "user", "content": [{"type": "image_url"}]}], [object()], "\ud800"])
def test_what_the_byte_bound_refuses_is_refused(prompt):
    """Media count by other rules."""
    with pytest.raises(ConfigError, match="prompt"):
        count_tokens(prompt, "gpt-4o")
    with pytest.raises(ConfigError, match="prompt"):
        input_token_bound(prompt)


def test_without_the_package_the_error_says_what_to_install(monkeypatch):
    """An extra that is not there is no ImportError in the middle of a run."""
    monkeypatch.setitem(sys.modules, "bpe_openai", None)
    tokenizer._encodings.clear()
    with pytest.raises(ConfigError, match=r"pip install 'hivecost\[tokens\]'"):
        count_tokens("hello", "gpt-4o")


@pytest.mark.anyio
async def test_a_vocabulary_that_a_thread_loads_leaves_the_loop_free(monkeypatch):
    """Loading takes a second: an event loop has it done before, in a thread, and loads nothing afterwards."""
    import bpe_openai

    whole = encoding("gpt-4o")
    started, looped = threading.Event(), threading.Event()

    def load(_):
        started.set()
        assert looped.wait(10), "the loop stood still"
        return whole

    monkeypatch.setattr(bpe_openai, "get_encoding", load)
    tokenizer._encodings.clear()
    async with anyio.create_task_group() as tasks:
        tasks.start_soon(anyio.to_thread.run_sync, count_tokens, "", "gpt-4o")
        await anyio.to_thread.run_sync(started.wait)
        looped.set()
    monkeypatch.delattr(bpe_openai, "get_encoding")
    assert count_tokens("hello world", "gpt-4o") == 2 + TEMPLATE_TOKENS
