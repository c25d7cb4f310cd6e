"""What the emulator counts and charges, without a wire in between."""

from __future__ import annotations

from pathlib import Path

import msgspec
import pytest
from hypothesis import given
from hypothesis import strategies as st

import hivecost.testing
from hivecost.errors import PriceUnknownError
from hivecost.events import Usage
from hivecost.pricing import PriceBook
from hivecost.testing import (
    DATED_MODELS,
    Behaviour,
    BillEntry,
    TokenRates,
    count_tokens,
    prompt_tokens,
    sum_nanousd,
    sum_tokens,
)
from hivecost.testing.bill import Bill, read_bill
from hivecost.testing.generation import Call, billed_usage, generate
from hivecost.testing.tokens import PROMPT_OVERHEAD_TOKENS, lorem, split_tokens

json_values = st.recursive(
    st.none() | st.booleans() | st.integers() | st.text(),
    lambda inner: st.lists(inner) | st.dictionaries(st.text(), inner),
    max_leaves=20,
)


@st.composite
def usages(draw: st.DrawFn) -> Usage:
    read, written, plain, output = (draw(st.integers(0, 10**6)) for _ in range(4))
    return Usage(
        input_tokens=plain + read + written,
        output_tokens=output,
        cache_read_tokens=read,
        cache_write_tokens=written,
        cache_write_1h_tokens=draw(st.integers(0, written)),
        reasoning_tokens=draw(st.integers(0, output)),
    )


entries = st.builds(
    lambda model, usage, billed: BillEntry(
        request_id="r", flavor="openai.chat", model=model, usage=usage if billed else Usage(), billed=billed
    ),
    st.sampled_from(["a", "b"]),
    usages(),
    st.booleans(),
)


@given(st.text())
def test_the_tokens_of_a_text_are_its_pieces(text: str) -> None:
    """As many pieces as tokens, and joined they are the text."""
    assert len(split_tokens(text)) == count_tokens(text)
    assert "".join(split_tokens(text)) == text


@given(st.integers(0, 5000))
def test_filler_has_exactly_the_tokens_asked_for(tokens: int) -> None:
    """Any number of tokens can be had."""
    assert count_tokens(lorem(tokens)) == tokens


@given(json_values, json_values)
def test_a_prompt_never_shrinks_as_it_grows(first: object, second: object) -> None:
    """More in the prompt never counts less, and an empty one costs the overhead."""
    assert PROMPT_OVERHEAD_TOKENS == prompt_tokens() <= prompt_tokens(first) <= prompt_tokens(first, second)


def test_the_prompts_rule_by_hand() -> None:
    """Eight, and a token for each begun four characters of all values, roles included."""
    assert prompt_tokens([{"role": "user", "content": "abcde"}], None, {"n": 7}) == 8 + 3


@given(
    st.none() | st.text(max_size=300),
    st.none() | usages(),
    st.none() | st.integers(1, 100),
    st.integers(1, 4),
    st.integers(0, 80),
    st.booleans(),
)
def test_a_cut_never_bills_more_than_the_whole(
    text: str | None, usage: Usage | None, max_tokens: int | None, choices: int, cut: int, stream: bool
) -> None:
    """A cut leaves the input as it is and bills at most the whole output; max_tokens bounds what is not scripted."""
    call = Call(model="m", prompt_tokens=10, max_tokens=max_tokens, choices=choices, stream=stream)
    behaviour = Behaviour(text=text, usage=usage, cut_after_chunks=cut)
    made = generate(call, behaviour, request_id="r", created_s=0)
    billed = billed_usage(made, behaviour)
    assert billed.input_tokens == made.usage.input_tokens
    assert billed.output_tokens <= made.usage.output_tokens
    if not stream:
        assert billed == made.usage
    if usage is None and max_tokens is not None:
        assert made.usage.output_tokens <= max_tokens * choices
        assert made.is_cut_short == (count_tokens(text if text is not None else lorem(16)) > max_tokens)


@pytest.mark.parametrize(
    ("behaviour", "is_billed"),
    [
        (Behaviour(), True),
        (Behaviour(status=500), False),
        (Behaviour(status=500, billed=True), True),
        (Behaviour(stall_after_chunks=0, billed=False), False),
    ],
)
def test_errors_are_free_unless_told_otherwise(behaviour: Behaviour, is_billed: bool) -> None:
    """`billed` decides; left open, whatever is no error is charged."""
    made = generate(Call(model="m", prompt_tokens=10), behaviour, request_id="r", created_s=0)
    assert behaviour.is_billed is is_billed
    assert (billed_usage(made, behaviour) == Usage()) is not is_billed


@given(st.lists(entries))
def test_the_sums_by_model_are_the_whole(bill: list[BillEntry]) -> None:
    """Tokens, calls and money over the models add up to those over all; what is not billed is in none."""
    rates = {"a": TokenRates(3, 15, 1, 4, 6), "b": TokenRates.flat(2, 10)}
    whole, parts = sum_tokens(bill), [sum_tokens(bill, model=model) for model in "ab"]
    for name in whole.__struct_fields__:
        assert getattr(whole, name) == sum(getattr(part, name) for part in parts)
    assert whole.calls == sum(entry.billed for entry in bill)
    assert sum_nanousd(bill, rates) == sum(
        sum_nanousd([entry for entry in bill if entry.model == model], rates) for model in "ab"
    )


def test_money_by_hand() -> None:
    """Each kind of token has its rate: 100 plain, 30 read, 20 written for minutes, 50 for an hour, 10 out."""
    usage = Usage(200, 10, cache_read_tokens=30, cache_write_tokens=70, cache_write_1h_tokens=50, reasoning_tokens=4)
    assert TokenRates(3, 15, 1, 4, 6).cost_nanousd(usage) == 300 + 30 + 80 + 300 + 150
    assert TokenRates.flat(3, 15).cost_nanousd(usage) == 600 + 150


def test_a_model_without_a_rate_is_an_error() -> None:
    """Unknown is never zero; but what is not billed needs no rate."""
    billed = BillEntry(request_id="r", flavor="openai.chat", model="new")
    with pytest.raises(PriceUnknownError, match="new"):
        sum_nanousd([billed], {})
    assert sum_nanousd([msgspec.structs.replace(billed, billed=False)], {}) == 0


@given(entries)
def test_a_bill_comes_back_from_its_file(tmp_path_factory: pytest.TempPathFactory, entry: BillEntry) -> None:
    """Every entry, as it was; closing keeps what is in memory."""
    path = tmp_path_factory.mktemp("bill") / "bill.jsonl"
    bill = Bill(path, fsync=True)
    bill.open()
    bill.add(entry)
    bill.add(entry)
    assert read_bill(path) == [entry, entry]
    bill.close()
    assert bill.entries() == [entry, entry]


def test_a_file_that_is_no_bill_is_an_error(tmp_path: Path) -> None:
    """A damaged oracle must not look like a small one."""
    path = tmp_path / "bill.jsonl"
    path.write_text('{"request_id": "r"}\n')
    with pytest.raises(msgspec.DecodeError):
        read_bill(path)


@given(
    st.builds(
        Behaviour,
        text=st.none() | st.text(),
        usage=st.none() | usages(),
        status=st.sampled_from([200, 429, 500]),
        latency_s=st.floats(0, 10),
        usage_override=st.dictionaries(st.text(), st.integers() | st.text()),
    )
)
def test_a_behaviour_travels_in_a_header(behaviour: Behaviour) -> None:
    """As plain ASCII on one line, and comes back the same."""
    (value,) = behaviour.as_header().values()
    assert value.isascii()
    assert value.isprintable()
    assert msgspec.json.decode(value, type=Behaviour) == behaviour


def test_the_public_names_are_sorted_and_there() -> None:
    """`__all__` is what `hivecost.testing` promises."""
    names = hivecost.testing.__all__
    assert names == sorted(names, key=lambda name: (name.lower() == name, name.upper() != name, name))
    assert all(hasattr(hivecost.testing, name) for name in names)


def test_dated_names_have_a_price_of_their_own() -> None:
    """What the emulator answers and bills is what a price book knows, under both names at one price."""
    book, usage = PriceBook(), Usage(1000, 100)
    for name, dated in DATED_MODELS.items():
        assert book.price(dated, usage).nanousd == book.price(name, usage).nanousd is not None
