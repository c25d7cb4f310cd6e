"""Who bills a turn: the host that was asked, or what is known of the hosts that it may be."""

from __future__ import annotations

import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from hivecost.events import CostStatus, Usage
from hivecost.pricing import PriceBook, UsageReading

BOOK = PriceBook()
MILLION = Usage(input_tokens=1_000_000)
LISTED = sorted(BOOK.models())


def bill(asked, provider="", answered="", book=BOOK, **answer):
    return book.price_reading(UsageReading(usage=MILLION, model=answered, **answer), model=asked, provider=provider)


@pytest.mark.parametrize(
    ("asked", "provider", "answered", "input_rate"),
    [
        ("cerebras/gpt-oss-120b", "", "gpt-oss-120b", "0.35"),
        ("gpt-oss-120b", "cerebras", "gpt-oss-120b", "0.35"),
        ("groq/openai/gpt-oss-120b", "", "openai/gpt-oss-120b", "0.15"),
        ("litellm_proxy/groq/openai/gpt-oss-120b", "", "openai/gpt-oss-120b", "0.15"),
        ("groq/openai/gpt-oss-120b", "openai", "openai/gpt-oss-120b", "0.15"),
        ("bedrock/us.anthropic.claude-opus-4-8", "", "claude-opus-4-8", "5.5"),
        ("bedrock/global.anthropic.claude-opus-4-8", "", "claude-opus-4-8", "5"),
        ("global.anthropic.claude-sonnet-4-5-20250929-v1:0", "anthropic", "claude-sonnet-4-5-20250929", "3"),
        ("openrouter/deepseek/deepseek-r1:free", "", "deepseek/deepseek-r1", "0"),
        ("deepseek/deepseek-r1:free", "openrouter", "deepseek/deepseek-r1-0528", "0"),
        ("openrouter/nousresearch/nobody-lists:free", "", "", None),
        ("azure/my-deployment", "", "gpt-4o-2024-05-13", "5"),
        ("azure/eu/my-deployment", "", "gpt-4o-2024-08-06", "2.75"),
        ("openrouter/auto", "", "z-ai/glm-4.6", "0.6"),
        ("groq/llama-3.3-70b-versatile", "", "openai/gpt-oss-120b", "0.15"),
    ],
)
def test_the_host_that_was_asked_prices_the_model_that_answered(asked, provider, answered, input_rate):
    """The body names the bare model, or the base of a variant: neither changes who bills."""
    cost = bill(asked, provider, answered)
    if input_rate is None:
        assert cost.status is CostStatus.UNPRICED
    else:
        assert (cost.status, cost.rate.split()[0]) == (CostStatus.PRICED, f"input={input_rate}")


@given(st.sampled_from(LISTED), st.booleans(), st.booleans())
@settings(max_examples=400, deadline=None)
def test_every_model_settles_as_it_was_held(listed, bare, prefixed):
    """Asked as `host/model` or with a provider, answered by its name with or without its maker: the host's own rate."""
    provider, model = listed
    asked, given_provider = (f"{provider}/{model}", "") if prefixed else (model, provider)
    usage = Usage(input_tokens=1_000, output_tokens=100, cache_read_tokens=10)
    answer = UsageReading(usage=usage, model=model.rpartition("/")[2] if bare else model)
    settled = BOOK.price_reading(answer, model=asked, provider=given_provider)
    asked_alone = BOOK.price(asked, usage, provider=given_provider)
    assert (settled.nanousd, settled.rate) == (asked_alone.nanousd, asked_alone.rate)
    own = BOOK.price(model, usage, provider=provider)
    if own.nanousd is not None and not asked.endswith(":free"):
        assert settled.nanousd == own.nanousd or provider in {"openai", "perplexity"}
    bound = BOOK.upper_bound_nanousd(asked, provider=given_provider, input_tokens=1_000, output_tokens=100)
    if settled.nanousd is not None:
        assert settled.nanousd <= bound


@pytest.mark.parametrize(
    ("asked", "provider"),
    [
        ("deepseek-ai/DeepSeek-R1", "deepinfra"),
        ("deepinfra/deepseek-ai/DeepSeek-R1", ""),
        ("deepseek-ai/DeepSeek-R1:deepinfra", ""),
        ("volcengine/deepseek-v3.2", ""),
        ("gpt-4o", "some-proxy-of-ours"),
        ("my-gateway/gpt-4o", ""),
        ("meta-llama/Llama-3.3-70B-Instruct", "sambanova"),
    ],
)
def test_a_host_without_a_price_is_not_exchanged_for_another(asked, provider):
    """Known is what others charge: an estimate by the dearest, which says so and whose rate it is."""
    cost = bill(asked, provider, asked)
    named = provider or ("deepinfra" if "deepinfra" in asked else asked.partition("/")[0])
    assert cost.status is CostStatus.ESTIMATED
    assert cost.reason.startswith(f"no price of '{named}' is known: priced as at ")
    assert BOOK.resolve(asked, provider).provider == named


@pytest.mark.parametrize("asked", ["gpt-oss-120b", "openai/gpt-oss-120b", "Qwen/Qwen3-32B", "llama-3.3-70b-instruct"])
def test_an_unknown_host_is_the_dearest_one(asked):
    """Nobody named one and no first party serves it: as dear as any, whatever the turn is made of; so is the bound."""
    hosts = [
        provider
        for provider, model in LISTED
        if model.lower().rpartition("/")[2] == asked.lower().rpartition("/")[2] and provider != "openai"
    ]
    assert len(hosts) > 5
    for usage in (MILLION, Usage(output_tokens=1_000_000), Usage(input_tokens=10**6, cache_read_tokens=10**6)):
        cost = BOOK.price_reading(UsageReading(usage=usage, model=asked))
        costs = [BOOK.price(asked, usage, provider=provider) for provider in hosts]
        assert cost.status is CostStatus.ESTIMATED
        assert cost.nanousd >= max(one.nanousd or 0 for one in costs)
        assert "host unknown: priced as at " in cost.reason
        assert " hosts" in cost.reason
        bound = BOOK.upper_bound_nanousd(asked, input_tokens=usage.input_tokens, output_tokens=usage.output_tokens)
        assert cost.nanousd <= bound


def test_one_host_that_has_the_name_is_an_estimate_too():
    """Others may serve it."""
    cost = bill("", answered="llama-3.3-70b-versatile")
    assert (cost.status, cost.nanousd) == (CostStatus.ESTIMATED, 590_000_000)
    assert cost.reason == "host unknown: priced as at groq, the only host known"
    assert BOOK.resolve("llama-3.3-70b-versatile") == ("", "llama-3.3-70b-versatile")


@pytest.mark.parametrize(
    ("asked", "answer", "host"),
    [
        ("", {"answered": "openai/gpt-oss-120b", "provider_of_answer": "groq"}, "groq"),
        ("openai/gpt-oss-120b", {"answered": "gpt-oss-120b", "provider_of_answer": "cerebras"}, "cerebras"),
        ("z-ai/glm-4.6", {"answered": "z-ai/glm-4.6", "provider_of_answer": "openrouter"}, "openrouter"),
        ("cerebras/gpt-oss-120b", {"answered": "gpt-oss-120b", "provider_of_answer": "groq"}, "cerebras"),
        (
            "bedrock/us.anthropic.claude-opus-4-8",
            {"answered": "claude-opus-4-8", "provider_of_answer": "anthropic"},
            "aws",
        ),
    ],
)
def test_the_answer_names_the_host_where_nobody_else_did(asked, answer, host):
    """Its fingerprint is believed before a name alone; a host that was asked is believed before it."""
    reading = UsageReading(usage=MILLION, model=answer["answered"], provider=answer["provider_of_answer"])
    quote = BOOK.quote_reading(reading, model=asked)
    assert quote.provider == host
    assert BOOK.price_reading(reading, model=asked).status is CostStatus.PRICED


@pytest.mark.parametrize(
    ("answered", "hint", "host"),
    [
        ("gpt-4o", "aws", "openai"),
        ("gpt-4o", "google", "openai"),
        ("gemini-2.5-flash", "google", "google"),
        ("amazon.nova-pro-v1:0", "anthropic", "aws"),
        ("gpt-oss-120b", "cerebras", "cerebras"),
    ],
)
def test_a_hint_is_believed_where_it_has_the_model(answered, hint, host):
    """Frameworks give everybody's models in one provider's shape."""
    reading = UsageReading(usage=MILLION, model=answered, hinted_provider=hint)
    assert BOOK.quote_reading(reading).provider == host
    assert BOOK.price_reading(reading).status is CostStatus.PRICED
    assert BOOK.quote_reading(reading, provider="azure").provider in {"azure", "aws", ""}


@pytest.mark.parametrize("variant", ["nitro", "floor", "exacto", "online"])
def test_a_variant_that_chooses_among_hosts_costs_about_the_base_rate(variant):
    """An estimate that says why; searches that `:online` adds are named as not included."""
    base = "meta-llama/llama-3.3-70b-instruct"
    cost = bill(f"openrouter/{base}:{variant}", answered=base)
    assert cost.status is CostStatus.ESTIMATED
    assert cost.nanousd == bill(base, "openrouter").nanousd
    assert f"':{variant}'" in cost.reason
    assert ("web searches" in cost.reason) == (variant == "online")


def test_hugging_face_without_a_host_is_the_dearest_of_its_hosts():
    """It chooses one for the caller."""
    for asked, provider in (("meta-llama/Llama-3.3-70B-Instruct", "huggingface"), ("Qwen/Qwen3-32B:fastest", "")):
        cost = bill(asked, provider)
        assert cost.status is CostStatus.ESTIMATED
        assert "Hugging Face chooses the host: priced as at huggingface_" in cost.reason


def test_a_maker_in_front_is_not_taken_for_a_host_without_a_word():
    """`google/` stands in front of open models that Google does not serve: an estimate, which says so."""
    for asked in ("google/gemma-3-27b-it", "anthropic/gpt-4o"):
        cost = bill(asked)
        assert cost.status is CostStatus.ESTIMATED
        assert "lists no price for" in cost.reason


def test_the_users_table_wins_by_exact_name_asked_or_answered():
    """Alone, with its host in front, or by an alias: on any host, for a known and for an unknown one."""
    price = {"input": 7, "output": 7}
    own = PriceBook(
        {
            "prices": {"deepinfra/deepseek-ai/DeepSeek-R1": price, "gpt-oss-120b": price, "rack/llama": price},
            "aliases": {"prod": "cerebras/gpt-oss-120b", "mine": "rack/llama"},
        }
    )
    for asked, provider, answered in (
        ("deepseek-ai/DeepSeek-R1", "deepinfra", "DeepSeek-R1"),
        ("deepinfra/deepseek-ai/DeepSeek-R1", "", "deepseek-ai/DeepSeek-R1"),
        ("groq/openai/gpt-oss-120b", "", "gpt-oss-120b"),
        ("mine", "", "llama-3"),
        ("rack/other", "", "llama"),
    ):
        cost = bill(asked, provider, answered, own)
        assert (cost.status, cost.source, cost.nanousd) == (CostStatus.PRICED, "user", 7_000_000_000)
    assert bill("prod", "", "openai/gpt-oss-120b", own).rate.startswith("input=0.35 ")
