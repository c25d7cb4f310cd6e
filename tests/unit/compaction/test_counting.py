"""How many tokens a conversation is, and how sure that is."""

from __future__ import annotations

import base64
import json
import struct
from random import Random

import pytest

import hivecost as hc
from hivecost.compaction import counting
from hivecost.compaction.media import MEDIA_TOKENS
from hivecost.pricing.tokenizer import count_text_tokens

HELLO = {"role": "user", "content": "Hello there."}
MORE = {"role": "assistant", "content": "word " * 100}


def test_the_providers_count_is_the_best_one():
    """For exactly what it counted; what is new is estimated on top, and makes the whole an estimate."""
    counter = hc.Counter()
    counter.report([HELLO], 1_000)
    assert counter.count([HELLO]) == hc.ContextCount(1_000, "reported")
    new = hc.Counter().count([MORE]).tokens
    assert counter.count([HELLO, MORE]) == hc.ContextCount(1_000 + new, "estimated")
    assert counter.count([dict(HELLO), dict(MORE)]) == counter.count([HELLO, MORE])  # the same, made anew


def test_what_was_written_anew_is_estimated_by_the_last_ratio():
    """The whole of it."""
    counter = hc.Counter()
    plain = hc.Counter().count([HELLO, MORE]).tokens
    counter.report([HELLO, MORE], 2 * plain)
    changed = [HELLO, {**MORE, "content": "word " * 50}]
    assert counter.count(changed).source == "estimated"
    assert abs(counter.count(changed).tokens - 2 * hc.Counter().count(changed).tokens) <= 2
    assert counter.count([HELLO]).tokens < 2 * plain


def test_what_is_around_the_messages_counts_too():
    """Tools and a system prompt, which are not among them: a compaction makes nothing of them smaller."""
    tools = [{"name": "look", "description": "word " * 400}]
    counter = hc.Counter(around={"tools": tools})
    assert counter.count([]).tokens == 511
    counter.report([HELLO, MORE], 1_300)
    assert 1_000 < counter.count([HELLO]).tokens < 1_300
    with pytest.raises(hc.ContextBudgetError) as raised:
        hc.compact([HELLO, MORE, HELLO], shape="openai_chat", budget=300, count=counter)
    assert raised.value.need > 500


def test_a_message_is_counted_once(monkeypatch):
    """However often it is asked for; one whose content is another is counted again."""
    encoded = []
    monkeypatch.setattr(counting, "_sent", lambda value: encoded.append(value) or b"x" * 40)
    counter, messages = hc.Counter(), [dict(HELLO), dict(MORE)]
    first = counter.count(messages)
    assert counter.count(messages) == first
    assert len(encoded) == 2
    messages[1]["content"] = "short"
    assert counter.count(messages).tokens < first.tokens
    assert len(encoded) == 3


def test_what_is_remembered_has_a_limit():
    """A conversation that is always another one leaves nothing behind."""
    counter = hc.Counter()
    for number in range(2_000):
        counter.count([{"role": "user", "content": f"{number}"}])
    assert len(counter._sizes) < 100


def test_tokens_are_those_of_the_models_own_tokenizer():
    """Where OpenAI publishes it; for others they are estimated by their size."""
    counter = hc.Counter("gpt-5-mini")
    assert counter.count([MORE]) == hc.ContextCount(100 + 1 + 4, "tokenizer")
    call = {"id": "call_0123456789", "type": "function", "function": {"name": "look", "arguments": '{"part": "a"}'}}
    assert counter.count([{"role": "assistant", "content": None, "tool_calls": [call]}]).tokens == 4 + 1 + 6
    assert hc.Counter("claude-sonnet-4-5").count([MORE]).source == "estimated"


#: What tools answer, and how long it is in tokens is not to be told from its size.
SENTENCE = "the parser reads a line of the file and finds that this token has no rule so it raises an error"
WORDS = SENTENCE.split()
KINDS = {
    "english": lambda random: " ".join(random.choices(WORDS, k=random.randint(20, 400))).capitalize() + ".",
    "code": lambda random: "".join(
        f"    def read_{random.randrange(99)}(self, x: int) -> list[str]:\n        return [f'{{x}}'] * {number}\n\n"
        for number in range(random.randint(3, 40))
    ),
    "json": lambda random: json.dumps(
        [{"id": random.randrange(10**9), "ok": number % 2 == 0} for number in range(random.randint(3, 90))]
    ),
    "chinese": lambda random: "".join(
        random.choices("我们读取文件并检查每一行的内容如果出现错误", k=random.randint(20, 400))
    ),
    "base64": lambda random: base64.b64encode(random.randbytes(random.randint(60, 900))).decode(),
}


def billed_by_openai(messages, model):
    """What a chat of OpenAI's counts: its cookbook's rule for messages, and of a call its name and arguments."""
    count = 3  # each reply is primed with three
    for message in messages:
        calls = [call["function"] for call in message.get("tool_calls", ())]
        texts = [message["role"], message["content"] or "", *(text for call in calls for text in call.values())]
        count += 3 + sum(count_text_tokens(text, model) for text in texts)
    return count


def test_counts_by_a_tokenizer_are_near_what_the_provider_counts():
    """In 19 of 20 turns within 1 %, whatever tools answer.

    A conversation grows by a call and its result between two counts of the provider's; a thousand of such turns.
    """
    random, errors = Random(1), []
    for _ in range(40):
        counter = hc.Counter("gpt-5-mini")
        messages = [{"role": "user", "content": KINDS["english"](random)}]
        counter.report(messages, billed_by_openai(messages, "gpt-5-mini"))
        for number in range(25):
            call = {"name": random.choice(WORDS), "arguments": json.dumps({"path": random.choice(WORDS)})}
            calls = [{"id": f"call_{number}", "type": "function", "function": call}]
            kind = random.choice(["english", "english", "english", "code", "json", "chinese", "base64"])
            result = {"role": "tool", "tool_call_id": f"call_{number}", "content": KINDS[kind](random)}
            messages = [*messages, {"role": "assistant", "content": None, "tool_calls": calls}, result]
            billed = billed_by_openai(messages, "gpt-5-mini")
            errors.append(100 * abs(counter.count(messages).tokens / billed - 1))
            counter.report(messages, billed)
    assert len(errors) == 1_000
    assert sorted(errors)[950] <= 1


def test_a_text_that_no_tokenizer_takes_counts_by_its_bytes():
    """A million of one letter, and ten million."""
    for size in (1_000_000, 10_000_000):
        text = {"role": "user", "content": "a" * size}
        assert hc.Counter("gpt-5-mini").count([text]).tokens == size + 4
        assert size / 4 < hc.Counter().count([text]).tokens < size / 4 + 20


@pytest.mark.parametrize(("text", "tokens"), [("a" * 400, 100), ("ż" * 400, 200), ("漢" * 400, 300), ("😀" * 400, 400)])
def test_without_a_tokenizer_bytes_are_what_counts(text, tokens):
    """A quarter of them, and what JSON puts around."""
    assert hc.Counter().count([{"role": "user", "content": text}]).tokens == tokens + 7


@pytest.mark.parametrize(
    "message",
    [
        {"role": "user", "content": "\ud800 half of a pair"},
        {"role": "user", "content": {1, 2}},
        {"role": "user", "content": [float("nan"), 2**90, object()]},
        object(),
        None,
        b"bytes",
    ],
)
def test_what_cannot_be_sent_is_counted_all_the_same(message):
    """By what Python shows of it."""
    assert hc.Counter().count([message]).tokens > 0
    assert hc.Counter("gpt-5-mini").count([message]).source == "tokenizer"


def test_a_nest_without_end_has_one():
    """It is counted as far as anything that is sent goes."""
    nest = []
    nest.append(nest)
    assert hc.Counter().count([{"role": "user", "content": nest}]).tokens > 0


def image(width, height, kind="png"):
    if kind == "gif":
        return b"GIF89a" + struct.pack("<HH", width, height) + b"\0" * 99
    if kind == "jpeg":
        thumbnail = b"\xff\xe1\x00\x10" + b"e" * 14
        frame = b"\xff\xc0\x00\x11\x08" + struct.pack(">HH", height, width) + b"\0" * 99
        return b"\xff\xd8" + thumbnail + frame
    return b"\x89PNG\r\n\x1a\n\0\0\0\rIHDR" + struct.pack(">II", width, height) + b"\0" * 9_000


def image_url(data, **more):
    return {"type": "image_url", "image_url": {"url": "data:image/x;base64," + base64.b64encode(data).decode(), **more}}


@pytest.mark.parametrize(
    ("model", "part", "tokens"),
    [
        # The examples of OpenAI's guide: 1024 x 1024 and 2048 x 4096 at high detail, and any at low.
        ("gpt-4o", image_url(image(1024, 1024)), 765),
        ("gpt-4o", image_url(image(2048, 4096)), 1105),
        ("gpt-4o", image_url(image(4096, 8192), detail="low"), 85),
        ("gpt-4o", {"type": "image_url", "image_url": {"url": "there.png", "detail": "low"}}, 85),
        ("openai/gpt-5", image_url(image(1024, 1024, "gif")), 630),
        # The same guide: 1,024 patches, and 1,452 of an image that is scaled down; each model has its factor.
        ("gpt-4.1-mini", image_url(image(1024, 1024)), 1659),
        ("o4-mini", image_url(image(1800, 2400)), 2498),
        ("gpt-5-nano", {"type": "input_image", "image_url": image_url(image(320, 64, "jpeg"))["image_url"]["url"]}, 50),
        # Anthropic's guide: 200 x 200 is about 54, 1000 x 1000 about 1,334, and no image is more than about 1,600.
        ("claude-sonnet-4-5", "anthropic 200 200", 54),
        ("claude-sonnet-4-5", "anthropic 1000 1000", 1334),
        ("claude-sonnet-4-5", "anthropic 9000 9000", 1600),
    ],
)
def test_images_count_by_their_providers_rule(model, part, tokens):
    """And not by the bytes they are sent as."""
    if isinstance(part, str):
        width, height = map(int, part.split()[1:])
        data = base64.b64encode(image(width, height)).decode()
        part = {"type": "image", "source": {"type": "base64", "media_type": "image/png", "data": data}}
    with_image, without = ({"role": "user", "content": content} for content in ([part], [None]))
    counted, plain = (hc.Counter(model).count([message]).tokens for message in (with_image, without))
    assert counted - plain == tokens


@pytest.mark.parametrize(
    "part",
    [
        image_url(b"no image"),
        {"type": "image_url", "image_url": {"url": "data:image/png;base64,???"}},
        {"type": "image_url", "image_url": {"url": "there.png"}},
        {"type": "image_url", "image_url": None},
        {"type": "image", "source": {"type": "url", "url": "there.png"}},
        {"type": "input_audio", "input_audio": {"data": "A" * 90_000, "format": "wav"}},
        {"type": "document", "source": {"type": "base64", "data": "A" * 90_000}},
    ],
)
def test_what_has_no_rule_is_a_constant(part):
    """Also an image of which nobody can see the size."""
    for model in ("gpt-4o", "claude-sonnet-4-5", "mistral-large", ""):
        with_part, without = ({"role": "user", "content": content} for content in ([part], [None]))
        counted, plain = (hc.Counter(model).count([message]).tokens for message in (with_part, without))
        assert counted - plain == MEDIA_TOKENS


def test_what_only_the_provider_can_read_counts_nothing():
    """Its own count has it; the input of a call is the caller's own, whatever its keys are called."""
    thinking = {"type": "thinking", "thinking": "Plan.", "signature": "s" * 9_000}
    items = [
        {"role": "assistant", "content": [thinking, {"type": "redacted_thinking", "data": "d" * 9_000}]},
        {"type": "reasoning", "id": "rs", "summary": [], "encrypted_content": "e" * 9_000},
        {"type": "compaction", "encrypted_content": "e" * 9_000},
    ]
    assert hc.Counter().count(items).tokens < 100
    call = {"type": "tool_use", "id": "a", "name": "write", "input": {"type": "image", "data": "x" * 9_000}}
    assert hc.Counter().count([{"role": "assistant", "content": [call]}]).tokens > 2_250
