"""What strangers write, made up at random: payloads, events, configuration, price tables. None raises what it may not.

`HIVECOST_SOAK_FUZZ` is how many examples each test tries; 500 when it is not set.
"""

from __future__ import annotations

import json
import math
import os
import types
from functools import cache

import pytest
from hypothesis import HealthCheck, given, settings
from hypothesis import strategies as st
from msgspec import structs

import hivecost as hc
from hivecost.errors import EventFormatError, PriceUpdateError
from hivecost.events import decode, decode_json, encode, encode_json, usage_problem
from hivecost.log.turn_rows import turn_row
from hivecost.money import TURN_COST_MAX_NANOUSD
from hivecost.pricing import PriceBook, believable_book, price_line, rate_shifts
from hivecost.usage import UsageStream, read_usage

EXAMPLES = int(os.environ.get("HIVECOST_SOAK_FUZZ", "500"))
AT_NS = 1_795_000_000 * 10**9

pytestmark = pytest.mark.timeout(120 + EXAMPLES // 10)
fuzz = settings(
    max_examples=EXAMPLES,
    deadline=None,
    suppress_health_check=[HealthCheck.too_slow, HealthCheck.data_too_large, HealthCheck.function_scoped_fixture],
)


class Raising:
    def __getattr__(self, name):
        raise RuntimeError("closed")

    def __repr__(self):
        raise RuntimeError("closed")


RAISING = Raising()
ODD_NUMBERS = [0, -1, 2**31, 2**53, 2**63 - 1, 2**63, -(2**70), 10**30, -0.0, 1.5, 1e308, 1e-30, -1e-9]
ODD_TEXTS = [
    "",
    "5",
    "1e400",
    "nan",
    "Infinity",
    "\u0663",
    "\ud800",
    "\x1b[2J",
    "\0",
    "9" * 5_000,
    "TEXT",
    "AUDIO",
    "1h",
]
TEXT_ODD = st.sampled_from([None, True, False, math.nan, math.inf, *ODD_NUMBERS, *ODD_TEXTS, [], {}, [{}]])
HUGE = st.builds(pow, st.just(10), st.just(5_000))  # made when it is drawn: Hypothesis writes out what it samples from
ODD = TEXT_ODD | HUGE | st.sampled_from([b"5", b"\xff", [None], RAISING])


def outcome(function, *args, refusal, **kwargs):
    """(what it gives, ""), or (None, what it says when it refuses)."""
    try:
        return function(*args, **kwargs), ""
    except refusal as error:
        return None, str(error)


def mutated(template, odd, names):
    """The template with some parts left out, replaced or added, at any depth."""
    if isinstance(template, dict):
        kept = {name: mutated(part, odd, names) for name, part in template.items()}
        fixed = st.fixed_dictionaries({}, optional=kept)
        extra = st.just({}) | st.dictionaries(names, odd, max_size=2)
        return st.builds(lambda parts, more: {**parts, **more}, fixed, extra) | odd
    if isinstance(template, list):
        return st.tuples(*(mutated(part, odd, names) for part in template)).map(list) | odd
    return st.just(template) | st.just(template) | odd


# -- payloads --------------------------------------------------------------------------------------------------------

ANSWERS = [
    {
        "object": "chat.completion",
        "model": "gpt-4o",
        "choices": [{"finish_reason": "stop", "delta": {"content": "hi"}}],
        "usage": {
            "prompt_tokens": 10,
            "completion_tokens": 5,
            "total_tokens": 15,
            "prompt_tokens_details": {"cached_tokens": 2, "audio_tokens": 0},
            "completion_tokens_details": {"reasoning_tokens": 1},
            "cost": 0.003,
            "cost_details": {"upstream_inference_cost": 0.002},
            "cost_in_usd_ticks": 7,
            "num_search_queries": 1,
        },
    },
    {
        "type": "message",
        "model": "claude-sonnet-4-5",
        "message": {"usage": {"input_tokens": 3, "output_tokens": 1}},
        "usage": {
            "input_tokens": 3,
            "output_tokens": 7,
            "cache_read_input_tokens": 5,
            "cache_creation_input_tokens": 4,
            "cache_creation": {"ephemeral_5m_input_tokens": 1, "ephemeral_1h_input_tokens": 3},
            "server_tool_use": {"web_search_requests": 1},
            "service_tier": "standard",
        },
    },
    {
        "modelVersion": "gemini-2.5-pro",
        "candidates": [{"finishReason": "STOP", "content": {"parts": [{"text": "hi"}]}}],
        "usageMetadata": {
            "promptTokenCount": 9,
            "candidatesTokenCount": 4,
            "thoughtsTokenCount": 2,
            "cachedContentTokenCount": 1,
            "promptTokensDetails": [{"modality": "TEXT", "tokenCount": 9}, {"modality": "AUDIO", "tokenCount": 1}],
        },
    },
    {
        "type": "response.completed",
        "response": {
            "model": "gpt-5",
            "output": [{"type": "web_search_call", "action": {"type": "search"}}],
            "usage": {
                "input_tokens": 5,
                "output_tokens": 9,
                "input_tokens_details": {"cached_tokens": 1},
                "output_tokens_details": {"reasoning_tokens": 4},
            },
        },
    },
    {"usage": {"inputTokens": 4, "outputTokens": 2, "cacheReadInputTokens": 1, "cacheDetails": [{"ttl": "1h"}]}},
    {"meta": {"billed_units": {"input_tokens": 2, "output_tokens": 1}, "tokens": {"input_tokens": 3}}},
    {"gen_ai.usage.input_tokens": 4, "gen_ai.usage.output_tokens": 2, "gen_ai.response.model": "gpt-4o"},
    {"custom_id": "a", "response": {"body": {"model": "m", "usage": {"prompt_tokens": 1, "completion_tokens": 2}}}},
]
NAMES = st.sampled_from(["usage", "model", "prompt_tokens", "type", "delta", "choices", "id", "\ud800", 5]) | HUGE
PAYLOADS = st.sampled_from([mutated(answer, ODD, NAMES) for answer in ANSWERS]).flatmap(lambda payload: payload)


def as_object(payload):
    """As an SDK would give it."""
    if not isinstance(payload, dict):
        return payload
    parts = {name: as_object(part) for name, part in payload.items() if isinstance(name, str)}
    return types.SimpleNamespace(**parts)


@st.composite
def written(draw):
    """As JSON, cut anywhere, as text or bytes, or as an event of a stream."""
    payload = draw(PAYLOADS)
    try:
        text = json.dumps(payload, default=lambda _: None, skipkeys=True)
    except ValueError:  # an integer that Python does not write out
        text = '{"usage": {"prompt_tokens": ' + "9" * 5_000 + "}}"
    text = draw(st.sampled_from(["", "data: "])) + text
    text = text[: draw(st.integers(0, len(text)) | st.just(len(text)))]
    return draw(st.sampled_from([text, text.encode("utf-8", "surrogatepass"), bytearray(text.encode())]))


@cache
def book():
    return PriceBook()


@given(st.lists(PAYLOADS | PAYLOADS.map(as_object) | written(), min_size=1, max_size=3))
@fuzz
def test_a_payload_gives_a_sound_reading_a_cost_and_a_row(payloads):
    """Counts and an amount that can be, and an event that can be written, of a whole answer and of a stream."""
    stream = UsageStream()
    for payload in payloads:
        stream.observe(payload)
    assert stream.output_bound >= 0
    for reading in (stream.reading(), *map(read_usage, payloads)):
        assert usage_problem(structs.astuple(reading.usage)) == ""
        cost = book().price_reading(reading, model="gpt-4o", provider="openai", at_ns=AT_NS)
        assert cost.nanousd is None or 0 <= cost.nanousd <= TURN_COST_MAX_NANOUSD
        assert (cost.nanousd is None) == (cost.status in ("unpriced", "invalid"))
        turn = hc.LLMTurnComplete(
            model=reading.model or "gpt-4o",
            provider=reading.provider,
            usage=reading.usage,
            cost=cost,
            stop_reason=reading.stop_reason,
            service_tier=reading.service_tier,
            raw_usage=reading.raw,
        )
        assert decode(encode(turn)) == turn
        for cell in turn_row(turn):
            assert not isinstance(cell, str) or cell.encode().decode() == cell


@given(st.dictionaries(st.sampled_from(["model", "usage", "raw_usage", "timestamp", "batch", "id"]), ODD | PAYLOADS))
@fuzz
def test_a_line_gives_a_line(call):
    """`hivecost price --jsonl` answers each with a status."""
    call.setdefault("model", "gpt-4o")
    assert price_line(call, book())["status"] in {"priced", "estimated", "reported", "unpriced", "invalid"}


# -- events ----------------------------------------------------------------------------------------------------------

EVENTS = [
    hc.LLMTurnComplete(model="m", usage=hc.Usage(5, 3), cost=hc.Cost(status=hc.CostStatus.PRICED, nanousd=5)),
    hc.CustomEvent(name="n", payload={"a": [1, 2.5, None, {"b": "c"}]}, tags={"t": "v"}),
    hc.ExecutionCompleted(session_id="s", execution_id="e"),
]
PLAIN = st.recursive(
    st.none() | st.booleans() | st.integers(-(2**63), 2**64 - 1) | st.floats() | st.text(max_size=5),
    lambda inner: st.lists(inner, max_size=3) | st.dictionaries(st.text(max_size=5), inner, max_size=3),
    max_leaves=10,
)
FIELDS = st.sampled_from(["type", "event_id", "usage", "cost", "tags", "timestamp_ns", "payload", "raw_usage"])
DOCUMENTS = st.dictionaries(FIELDS, PLAIN | st.sampled_from(["custom", "llm_turn_complete", "of_tomorrow"]))


@st.composite
def damaged(draw, data):
    """The bytes with some of them changed, cut out, or nested without end."""
    start = draw(st.integers(0, len(data)))
    end = draw(st.integers(start, min(len(data), start + 8)))
    junk = st.binary(max_size=8) | st.sampled_from(
        [b"[" * 50_000, b"\x91" * 50_000, b"9" * 5_000, b"\xdd\xff\xff\xff\xff"]
    )
    return data[:start] + draw(junk) + data[end:]


@given(st.sampled_from(EVENTS).map(encode).flatmap(damaged) | st.binary(max_size=40))
@fuzz
def test_bytes_are_an_event_or_an_event_format_error(data):
    """As msgpack; what could be read is written and read again as it was."""
    event, problem = outcome(decode, data, refusal=EventFormatError)
    if event is None:
        assert problem
    else:
        assert encode(decode(encode(event))) == encode(event)


@given(st.sampled_from(EVENTS).map(encode_json).flatmap(damaged) | DOCUMENTS.map(json.dumps) | st.text(max_size=40))
@fuzz
def test_json_is_an_event_or_an_event_format_error(data):
    """Whole documents of odd fields, and damaged ones."""
    event, problem = outcome(decode_json, data, refusal=EventFormatError)
    if event is None:
        assert problem
    else:
        assert encode_json(decode_json(encode_json(event))) == encode_json(event)


# -- configuration ---------------------------------------------------------------------------------------------------

VALUES = st.sampled_from(
    [
        *('"$1"', '"5 tokens"', '"day"', '"UTC"', '"hard"', '"org"', "1", "0.5", "true", "nan", "-inf", "1e999999999"),
        *("1e-999999999", "0x" + "f" * 900, "9" * 5_000, "2026-01-01", "10:00:00", '"\\u0000"', '"\\u202e"', '"1e999"'),
        *("[]", "[0.5]", "[nan]", "[[[[1]]]]", "{}", "{a = {b = 1}}", "[" * 5_000, "'''\n'''", '"', "", "'"),
        *('"../../etc/passwd"', '"sNaN"', '"-1"', '"1_0"', "{x = 1, x = 2}", '["a", 5]', "9999-12-31", "0001-01-01"),
    ]
)
KEYS = st.sampled_from(
    [
        *("name", "limit", "unit", "window", "timezone", "match", "per", "mode", "warn", "on_short", "soft_limit"),
        *("on_soft", "throttle_s", "shadow", "input", "output", "cache_read", "from", "until", "log", "runaway"),
        *("close_timeout_s", "repeats", "task_tokens", '"\\u001b"', "a.b", "a" + ".b" * 500, "'", "[", "#"),
    ]
)
HEADERS = st.sampled_from(
    [
        *(
            "[[budget]]",
            "[budget]",
            "[budget.match]",
            "[runtime]",
            "[runaway]",
            "[prices.m]",
            "[[prices.m]]",
            "[prices]",
        ),
        *("[aliases]", '[prices."\\u0000"]', "[x" + ".y" * 500 + "]", "[[[a]]]", "[", "[]", '["]'),
    ]
)
BUDGET = '[[budget]]\nname = "a"\nlimit = "$1"'
LINES = st.builds("{} = {}".format, KEYS, VALUES) | HEADERS | st.sampled_from([BUDGET, "[prices.m]\ninput=1\noutput=1"])
FILES = st.lists(LINES, max_size=8).map("\n".join) | st.text(max_size=40) | st.binary(max_size=40)


@given(FILES)
@fuzz
def test_a_file_is_read_or_a_config_error(tmp_path, content):
    """As configuration and as a price table; the error names the file, in letters that can be printed."""
    path = tmp_path / "hivecost.toml"
    path.write_bytes(content if isinstance(content, bytes) else content.encode("utf-8", "surrogatepass"))
    for setting in ("config", "prices"):
        runtime, problem = outcome(hc.AgentRuntime, tmp_path, refusal=hc.ConfigError, **{setting: path})
        if runtime is None:
            assert problem.startswith(str(path))
            assert problem.isprintable()
        else:
            runtime.prices.price("m", hc.Usage(1, 1))


# -- price tables ----------------------------------------------------------------------------------------------------

TABLE = [
    {
        "id": "acme",
        "name": "Acme",
        "api_pattern": "x",
        "model_match": {"starts_with": "m"},
        "models": [
            {
                "id": "m1",
                "match": {"or": [{"equals": "m1"}, {"contains": "m-1"}]},
                "prices": {"input_mtok": {"base": 1, "tiers": [{"start": 100, "price": 2}]}, "output_mtok": 3},
            },
            {
                "id": "m2",
                "match": {"equals": "m2"},
                "prices": [
                    {"prices": {"input_mtok": 1, "output_mtok": 2}},
                    {"constraint": {"start_date": "2027-01-01"}, "prices": {"input_mtok": 2, "output_mtok": 2}},
                ],
            },
        ],
    }
]
TABLE_NAMES = st.sampled_from(["id", "prices", "match", "tiers", "input_mtok", "regex", "models"])


@cache
def table_in_use():
    return PriceBook(data=json.dumps(TABLE).encode())


@given(mutated(TABLE, TEXT_ODD, TABLE_NAMES).map(lambda table: json.dumps(table).encode()))
@fuzz
def test_a_table_is_believed_or_refused(data):
    """And what it changes can be told."""
    fetched, problem = outcome(believable_book, data, table_in_use(), refusal=PriceUpdateError, at_ns=AT_NS)
    if fetched is None:
        assert problem
    else:
        assert all(str(shift).isprintable() for shift in rate_shifts(table_in_use(), fetched, at_ns=AT_NS))
