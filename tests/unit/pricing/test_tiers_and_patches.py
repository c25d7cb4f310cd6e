from __future__ import annotations

from datetime import UTC, date, datetime
from decimal import Decimal

import pytest

from hivecost.clock import to_ns
from hivecost.events import CostStatus, Usage
from hivecost.money import TURN_COST_MAX_NANOUSD
from hivecost.pricing import PriceBook
from hivecost.pricing.offers import ModelRates, Offer, Price, Validity, day_ns
from hivecost.pricing.past import tiers_reach_back
from hivecost.pricing.patches import PATCHES
from hivecost.pricing.tiers import TIER_FACTORS, canonical_tier
from hivecost.usage import UsageReading, UsageStatus

TURN = Usage(input_tokens=1_000_000, output_tokens=1_000_000)


def at(*moment: int) -> int:
    return to_ns(datetime(*moment, tzinfo=UTC))


@pytest.mark.parametrize(
    ("word", "tier"),
    [
        ("", ""), ("auto", ""), ("default", ""), ("standard", ""), ("on_demand", ""), ("ON_DEMAND", ""),
        ("SERVICE_TIER_PRIORITY", "priority"), ("ON_DEMAND_FLEX", "flex"), ("Priority", "priority"),
        ("TRAFFIC_TYPE_UNSPECIFIED", ""), ("batch", "batch"), ("provisioned_throughput", "provisioned_throughput"),
    ],
)  # fmt: skip
def test_tiers_have_one_vocabulary(word, tier):
    """Each provider's word for its tier is understood."""
    assert canonical_tier(word) == tier
    assert canonical_tier(word, batch=True) == "batch"


def test_a_discount_nobody_priced_is_an_estimate_at_the_standard_rate(book):
    """Batch and flex are never dearer than standard, so the standard rate bounds them; and it is said."""
    cost = book.price("gpt-4o", TURN, service_tier="flex")
    assert (cost.status, cost.nanousd) == (CostStatus.ESTIMATED, 12_500_000_000)
    assert "upper bound" in cost.reason


def test_a_premium_nobody_priced_is_unpriced(book):
    """The standard rate would be too little: never a silent fallback."""
    cost = book.price("grok-4", TURN, service_tier="priority")
    assert (cost.status, cost.nanousd) == (CostStatus.UNPRICED, None)
    assert "priority" in cost.reason


def test_every_patch_names_its_source():
    """A correction without a source is an invention."""
    assert all(patch.source.startswith("https://") for patch in PATCHES)
    assert len({patch.name for patch in PATCHES}) == len(PATCHES)


@pytest.mark.parametrize(
    ("moment", "rate"),
    [
        ((2026, 11, 20, 2), "input=0.3"),  # Friday, peak
        ((2026, 11, 20, 5), "input=0.15"),  # Friday, between the windows
        ((2026, 11, 20, 9, 59, 59), "input=0.3"),
        ((2026, 11, 20, 10), "input=0.15"),
        ((2026, 11, 21, 2), "input=0.15"),  # Saturday
        ((2026, 11, 22, 7), "input=0.15"),  # Sunday
        ((2026, 11, 23, 2), "input=0.3"),  # Monday
    ],
)
def test_deepseek_is_off_peak_all_weekend(book, moment, rate):
    """Patch deepseek-peak-days: peak prices are for Monday to Friday."""
    cost = book.price("deepseek-v4-flash", TURN, at_ns=at(*moment))
    assert cost.rate.split()[0] == rate
    assert cost.source == "patch"


def test_deepseek_had_no_peak_before_it_was_introduced(book):
    """Patch deepseek-peak-days: a turn of April 2026 keeps April's flat rate at any hour."""
    for hour in range(24):
        cost = book.price("deepseek-v4-pro", TURN, at_ns=at(2026, 4, 15, hour))
        assert cost.rate.startswith("input=0.435 output=0.87")
    weekend_before = book.price("deepseek-v4-pro", TURN, at_ns=at(2026, 8, 22, 2))
    assert weekend_before.rate.startswith("input=1.32")


def test_gemini_flex_has_the_batch_discount(book):
    """Patch google-flex: half of standard for input and output, from the day batch rates are known."""
    now = at(2026, 11, 19, 12)
    standard = book.price("gemini-2.5-flash", TURN, at_ns=now)
    flex = book.price("gemini-2.5-flash", TURN, at_ns=now, service_tier="ON_DEMAND_FLEX")
    assert (flex.status, flex.source) == (CostStatus.PRICED, "patch")
    assert flex.nanousd * 2 == standard.nanousd
    assert standard.source == "genai-prices"
    shipped = book.price("gemini-3.8-flash-tts", TURN, at_ns=now, service_tier="flex")
    assert shipped.source == "genai-prices"


def test_free_variants_are_free_and_not_unknown(book):
    """Patch openrouter-free: `:free` has no rates in the data because it has none."""
    cost = book.price("llama-3.1-8b-instruct:free", TURN, provider="openrouter")
    assert (cost.status, cost.nanousd, cost.source) == (CostStatus.PRICED, 0, "patch")


def test_claude_kept_in_the_us_costs_a_tenth_more(book):
    """Tokens times 1.1, exactly; the web search fee stays."""
    usage = Usage(input_tokens=1000, output_tokens=1000, cache_read_tokens=333, web_search_requests=2)
    plain = book.price("claude-opus-4-6", usage)
    inside = book.price("claude-opus-4-6", usage, inference_geo="us")
    fees = 20_000_000
    assert (inside.nanousd - fees) * 10 == (plain.nanousd - fees) * 11
    assert inside.source == "patch"
    assert "times=1.1" in inside.rate
    assert book.price("claude-opus-4-6", usage, inference_geo="global").nanousd == plain.nanousd
    assert book.price("gpt-4o", usage, inference_geo="us").source == "genai-prices"


def test_over_the_long_context_threshold_the_whole_request_is_dearer(book):
    """A cliff, not a margin: one token more doubles the rate of all."""
    at_limit = book.price("claude-sonnet-4-5", Usage(input_tokens=200_000))
    above = book.price("claude-sonnet-4-5", Usage(input_tokens=200_001))
    assert at_limit.nanousd == 200_000 * 3000
    assert above.nanousd == 200_001 * 6000
    assert "above=200000" in above.rate


def test_xai_counts_its_threshold_in(book):
    """At xAI 200,000 tokens are already long."""
    short = book.quote("grok-4.20", provider="x-ai")
    assert short.card is not None
    assert short.card.starts == (199_999,)


def test_one_hour_writes_have_their_own_rate(book):
    """Five-minute and one-hour cache writes of the same turn are told apart."""
    usage = Usage(input_tokens=1000, cache_write_tokens=1000, cache_write_1h_tokens=400)
    assert book.price("claude-sonnet-4-5", usage).nanousd == 600 * 3750 + 400 * 6000


def test_web_searches_without_a_known_fee_make_an_estimate(book):
    """What could not be included is said."""
    usage = Usage(input_tokens=1000, web_search_requests=2)
    assert book.price("gpt-4o", usage).nanousd == 1000 * 2500 + 2 * 10_000_000
    cost = book.price("deepseek-chat", usage)
    assert cost.status is CostStatus.ESTIMATED
    assert "2 web searches" in cost.reason


def test_what_the_provider_reports_wins_and_the_table_is_kept(book):
    """Both amounts are in the cost; a bill that cannot be is refused."""
    cost = book.price("gpt-4o", TURN, reported_nanousd=7)
    assert (cost.status, cost.nanousd, cost.source) == (CostStatus.REPORTED, 7, "provider")
    assert cost.table_nanousd == 12_500_000_000
    for absurd in (-1, TURN_COST_MAX_NANOUSD + 1, True, 1.5):
        assert book.price("gpt-4o", TURN, reported_nanousd=absurd).status is CostStatus.PRICED
    assert book.price("nobody-knows", TURN, reported_nanousd=7).nanousd == 7


def test_a_cut_stream_is_an_estimate(book):
    """Usage that is not final gives an amount that says so."""
    cost = book.price("gpt-4o", TURN, estimated=True)
    assert (cost.status, cost.nanousd) == (CostStatus.ESTIMATED, 12_500_000_000)
    assert "not final" in cost.reason


@pytest.mark.parametrize(
    ("status", "cost_status"),
    [(UsageStatus.MISSING, CostStatus.UNPRICED), (UsageStatus.INVALID, CostStatus.INVALID)],
)
def test_readings_without_usable_counts_have_no_amount(book, status, cost_status):
    """Missing is unpriced, impossible is invalid, and the provider's bill still counts."""
    reading = UsageReading(status=status, reason="because", model="gpt-4o")
    cost = book.price_reading(reading)
    assert (cost.status, cost.nanousd, cost.reason) == (cost_status, None, "because")
    billed = UsageReading(status=status, reason="because", model="gpt-4o", reported_nanousd=5)
    assert (book.price_reading(billed).status, book.price_reading(billed).nanousd) == (CostStatus.REPORTED, 5)


def test_an_absurd_amount_is_invalid(clock):
    """A turn above a million dollars is a broken bill, and would break sums in the store."""
    own = PriceBook({"m": {"input": 1_000_000, "output": 0}}, clock=clock)
    cost = own.price("m", Usage(input_tokens=1_000_000_000))
    assert (cost.status, cost.nanousd) == (CostStatus.INVALID, None)


@pytest.mark.parametrize(
    ("model", "tier", "moment", "share"),
    [
        ("gpt-5.4", "batch", (2026, 6, 1), 2),
        ("gpt-4o", "batch", (2025, 2, 1), 2),
        ("gpt-5", "flex", (2025, 12, 1), 2),
        ("claude-sonnet-4-5", "batch", (2025, 11, 1), 2),
        ("gemini-2.5-flash", "batch", (2025, 11, 1), 2),
        ("gemini-2.5-flash", "flex", (2026, 5, 1), 2),
        ("o3", "batch", (2025, 6, 1), 2),  # before its standard rate fell to a fifth
    ],
)
def test_a_discount_reaches_back_to_before_it_was_listed(book, model, tier, moment, share):
    """Half of the standard rate of that day, though the shipped data lists it since October 2026."""
    turn = Usage(input_tokens=100_000, output_tokens=1000)
    standard = book.price(model, turn, at_ns=at(*moment))
    cost = book.price(model, turn, at_ns=at(*moment), service_tier=tier)
    assert (cost.status, cost.source) == (CostStatus.PRICED, "patch")
    assert cost.nanousd * share == standard.nanousd


def test_a_premium_of_an_earlier_day_is_an_estimate(book):
    """At its ratio to the standard rate, which nobody wrote down for that day."""
    turn = Usage(input_tokens=100_000, output_tokens=1000)
    cost = book.price("gpt-5.4", turn, at_ns=at(2026, 6, 1), service_tier="priority")
    assert (cost.status, cost.nanousd) == (CostStatus.ESTIMATED, 2 * book.price("gpt-5.4", turn).nanousd)
    assert "priority" in cost.reason
    assert book.price("gpt-5.4", turn, service_tier="priority").status is CostStatus.PRICED


def test_a_tier_that_is_announced_is_not_yet_for_sale():
    """What starts on a day to come, or on one of its own, does not reach back."""
    standard = Offer({"input": Price(Decimal(2))})
    for day in (date(2027, 1, 1), date(2026, 10, 20)):
        batch = Offer({"input": Price(Decimal(1))}, Validity(from_ns=day_ns(day)), "batch")
        rates = ModelRates("google", "gemini-9", (standard, batch))
        assert tiers_reach_back(rates, "patch") == rates


@pytest.mark.parametrize(
    ("model", "moment", "nanousd"),
    [
        ("deepseek-v4-flash", (2026, 8, 16, 7), 140_000),  # before there was a peak
        ("deepseek-v4-flash", (2026, 8, 22, 7), 440_000),  # a Saturday, when weekends were not off-peak yet
        ("deepseek-v4-flash", (2026, 8, 25, 7), 440_000),
        ("deepseek-v4-flash", (2026, 8, 25, 5), 220_000),
        ("deepseek-v4-flash", (2026, 8, 29, 7), 220_000),  # a Saturday
        ("deepseek-v4-flash", (2026, 9, 9, 7), 440_000),
        ("deepseek-v4-flash", (2026, 9, 10, 7), 300_000),
        ("deepseek-v4-pro", (2026, 8, 25, 7), 1_320_000),
    ],
)
def test_a_peak_is_a_multiple_of_its_own_day(book, model, moment, nanousd):
    """Patch deepseek-peak-days: twice the standard rate of the day, not of today."""
    cost = book.price(model, Usage(input_tokens=1000), provider="deepseek", at_ns=at(*moment))
    assert cost.nanousd == nanousd


@pytest.mark.parametrize(
    ("model", "provider", "tier", "share", "status"),
    [
        ("gemini-2.5-pro", "google", "priority", "1.8", CostStatus.PRICED),
        ("gemini-3-pro-preview", "google", "ON_DEMAND_PRIORITY", "1.8", CostStatus.PRICED),
        ("gemini-3-pro-preview", "google", "batch", "0.5", CostStatus.PRICED),
        ("gemini-2.0-flash", "google", "flex", "0.5", CostStatus.PRICED),
        ("claude-sonnet-4-5", "google", "batch", "0.5", CostStatus.PRICED),
        ("claude-3-haiku", "anthropic", "batch", "0.5", CostStatus.PRICED),
        ("gpt-4.1", "azure", "batch", "0.5", CostStatus.PRICED),
        ("gpt-5", "azure", "priority", "2", CostStatus.PRICED),
        ("o1", "azure", "batch", "0.5", CostStatus.PRICED),
        ("qwen/qwen3-32b", "groq", "flex", "1", CostStatus.PRICED),
        ("qwen/qwen3-32b", "groq", "batch", "0.5", CostStatus.PRICED),
        ("us.anthropic.claude-sonnet-4-5-20250929-v1:0", "aws", "batch", "0.5", CostStatus.ESTIMATED),
        ("amazon.nova-pro-v1:0", "aws", "priority", "1.75", CostStatus.ESTIMATED),
        ("openai.gpt-oss-120b-1:0", "aws", "flex", "0.5", CostStatus.ESTIMATED),
    ],
)
def test_a_tier_with_a_documented_share_costs_it(book, model, provider, tier, share, status):
    """At every length and in every period, and the bound of such a turn covers it."""
    for usage in (Usage(1_000, 100), Usage(300_000, 100)):
        for moment in (at(2026, 11, 20), at(2027, 2, 1)):
            standard = book.price(model, usage, provider=provider, at_ns=moment)
            cost = book.price(model, usage, provider=provider, service_tier=tier, at_ns=moment)
            assert cost.status is status
            assert Decimal(cost.nanousd) == standard.nanousd * Decimal(share)
            bound = book.upper_bound_nanousd(
                model,
                provider=provider,
                service_tier=tier,
                at_ns=moment,
                input_tokens=usage.input_tokens,
                output_tokens=usage.output_tokens,
            )
            assert cost.nanousd <= bound


def test_a_discount_of_geminis_leaves_what_was_cached_at_its_price(book):
    """Batch and flex halve what is read and written, not what a cache gives."""
    usage = Usage(input_tokens=1_000, cache_read_tokens=1_000)
    standard = book.price("gemini-3-pro-preview", usage, provider="google")
    assert book.price("gemini-3-pro-preview", usage, provider="google", service_tier="flex").nanousd == standard.nanousd
    premium = book.price("gemini-3-pro-preview", usage, provider="google", service_tier="priority")
    assert premium.nanousd * 5 == standard.nanousd * 9


@pytest.mark.parametrize("model", ["anthropic.claude-3-haiku-20240307-v1:0", "meta.llama3-70b-instruct-v1:0"])
def test_bedrock_has_no_premium_for_every_model(book, model):
    """Where none is documented, there is no price."""
    assert book.price(model, TURN, provider="aws", service_tier="priority").status is CostStatus.UNPRICED


def test_every_share_of_a_tier_names_its_source():
    """A share without a source is an invention."""
    assert all(rule.source.startswith("https://") and rule.factor > 0 for rule in TIER_FACTORS)


@pytest.mark.parametrize(("geography", "status"), [("eu", "estimated"), ("not_available", "priced"), ("US", "priced")])
def test_a_geography_that_nobody_priced_is_an_estimate(book, geography, status):
    """Never `priced` at the global rate in silence."""
    cost = book.price("claude-opus-4-6", TURN, inference_geo=geography)
    assert cost.status.value == status
    assert (repr(geography) in cost.reason) == (status == "estimated")


@pytest.mark.parametrize(
    ("model", "above", "rates"),
    [
        ("us.anthropic.claude-sonnet-4-5-20250929-v1:0", 200_000, ("3.3", "16.5", "6.6", "24.75")),
        ("global.anthropic.claude-sonnet-4-5-20250929-v1:0", 200_000, ("3", "15", "6", "22.5")),
        ("eu.anthropic.claude-sonnet-4-20250514-v1:0", 200_000, ("3", "15", "6", "22.5")),
        ("global.openai.gpt-5.5", 272_000, ("5", "30", "10", "45")),
    ],
)
def test_a_long_prompt_costs_more_on_bedrock_too(book, model, above, rates):
    """Patch bedrock-long-context: the whole request is dearer above the step, in every region."""
    base_in, base_out, long_in, long_out = map(Decimal, rates)
    for tokens, spent_in, spent_out in ((above, base_in, base_out), (above + 1, long_in, long_out)):
        cost = book.price(model, Usage(tokens, 1_000))
        assert cost.status is CostStatus.PRICED
        assert cost.nanousd == (tokens * spent_in + 1_000 * spent_out) * 1_000
    bound = book.upper_bound_nanousd(model, input_tokens=above + 1, output_tokens=1_000)
    assert bound >= cost.nanousd


def test_a_model_of_bedrocks_with_one_rate_keeps_it(book):
    """Later Claude models have no step."""
    card = book.quote("us.anthropic.claude-sonnet-4-6").card
    assert len(card.bands) == 1
