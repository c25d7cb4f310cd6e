"""Who bills a turn: the host that was asked, or what is known of the hosts that it may be."""

from __future__ import annotations

import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from hivecost.events import CostStatus, Usage
from hivecost.pricing import PriceBook
from hivecost.pricing.catalog import shipped_catalog
from hivecost.pricing.hosts import HostNames
from hivecost.usage import UsageReading

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
        ("global.anthropic.claude-sonnet-4-5-20250929-v1:0", "anthropic", "claude-sonnet-4-5-20250929", "6"),
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
    if model == "perplexity/sonar":  # is `sonar` of another API where the answer says so
        return
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


@pytest.mark.parametrize(
    "asked",
    [
        "gpt-oss-120b", "openai/gpt-oss-120b", "Qwen/Qwen3-32B", "llama-3.3-70b-instruct", "deepseek-ai/DeepSeek-R1",
        "deepseek-r1-0528",
    ],
)  # fmt: skip
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


@pytest.mark.parametrize(
    ("word", "host"),
    [
        ("AzureOpenAI", "azure"), ("AzureChatOpenAI", "azure"), ("azure-openai.chat", "azure"),
        ("azure.responses", "azure"),
        ("microsoft_foundry", "azure"), ("AnthropicFoundry", "azure"),
        ("AnthropicBedrock", "aws"), ("bedrock.anthropic.messages", "aws"), ("ChatBedrockConverse", "aws"),
        ("vertex.anthropic.messages", "google"), ("google_anthropic_vertex", "google"), ("gcp.gen_ai", "google"),
        ("google.generative-ai", "google"), ("vertex_ai-anthropic_models", "google"),
        ("anthropic.messages", "anthropic"), ("ChatAnthropic", "anthropic"), ("ChatMistralAI", "mistral"),
        ("xai.responses", "x-ai"), ("ChatXAI", "x-ai"), ("grok", "x-ai"), ("groq.chat", "groq"), ("Groq_LLM", "groq"),
        ("ChatDeepSeek", "deepseek"), ("togetherai.chat", "together"), ("fireworks.chat", "fireworks"),
        ("openrouter.chat", "openrouter"), ("perplexity.chat", "perplexity"), ("minimax.messages", "minimax"),
        ("ChatOllama", "ollama"), ("ollama.responses", "ollama"), ("lmstudio.chat", "lm_studio"),
        ("openai.responses", ""), ("ChatOpenAI", ""), ("openai-compatible", ""), ("gcp.vertex.agent", ""), ("None", ""),
    ],
)  # fmt: skip
def test_a_provider_is_known_by_the_names_that_its_clients_give_it(word, host):
    """The cloud that bills stands before the maker; how it is called says nothing; OpenAI's client calls anybody."""
    named = HostNames(shipped_catalog()).named(word.lower())
    assert (named.listed or named.unlisted) == host


@pytest.mark.parametrize(
    ("asked", "provider", "host"),
    [
        ("heroku:claude-sonnet-4-5", "", "heroku"),
        ("sambanova:DeepSeek-R1", "", "sambanova"),
        ("github:gpt-4o", "", "github"),
        ("alibaba:qwen3-max", "", "alibaba"),
        ("oci/xai.grok-4", "", "oci"),
        ("cohere.command-r-plus", "oci", "oci"),
        ("oci/meta.llama-3.3-70b-instruct", "openai", "oci"),
    ],
)
def test_a_host_without_a_price_is_believed_in_every_spelling(asked, provider, host):
    """`host:model` names a host as `host/model` does; Oracle's names look like Bedrock's."""
    cost = bill(asked, provider)
    assert cost.status is CostStatus.ESTIMATED
    assert cost.reason.startswith(f"no price of '{host}' is known: priced as at ")


@pytest.mark.parametrize("asked", ["ollama:llama3.2", "ollama:gpt-oss:20b", "vllm:Qwen3-32B", "lmstudio:gpt-4o"])
def test_a_machine_of_ones_own_is_known_before_a_colon(asked):
    """Nobody's price is taken for it."""
    cost = bill(asked)
    assert cost.status is CostStatus.UNPRICED
    assert "machines of your own" in cost.reason


@pytest.mark.parametrize("asked", ["gpt-oss:20b", "deepseek-r1:70b", "openai/gpt-oss:20b", "openai/qwen3:32b"])
def test_a_tag_of_ollamas_names_it(asked):
    """`model:tag` is how Ollama calls what it runs, whichever client asks: nobody's price is taken."""
    cost = bill(asked)
    assert cost.status is CostStatus.UNPRICED
    assert "machines of your own" in cost.reason
    assert BOOK.resolve(asked).provider == "ollama"


@pytest.mark.parametrize(
    ("asked", "host", "input_rate"),
    [
        ("openai/gpt-oss-120b:groq", "huggingface_groq", "0.15"),
        ("openai/gpt-oss-120b:cerebras", "huggingface_cerebras", "0.35"),
        ("openai/gpt-oss-20b:free", "openrouter", "0"),
        ("gateway/openai:gpt-5", "openai", "1.25"),
        ("gateway/anthropic:claude-sonnet-4-5", "anthropic", "3"),
        ("gateway/groq:openai/gpt-oss-120b", "groq", "0.15"),
        ("accounts/fireworks/models/kimi-k2p5", "fireworks", "0.6"),
        ("bedrock:us.anthropic.claude-sonnet-4-5-20250929-v1:0", "aws", "3.3"),
    ],
)
def test_a_host_is_read_wherever_the_name_says_it(asked, host, input_rate):
    """At the end of an OpenAI model's name, behind a gateway, in a path."""
    few = UsageReading(usage=Usage(input_tokens=1_000), model=asked.rpartition("/")[2].rpartition(":")[0])
    cost = BOOK.price_reading(few, model=asked)
    assert BOOK.quote_reading(few, model=asked).provider == host
    assert (cost.status, cost.rate.split()[0]) == (CostStatus.PRICED, f"input={input_rate}")


@pytest.mark.parametrize(
    ("asked", "provider", "answered", "input_rate"),
    [
        ("azure/gpt-4o", "", "gpt-4o-2024-05-13", "5"),
        ("azure/gpt-4o", "", "gpt-4o-2024-08-06", "2.5"),
        ("mistral/mistral-large-latest", "", "mistral-large-2512", "0.5"),
        ("mistral/mistral-large-latest", "", "mistral-large-2411", "2"),
        ("perplexity/sonar", "perplexity", "sonar", "1"),
        ("perplexity/sonar", "", "sonar", "1"),
    ],
)
def test_the_dated_model_that_answered_is_priced(asked, provider, answered, input_rate):
    """A host in front does not make the name that was asked for say more than the one that answered."""
    assert bill(asked, provider, answered).rate.split()[0] == f"input={input_rate}"


@pytest.mark.parametrize(
    ("model", "provider", "input_rate"),
    [
        ("claude-sonnet-4-6", "bedrock", "3.3"),
        ("claude-haiku-4-5", "bedrock", "1.1"),
        ("claude-3-5-haiku", "aws.bedrock", "0.8"),
        ("nova-pro", "bedrock", "0.8"),
        ("gpt-oss-20b", "groq", "0.075"),
    ],
)
def test_a_host_knows_its_models_by_their_last_name(model, provider, input_rate):
    """Without their maker, their region or their date; and no host is named as one that has no price beside itself."""
    cost = bill(model, provider)
    assert (cost.status, cost.rate.split()[0]) == (CostStatus.PRICED, f"input={input_rate}")
    unknown = bill("llama-3.3-70b-versatile", "cerebras").reason
    assert "priced at groq, not at cerebras" in unknown


@pytest.mark.parametrize(
    ("model", "rate"),
    [
        ("azure_ai/DeepSeek-R1", "input=1.35 output=5.4"),
        ("azure_ai/deepseek-v3.2", "input=0.58 output=1.68"),
        ("azure_ai/gpt-oss-120b", "input=0.15 output=0.6"),
        ("azure_ai/grok-3-mini", "input=0.25 output=1.27"),
    ],
)
def test_what_a_cloud_sells_itself_is_at_its_own_price(model, rate):
    """Not at the price of the maker's own API, or of another host."""
    few = Usage(input_tokens=1_000, output_tokens=100)
    cost = BOOK.price(model, few)
    assert (cost.status, " ".join(cost.rate.split()[:2])) == (CostStatus.PRICED, rate)


@pytest.mark.parametrize("model", ["azure_ai/gpt-oss-20b", "azure/deepseek-chat"])
def test_a_rate_that_is_lent_by_another_is_an_estimate(model):
    """Where the cloud has a price of its own that nobody knows."""
    cost = BOOK.price(model, Usage(input_tokens=1_000))
    assert cost.status is CostStatus.ESTIMATED
    assert "azure has a price of its own" in cost.reason


@pytest.mark.parametrize(
    ("asked", "provider", "answered"),
    [
        ("mistral-medium", "mistral", "mistral-medium-2604"),
        ("mistral/ministral-8b", "", "ministral-8b-2512"),
        ("deepseek/deepseek-v4-pro", "novita", "deepseek/deepseek-v4-pro-0813"),
        ("moonshotai/Kimi-K2-Instruct", "huggingface_novita", "moonshotai/Kimi-K2-Instruct-0905"),
    ],
)
def test_a_name_without_a_date_is_bounded_at_the_rate_of_its_later_versions(asked, provider, answered):
    """It may come to mean one of them before anybody knows; what is priced by the name alone stays what it was."""
    usage = Usage(input_tokens=1_000, output_tokens=1_000)
    bill_of_answer = BOOK.price_reading(UsageReading(usage=usage, model=answered), model=asked, provider=provider)
    by_name = BOOK.price(asked, usage, provider=provider)
    bound = BOOK.upper_bound_nanousd(asked, provider=provider, input_tokens=1_000, output_tokens=1_000)
    assert by_name.nanousd < bill_of_answer.nanousd <= bound


@pytest.mark.parametrize("name", ["gpt-4o", "gpt-5", "claude-sonnet-4-5", "global.anthropic.claude-opus-5", "o3"])
def test_an_earlier_version_widens_no_bound(name):
    """The name has left it behind; nor does another region."""
    usage = Usage(input_tokens=1_000, cache_read_tokens=1_000, output_tokens=1_000)
    card = BOOK.quote(name).card
    assert BOOK.upper_bound_nanousd(name, input_tokens=1_000, output_tokens=1_000) == card.upper_bound(
        usage.input_tokens, usage.output_tokens, 0
    )
