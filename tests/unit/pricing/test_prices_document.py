"""The pages about prices say what the code does: each of their tables is held against it."""

from __future__ import annotations

import re
from datetime import UTC, date, datetime
from decimal import Decimal
from pathlib import Path

import pytest

from hivecost.clock import to_ns
from hivecost.events import Cost, CostStatus, Usage
from hivecost.pricing import PriceBook
from hivecost.pricing.fees import FEES, PIECE_MODELS
from hivecost.pricing.history import REWRITTEN
from hivecost.pricing.model_limits import limits_table
from hivecost.pricing.units import UNPRICED
from hivecost.usage import FLAVORS, UsageReading, UsageStream, estimated, read_usage

ROOT = Path(__file__).parents[3]
PAGES = ("prices.md", "cost-status.md", "providers.md")
TEXT = "\n".join((ROOT / "docs" / name).read_text() for name in PAGES)

CHAT = {"prompt_tokens": 20, "completion_tokens": 8}
SPAN = {"gen_ai.response.model": "gpt-4o", "gen_ai.usage.input_tokens": 20, "gen_ai.usage.output_tokens": 8}
TURN = Usage(10, 10)
IN_OCTOBER = to_ns(datetime(2026, 10, 1, tzinfo=UTC))


SAID = [{"message": {"content": "hello"}}]


def table(*headings: str) -> list[list[str]]:
    """The rows of the one table that has these headings."""
    _, *rest = TEXT.split(f"| {' | '.join(headings)} |\n")
    assert len(rest) == 1, headings
    lines = rest[0].split("\n\n")[0].splitlines()[1:]
    return [[cell.strip() for cell in line.strip("|").split("|")] for line in lines]


def names(cell: str) -> list[str]:
    """What stands between backticks."""
    return re.findall(r"`([^`]+)`", cell)


def name(cell: str) -> str:
    return "".join(names(cell))


def answered(book: PriceBook, usage: dict, **more: object) -> Cost:
    return book.price_reading(read_usage({"model": "gpt-4o", "usage": usage, **more}))


def asked(book: PriceBook, model: str, provider: str = "", usage: Usage = TURN, **more: object) -> Cost:
    return book.price(model, usage, provider=provider, **more)


def cut(book: PriceBook) -> Cost:
    stream = UsageStream().observe({"model": "gpt-4o", "choices": [{"delta": {"content": "x"}}], "usage": CHAT})
    return book.price_reading(stream.reading())


def claude(*passes: dict) -> dict:
    return {"input_tokens": 200, "output_tokens": 80, "iterations": list(passes)}


def framework(*entries: dict) -> dict:
    return {"requests": 2, "input_tokens": 200, "output_tokens": 80, "request_usage_entries": list(entries)}


#: What gives each reason.
ESTIMATED = {
    "the stream was cut": cut,
    "no usage was reported": lambda book: book.price_reading(estimated(read_usage({}), 9, 5), model="gpt-4o"),
    "the usage is not final": lambda book: asked(book, "gpt-4o", estimated=True),
    "unread:": lambda book: answered(book, {**CHAT, "banana_tokens": 5}),
    "are in no part": lambda book: answered(book, {**CHAT, "total_tokens": 50}),
    "its parts add up to": lambda book: answered(book, {**CHAT, "total_tokens": 5}),
    "taken as exclusive": lambda book: book.price_reading(
        read_usage({**SPAN, "gen_ai.usage.cache_read.input_tokens": 50})
    ),
    "less than the counts around them": lambda book: answered(
        book, claude({"type": "message", "input_tokens": 20, "output_tokens": 8})
    ),
    "do not add up to their sum": lambda book: answered(book, framework({"input_tokens": 20, "output_tokens": 8})),
    "each is taken as an equal part": lambda book: answered(book, framework()),
    "not included": lambda book: answered(book, CHAT, output=[{"type": "image_generation_call"}]),
    "charged as": lambda book: asked(book, "gpt-4o", usage=Usage(10, 10, input_audio_tokens=5)),
    "no output was counted": lambda book: answered(book, {"prompt_tokens": 5}, choices=SAID),
    "a bill of 0": lambda book: book.price_reading(
        read_usage({"model": "gpt-4o", "usage": {**CHAT, "cost": 0}}), model="gpt-4o", provider="azure"
    ),
    "with a model that does not reason": lambda book: answered(
        book, CHAT, output=[], tools=[{"type": "web_search_preview"}]
    ),
    "costs more than one of 1g": lambda book: answered(
        book, CHAT, output=[], tools=[{"type": "code_interpreter", "container": {"memory_limit": "4g"}}]
    ),
    "of two kinds at once": lambda book: asked(
        PriceBook({"mine": {"input": 1, "output": 1, "cache_read": 0.1, "input_audio": 2}}),
        "mine",
        usage=Usage(10, 10, cache_read_tokens=5, input_audio_tokens=10),
    ),
    "host unknown": lambda book: asked(book, "gpt-oss-120b"),
    "is known: priced as at": lambda book: asked(book, "claude-sonnet-4-5", "portkey"),
    "lists no price for": lambda book: asked(book, "openrouter/llama-v3p1-8b-instruct"),
    "Hugging Face chooses the host": lambda book: asked(book, "meta-llama/Llama-3.3-70B-Instruct", "huggingface"),
    "chooses among hosts": lambda book: asked(book, "anthropic/claude-sonnet-4.5:nitro"),
    "adds web searches": lambda book: asked(book, "anthropic/claude-sonnet-4.5:online"),
    "no price is known for region": lambda book: asked(book, "azure/swedencentral/gpt-4o"),
    "no price is known for inference in": lambda book: asked(book, "claude-opus-4-6", inference_geo="eu"),
    "has a price of its own": lambda book: asked(book, "azure_ai/gpt-oss-20b"),
    "of the standard one": lambda book: asked(book, "amazon.nova-pro-v1:0", service_tier="priority"),
    "the standard rate is an upper bound": lambda book: asked(book, "gpt-4o", service_tier="flex"),
    "rate is that of a later day": lambda book: asked(book, "gpt-4.1", service_tier="priority", at_ns=IN_OCTOBER),
}
UNPRICED_BECAUSE = {
    "no price is known for model": lambda book: asked(book, "groq/gpt-4o"),
    "runs on machines of your own": lambda book: asked(book, "ollama/llama3.1"),
    "does not say which model it runs": lambda book: asked(
        book, "arn:aws:bedrock:us-east-1:1:application-inference-profile/abc"
    ),
    "is for another period": lambda book: asked(
        PriceBook({"mine": {"input": 1, "output": 1, "until": "2020-01-01"}}), "mine"
    ),
    "no priority rate is known": lambda book: asked(book, "deepseek-chat", service_tier="priority"),
    "which no usage counts": lambda book: asked(book, "tts-1"),
    "has no price for tokens": lambda book: asked(book, "github-copilot/gpt-4o"),
    "no model is named": lambda book: asked(book, ""),
    "says nothing about usage": lambda book: book.price_reading(read_usage({"model": "gpt-4o"})),
    "all counts are zero": lambda book: answered(book, {"prompt_tokens": 0, "completion_tokens": 0}, choices=SAID),
    "is no call of a model": lambda book: book.price_reading(
        read_usage({**SPAN, "gen_ai.operation.name": "invoke_agent"})
    ),
    "only counts the tokens of a prompt": lambda book: book.price_reading(read_usage({"input_tokens": 5})),
}


@pytest.mark.parametrize(
    ("causes", "status", "headings"),
    [
        (ESTIMATED, CostStatus.ESTIMATED, ("reason", "what happened, and what the amount is")),
        (UNPRICED_BECAUSE, CostStatus.UNPRICED, ("reason", "what to do")),
    ],
)
def test_every_reason_is_given(book, causes, status, headings):
    """By a turn that has this cause; and no other cause is in the table."""
    assert [name(row[0]) for row in table(*headings)] == list(causes)
    for words, cause in causes.items():
        cost = cause(book)
        assert (cost.status, words in cost.reason) == (status, True), (words, cost)


def test_every_status_flavor_and_part_is_named():
    """None more, and none less."""
    assert {name(row[0]) for row in table("status", "amount", "what it means")} == set(CostStatus)
    assert sorted(flavor for row in table("flavor", "whose") for flavor in names(row[0])) == sorted(FLAVORS)
    parts = [part for row in table("part", "what it is") for part in names("".join(row))]
    others = {"nanousd", "table_nanousd", "notional_nanousd"}
    assert sorted(parts) == sorted({one for one in Cost.__struct_fields__ if one.endswith("nanousd")} - others)


def test_who_bills_is_who_is_said_to(book):
    """The host, what it calls the model, and how sure the cost is."""
    for model, provider, host, called, status in table("asked", "provider given", "billed by", "model", "status"):
        resolved = book.resolve(name(model), name(provider))
        cost = asked(book, name(model), name(provider))
        assert (resolved.provider, resolved.model, cost.status) == (name(host), name(called), name(status)), model


def test_regions_cost_what_they_are_said_to(book):
    """As many times the listed rate, and exactly known."""
    for region, listed, times_in, times_out in table("asked", "listed as", "input times", "output times"):
        provider = "google" if "publishers/google" in region else ""
        here, there = (asked(book, name(cell), provider, Usage(10**6, 10**6)) for cell in (region, listed))
        assert here.status is there.status is CostStatus.PRICED, region
        assert round(here.input_nanousd / there.input_nanousd, 4) == float(times_in), region
        assert round(here.output_nanousd / there.output_nanousd, 4) == float(times_out), region


def test_fees_are_what_they_are_said_to_be():
    """Every fee for a tool is there, and every model that is shown costs so much by the piece."""
    rows = [
        (name(provider), name(unit), Decimal(usd), models)
        for provider, unit, usd, cell in table("provider", "unit", "USD", "models")
        for models in names(cell)
    ]
    fees = {(fee.provider, fee.unit, fee.usd, fee.models) for fee in FEES}
    pieces = {(one.provider, unit, usd, one.model) for one in PIECE_MODELS for unit, usd in one.prices.items()}
    assert fees <= set(rows) <= fees | pieces


def test_kinds_without_a_rate_are_charged_as_they_are_said_to_be():
    """All of them."""
    assert [tuple(row) for row in table("kind", "what is charged")] == list(UNPRICED.values())


def test_rewritten_rates_were_so_until_then():
    """Every rewrite is of a provider and a day that the table has."""
    rows = [
        (name(provider), model, date.fromisoformat(until))
        for provider, models, _, until in table("provider", "models", "what was another", "until")
        for model in names(models)
    ]
    rewritten = {(one.provider, one.model, one.until) for one in REWRITTEN}
    assert set(rows) <= rewritten
    assert {(provider, until) for provider, _, until in rows} == {(provider, until) for provider, _, until in rewritten}


def test_the_maxima_are_from_where_they_are_said_to_be():
    """Source and day."""
    found = limits_table()
    assert found.source.partition(",")[0] in TEXT
    assert found.read in TEXT


def test_the_table_of_ones_own_is_one(tmp_path, clock):
    """It is read, and does what its lines and the list below it say."""
    (toml,) = re.findall(r"```toml\n(.*?)```", TEXT, re.DOTALL)
    (tmp_path / "prices.toml").write_text(toml)
    book = PriceBook(tmp_path / "prices.toml", clock=clock)
    million = Usage(10**6, 10**6, cache_read_tokens=5 * 10**5, web_search_requests=2)
    assert book.price("our-model", million).nanousd == 1_500_000_000 + 150_000_000 + 15_000_000_000 + 20_000_000
    assert tuple(book.limits("our-model")) == (200_000, 64_000)
    in_june = to_ns(datetime(2026, 6, 30, 23, tzinfo=UTC))
    assert [book.price("our-other-model", Usage(10**6), at_ns=at).nanousd for at in (in_june, None)] == [
        10**9,
        8 * 10**8,
    ]
    assert book.price("ollama/llama3.1", million).nanousd == 0
    assert book.price("our-deployment", Usage(10**6)) == book.price("gpt-4o", Usage(10**6))
    plan, listed = book.price("claude-sonnet-4-5", million), PriceBook(clock=clock).price("claude-sonnet-4-5", million)
    assert (plan.nanousd, plan.notional_nanousd, plan.source) == (0, listed.nanousd, "subscription")
    reported = UsageReading(usage=million, reported_nanousd=7)
    assert book.price_reading(reported, model="our-model").nanousd == 7
    subscribed = book.price_reading(reported, model="claude-sonnet-4-5")
    assert (subscribed.nanousd, subscribed.notional_nanousd) == (0, 7)


def test_files_that_are_named_are_there():
    """With what they are said to have in them."""
    for path in set(re.findall(r"`((?:hivecost|tools|scripts)/[\w/.]+)`", TEXT)):
        assert (ROOT / path).is_file(), path
