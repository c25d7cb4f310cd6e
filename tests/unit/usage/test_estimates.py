"""Usage of answers that came without any is estimated from their text, in every provider's shape."""

from __future__ import annotations

import json

import pytest

from hivecost.usage import UsageStatus, estimated, read_usage, size_of_answer, tokens_of

ANSWERS = {
    "chat": {"model": "m", "choices": [{"message": {"role": "assistant", "content": "x" * 30}}]},
    "text": {"model": "m", "choices": [{"text": "x" * 30}]},
    "responses": {"output": [{"type": "message", "content": [{"type": "output_text", "text": "x" * 30}]}]},
    "anthropic": {"type": "message", "model": "m", "content": [{"type": "text", "text": "x" * 30}]},
    "gemini": {"candidates": [{"content": {"role": "model", "parts": [{"text": "x" * 30}]}}]},
    "bedrock": {"output": {"message": {"role": "assistant", "content": [{"text": "x" * 30}]}}},
    "cohere": {"message": {"role": "assistant", "content": [{"type": "text", "text": "x" * 30}]}},
}


class Raises:
    @property
    def choices(self):
        raise RuntimeError("no")


@pytest.mark.parametrize("answer", ANSWERS.values(), ids=ANSWERS)
def test_the_text_of_an_answer_is_measured(answer):
    """What was generated, and none of the envelope; as JSON too."""
    assert size_of_answer(answer) == size_of_answer(json.dumps(answer)) == 30


@pytest.mark.parametrize("answer", [None, "", "plain text", 5, {}, [], {"choices": None}, {"error": "x"}, Raises()])
def test_what_is_no_answer_has_no_size(answer):
    """And raises nothing."""
    assert size_of_answer(answer) == 0


def test_a_token_is_three_bytes_or_less():
    """Rounded up: what was read is never nothing."""
    assert [tokens_of(size) for size in (0, 1, 3, 4)] == [0, 1, 1, 2]


def test_only_what_is_missing_is_estimated():
    """Usage that was told, or cannot be, stays as it is, and so does an answer of which nothing was read."""
    missing = read_usage({"choices": []})
    assert missing.status is UsageStatus.MISSING
    guess = estimated(missing, 30, 7)
    assert (guess.status, guess.usage.input_tokens, guess.usage.output_tokens) == (UsageStatus.ESTIMATED, 7, 10)
    assert "and from the prompt" in guess.reason
    assert "prompt's length is unknown" in estimated(missing, 30, 0).reason
    told = read_usage({"usage": {"prompt_tokens": 1, "completion_tokens": 1}})
    assert estimated(told, 30, 7) is told
    assert estimated(missing, 0, 7) is missing
