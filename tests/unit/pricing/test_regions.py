"""What a region in the name changes of the price."""

from __future__ import annotations

import re

import pytest

from hivecost.events import CostStatus, Usage
from hivecost.ledger.matching import matcher
from hivecost.model_names import region_of
from hivecost.pricing import PriceBook
from hivecost.pricing.regions import REGIONS
from hivecost.usage import UsageReading

BOOK = PriceBook()
TURN = Usage(input_tokens=10_000, output_tokens=10_000)
LLAMA = "meta.llama3-70b-instruct-v1:0"
SONNET = "anthropic.claude-sonnet-4-5-20250929-v1:0"


@pytest.mark.parametrize(
    ("name", "provider", "rate"),
    [
        ("azure/eu/gpt-4o-2024-08-06", "", "input=2.75 output=11"),
        ("eu/gpt-4o", "azure", "input=2.75 output=11"),
        ("azure/us/gpt-5-mini", "", "input=0.275 output=2.2"),
        ("azure/eu/gpt-6-sol", "", "input=2.4 output=12"),
        ("azure/global-standard/gpt-4o", "", "input=2.5 output=10"),
        ("azure/gpt-4o", "", "input=2.5 output=10"),
        ("azure/us-gov/gpt-5.1", "", "input=1.71875 output=13.75"),
        ("azure/usgovvirginia/o3-mini", "", "input=1.513 output=6.05"),
        ("eu.amazon.nova-pro-v1:0", "", "input=1.05 output=4.2"),
        ("eu.amazon.nova-lite-v1:0", "bedrock", "input=0.078 output=0.312"),
        ("us.amazon.nova-pro-v1:0", "", "input=0.8 output=3.2"),
        ("apac.amazon.nova-micro-v1:0", "", "input=0.037 output=0.148"),
        (f"bedrock/us-east-1/{LLAMA}", "", "input=2.65 output=3.5"),
        (f"bedrock/eu-west-2/{LLAMA}", "", "input=3.45 output=4.55"),
        (f"arn:aws:bedrock:sa-east-1::foundation-model/{LLAMA}", "", "input=4.45 output=5.88"),
        ("bedrock/eu-west-3/mistral.mistral-large-2402-v1:0", "", "input=5.2 output=15.6"),
        ("bedrock/eu-west-2/nvidia.nemotron-super-3-120b", "", "input=0.23 output=1.01"),
        (f"bedrock/us-gov-west-1/{SONNET}", "", "input=3.6 output=18"),
        (f"us-gov.{SONNET}", "", "input=3.6 output=18"),
        (f"bedrock/eu-central-1/{SONNET}", "", "input=3.3 output=16.5"),
        (f"jp.{SONNET}", "", "input=3.3 output=16.5"),
        (f"bedrock/eu-west-1/global.{SONNET}", "", "input=3 output=15"),
        ("bedrock/us-gov-west-1/anthropic.claude-3-haiku-20240307-v1:0", "", "input=0.3 output=1.5"),
        ("global.openai.gpt-5.5", "", "input=5 output=30"),
        ("projects/p/locations/us-central1/publishers/google/models/gemini-2.5-flash", "", "input=0.3 output=2.5"),
        (
            "projects/p/locations/europe-west1/publishers/anthropic/models/claude-3-7-sonnet@20250219",
            "",
            "input=3 output=15",
        ),
        ("projects/p/locations/us-east5/publishers/anthropic/models/claude-sonnet-4@20250514", "", "input=3 output=15"),
        ("projects/p/locations/global/publishers/anthropic/models/claude-opus-4-8", "", "input=5 output=25"),
        ("projects/p/locations/europe-west1/publishers/anthropic/models/claude-opus-4-8", "", "input=5.5 output=27.5"),
    ],
)
def test_a_region_has_its_price(name, provider, rate):
    """Where a source tells it, the turn is priced; also by the answer's model, which names no region."""
    cost = BOOK.price(name, TURN, provider=provider)
    assert cost.status is CostStatus.PRICED
    assert cost.rate.startswith(rate)
    answer = UsageReading(usage=TURN, model=name.rpartition("/")[2])
    assert BOOK.price_reading(answer, model=name, provider=provider).nanousd == cost.nanousd


@pytest.mark.parametrize(
    ("name", "region"),
    [
        ("azure/apac/gpt-4o", "apac"),
        ("azure/swedencentral/gpt-4o", "swedencentral"),
        ("azure/us-gov/gpt-4o", "us-gov"),
        ("azure/mexicocentral/gpt-4o", "mexicocentral"),
        ("azure/southafricanorth/gpt-5-mini", "southafricanorth"),
        (f"bedrock/eu-north-1/{LLAMA}", "eu-north-1"),
        ("sa.amazon.nova-pro-v1:0", "sa"),
        ("bedrock/us-gov-west-1/writer.palmyra-x5-v1:0", "us-gov-west-1"),
    ],
)
def test_a_region_that_nobody_priced_is_an_estimate_that_names_it(name, region):
    """Never `priced` at another region's rate, and no cheaper than the dearest region that is known."""
    cost = BOOK.price(name, TURN)
    assert cost.status is CostStatus.ESTIMATED
    assert f"no price is known for region '{region}'" in cost.reason
    assert BOOK.resolve(name).model.startswith(f"{region}/")
    assert BOOK.price(f"bedrock/eu-north-1/{LLAMA}", TURN).rate == BOOK.price(f"bedrock/sa-east-1/{LLAMA}", TURN).rate


def test_a_region_that_changes_the_price_stays_in_the_name():
    """What is resolved is the same when it is asked again, and budgets still match the model."""
    for name in ("azure/eu/gpt-4o-2024-08-06", "eu.amazon.nova-pro-v1:0", f"bedrock/us-gov-west-1/{SONNET}"):
        found = BOOK.resolve(name)
        assert BOOK.resolve(found.model, found.provider) == found
        assert BOOK.price(found.model, TURN, provider=found.provider).nanousd == BOOK.price(name, TURN).nanousd
    assert BOOK.resolve("azure/eu/gpt-4o-2024-08-06") == ("azure", "eu/gpt-4o")
    assert BOOK.resolve("azure/global/gpt-4o") == ("azure", "gpt-4o")
    counts = matcher({"model": ("gpt-4o",), "provider": ("azure",)})
    assert counts({"model": "eu/gpt-4o", "provider": "azure"})


def test_every_kind_of_token_is_as_much_dearer_and_fees_are_not():
    """Cached input by the factor of the input; long contexts keep their step."""
    usage = Usage(input_tokens=1_000_000, cache_read_tokens=1_000_000)
    here, there = BOOK.price("azure/gpt-4o", usage), BOOK.price("azure/eu/gpt-4o", usage)
    assert there.nanousd * 10 == here.nanousd * 11
    assert there.source == "patch"


def test_the_bound_covers_the_region():
    """A hold is by the region that was asked for."""
    bound = BOOK.upper_bound_nanousd("azure/eu/gpt-4o", input_tokens=1000, output_tokens=1000)
    usage = Usage(input_tokens=1000, output_tokens=1000)
    assert BOOK.price_reading(UsageReading(usage=usage, model="gpt-4o"), model="azure/eu/gpt-4o").nanousd <= bound


def test_every_row_has_a_source_and_meets_a_model():
    """A row that no listed model matches is a slip of its pattern."""
    for row in REGIONS:
        assert row.source
        assert min(row.factors) > 0
        passed_on = {"azure": {"azure", "openai"}, "google": {"google", "anthropic"}}.get(row.provider, {row.provider})
        listed = [model for provider, model in BOOK.models() if provider in passed_on]
        assert any(re.fullmatch(row.model, model) for model in listed), row


@pytest.mark.parametrize(
    ("model", "provider", "region"),
    [
        ("azure/eu/gpt-4o", "azure", "eu"),
        ("gpt-4o", "azure", ""),
        ("europe/gpt-4o", "azure", ""),
        ("us.anthropic.claude-opus-4-8", "aws", "us"),
        ("regional.anthropic.claude-opus-4-8", "aws", ""),
        ("anthropic.claude-opus-4-8", "aws", ""),
        ("bedrock/converse/us.anthropic.claude-opus-4-8", "aws", "us"),
        ("us.anthropic.claude-opus-4-8", "anthropic", ""),
        ("projects/p/locations/us-east5/publishers/google/models/gemini-2.5-pro", "google", "us-east5"),
    ],
)
def test_names_say_regions_as_their_provider_does(model, provider, region):
    """A part of a name is a region only where that provider writes it so."""
    assert region_of(model, provider) == region
