"""How much a model reads and writes at most, by whoever published it."""

from __future__ import annotations

import pytest

from hivecost.errors import ConfigError
from hivecost.pricing import ModelLimits, PriceBook
from hivecost.pricing.model_limits import limits_table, own_name


@pytest.fixture(scope="module")
def book(clock) -> PriceBook:
    return PriceBook(clock=clock)


@pytest.mark.parametrize(
    ("model", "provider", "output"),
    [
        ("gpt-4o", "", 16_384),
        ("gpt-4o-2024-05-13", "openai", 4_096),
        ("azure/gpt-4o", "", 16_384),
        ("claude-sonnet-4-5", "anthropic", 64_000),
        ("us.anthropic.claude-sonnet-4-5-20250929-v1:0", "bedrock", 64_000),
        ("gemini-2.5-pro", "google", 65_536),
    ],
)
def test_the_maximum_of_an_answer_is_the_published_one(book, model, provider, output):
    """Whichever of its names the model goes by."""
    assert book.limits(model, provider).output_tokens_max == output


def test_a_context_window_is_the_larger_of_two_sources(book):
    """A bound that is too low is worth nothing: one source has GPT-5's prompts at 272,000, the other its window."""
    assert limits_table().limits["openai"]["gpt-5"][0] == 272_000
    assert book.limits("gpt-5").context_window == 400_000


def test_a_host_that_publishes_nothing_has_what_others_publish(book):
    """OpenRouter is not in the table; the model it passes on is, in another spelling."""
    assert "openrouter" not in limits_table().limits
    assert book.limits("anthropic/claude-sonnet-4.5", "openrouter").output_tokens_max == 64_000


def test_a_model_without_a_rate_for_output_writes_none(book):
    """Embeddings need no limit of output; 0 is known, and not the same as unknown."""
    assert book.limits("text-embedding-3-small").output_tokens_max == 0
    assert book.limits("voyage-3.5").output_tokens_max == 0


def test_what_nobody_published_is_unknown(book):
    """None, never 0."""
    assert book.limits("nobody-knows-this") == ModelLimits(None, None)


def test_every_row_is_of_a_provider_in_the_catalog(book):
    """The file names them as the catalog does, so that a row can be found."""
    rows = limits_table().limits
    assert rows.keys() <= {provider for provider, _ in book.models()}
    assert limits_table().source.startswith("litellm ")
    numbers = [number for names in rows.values() for pair in names.values() for number in pair if number is not None]
    assert min(numbers) >= 0
    assert max(numbers) <= 20_000_000


@pytest.mark.parametrize(
    ("model", "name"),
    [
        ("anthropic/claude-sonnet-4.5:free", "claude-sonnet-4-5"),
        ("accounts/fireworks/models/kimi-k2", "kimi-k2"),
        ("amazon.nova-pro-v1:0", "amazon-nova-pro-v1:0"),
    ],
)
def test_a_name_without_its_hosts(model, name):
    """Hosts write dots, paths and variants around one name."""
    assert own_name(model) == name


def test_the_users_own_maxima_win(clock):
    """Field by field: what the user does not say is as published."""
    own = {"input": 1, "output": 1}
    book = PriceBook(
        {
            "gpt-4o": {**own, "max_output_tokens": 1_000},
            "mine": [
                {**own, "context_window": 8_000, "until": "2026-01-01"},
                {**own, "context_window": 32_000, "from": "2026-01-01"},
            ],
        },
        clock=clock,
    )
    assert book.limits("gpt-4o") == ModelLimits(128_000, 1_000)
    assert book.limits("mine") == ModelLimits(32_000, None)


@pytest.mark.parametrize("tokens", [-1, 1.5, "8000", True, 10**10])
def test_maxima_that_cannot_be_are_refused_by_their_key(tokens):
    """As prices are."""
    with pytest.raises(ConfigError, match=r"prices\.mine\.context_window"):
        PriceBook({"mine": {"input": 1, "output": 1, "context_window": tokens}})


def test_maxima_are_no_prices():
    """They change no bill."""
    plain, bounded = (
        PriceBook({"m": {"input": 1, "output": 1}}),
        PriceBook({"m": {"input": 1, "output": 1, "context_window": 5, "max_output_tokens": 5}}),
    )
    assert plain.calculate_cost("m", 10, 10) == bounded.calculate_cost("m", 10, 10)
