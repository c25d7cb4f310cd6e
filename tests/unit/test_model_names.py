from __future__ import annotations

import pytest

from hivecost.model_names import general_names


@pytest.mark.parametrize(
    ("name", "general"),
    [
        ("gpt-4o", "gpt-4o"),
        ("gpt-4o-2024-08-06", "gpt-4o"),
        ("azure/gpt-4o-2024-08-06", "gpt-4o"),
        ("openrouter/openai/gpt-4o", "openai/gpt-4o"),
        ("GPT-4o", "gpt-4o"),
        ("claude-sonnet-4-5-20250929", "claude-sonnet-4-5"),
        ("claude-3-5-haiku-latest", "claude-3-5-haiku"),
        ("vertex_ai/claude-sonnet-4-5@20250929", "claude-sonnet-4-5"),
        ("bedrock/us-east-1/us.anthropic.claude-sonnet-4-5-20250929-v1:0", "claude-sonnet-4-5"),
        ("eu.anthropic.claude-sonnet-4-5-20250929-v1:0", "anthropic.claude-sonnet-4-5"),
        ("grok-4-0709", "grok-4"),
    ],
)
def test_a_model_goes_by_its_name_without_host_region_version_and_date(name, general):
    """Whoever names the model in general means each of its dated, hosted and regional names."""
    assert {name.lower(), general} <= general_names(name)


@pytest.mark.parametrize("name", ["ft:gpt-4o-2024-08-06:acme::abc", "llama3:8b", "my-model", "gpt-4.1"])
def test_a_name_that_says_no_more_is_only_itself(name):
    """A fine-tuned model costs more than its base, and a size is no date: neither is the model in general."""
    assert general_names(name) == {name}
