"""The bound of a prompt is above what any tokenizer makes of it."""

from __future__ import annotations

import pytest
from hypothesis import given
from hypothesis import strategies as st

from hivecost.errors import ConfigError
from hivecost.pricing import input_token_bound
from hivecost.pricing.bounds import TEMPLATE_TOKENS

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
        [object()],
    ],
)
def test_what_bytes_do_not_bound_is_refused(prompt):
    """Media count by other rules; the caller has to say."""
    with pytest.raises(ConfigError, match="prompt"):
        input_token_bound(prompt)
