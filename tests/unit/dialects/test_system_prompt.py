"""The system prompt of a request, in any dialect."""

from __future__ import annotations

from typing import Any

import pytest

from hivecost.dialects.system_prompt import system_prompt

USER = {"role": "user", "content": "hello"}


@pytest.mark.parametrize(
    "prompt",
    [
        {"messages": [{"role": "system", "content": "be brief"}, USER]},
        {"messages": [{"role": "developer", "content": [{"type": "text", "text": "be brief"}]}, USER]},
        {"instructions": "be brief", "input": "hello"},
        {"input": [{"role": "system", "content": [{"type": "input_text", "text": "be brief"}]}, USER]},
        {"system": "be brief", "messages": [USER]},
        {"system": [{"type": "text", "text": "be brief", "cache_control": {"type": "ephemeral"}}], "messages": [USER]},
        {"system": [{"text": "be brief"}, {"cachePoint": {"type": "default"}}], "messages": [USER]},
        {"systemInstruction": {"parts": [{"text": "be brief"}]}, "contents": []},
        {"system_instruction": {"role": "system", "parts": [{"text": "be brief"}]}},
    ],
    ids=str,
)
def test_it_is_the_same_text_however_it_is_sent(prompt: dict[str, Any]) -> None:
    """OpenAI's chat and responses, Anthropic's, Bedrock's and Gemini's ways."""
    assert system_prompt(prompt) == "be brief"


@pytest.mark.parametrize(
    "prompt",
    [{}, {"messages": [USER]}, {"input": "hello"}, {"system": None}, {"messages": ["system", 3, None]}, {"system": 3}],
    ids=str,
)
def test_there_may_be_none(prompt: dict[str, Any]) -> None:
    """Nothing in the place of one is no prompt either."""
    assert system_prompt(prompt) == ""


def test_a_nest_without_end_is_left() -> None:
    """It is read as deep as providers do."""
    nest: list[Any] = ["deep"]
    for _ in range(5_000):
        nest = [nest]
    assert system_prompt({"system": [nest, "shallow"]}) == "shallow"
