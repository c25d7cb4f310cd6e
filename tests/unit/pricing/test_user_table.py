from __future__ import annotations

from datetime import UTC, datetime
from decimal import Decimal

import pytest

from hivecost.clock import to_ns
from hivecost.errors import ConfigError
from hivecost.events import CostStatus, Usage
from hivecost.pricing import PriceBook
from hivecost.usage import UsageReading

TURN = Usage(input_tokens=1_000_000, output_tokens=1_000_000)

TOML = """\
# our own prices
[prices."my-model"]
input = 3.00
output = 15.00
cache_read = 0.30

[[prices.dated]]
input = 1
output = 1
until = 2026-01-01

[[prices.dated]]
input = 2
output = 2
from = 2026-01-01

[aliases]
my-deployment = "gpt-4o"
"local name" = "my-model"
"""


@pytest.fixture
def toml(tmp_path):
    def write(text):
        path = tmp_path / "prices.toml"
        path.write_text(text)
        return path

    return write


@pytest.mark.parametrize("price", [2.5, "2.50", "$2.5", Decimal("2.5")])
def test_a_users_price_wins_over_the_shipped_one(clock, price):
    """By exact name, whatever number type it was written in; other models keep the shipped rates."""
    own = PriceBook({"gpt-4o": {"input": price, "output": 4}, "nova": {"input": 0, "output": 0}}, clock=clock)
    cost = own.price("gpt-4o", TURN)
    assert (cost.nanousd, cost.source, cost.rate) == (6_500_000_000, "user", "input=2.5 output=4")
    assert own.price("gpt-4o-mini", TURN).source == "genai-prices"
    assert own.price("nova", TURN).nanousd == 0


def test_a_users_price_holds_for_every_tier_and_provider(clock):
    """What the user wrote is what a turn costs; nothing of the shipped data is mixed in."""
    own = PriceBook({"gpt-4o": {"input": 1, "output": 1}}, clock=clock)
    for options in ({"service_tier": "priority"}, {"batch": True}, {"provider": "azure"}):
        assert own.price("gpt-4o", TURN, **options).nanousd == 2_000_000_000


def test_a_toml_file_with_periods_and_aliases(clock, toml):
    """Prices, validity by UTC day, and deployments' names."""
    own = PriceBook(toml(TOML), clock=clock)
    assert own.price("my-model", TURN).nanousd == 18_000_000_000
    assert own.price("local name", TURN).nanousd == 18_000_000_000
    assert own.price("my-deployment", TURN).nanousd == 12_500_000_000
    last_second = to_ns(datetime(2025, 12, 31, 23, 59, 59, tzinfo=UTC))
    assert own.price("dated", TURN, at_ns=last_second).nanousd == 2_000_000_000
    assert own.price("dated", TURN, at_ns=last_second + 10**9).nanousd == 4_000_000_000


def test_outside_its_period_a_users_price_is_no_price(clock):
    """Then the shipped rate applies, and where there is none the turn is unpriced."""
    row = {"input": 9, "output": 9, "until": "2020-01-01"}
    own = PriceBook({"gpt-4o": row, "mine": row}, clock=clock)
    assert own.price("gpt-4o", TURN).source == "genai-prices"
    cost = own.price("mine", TURN)
    assert cost.status is CostStatus.UNPRICED
    assert "another period" in cost.reason


def test_the_model_that_was_asked_for_counts_where_the_user_priced_it(clock):
    """Providers answer with dated names; a user's price for the plain one still wins."""
    own = PriceBook({"gpt-4o": {"input": 1, "output": 1}}, clock=clock)
    answered = UsageReading(usage=TURN, model="gpt-4o-2024-08-06")
    assert own.price_reading(answered, model="gpt-4o").source == "user"
    assert own.price_reading(answered, model="my-deployment").nanousd == 12_500_000_000
    assert own.price_reading(UsageReading(usage=TURN, model="deployment-7"), model="gpt-4o").source == "user"


@pytest.mark.parametrize(
    ("text", "line", "key"),
    [
        ('[prices."my-model"]\ninput = 3\noutput = -1\n', 3, "prices.my-model.output"),
        ('[prices."my-model"]\ninput = "three"\noutput = 1\n', 2, "prices.my-model.input"),
        ('\n\n[prices."a.b"]\ninput = 3\n', 3, 'prices."a.b".output'),
        ('[prices."my-model"]\ninput = 3\noutput = nan\n', 3, "prices.my-model.output"),
        ('[prices."my-model"]\ninput = 3\noutput = 4\nouput = 4\n', 4, "prices.my-model.ouput"),
        ('[prices."my-model"]\ninput = true\noutput = 4\n', 2, "prices.my-model.input"),
        ('[prices.one]\ninput=1\noutput=1\n[prices.two]\ninput=1\noutput="x"\n', 6, "prices.two.output"),
        ('[prices.m]\ninput=1\noutput=1\nfrom="soon"\n', 4, "prices.m.from"),
        ("[prices.m]\ninput=1\noutput=1\nfrom=2026-01-02\nuntil=2026-01-01\n", 5, "prices.m.until"),
        ("[prices]\nm = 3\n", 2, "prices.m"),
        ("[aliases]\nmine = 3\n", 2, "aliases.mine"),
    ],
)
def test_a_fault_is_named_with_file_line_and_key(toml, text, line, key):
    """The message points at the very line, and says what was expected there."""
    path = toml(text)
    with pytest.raises(ConfigError) as error:
        PriceBook(path)
    assert error.value.key == key
    assert error.value.file == f"{path}:{line}"
    assert str(error.value).startswith(f"{path}:{line}: {key}: expected ")


@pytest.mark.parametrize(
    "table",
    [
        {"m": {}},
        {"m": {"input": 1}},
        {"m": 3},
        {"m": []},
        {"": {"input": 1, "output": 1}},
        {"m": {"input": 1, "output": 10**9}},
        {"m": {"input": float("inf"), "output": 1}},
        {"m": {"input": None, "output": 1}},
        {"m": {"input": 1, "output": 1, "from": 7}},
        {"prices": {"m": {"input": 1, "output": 1}}, "aliases": {"a": ""}},
        {"prices": 3},
    ],
)
def test_a_bad_dict_is_refused_at_once(table):
    """Nothing is guessed: a table that cannot be used raises when the book is made."""
    with pytest.raises(ConfigError):
        PriceBook(table)


def test_unreadable_files_are_config_errors(tmp_path, toml):
    """Missing, no TOML, or none of our tables in it."""
    with pytest.raises(ConfigError, match="readable"):
        PriceBook(tmp_path / "missing.toml")
    with pytest.raises(ConfigError, match=r"\.toml:1: prices: expected valid TOML"):
        PriceBook(toml("= 3"))
    with pytest.raises(ConfigError, match="aliases"):
        PriceBook(toml('[[budget]]\nname = "b"\n'))
    with pytest.raises(ConfigError, match=r"\.toml:2: other\.x: expected one of input"):
        PriceBook(toml("[other]\nx = 1\n"))


_ROW = {"input": 1, "output": 4}
_NAMED = {"mine": "our-model"}


@pytest.mark.parametrize(
    "table",
    [
        {"our-model": _ROW, "aliases": _NAMED},
        {"prices": {"our-model": _ROW}, "aliases": _NAMED},
        {"prices": {"other": _ROW}, "our-model": _ROW, "aliases": _NAMED},
        "[our-model]\ninput = 1\noutput = 4\n[aliases]\nmine = 'our-model'\n",
        "[prices.other]\ninput = 1\noutput = 4\n[our-model]\ninput = 1\noutput = 4\n[aliases]\nmine = 'our-model'\n",
    ],
)
def test_models_stand_beside_aliases_with_prices_in_front_or_without(toml, clock, table):
    """One dict, or one file, has both, in the short form and in the long one."""
    book = PriceBook(toml(table) if isinstance(table, str) else table, clock=clock)
    assert book.price("mine", TURN) == book.price("our-model", TURN)
    assert book.price("mine", TURN).source == "user"


def test_a_model_has_one_entry_and_a_fault_its_line(toml):
    """Also where a model stands beside `prices`: nothing is overwritten, and nothing is left out in silence."""
    with pytest.raises(ConfigError, match=r"prices\.m: expected one entry of the model"):
        PriceBook({"prices": {"m": _ROW}, "m": _ROW})
    with pytest.raises(ConfigError, match=r"\.toml:3: m\.ouput: expected one of"):
        PriceBook(toml("[m]\ninput = 1\nouput = 4\n[aliases]\na = 'gpt-4o'\n"))


def test_what_a_subscription_saves_is_said_to_be_unknown(clock):
    """Such a turn costs nothing, whoever it is of; the reason is about what it would have cost."""
    cost = PriceBook({"sub/*": {"billing": "subscription"}}, clock=clock).price("sub/nobodys", TURN)
    assert (cost.nanousd, cost.notional_nanousd) == (0, None)
    assert cost.reason.startswith("what it would have cost is not known: no price is known for model 'sub/nobodys'")


@pytest.mark.parametrize(
    ("aliases", "message"),
    [
        ({"a": "b", "b": "a"}, "no alias itself"),
        ({"a": "b", "b": "gpt-4o"}, "no alias itself"),
        ({"a": "a"}, "no alias itself"),
        ({"our-*": "gpt-4o"}, "patterns are for prices"),
        ({"ours": "gpt-*"}, "patterns are for prices"),
    ],
)
def test_an_alias_is_one_name_for_one_model(aliases, message):
    """Circles, aliases of aliases and patterns would be looked up and never found."""
    with pytest.raises(ConfigError, match=message):
        PriceBook({"aliases": aliases})


def test_an_alias_of_a_model_that_nobody_knows_is_warned_of(caplog):
    """The book may be from another day; turns of that name have no price until then."""
    PriceBook({"our-model": _ROW, "aliases": {"a": "gpt-9", "b": "gpt-4o", "c": "our-model"}}).load()
    (record,) = caplog.records
    assert "alias 'a' of 'gpt-9'" in record.getMessage()


@pytest.mark.parametrize(
    ("asked", "provider", "name", "source"),
    [
        ("azure/our-deployment", "", ("azure", "gpt-4o"), "genai-prices"),
        ("litellm/azure/our-deployment", "", ("azure", "gpt-4o"), "genai-prices"),
        ("openai/our-deployment", "", ("openai", "gpt-4o"), "genai-prices"),
        ("our-deployment", "azure", ("azure", "gpt-4o"), "genai-prices"),
        ("azure/exact", "", ("azure", "gpt-4o-mini"), "genai-prices"),
        ("azure/our-model", "", ("azure", "our-model"), "user"),
        ("azure/mine", "", ("azure", "our-model"), "user"),
        ("rack/our-model", "", ("rack", "our-model"), "user"),
        ("azure/other", "", ("azure", "azure/other"), "user"),
        ("openai/gpt-4o", "openrouter", ("openrouter", "openai/gpt-4o"), "genai-prices"),
    ],
)
def test_a_plain_name_holds_behind_a_host(clock, asked, provider, name, source):
    """As LiteLLM spells a deployment at Azure; the host stays, and an entry of `host/model` wins."""
    dear = {"input": 7, "output": 7}
    aliases = {"our-deployment": "gpt-4o", "exact": "gpt-4o", "azure/exact": "azure/gpt-4o-mini", "mine": "our-model"}
    book = PriceBook({"our-model": _ROW, "other": dear, "azure/other": _ROW, "aliases": aliases}, clock=clock)
    cost = book.price(asked, TURN, provider=provider)
    assert (tuple(book.resolve(asked, provider)), cost.source) == (name, source)
    assert cost.nanousd != PriceBook({"x": dear}, clock=clock).price("x", TURN).nanousd


def test_the_snapshot_names_the_whole_table(clock, toml):
    """Same content, same id; any other price, another id."""
    row = {"input": 1, "output": 2}
    first = PriceBook({"m": row}, clock=clock).snapshot
    assert first == PriceBook({"m": dict(row)}, clock=clock).snapshot
    assert len({first, PriceBook(clock=clock).snapshot, PriceBook({"m": {**row, "output": 3}}).snapshot}) == 3
    assert PriceBook({"m": row}, clock=clock).price("m", TURN).snapshot == first


@pytest.mark.parametrize(
    ("own_name", "asked", "provider", "answered"),
    [
        ("azure/gpt-4o", "gpt-4o", "AzureOpenAI", ""),
        ("azure/gpt-4o", "azure_openai/gpt-4o", "", ""),
        ("google/gemini-2.5-flash", "gemini-2.5-flash", "vertex_ai", "gemini-2.5-flash"),
        ("groq/llama-3.3-70b-versatile", "groq:llama-3.3-70b-versatile", "", ""),
        ("groq/llama-3.3-70b-versatile", "llama-3.3-70b-versatile", "ChatGroq", ""),
        ("openai/gpt-4o", "gpt-4o", "", ""),
        ("deepseek-r1", "DeepSeek-R1", "azure", ""),
        ("GPT-4o", "gpt-4o", "", "gpt-4o-2024-08-06"),
        ("OLLAMA/*", "ollama/llama3.1", "", ""),
        ("ollama/*", "ollama_chat/llama3.1", "", ""),
        ("ollama/*", "llama3.1", "ChatOllama", ""),
        ("ollama/*", "gpt-oss:20b", "openai", ""),
    ],
)
def test_a_users_price_is_found_by_what_the_name_means(clock, own_name, asked, provider, answered):
    """The host as it is understood, whoever wrote it how; and letters in either case."""
    own = PriceBook({own_name: {"input": 7, "output": 7}}, clock=clock)
    reading = UsageReading(usage=TURN, model=answered)
    cost = own.price_reading(reading, model=asked, provider=provider)
    assert (cost.source, cost.nanousd) == ("user", 14_000_000_000)


def test_what_ollama_answered_in_its_own_shape_is_ollamas(clock):
    """Nobody was named: no vendor's price is taken, and the user's own for Ollama is."""
    reading = UsageReading(usage=TURN, model="deepseek-r1", hinted_provider="ollama")
    assert PriceBook(clock=clock).price_reading(reading).status is CostStatus.UNPRICED
    assert PriceBook({"ollama/*": 0}, clock=clock).price_reading(reading).nanousd == 0


@pytest.mark.parametrize(
    ("own_name", "asked", "answered"),
    [
        ("gpt-4o", "azure/gpt-4o", "gpt-4o"),
        ("gpt-4o-2024-08-06", "gpt-4o", "gpt-4o-2024-08-06"),
        ("gemini-2.5-flash", "models/gemini-2.5-flash", "gemini-2.5-flash"),
    ],
)
def test_a_bound_covers_a_users_price_for_the_name_of_the_answer(clock, own_name, asked, answered):
    """The answer may call the model by a name that the user priced higher than the one that was asked for."""
    own = PriceBook({own_name: {"input": 70, "output": 70}}, clock=clock)
    cost = own.price_reading(UsageReading(usage=TURN, model=answered), model=asked)
    assert cost.source == "user"
    assert cost.nanousd <= own.upper_bound_nanousd(asked, input_tokens=10**6, output_tokens=10**6)


def test_another_hosts_price_of_the_user_widens_no_bound(clock):
    """It cannot be that of the answer."""
    own, shipped = PriceBook({"azure/gpt-4o": {"input": 70, "output": 70}}, clock=clock), PriceBook(clock=clock)
    of_both = [
        book.upper_bound_nanousd("gpt-4o", provider="openai", input_tokens=10, output_tokens=10)
        for book in (own, shipped)
    ]
    assert of_both[0] == of_both[1]


@pytest.mark.parametrize(
    ("alias", "asked", "provider", "rate"),
    [
        ({"azure/prod": "gpt-5"}, "azure/prod", "", "azure"),
        ({"prod": "gpt-5"}, "azure/prod", "", "azure"),
        ({"prod": "gpt-5"}, "azure/eu/prod", "", "azure"),
        ({"prod": "gpt-5"}, "prod", "azure", "azure"),
        ({"prod": "azure/eu/gpt-5"}, "prod", "", "azure"),
        ({"prod": "gpt-5"}, "prod", "", "openai"),
    ],
)
def test_an_alias_stands_at_the_host_it_was_asked_at(clock, alias, asked, provider, rate):
    """Another name for the model is no other host for it."""
    own = PriceBook({"prices": {}, "aliases": alias}, clock=clock)
    quote = own.quote(asked, provider=provider)
    assert quote.provider == rate
    factor = "1.375" if "eu" in (asked + "".join(alias.values())).split("/") else "1.25"
    assert quote.card.bands[0].rate.startswith(f"input={factor} ")


@pytest.mark.parametrize(
    ("model", "provider", "is_matched"),
    [
        ("claude-sonnet-4-5", "", True),
        ("anthropic/claude-sonnet-4-5", "", True),
        ("claude-sonnet-4-5", "anthropic", True),
        ("anthropic/claude-sonnet-4-5", "openai", True),
        ("litellm/anthropic/claude-sonnet-4-5", "", True),
        ("openrouter/anthropic/claude-sonnet-4.5", "", False),
        ("anthropic/claude-sonnet-4.5", "openrouter", False),
        ("anthropic/claude-sonnet-4.5", "portkey", False),
        ("claude-sonnet-4-5", "google", False),
        ("us.anthropic.claude-sonnet-4-5-20250929-v1:0", "", False),
    ],
)
def test_a_pattern_of_a_host_is_not_for_what_others_sell_under_its_name(clock, model, provider, is_matched):
    """A subscription at Anthropic pays for nothing that OpenRouter bills, whatever that calls its models."""
    plan = PriceBook({"anthropic/*": {"billing": "subscription"}}, clock=clock)
    cost, listed = (book.price(model, TURN, provider=provider) for book in (plan, PriceBook(clock=clock)))
    assert (cost.source == "subscription") == is_matched
    assert cost.nanousd == (0 if is_matched else listed.nanousd)
