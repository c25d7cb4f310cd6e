"""H2: a turn that is held whole is never billed above its hold, whatever was said of its prompt.

Requests are written in each API's own JSON, read and answered by the provider emulator, and settled as a turn settles
them. `HIVECOST_SOAK_FUZZ` is how many examples each test tries; 200 when it is not set.
"""

from __future__ import annotations

import json
import os
from datetime import UTC, datetime
from functools import cache

import anyio
import pytest
from hypothesis import HealthCheck, given, settings
from hypothesis import strategies as st
from msgspec.structs import replace

import hivecost as hc
from hivecost.pricing import PriceBook, can_count_tokens
from hivecost.runtime.prompt_count import PromptCount
from hivecost.runtime.turn_bound import TurnBounds
from hivecost.testing import Behaviour, FakeClock, ToolCall, anthropic_messages, openai_chat, openai_responses
from hivecost.testing.dialect import Place
from hivecost.testing.generation import billed_usage, generate
from hivecost.testing.models import DATED_MODELS
from hivecost.usage import UsageStream, read_usage

pytestmark = [
    pytest.mark.timeout(600),
    # The tokenizer's package, on Python 3.11 and 3.12.
    pytest.mark.filterwarnings("ignore:open_binary is deprecated:DeprecationWarning"),
]
EXAMPLES = int(os.environ.get("HIVECOST_SOAK_FUZZ", "200"))
fuzz = settings(max_examples=EXAMPLES, deadline=None, suppress_health_check=list(HealthCheck))

CLOCK = FakeClock(datetime(2026, 11, 28, tzinfo=UTC))
BOOK = PriceBook(clock=CLOCK)
BOUNDS = TurnBounds(BOOK, CLOCK)

#: With a long-context rate, with writes that are billed, with tiers, with none of it.
KNOWN = (
    ("openai", "gpt-4o"), ("openai", "gpt-4o-audio-preview"), ("openai", "gpt-5"), ("openai", "gpt-5.4"),
    ("openai", "gpt-5-mini"), ("openai", "o3"), ("openai", "gpt-6.1-sol"), ("anthropic", "claude-sonnet-4-5"),
    ("anthropic", "claude-opus-4-8"), ("anthropic", "claude-haiku-4-5"), ("google", "gemini-2.5-pro"),
    ("google", "gemini-2.5-flash"), ("x-ai", "grok-4.5"), ("deepseek", "deepseek-chat"), ("", "gpt-4o"),
    ("", "claude-sonnet-4-5"), ("", "gemini-2.5-pro"),
)  # fmt: skip
TIERS = ("", "auto", "default", "flex", "priority", "batch")
TTLS = {"": None, "5m": {"type": "ephemeral"}, "1h": {"type": "ephemeral", "ttl": "1h"}}


@cache
def listed():
    """Every model of the catalog whose tokens have a price.

    Perplexity's count reasoning beside the output and bill it beyond `max_tokens`, as no emulated API does.
    """
    models = [(provider, model) for provider, model in BOOK.models() if BOOK.knows(model, provider=provider)]
    return [(provider, model) for provider, model in models if "sonar" not in model]


@cache
def tiers(provider, model):
    """Those that have a price: one that has none is refused."""
    return [tier for tier in TIERS if BOOK.quote(model, provider=provider, service_tier=tier).card]


def drawn_up_to(most, data):
    """A number up to `most`, which it is most often."""
    return data.draw(st.sampled_from([most, most, most, most // 2, 0]) | st.integers(0, most))


class Asked:
    """A request in one provider's JSON, and what its turn says of it at the gate."""

    def __init__(self, data, provider, model):
        self.provider, self.model, self.data = provider, model, data
        anthropic = "claude" in model
        self.dialect = anthropic_messages if anthropic else data.draw(st.sampled_from([openai_chat, openai_responses]))
        self.ttl = data.draw(st.sampled_from(["", "5m", "1h"])) if anthropic else ""
        self.tier = "" if anthropic else data.draw(st.sampled_from(tiers(provider, model)))
        self.window, self.most = BOOK.limits(model, provider)
        self.max_tokens = data.draw(st.sampled_from([1, 64, 4_096, 64_000]))
        self.knows = data.draw(st.sampled_from(["prompt", "count", "number", *(["window"] * bool(self.window))]))
        self.names_output = not self.most or data.draw(st.booleans())
        self.stream = data.draw(st.booleans())
        self.uses_tools = data.draw(st.booleans())

    def body(self):
        said = self.data.draw(st.text(min_size=1, max_size=10)) * self.data.draw(st.sampled_from([1, 1_000, 40_000]))
        text = {"type": "text", "text": said}
        if self.ttl:
            text["cache_control"] = TTLS[self.ttl]
        tool = {"name": "look", "description": "Look", "parameters": {"type": "object", "properties": {}}}
        body = {"model": self.model, "stream": self.stream, "messages": [{"role": "user", "content": [text]}]}
        if self.dialect is openai_responses:
            body["input"] = [{"role": "user", "content": [text | {"type": "input_text"}]}]
            del body["messages"]
        elif self.dialect is openai_chat:
            body["stream_options"] = {"include_usage": True}
        if self.uses_tools:
            body["tools"] = [tool]
        limit = "max_output_tokens" if self.dialect is openai_responses else "max_tokens"
        if self.names_output or self.dialect is anthropic_messages:
            body[limit] = self.max_tokens
        return body | ({"service_tier": self.tier} if self.tier else {})

    def request(self, body):
        """As `ctx.turn` makes it, once its prompt is counted."""
        request = hc.TurnRequest(
            model=self.model, provider=self.provider, service_tier=self.tier,
            max_tokens=self.max_tokens if self.names_output else 0,
        )  # fmt: skip
        if self.knows == "number":
            self.input_max = self.data.draw(st.sampled_from([1, 128_001, 200_001, 272_001, 900_000]))
            return replace(request, input_tokens=self.input_max)
        if self.knows == "window":
            self.input_max = self.window
            return request
        counted = self.data.draw(st.sampled_from([1, 900, 39_000, 300_000]))
        prompt = PromptCount(body, None, (lambda: {"input_tokens": counted}) if self.knows == "count" else None)
        request = anyio.run(prompt.counted, prompt.described(request))
        self.input_max = self.read_by_the_model(body, counted)
        return request

    def read_by_the_model(self, body, counted):
        """What it counts of the prompt at most: a token for each byte of text, or what somebody counted, and a bit."""
        (message,) = body.get("messages") or body["input"]
        text = message["content"][0]["text"]
        if can_count_tokens(self.model, self.provider):
            return hc.count_tokens(text, self.model)
        of_bytes = len(text.encode())
        return min(of_bytes, counted + counted // 20) if self.knows == "count" else of_bytes


def split(whole, kinds, data):
    """Each of the kinds as a share of the whole: all of it one kind, as it is most often, or some of each."""
    if data.draw(st.integers(0, 2)):
        chosen = data.draw(st.sampled_from(["rest", *kinds]))
        return {kind: whole if kind == chosen else 0 for kind in kinds}
    counts = {}
    for kind in kinds:
        counts[kind] = data.draw(st.integers(0, whole))
        whole -= counts[kind]
    return counts


def drawn_usage(asked, request, data):
    """Whatever a provider may count for it: at most what was said, of any kind that was asked for."""
    is_claude, is_chat = asked.dialect is anthropic_messages, asked.dialect is openai_chat
    output_max = BOUNDS.fitted(request).max_tokens if asked.names_output else asked.most
    input_tokens, output_tokens = drawn_up_to(asked.input_max, data), max(drawn_up_to(output_max, data), 1)
    # Claude writes what it is asked to, of which a number says nothing; others write unasked.
    ttl = asked.ttl if request.cache_write is not None else "1h"
    inputs = ["cache_read_tokens"]
    inputs += ["cache_write_tokens"] if not is_claude or ttl else []
    inputs += ["cache_write_1h_tokens"] if is_claude and ttl == "1h" else []
    inputs += ["input_audio_tokens"] if is_chat and not request.is_text else []
    outputs = ["reasoning_tokens", *(["output_audio_tokens"] if is_chat else [])]
    counts = split(input_tokens, inputs, data) | split(output_tokens, outputs, data)
    counts["cache_write_tokens"] = counts.get("cache_write_tokens", 0) + counts.get("cache_write_1h_tokens", 0)
    return hc.Usage(input_tokens, output_tokens, **counts)


def settled(asked, body, usage, data):
    """(what the turn is settled at, what the emulator bills, in nano-USD and in tokens)"""
    call = asked.dialect.read(json.dumps(body).encode(), Place())
    behaviour = Behaviour(
        text=data.draw(st.sampled_from([None, "", "word " * 40])),
        tool_calls=(ToolCall("look", {"where": "there"}),) if asked.uses_tools else (),
        usage=usage,
        service_tier=data.draw(st.sampled_from([asked.tier, "default"])) if asked.tier else "",
        model=data.draw(st.sampled_from(["", DATED_MODELS.get(asked.model, "")])),
    )
    made = generate(call, behaviour, request_id="1", created_s=0)
    if call.stream:
        seen = UsageStream()
        frames = asked.dialect.stream(made)
        for frame in (*frames.opening, *frames.chunks, *frames.closing):
            for line in frame.decode().splitlines():
                if line.startswith("data: {"):
                    seen.observe(json.loads(line.removeprefix("data: ")))
        reading = seen.reading()
    else:
        reading = read_usage(asked.dialect.answer(made))
    cost = BOOK.price_reading(reading, model=asked.model, provider=asked.provider, at_ns=CLOCK.now_ns())
    billed = billed_usage(made, behaviour)
    table = BOOK.price(
        made.model, billed, provider=asked.provider, service_tier=made.service_tier, at_ns=CLOCK.now_ns()
    )
    return cost, table, reading.usage.total_tokens


def check(data, provider, model):
    asked = Asked(data, provider, model)
    body = asked.body()
    request = asked.request(body)
    hold = BOUNDS.of(request, ("usd", "tokens"))
    usage = drawn_usage(asked, request, data)
    cost, table, total = settled(asked, body, usage, data)
    facts = (request, usage, cost, table)
    assert cost.nanousd is not None, facts
    assert hold["usd"] >= max(cost.nanousd, table.nanousd or 0), facts
    assert hold["tokens"] >= total == usage.total_tokens, facts


@fuzz
@given(data=st.data(), named=st.sampled_from(KNOWN))
def test_the_models_that_are_asked_most_are_never_billed_above_their_holds(data, named):
    """Over shapes, tiers, cache writes, long contexts, reasoning, sound and tool calls, streamed or not."""
    check(data, *named)


@fuzz
@given(data=st.data())
def test_no_listed_model_is_billed_above_its_hold(data):
    """The same for any model that has a price, at any host."""
    check(data, *data.draw(st.sampled_from(listed())))
