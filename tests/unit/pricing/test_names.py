from __future__ import annotations

import pytest

from hivecost.errors import PriceUnknownError, UsageInvalidError
from hivecost.events import CostStatus, Usage
from hivecost.pricing import PriceBook, calculate_cost

TURN = Usage(input_tokens=1000, output_tokens=100)


@pytest.mark.parametrize(
    ("name", "provider", "found"),
    [
        ("gpt-4o", "", ("openai", "gpt-4o")),
        ("GPT-4o", "", ("openai", "gpt-4o")),
        ("gpt-4o-2024-08-06", "", ("openai", "gpt-4o")),
        ("gpt-4o-2031-01-01", "", ("openai", "gpt-4o")),
        ("openai/gpt-4o", "", ("openai", "gpt-4o")),
        ("openai:gpt-4o", "", ("openai", "gpt-4o")),
        ("azure/gpt-4o", "", ("azure", "gpt-4o")),
        ("gpt-4o", "azure.ai.inference", ("azure", "gpt-4o")),
        ("text-embedding-3-small", "", ("openai", "text-embedding-3-small")),
        ("ft:gpt-4o-2024-08-06:acme::abc123", "", ("openai", "ft:gpt-4o")),
        ("claude-3-5-sonnet-latest", "", ("anthropic", "claude-3-5-sonnet")),
        ("anthropic/claude-sonnet-4-5", "", ("anthropic", "claude-sonnet-4-5")),
        ("claude-sonnet-4-5@20250929", "vertex_ai", ("google", "claude-sonnet-4-5")),
        ("vertex_ai/gemini-2.5-pro", "", ("google", "gemini-2.5-pro")),
        ("gemini/gemini-2.5-flash", "", ("google", "gemini-2.5-flash")),
        ("models/gemini-2.5-pro", "google", ("google", "gemini-2.5-pro")),
        ("publishers/google/models/gemini-2.5-pro", "", ("google", "gemini-2.5-pro")),
        ("openrouter/anthropic/claude-sonnet-4.5", "", ("openrouter", "anthropic/claude-sonnet-4.5")),
        ("anthropic/claude-sonnet-4.5", "openrouter", ("openrouter", "anthropic/claude-sonnet-4.5")),
        ("anthropic/claude-sonnet-4.5", "openai", ("anthropic", "claude-sonnet-4-5")),
        ("litellm_proxy/gpt-4o", "", ("openai", "gpt-4o")),
        ("groq/llama-3.3-70b-versatile", "", ("groq", "llama-3.3-70b-versatile")),
        ("xai/grok-4", "", ("x-ai", "grok-4-0709")),
        ("grok-4", "x_ai", ("x-ai", "grok-4-0709")),
        ("sonar-pro", "", ("perplexity", "sonar-pro")),
        ("deepseek/deepseek-chat", "", ("deepseek", "deepseek-chat")),
        ("azureai/gpt-4o", "", ("azure", "gpt-4o")),
        ("accounts/fireworks/models/deepseek-v3p2", "", ("fireworks", "deepseek-v3p2")),
        ("fireworks_ai/accounts/fireworks/models/deepseek-v3p2", "", ("fireworks", "deepseek-v3p2")),
        ("glm-5p1", "fireworks-ai", ("fireworks", "glm-5p1")),
        ("Qwen/Qwen3-32B:groq", "huggingface", ("huggingface_groq", "Qwen/Qwen3-32B")),
        ("huggingface/groq/Qwen/Qwen3-32B", "", ("huggingface_groq", "Qwen/Qwen3-32B")),
        ("deepseek-ai/DeepSeek-R1:together", "", ("huggingface_together", "deepseek-ai/DeepSeek-R1")),
        ("openrouter/openai/gpt-4o:extended", "", ("openrouter", "openai/gpt-4o:extended")),
        ("qwen/qwen-plus-2025-07-28:thinking", "", ("openrouter", "qwen/qwen-plus-2025-07-28:thinking")),
        ("z-ai/glm-4.6", "", ("zai", "GLM-4.6")),
        ("google-gla:gemini-2.5-flash", "", ("google", "gemini-2.5-flash")),
        ("openrouter/perplexity/sonar", "", ("openrouter", "perplexity/sonar")),
        ("perplexity/sonar", "", ("perplexity", "sonar")),
    ],
)
def test_the_names_people_write_find_their_model(book, name, provider, found):
    """Prefixes, gateways, dates, fine-tunes: each resolves to one provider's model, and has a price."""
    quote = book.quote(name, provider=provider)
    assert (quote.provider, quote.model) == found
    assert book.price(name, Usage(input_tokens=1000), provider=provider).status is CostStatus.PRICED


SONNET = "anthropic.claude-sonnet-4-5-20250929-v1:0"


@pytest.mark.parametrize(
    ("name", "input_rate"),
    [
        (SONNET, "3.3"),
        (f"us.{SONNET}", "3.3"),
        (f"eu.{SONNET}", "3.3"),
        (f"global.{SONNET}", "3"),
        (f"bedrock/{SONNET}", "3.3"),
        (f"bedrock/us-east-1/{SONNET}", "3.3"),
        (f"bedrock/converse/us.{SONNET}", "3.3"),
        (f"amazon-bedrock/us.{SONNET}", "3.3"),
        (f"bedrock:us.{SONNET}", "3.3"),
        (f"arn:aws:bedrock:us-east-1:123456789012:inference-profile/us.{SONNET}", "3.3"),
        (f"arn:aws:bedrock:us-east-1:123456789012:inference-profile/global.{SONNET}", "3"),
        ("anthropic.claude-3-haiku-20240307-v1:0", "0.25"),
    ],
)
@pytest.mark.parametrize("provider", ["", "aws", "bedrock", "anthropic", "aws.bedrock"])
def test_bedrock_ids_carry_the_regional_uplift(book, name, input_rate, provider):
    """An id without a region prefix is regional too: +10% since Claude 4.5, and only `global.` is without it."""
    cost = book.price(name, TURN, provider=provider)
    assert cost.rate.split()[0] == f"input={input_rate}"


@pytest.mark.parametrize(
    ("name", "provider"),
    [
        ("claude-4-5-sonnet-20250514", ""),
        ("ft:gpt-9-2027-01-01:acme::abc", ""),
        ("gpt-4o", "groq"),
        ("llama3:8b", "ollama"),
        ("ollama/deepseek-r1", ""),
        ("github-copilot/gpt-4o", ""),
        ("github_copilot/claude-3-opus", ""),
        ("volcengine/doubao-nobody-lists", ""),
        ("accounts/acme/models/own", ""),
        ("", ""),
        ("/", ""),
        (":", "::"),
        ("x" * 10_000, ""),
    ],
)
def test_an_unknown_model_is_unpriced_and_never_zero(book, name, provider):
    """No guess and no crash: status unpriced, no amount, and a reason."""
    cost = book.price(name, TURN, provider=provider)
    assert (cost.status, cost.nanousd) == (CostStatus.UNPRICED, None)
    assert cost.reason


def test_near_names_are_suggested(book):
    """Did you mean: the reason and the error both name what is near."""
    assert "did you mean" in book.price("claude-sonet-4-5", TURN).reason
    with pytest.raises(PriceUnknownError) as error:
        book.calculate_cost("gpt-4o-minni", 1, 1)
    assert "gpt-4o-mini" in error.value.suggestions
    assert "did you mean 'gpt-4o-mini'" in str(error.value)


def test_a_name_that_is_priced_elsewhere_says_where(book):
    """Never the very name that was given: the hosts that have it, and what to give."""
    reason = book.price("llama-3.3-70b-versatile", TURN, provider="anthropic").reason
    assert "priced at groq, not at anthropic: give provider='groq'" in reason
    assert "did you mean 'llama-3.3-70b-versatile'" not in reason
    assert "'gpt-4o'" not in book.price("gpt-4o", TURN, provider="groq").reason.partition("did you mean")[2]


@pytest.mark.parametrize("kind", ["application-inference-profile/a1b2c3", "provisioned-model/x", "custom-model/y"])
def test_an_arn_that_does_not_name_its_model_says_so(book, kind):
    """Nobody can tell what runs behind it; an alias can."""
    arn = f"arn:aws:bedrock:us-east-1:123456789012:{kind}"
    cost = book.price(arn, TURN)
    assert (cost.status, cost.nanousd) == (CostStatus.UNPRICED, None)
    assert "does not say which model it runs: give it an alias" in cost.reason
    own = PriceBook({"prices": {}, "aliases": {arn: "us.anthropic.claude-opus-4-8"}})
    assert own.price(arn, TURN).rate.startswith("input=5.5 ")


def test_an_unknown_model_says_how_to_give_its_price(book):
    """In code, and to the commands, in one sentence also where no name is near."""
    with pytest.raises(PriceUnknownError) as error:
        book.calculate_cost("nosuch", 1, 1)
    assert str(error.value) == (
        "no price is known for model 'nosuch'; write under [prices] in hivecost.toml "
        '"nosuch" = { input = USD, output = USD }, per 1M tokens, or "nosuch" = 0 where it is free '
        '(or "ollama/*" = 0), or under [aliases] "nosuch" = "MODEL" for a deployment of MODEL; '
        'commands take such a file with --prices, Python takes prices={"nosuch": {"input": USD, "output": USD}}'
    )


def test_misses_are_remembered_within_a_limit(clock, monkeypatch):
    """A flood of made-up names neither grows memory without end nor makes known names slow or wrong."""
    own = PriceBook({"gpt-4o": {"input": 1, "output": 1}}, clock=clock)
    monkeypatch.setattr("hivecost.pricing.quotes.REMEMBERED_MAX", 20)
    for number in range(30):
        own.quote(f"made-up-{number}", provider="nobody")
    assert len(own._quoter._slots) == 20
    assert own.quote("gpt-4o").source == "user"


def test_calculate_cost_is_exact():
    """The module's own function, as in the README: USD as an exact Decimal."""
    assert str(calculate_cost("gpt-4o", 1_000_000, 1_000_000)) == "12.500000000"
    assert calculate_cost("gpt-4o", 1000, 0, cached_tokens=1000) * 2 == calculate_cost("gpt-4o", 1000, 0)
    with pytest.raises(UsageInvalidError):
        calculate_cost("gpt-4o", 10, 0, cached_tokens=11)
    with pytest.raises(PriceUnknownError, match="nobody-knows"):
        calculate_cost("nobody-knows", 10, 0)


@pytest.mark.parametrize(
    ("name", "rate"),
    [
        ("ft:gpt-4.1-2025-04-14:acme::abc", "input=3 output=12"),
        ("ft:gpt-4.1-mini-2025-04-14", "input=0.8 output=3.2"),
        ("openai/ft:gpt-4.1-nano-2025-04-14:acme:x:abc", "input=0.2 output=0.8"),
        ("ft:o4-mini-2025-04-16:acme::abc", "input=4 output=16"),
        ("ft:gpt-4o-2024-08-06:acme::abc", "input=3.75 output=15"),
    ],
)
def test_a_fine_tuned_model_is_never_at_the_price_of_its_base(book, name, rate):
    """It costs more; the answer names it."""
    assert " ".join(book.price(name, TURN).rate.split()[:2]) == rate
