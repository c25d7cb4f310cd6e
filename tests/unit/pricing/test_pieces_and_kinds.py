"""What is billed by the piece or is of a kind of its own: priced, or named in the reason."""

from __future__ import annotations

from decimal import Decimal

import pytest
from genai_prices.data_units import unit_data
from genai_prices.types import ModelPrice
from hypothesis import given, settings
from hypothesis import strategies as st
from msgspec.structs import astuple

from hivecost.events import USAGE_FIELDS, CostStatus, Usage
from hivecost.pricing import PriceBook
from hivecost.pricing.catalog import _prices
from hivecost.pricing.fees import FEES, PIECE_MODELS, SAME_RATES
from hivecost.pricing.units import FEE_UNITS, INPUT_UNITS, OUTPUT_UNITS, PIECE_UNITS, UNPRICED

#: Counted in a total that has a price, and never dearer than it.
PLAIN = {"input_tokens", "reasoning_tokens", "tool_use_prompt_tokens"}


def usage_with(field: str, count: int) -> Usage:
    """A turn with this count, and the totals that must include it."""
    return Usage(**{"input_tokens": 1000, "output_tokens": 1000, **wholes(field, count), field: count})


def wholes(field: str, count: int) -> dict[str, int]:
    if field.startswith("cache_") and field.endswith("_read_tokens") and field != "cache_read_tokens":
        return {"cache_read_tokens": count, f"input_{field.split('_')[1]}_tokens": count}
    return {"cache_write_tokens": count} if field == "cache_write_1h_tokens" else {}


@pytest.fixture(scope="module")
def bare(clock) -> PriceBook:
    """A model with nothing but its two rates."""
    return PriceBook({"bare": {"input": 1, "output": 2}}, clock=clock)


@pytest.mark.parametrize("field", sorted(set(USAGE_FIELDS) - PLAIN - {"output_tokens"}))
def test_a_count_without_a_price_makes_an_estimate_that_names_it(bare, field):
    """Whatever a usage may count is priced, or said: nothing is dropped in silence."""
    if field in {"cache_audio_read_tokens", "cache_image_read_tokens", "cache_video_read_tokens"}:
        field = "cache_read_tokens"
    cost = bare.price("bare", usage_with(field, 7))
    assert cost.status is CostStatus.ESTIMATED
    noun, instead = UNPRICED["cache_write_tokens" if field == "cache_write_1h_tokens" else field]
    assert f"no price is known for 7 {noun}: {instead}" in cost.reason


@pytest.mark.parametrize(("unit", "field"), [(unit, field) for unit, (field, _) in PIECE_UNITS.items()])
def test_every_piece_can_have_a_price(clock, unit, field):
    """A user's table prices each; an hour of audio is 3,600 seconds."""
    own = PriceBook({"m": {"input": 1, "output": 2, unit: 36}}, clock=clock)
    cost = own.price("m", usage_with(field, 3))
    fee = 3 * 36 * 10**9 // (3600 if unit == "audio_hour" else 1)
    assert (cost.status, cost.fee_nanousd) == (CostStatus.PRICED, fee)
    assert cost.nanousd == 3_000_000 + fee


@pytest.mark.parametrize("unit", sorted({*INPUT_UNITS, *OUTPUT_UNITS} - {"input", "output"}))
def test_every_kind_can_have_a_price(clock, unit):
    """Charged at its own rate, the rest of its side at the other."""
    field = (INPUT_UNITS | OUTPUT_UNITS)[unit]
    rates = {"input": 1, "output": 2, "cache_read": 1, "cache_write": 1, unit: 10}
    kind = f"input_{unit.split('_')[1]}" if unit.startswith("cache_") else ""
    if kind in INPUT_UNITS:
        rates[kind] = 1
    cost = PriceBook({"m": rates}, clock=clock).price("m", usage_with(field, 300))
    assert cost.status is CostStatus.PRICED
    side = "input" if unit in INPUT_UNITS else "output"
    assert cost.nanousd == 3_000_000 + 300 * (9000 if side == "input" else 8000)


@pytest.mark.parametrize("price_key", sorted(unit["price_key"] for unit in unit_data.values()))
def test_every_unit_of_the_shipped_data_is_priced_or_said(clock, price_key):
    """Each that genai-prices may list has a count of ours, or makes whoever is priced by it an estimate."""
    prices = _prices(ModelPrice(**{"input_mtok": Decimal(1), "output_mtok": Decimal(2), price_key: Decimal(3)}))
    assert set(prices) > {"input", "output"} or price_key in {
        "input_mtok",
        "output_mtok",
        "input_annotated_document_kpages",  # no answer says whether a page was annotated
    }


def test_a_unit_that_nobody_counts_is_said(book):
    """Voice agents bill text messages as well as time, and speech its characters."""
    voice = book.price("grok-voice-latest", Usage(audio_seconds=60), provider="x-ai")
    assert (voice.status, voice.nanousd) == (CostStatus.ESTIMATED, 80_000_000)
    assert "input_text_messages_kcount" in voice.reason
    speech = book.price("tts-1", Usage(input_tokens=10), provider="openai")
    assert (speech.status, speech.nanousd) == (CostStatus.UNPRICED, None)
    assert "input_mchars" in speech.reason


@pytest.mark.parametrize(
    ("model", "provider", "usage", "nanousd"),
    [
        ("gpt-5", "openai", Usage(input_tokens=1000, output_tokens=50, file_search_calls=2), 6_750_000),
        ("gpt-5", "openai", Usage(input_tokens=1000, output_tokens=50, code_containers=1), 31_750_000),
        ("gpt-4.1", "openai", Usage(input_tokens=1000, output_tokens=100, file_search_calls=1), 5_300_000),
        ("gpt-4o-search-preview", "openai", Usage(input_tokens=1000, web_search_requests=1), 27_500_000),
        ("gemini-2.5-flash", "google", Usage(input_tokens=100, output_tokens=10, web_search_requests=1), 35_055_000),
        ("gemini-3-flash-preview", "google", Usage(input_tokens=1000, web_search_requests=2), 28_500_000),
        ("claude-sonnet-4-5", "google", Usage(input_tokens=1000, web_search_requests=2), 23_000_000),
        ("sonar", "perplexity", Usage(), 12_000_000),
        ("sonar-deep-research", "perplexity", Usage(output_tokens=100, citation_tokens=40), 60 * 8000 + 40 * 2000),
        ("rerank-v3.5", "cohere", Usage(search_units=3), 6_000_000),
        ("rerank-v4.0-pro", "", Usage(search_units=1), 2_500_000),
        ("cohere.rerank-v3-5:0", "aws", Usage(search_units=1), 2_000_000),
        ("rerank-2.5", "voyageai", Usage(input_tokens=1000), 50_000),
        ("mistral-ocr-latest", "mistral", Usage(pages=5), 20_000_000),
        ("whisper-1", "openai", Usage(audio_seconds=90), 9_000_000),
        ("whisper-large-v3-turbo", "groq", Usage(audio_seconds=9), 100_000),
        ("voxtral-small-24b-2507", "mistral", Usage(input_tokens=10, output_tokens=10, audio_seconds=9), 605_000),
    ],
)  # fmt: skip
def test_what_the_answer_bills_by_the_piece_is_charged(book, model, provider, usage, nanousd):
    """At the shipped fee where there is one, else at that of our own table."""
    cost = book.price(model, usage, provider=provider)
    assert (cost.status, cost.nanousd) == (CostStatus.PRICED, nanousd)


def test_tokens_of_a_model_that_has_no_rate_for_them_are_unpriced(book):
    """Its pieces do not make up for them; and a turn in which nothing was counted is not free."""
    for usage in (Usage(input_tokens=1, pages=1), Usage(audio_seconds=1, output_tokens=1), Usage()):
        cost = book.price("mistral-ocr-latest", usage, provider="mistral")
        assert (cost.status, cost.nanousd) == (CostStatus.UNPRICED, None)
    assert book.upper_bound_nanousd("whisper-1", input_tokens=1, output_tokens=1) is None


def test_audio_of_a_model_without_a_rate_for_it_is_an_estimate(book):
    """Text's rate is a guess, and is said to be one; where audio has a rate, nothing is in doubt."""
    usage = Usage(input_tokens=132, output_tokens=121, input_audio_tokens=13, output_audio_tokens=91)
    cost = book.price("gpt-4o", usage)
    assert cost.status is CostStatus.ESTIMATED
    assert "13 audio tokens" in cost.reason
    assert "91 audio tokens" in cost.reason
    known = book.price("gpt-4o-audio-preview", usage)
    assert known.status is CostStatus.PRICED
    assert known.nanousd == 119 * 2500 + 13 * 40_000 + 30 * 10_000 + 91 * 80_000


def test_cached_documents_of_gemini_overlap_nothing(book):
    """Where the answer says what of the cache was of which kind, the arithmetic is exact."""
    usage = Usage(
        input_tokens=345,
        output_tokens=51,
        cache_read_tokens=230,
        input_image_tokens=258,
        cache_image_read_tokens=172,
    )
    cost = book.price("gemini-2.5-flash", usage)
    assert (cost.status, cost.nanousd) == (CostStatus.PRICED, 115 * 300 + 230 * 30 + 51 * 2500)
    heard = Usage(
        input_tokens=300,
        cache_read_tokens=230,
        input_audio_tokens=100,
        cache_audio_read_tokens=80,
        input_video_tokens=150,
        cache_video_read_tokens=110,
    )
    cost = book.price("gemini-2.5-flash", heard)
    assert (cost.status, cost.nanousd) == (CostStatus.PRICED, 50 * 300 + 20 * 1000 + 150 * 30 + 80 * 100)


def test_what_is_all_free_is_in_no_doubt(clock):
    """Where tokens cost nothing, those of no kind do."""
    own = PriceBook({"local": 0}, clock=clock)
    cost = own.price("local", Usage(input_tokens=9, cache_read_tokens=5, input_audio_tokens=3, web_search_requests=1))
    assert (cost.status, cost.nanousd, cost.source) == (CostStatus.PRICED, 0, "user")


def test_every_entry_of_our_own_names_its_source_and_a_unit():
    """A fee without a source is an invention."""
    assert all(entry.source.startswith("https://") for entry in (*FEES, *PIECE_MODELS, *SAME_RATES))
    assert {fee.unit for fee in FEES} <= set(FEE_UNITS)
    assert {unit for entry in PIECE_MODELS for unit in entry.prices} <= {*FEE_UNITS, "input", "output", "cache_read"}
    assert {unit for same in SAME_RATES for unit in same.units} <= {*INPUT_UNITS, *OUTPUT_UNITS}


MODELS = [
    "gpt-4o", "claude-sonnet-4-5", "gemini-2.5-flash", "gpt-image-1", "gpt-realtime", "sonar-deep-research", "bare",
    "uneven", "sonar-pro", "grok-4",
]  # fmt: skip


@st.composite
def any_usages(draw) -> Usage:
    """Any usage that a turn may have."""
    count = lambda most: draw(st.integers(0, most))  # noqa: E731
    input_tokens, output_tokens = count(300_000), count(300_000)
    read = count(input_tokens)
    written = count(input_tokens - read)
    inside = {
        **{f"input_{kind}_tokens": count(input_tokens) for kind in ("audio", "image", "video")},
        **{f"cache_{kind}_read_tokens": count(read) for kind in ("audio", "image", "video")},
        **{f"output_{kind}_tokens": count(output_tokens) for kind in ("audio", "image", "video")},
    }
    return Usage(
        input_tokens=input_tokens,
        output_tokens=output_tokens,
        cache_read_tokens=read,
        cache_write_tokens=written,
        cache_write_1h_tokens=count(written),
        reasoning_tokens=count(output_tokens),
        citation_tokens=count(output_tokens),
        **(inside if draw(st.booleans()) else {}),
        **{field: count(3) for field, _ in PIECE_UNITS.values()},
    )


@given(st.sampled_from(MODELS), any_usages())
@settings(max_examples=300, deadline=None)
def test_a_cost_is_split_without_a_rest(model, usage):
    """Input, output and fees are the turn; what the cache did is part of the input, reasoning of the output."""
    cost = SPLIT.price(model, usage)
    parts = (cost.input_nanousd, cost.output_nanousd, cost.fee_nanousd)
    details = (cost.cached_nanousd, cost.written_nanousd, cost.reasoning_nanousd)
    assert min(*parts, *details) >= 0
    assert sum(parts) == cost.nanousd
    assert cost.cached_nanousd + cost.written_nanousd <= cost.input_nanousd
    assert cost.reasoning_nanousd <= cost.output_nanousd
    for spent, count in zip(details, (*astuple(usage)[2:4], usage.reasoning_tokens), strict=True):
        assert count or not spent


SPLIT = PriceBook(
    {
        "bare": {"input": 1, "output": 2},
        "uneven": {
            "input": "0.0333",
            "output": "0.00777",
            "cache_read": "0.00011",
            "page": "0.0000000033",
            "request": "0.0000000007",
        },
    }
)


def test_the_split_says_what_the_cache_and_thinking_made(book):
    """To the nano-USD, of an ordinary turn."""
    usage = Usage(
        input_tokens=1000,
        cache_read_tokens=600,
        cache_write_tokens=100,
        cache_write_1h_tokens=40,
        output_tokens=50,
        reasoning_tokens=30,
        web_search_requests=1,
    )
    cost = book.price("claude-sonnet-4-5", usage)
    assert cost.input_nanousd == 300 * 3000 + 600 * 300 + 60 * 3750 + 40 * 6000
    assert (cost.cached_nanousd, cost.written_nanousd) == (600 * 300, 60 * 3750 + 40 * 6000)
    assert (cost.output_nanousd, cost.reasoning_nanousd, cost.fee_nanousd) == (750_000, 450_000, 10_000_000)


@pytest.mark.parametrize(
    ("model", "provider", "fees"),
    [
        ("gpt-4o-search-preview-2025-03-11", "openai", 25_000_000),
        ("gpt-4o-mini-search-preview", "openai", 25_000_000),
        ("gpt-5-search-api", "openai", 10_000_000),
        ("sonar", "perplexity", 12_000_000),
    ],
)
def test_a_model_that_searches_for_every_answer_owes_it_for_every_request(book, model, provider, fees):
    """No answer counts it; where one does, it is not owed twice."""
    for usage in (Usage(), Usage(input_tokens=10), Usage(input_tokens=10, web_search_requests=1)):
        cost = book.price(model, usage, provider=provider)
        assert (cost.status, cost.fee_nanousd) == (CostStatus.PRICED, fees)


@pytest.mark.parametrize(
    ("model", "usage", "fees"),
    [
        ("azure/gpt-5", Usage(web_search_requests=2), 28_000_000),
        ("azure/eu/gpt-5", Usage(web_search_requests=2, code_containers=1), 61_000_000),
        ("azure/gpt-4o", Usage(file_search_calls=2), 5_000_000),
        ("azure/o3", Usage(code_containers=1), 33_000_000),
        ("azure_ai/claude-sonnet-4-5", Usage(web_search_requests=1), 10_000_000),
        ("gemini/gemini-1.5-pro", Usage(web_search_requests=1), 35_000_000),
        ("groq/openai/gpt-oss-120b", Usage(web_search_requests=2), 10_000_000),
        ("xai/grok-4.20", Usage(web_search_requests=2), 10_000_000),
    ],
)
def test_a_fee_is_that_of_the_host_in_every_region(book, model, usage, fees):
    """Whoever lends the rates of the tokens does not lend those of the tools; a region in the name changes none."""
    cost = book.price(model, usage)
    assert (cost.status, cost.fee_nanousd, cost.nanousd) == (CostStatus.PRICED, fees, fees)
