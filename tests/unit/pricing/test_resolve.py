"""`PriceBook.resolve`: what a name means, asked before a turn is sent."""

from __future__ import annotations

import pytest
from hypothesis import given
from hypothesis import strategies as st

from hivecost.pricing import PriceBook

BOOK = PriceBook()
PRICE = {"input": 1, "output": 1}
OWN = PriceBook({"prices": {"gpt-4o": PRICE, "rack/llama": PRICE, "m": PRICE}, "aliases": {"prod": "gpt-4o-mini"}})


@pytest.mark.parametrize(
    ("asked", "provider", "found"),
    [
        ("gpt-4o", "", ("openai", "gpt-4o")),
        ("gpt-4o-2024-08-06", "", ("openai", "gpt-4o")),
        ("openai/gpt-4o", "", ("openai", "gpt-4o")),
        ("azure/gpt-4o", "", ("azure", "gpt-4o")),
        ("gpt-4o", "azure_openai", ("azure", "gpt-4o")),
        ("claude-sonnet-4-5-20250929", "", ("anthropic", "claude-sonnet-4-5")),
        ("grok-4", "", ("x-ai", "grok-4-0709")),
        ("nobody-knows", "", ("", "")),
    ],
)
def test_a_name_means_a_model_at_a_provider(asked, provider, found):
    """Snapshots, prefixes and gateways' names are the model that is priced."""
    assert BOOK.resolve(asked, provider) == found


@pytest.mark.parametrize(
    ("asked", "provider", "found"),
    [
        ("gpt-4o", "", ("openai", "gpt-4o")),
        ("rack/llama", "", ("rack", "rack/llama")),
        ("m", "", ("", "m")),
        ("m", "my-cloud", ("my-cloud", "m")),
        ("prod", "", ("openai", "gpt-4o-mini")),
    ],
)
def test_the_users_own_names_are_known(asked, provider, found):
    """A model of the user's table is served by whom its name, the caller or the shipped table says."""
    assert OWN.resolve(asked, provider) == found


def test_a_provider_that_is_named_is_believed_and_a_gateway_passes_on():
    """OpenAI's client calls gateways too, so `openai` says nothing about a model of somebody else."""
    assert BOOK.resolve("gpt-4o", "my-cloud") == ("my-cloud", "gpt-4o")
    assert BOOK.resolve("nobody-knows", "my-cloud") == ("my-cloud", "")
    assert BOOK.resolve("claude-sonnet-4-5", "openai") == ("anthropic", "claude-sonnet-4-5")


@pytest.mark.parametrize(
    ("asked", "provider", "other", "beside"),
    [
        ("gpt-4o", "azure", "gpt-4o-mini", ("azure", "gpt-4o-mini")),
        ("azure/gpt-4o", "", "gpt-4o-mini", ("", "azure/gpt-4o-mini")),
        ("azure/eu/gpt-4o", "", "gpt-4o-mini", ("", "azure/eu/gpt-4o-mini")),
        ("openrouter/openai/gpt-4o", "", "gpt-4o-mini", ("", "openrouter/openai/gpt-4o-mini")),
        ("openai/gpt-4o", "openrouter", "openai/gpt-4o-mini", ("openrouter", "openai/gpt-4o-mini")),
        (
            "us.anthropic.claude-sonnet-4-5-20250929-v1:0",
            "",
            "claude-haiku-4-5-20251001-v1:0",
            ("aws", "claude-haiku-4-5-20251001-v1:0"),
        ),
        ("us.anthropic.claude-sonnet-4-5-20250929-v1:0", "", "claude-haiku-4-5", ("aws", "claude-haiku-4-5")),
        ("gpt-4o", "my-cloud", "gpt-4o-mini", ("my-cloud", "gpt-4o-mini")),
        ("gpt-4o", "openai", "gpt-4o-mini", ("openai", "gpt-4o-mini")),
        ("gpt-4o", "", "claude-haiku-4-5", ("", "claude-haiku-4-5")),
        ("gpt-4o", "openai", "claude-haiku-4-5", ("", "claude-haiku-4-5")),
        ("claude-sonnet-4-5", "anthropic", "gpt-4o-mini", ("", "gpt-4o-mini")),
        ("anthropic/claude-sonnet-4-5", "", "gpt-4o-mini", ("", "gpt-4o-mini")),
        ("gpt-4o", "azure", "groq/llama-3.3-70b-versatile", ("", "groq/llama-3.3-70b-versatile")),
        ("gpt-4o", "", "azure/gpt-4o-mini", ("", "azure/gpt-4o-mini")),
        ("gpt-4o", "azure", "nobody-knows", ("", "nobody-knows")),
    ],
)
def test_another_model_stays_at_the_host_that_was_named(asked, provider, other, beside):
    """Where that has it, and the other name says no host of its own."""
    assert BOOK.beside(asked, other, provider) == beside


@given(st.sampled_from(sorted(BOOK.models())))
def test_resolving_what_was_resolved_changes_nothing(listed):
    """Sums and accounts are kept by resolved names, which mean the same whenever they are asked again."""
    provider, model = listed
    found = BOOK.resolve(model, provider)
    assert BOOK.resolve(found.model, found.provider) == found


def test_providers_go_by_the_names_that_clients_give_them():
    """A gateway and a host of the user's own table are providers as well; a typo is none."""
    assert [OWN.provider_id(name) for name in ("Azure_OpenAI", "litellm", "rack", "opnai")] == [
        "azure",
        "litellm",
        "rack",
        "",
    ]
    assert {"openai", "anthropic", "litellm", "rack"} <= OWN.providers()
