"""What a loop obeys: a node's own values over its graph's over the defaults, key by key."""

from __future__ import annotations

import pytest
from hypothesis import given
from hypothesis import strategies as st

import hivecost as hc

#: For each key, two values that differ from each other and from the default.
VALUES = {
    "max_history_tokens": (100_000, 128_000),
    "max_iterations": (50, 100),
    "max_tool_calls_per_turn": (1, 10),
    "max_tool_result_tokens": (2_000, 4_000),
    "max_output_tokens": (500, 800),
    "tool_result_budget": (4, 8),
    "context_overflow_strategy": (("keep_recent",), ("summarize", "keep_recent")),
    "compact_to": (0.3, 0.4),
    "keep_tool_results": (1, 5),
    "protected_tools": (("ask",), ("ask", "look")),
    "clear_tool_inputs": (True, True),
    "spill": ("here", "there"),
    "summary_model": ("gpt-5-mini", "same"),
    "summary_share": (0.1, 0.3),
    "turns_ahead": (3, 10),
    "on_limit": ("wind_down", "wind_down"),
}
LIMITS = [key for key in VALUES if key.startswith("max_") or key == "tool_result_budget"]
configs = st.fixed_dictionaries({}, optional={key: st.sampled_from(values) for key, values in VALUES.items()})


def test_every_key_is_tried_here():
    assert {*VALUES} == {*hc.LoopConfig.__struct_fields__}


@given(graph=configs, node=configs)
def test_a_node_comes_before_its_graph_and_both_before_the_default(graph, node):
    """Key by key, and each value says whose it is."""
    spec = hc.GraphSpec(id="g", nodes=[hc.NodeSpec(id="n", loop_config=node)], loop_config=graph)
    rules, defaults = spec.rules("n"), hc.GraphSpec(id="g").rules("n")
    for key in VALUES:
        origin = "node" if key in node else "graph" if key in graph else "default"
        assert rules.origins[key] == origin
        assert rules.value(key) == {"node": node, "graph": graph}.get(origin, {key: defaults.value(key)})[key]


def test_a_node_that_is_not_named_obeys_its_graph():
    assert hc.GraphSpec(id="g", loop_config={"max_iterations": 5}).rules("some node").max_iterations == 5


@pytest.mark.parametrize("key", LIMITS)
def test_unlimited_is_no_limit_whatever_the_graph_says(key):
    graph = hc.GraphSpec(
        id="g",
        loop_config={key: 7},
        nodes=[hc.NodeSpec(id="free", loop_config={key: "unlimited"}), hc.NodeSpec(id="n")],
    )
    assert (graph.rules("free").value(key), graph.rules("free").origins[key]) == (None, "node")
    assert (graph.rules("n").value(key), graph.rules("n").origins[key]) == (7, "graph")


def test_nothing_is_limited_by_default():
    rules = hc.GraphSpec(id="g").rules("n")
    assert [rules.value(key) for key in LIMITS] == [None] * len(LIMITS)
    assert {*rules.origins.values()} == {"default"}


@pytest.mark.parametrize(
    ("values", "key"),
    [
        ({key: value}, key)
        for key, wrong in {
            **dict.fromkeys(LIMITS, (0, -1, True, 2**63, 1.5, "many")),
            "context_overflow_strategy": ("hope", (), ("summarize", "summarize"), 5),
            "compact_to": (0.05, 0.8, "half", True),
            "keep_tool_results": (-1, 1.0),
            "summary_share": (0, 0.9),
            "turns_ahead": (0, 1.5, True),
            "summary_model": (5,),
            "on_limit": ("explode", ""),
        }.items()
        for value in wrong
    ],
)
def test_a_value_that_cannot_be_is_named(values, key):
    with pytest.raises(hc.ConfigError) as raised:
        hc.LoopConfig(**values)
    assert raised.value.key == f"loop_config.{key}"


def test_a_low_water_mark_that_costs_more_than_it_saves_is_refused_with_the_reason():
    """Compacting to just under the budget breaks the prompt's cache at almost each turn."""
    with pytest.raises(hc.ConfigError, match=r"0\.1 to 0\.75: .*cache"):
        hc.LoopConfig(compact_to=0.9)


def test_a_runtime_takes_a_graph_in_python(tmp_path):
    graph = {
        "id": "g",
        "loop_config": {"max_iterations": 3},
        "nodes": [{"id": "n", "loop_config": {"compact_to": 0.3}}],
    }
    rules = hc.AgentRuntime(tmp_path, config={"graph": graph}).config.graph.rules("n")
    assert (rules.max_iterations, rules.compaction.compact_to) == (3, 0.3)
    with pytest.raises(hc.ConfigError, match=r"config\.graph.*GraphSpec"):
        hc.RuntimeConfig(graph={"id": "g"})
