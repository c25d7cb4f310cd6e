"""What results of tools cost when they are sent again: a prompt's bill is shared out, and nothing of it is lost."""

from __future__ import annotations

from typing import Any

import pytest
from hypothesis import given
from hypothesis import strategies as st

from hivecost.compaction import (
    Counter,
    PromptBill,
    PromptLayout,
    ResultPlace,
    carried_results,
    read_conversation,
    shared_out,
)
from hivecost.events import CarriedResults, Cost, CostStatus, Usage

#: Read 400 tokens at 1 nano-USD, wrote 400 at 12, and 200 fresh ones at 10.
USAGE = Usage(1_000, 50, 400, 400)
COST = Cost(
    status=CostStatus.PRICED,
    nanousd=8_000,
    input_nanousd=7_200,
    cached_nanousd=400,
    written_nanousd=4_800,
    output_nanousd=800,
)


def chat(*tools: str, size: int = 400) -> list[dict[str, Any]]:
    messages: list[dict[str, Any]] = [{"role": "user", "content": "Go on."}]
    for number, tool in enumerate(tools):
        call = {"id": f"call_{number}", "type": "function", "function": {"name": tool, "arguments": "{}"}}
        messages.append({"role": "assistant", "content": None, "tool_calls": [call]})
        messages.append({"role": "tool", "tool_call_id": f"call_{number}", "content": "x" * size})
    return messages


def layout_of(messages: list[Any], shape: Any = "openai_chat") -> PromptLayout:
    layout = PromptLayout()
    layout.add(read_conversation(messages, shape), Counter())
    return layout


@st.composite
def bills(draw: st.DrawFn) -> tuple[Usage, Cost]:
    read, written, fresh = (draw(st.integers(0, 10**6)) for _ in range(3))
    parts = [draw(st.integers(0, 10**10)) for _ in range(3)]
    is_known = draw(st.booleans())
    cost = Cost(
        status=CostStatus.PRICED,
        nanousd=sum(parts),
        input_nanousd=sum(parts),
        cached_nanousd=parts[0] if is_known else None,
        written_nanousd=parts[1] if is_known else None,
    )
    return Usage(read + written + fresh, 0, read, written), cost


@st.composite
def layouts(draw: st.DrawFn) -> tuple[list[ResultPlace], float]:
    """Results one after the other, with what stands between them."""
    at, places = draw(st.floats(0, 1_000)), []
    for tool in draw(st.lists(st.sampled_from(["read", "search", ""]), max_size=12)):
        start = at + draw(st.floats(0, 300))
        at = start + draw(st.floats(0, 5_000))
        places.append(ResultPlace(tool, start, at))
    return places, at + draw(st.floats(0, 100))


@given(bill=bills(), layout=layouts())
def test_results_and_the_rest_are_the_prompts_bill(bill, layout):
    """To the nano-dollar and the token, whatever was read, written and fresh; no part is negative."""
    usage, cost = bill
    parts = list(shared_out(*layout, PromptBill(usage, cost)))
    assert len(parts) == len(layout[0]) + 1
    tokens, nanousd = (sum(values) for values in zip(*parts, strict=True))
    assert tokens == usage.input_tokens
    if usage.input_tokens:
        assert nanousd == cost.input_nanousd
    assert all(count >= 0 and amount >= 0 for count, amount in parts)


@given(bill=bills(), layout=layouts(), again=st.integers(0, 12))
def test_what_is_carried_is_the_sum_of_its_results(bill, layout, again):
    places, size = layout
    priced = PromptBill(*bill)
    carried = carried_results(places, size, again, priced)
    parts = list(shared_out(places, size, priced))[:-1][:again]
    assert sum(one.nanousd for one in carried) == sum(nanousd for _, nanousd in parts)
    assert sum(one.tokens for one in carried) == sum(tokens for tokens, _ in parts)
    assert sum(one.results for one in carried) == len(parts)
    assert all(one.old_nanousd <= one.nanousd for one in carried)
    old = parts[: max(0, len(places) - 3)]
    assert sum(one.old_nanousd for one in carried) == sum(nanousd for _, nanousd in old)


def test_what_a_result_costs_is_what_its_place_was_billed_at():
    """Read at the beginning, written behind it, fresh at the end: 100 tokens of each, and one over a border."""
    places = [ResultPlace("a", 0, 100), ResultPlace("b", 350, 450), ResultPlace("c", 900, 1_000)]
    [a, b, c, rest] = shared_out(places, 1_000, PromptBill(USAGE, COST))
    assert (a, b, c) == ((100, 100), (100, 50 + 600), (100, 1_000))
    assert rest == (700, 7_200 - 100 - 650 - 1_000)


def test_places_are_scaled_to_what_the_provider_counted():
    [(tokens, nanousd), _] = shared_out([ResultPlace("a", 0, 10)], 100, PromptBill(USAGE, COST))
    assert (tokens, nanousd) == (100, 100)


def test_of_a_cost_without_its_parts_all_tokens_cost_the_same():
    cost = Cost(status=CostStatus.REPORTED, nanousd=10_000, input_nanousd=9_000)
    [(_, nanousd), _] = shared_out([ResultPlace("a", 0, 100)], 1_000, PromptBill(USAGE, cost))
    assert nanousd == 900


@pytest.mark.parametrize("cost", [None, Cost(status=CostStatus.UNPRICED)])
def test_without_a_cost_there_are_tokens_alone(cost):
    bill = PromptBill(USAGE, cost)
    assert carried_results([ResultPlace("a", 0, 100)], 1_000, 1, bill) == [CarriedResults("a", 1, 100)]
    assert bill.unread(100) is None


def test_what_was_spared_would_have_been_read():
    """At the rate of the beginning: from the cache where anything was read, else as fresh input."""
    assert PromptBill(USAGE, COST).unread(1_000) == 1_000
    fresh = Cost(status=CostStatus.PRICED, nanousd=10_000, input_nanousd=10_000, cached_nanousd=0, written_nanousd=0)
    assert PromptBill(Usage(1_000), fresh).unread(1_000) == 10_000


def test_results_have_their_places_and_tools():
    """The message that holds one is longer than it; what stands for one that was taken out is none."""
    messages = chat("read", "search", "read")
    messages[4] = {**messages[4], "content": "[hivecost: the result of search was taken out, 9 characters]"}
    layout = layout_of(messages)
    assert [place.tool for place in layout.results] == ["read", "read"]
    assert [round(place.end - place.start) for place in layout.results] == [100, 100]
    assert layout.size == Counter().estimate(messages)


def test_a_message_of_anthropics_may_hold_several():
    calls = [{"type": "tool_use", "id": str(n), "name": f"tool_{n}", "input": {}} for n in range(2)]
    results = [{"type": "tool_result", "tool_use_id": str(n), "content": "x" * 400} for n in range(2)]
    messages = [{"role": "assistant", "content": calls}, {"role": "user", "content": results}]
    first, second = layout_of(messages, "anthropic").results
    assert (first.tool, second.tool) == ("tool_0", "tool_1")
    assert first.end == second.start


def test_what_is_added_later_is_as_if_it_had_been_there():
    messages = chat("read", "search", "read")
    layout = layout_of(messages[:3])
    layout.add(read_conversation(messages[3:], "openai_chat"), Counter())
    assert (layout.results, layout.size) == (layout_of(messages).results, layout_of(messages).size)
