"""The requests of real clients that holds are measured with: nothing of their texts, and all of their sizes."""

from __future__ import annotations

import json
import re
from collections import Counter
from typing import Any

import pytest
from hypothesis import given
from hypothesis import strategies as st

from benchmarks.recorded import FILE, read
from benchmarks.recorded.billing import PromptCache, claude_tokens
from benchmarks.recorded.scripts import assumed_output_tokens
from benchmarks.recorded.shapes import filled, filler, shape_of, tokens_of
from hivecost.events import Usage

# The tokenizer's package, on Python 3.11 and 3.12.
pytestmark = pytest.mark.filterwarnings("ignore:open_binary is deprecated:DeprecationWarning")

LINES = [json.loads(line) for line in FILE.read_text().splitlines()]


def strings(value: Any) -> list[str]:
    if isinstance(value, dict):
        return [text for item in value.values() for text in strings(item)]
    if isinstance(value, list):
        return [text for item in value for text in strings(item)]
    return [value] if isinstance(value, str) else []


def test_no_text_that_anybody_wrote_is_kept():
    """What is no size is a word that names something: a kind, a role, a tool, a model, a version."""
    kept = {text for line in LINES for text in strings(line) if not re.fullmatch(r"~\d+/\d+", text)}
    assert {text for text in kept if not re.fullmatch(r"[\w.-]{1,30}|one-hour cache", text)} == set()


def test_a_file_of_a_size_that_a_repository_bears():
    """Below 300 KB."""
    assert FILE.stat().st_size < 300_000


def test_every_client_is_there():
    """Some fifty requests of each."""
    requests = Counter(request.session.client for request in read())
    assert set(requests) == {"claude-code", "codex", "openai-agents", "langchain", "pydantic-ai"}
    assert min(requests.values()) >= 45


def test_bodies_are_as_long_as_what_was_sent():
    """Other words, but the same shape: taken again it is what stands in the file."""
    shapes = [line["shape"] for line in LINES if "part" in line]
    assert len(shapes) > 500
    for shape in shapes:
        assert _bytes(shape_of(filled(shape))) == _bytes(shape)


def _bytes(shape: Any) -> list[str]:
    return [text.partition("/")[0] for text in strings(shape)]


def test_bodies_have_as_many_tokens_as_what_was_sent():
    """Within one in a hundred over all; short texts of one token can be longer than any word."""
    sizes = [re.fullmatch(r"~(\d+)/(\d+)", text) for line in LINES for text in strings(line.get("shape"))]
    found = [(int(size[1]), int(size[2])) for size in sizes if size]
    real = sum(tokens for _, tokens in found)
    assert sum(tokens_of(filler(*size)) for size in found) == pytest.approx(real, rel=0.01)


@given(st.integers(1, 400), st.floats(2, 12))
def test_a_filler_is_exactly_so_long(tokens: int, bytes_per_token: float):
    """In bytes, and in tokens wherever tokens have 2 to 12 bytes on average."""
    size = round(tokens * bytes_per_token)
    text = filler(size, tokens)
    assert (len(text.encode()), tokens_of(text)) == (size, tokens)


def test_claudes_cache_is_written_up_to_the_last_mark_and_read_by_the_next_request():
    """Reads are the longest prefix that was marked; what is marked beyond is written, for as long as its mark says."""
    cache = PromptCache()
    first = _claude("system", "one", ttl="1h")
    written = cache.input_of(first, anthropic=True, writes_cost=True)
    tokens = {text: claude_tokens(_text(text)) for text in ("system", "one", "two")}
    assert written == Usage(sum(tokens[text] for text in ("system", "one")), 0, 0, *[tokens["system"]] * 2)
    second = cache.input_of(_claude("system", "one", "two"), anthropic=True, writes_cost=True)
    assert second == Usage(sum(tokens.values()), 0, tokens["system"], 0)
    other = cache.input_of(_claude("other", "one"), anthropic=True, writes_cost=True)
    assert (other.cache_read_tokens, other.cache_write_tokens) == (0, claude_tokens(_text("other")))


def test_what_is_not_marked_is_not_cached():
    """Claude caches nothing unasked, and no short prompt."""
    cache = PromptCache()
    body = _claude("system", "one")
    del body["system"][0]["cache_control"]
    for _ in range(2):
        assert cache.input_of(body, anthropic=True, writes_cost=True) == Usage(
            sum(claude_tokens(_text(text)) for text in ("system", "one"))
        )
    short = {"model": "m", "messages": [{"content": [{"text": "hi", "cache_control": {"type": "ephemeral"}}]}]}
    assert cache.input_of(short, anthropic=True, writes_cost=True) == Usage(1)


@pytest.mark.parametrize("writes_cost", [True, False])
def test_openais_cache_is_read_in_steps_of_128(writes_cost: bool):
    """Unasked, from 1,024 tokens on; newer models bill what they write."""
    cache = PromptCache()
    items = [{"role": "user", "content": _text("one")}, {"role": "user", "content": _text("two")}]
    first = cache.input_of({"model": "m", "input": items[:1]}, anthropic=False, writes_cost=writes_cost)
    second = cache.input_of({"model": "m", "input": items}, anthropic=False, writes_cost=writes_cost)
    assert (first.cache_read_tokens, first.cache_write_tokens) == (0, first.input_tokens // 128 * 128 * writes_cost)
    assert second.cache_read_tokens == first.input_tokens // 128 * 128
    left = second.input_tokens - second.cache_read_tokens
    assert second.cache_write_tokens == left // 128 * 128 * writes_cost


def test_outputs_are_spread_as_assumed():
    """A median near 300 tokens, one in twenty above 1,500, from the first fifty on."""
    tokens = sorted(assumed_output_tokens(number) for number in range(50))
    assert 250 < tokens[25] < 350
    assert sum(each > 1_500 for each in tokens) in {2, 3}


def _text(word: str) -> str:
    return f"{word} " * 3_000


def _claude(system: str, *messages: str, ttl: str = "5m") -> dict[str, Any]:
    marked = {"type": "text", "text": _text(system), "cache_control": {"type": "ephemeral", "ttl": ttl}}
    return {"model": "m", "system": [marked], "messages": [{"role": "user", "content": _text(m)} for m in messages]}
