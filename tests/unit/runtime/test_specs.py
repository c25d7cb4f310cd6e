"""Settings and specs are checked where they are written down, with the path of what is wrong."""

from __future__ import annotations

import pytest

import hivecost as hc


def test_the_documented_specs_work():
    """A node and a graph with a loop_config given as a dict become LoopConfigs."""
    node = hc.NodeSpec(
        id="researcher", node_type="event_loop", loop_config={"max_history_tokens": 100_000, "max_iterations": 50}
    )
    assert node.loop_config == hc.LoopConfig(max_history_tokens=100_000, max_iterations=50)
    graph = hc.GraphSpec(
        id="research-graph",
        nodes=[node],
        loop_config={"max_history_tokens": 128_000, "max_iterations": 100, "max_tool_calls_per_turn": 10},
    )
    assert graph.loop_config.max_tool_calls_per_turn == 10
    assert graph.nodes == (node,)
    tight = hc.NodeSpec(id="summarizer", loop_config={"context_overflow_strategy": "prune_old_tool_results"})
    assert tight.loop_config.max_history_tokens is None
    assert hc.NodeSpec(id="planner", model="gpt-4o").model == "gpt-4o"


@pytest.mark.parametrize(
    ("make", "path", "expected"),
    [
        (lambda: hc.NodeSpec(id="n", loop_config={"max_iteration": 3}), "NodeSpec 'n'.loop_config", "max_iterations"),
        (lambda: hc.GraphSpec(id="g", loop_config={"max": 3}), "GraphSpec 'g'.loop_config", "max_history_tokens"),
        (
            lambda: hc.NodeSpec(id="n", loop_config={"max_iterations": "fifty"}),
            "NodeSpec 'n'.loop_config.max_iterations",
            "a whole number",
        ),
        (
            lambda: hc.NodeSpec(id="n", loop_config={"max_history_tokens": 0}),
            "NodeSpec 'n'.loop_config.max_history_tokens",
            "1 or more",
        ),
        (
            lambda: hc.NodeSpec(id="n", loop_config={"context_overflow_strategy": "hope"}),
            "NodeSpec 'n'.loop_config.context_overflow_strategy",
            "",
        ),
        (lambda: hc.LoopConfig(max_tool_calls_per_turn=-1), "loop_config.max_tool_calls_per_turn", "1 or more"),
        (lambda: hc.LoopConfig(max_iterations=True), "loop_config.max_iterations", "1 or more"),
        (lambda: hc.LoopConfig(context_overflow_strategy="hope"), "loop_config.context_overflow_strategy", "summarize"),
        (lambda: hc.NodeSpec(id=""), "NodeSpec.id", "not empty"),
        (lambda: hc.GraphSpec(id=None), "GraphSpec.id", "not empty"),
        (lambda: hc.NodeSpec(id="n", loop_config=[1]), "NodeSpec 'n'.loop_config", "a dict"),
        (
            lambda: hc.GraphSpec(id="g", nodes=[hc.NodeSpec(id="n"), hc.NodeSpec(id="n")]),
            "GraphSpec 'g'.nodes",
            "differ",
        ),
    ],
)
def test_a_wrong_key_or_value_is_named_with_its_path(make, path, expected):
    """The error says where it stands, once, and what was expected there."""
    with pytest.raises(hc.ConfigError) as raised:
        make()
    assert raised.value.key == path
    assert expected in raised.value.expected
    assert str(raised.value).count("expected") == 1


def test_a_keyword_nobody_knows_is_an_error():
    """Specs are Structs: an unknown keyword does not pass silently."""
    with pytest.raises(TypeError, match="loop"):
        hc.NodeSpec(id="n", loop={})


@pytest.mark.parametrize(
    ("config", "path"),
    [
        ({"logg": False}, "config"),
        ({"log": "yes"}, "config.log"),
        ({"close_timeout_s": "10"}, "config.close_timeout_s"),
        ({"close_timeout_s": 0}, "config.close_timeout_s"),
        ({"close_timeout_s": float("nan")}, "config.close_timeout_s"),
        ({"cancel_grace_s": -1}, "config.cancel_grace_s"),
        ({"cancel_grace_s": float("inf")}, "config.cancel_grace_s"),
        (["log"], "config"),
    ],
)
def test_a_runtime_refuses_settings_it_cannot_use(tmp_path, config, path):
    """Unknown keys and impossible values are errors with their path when the runtime is made."""
    with pytest.raises(hc.ConfigError) as raised:
        hc.AgentRuntime(tmp_path, config=config)
    assert raised.value.key == path
    assert str(raised.value).count("expected") == 1


def test_settings_may_be_a_struct_or_a_dict(tmp_path):
    """Both spellings mean the same; nothing given means the defaults."""
    config = hc.RuntimeConfig(log=False, close_timeout_s=3)
    assert hc.AgentRuntime(tmp_path, config=config).config == config
    assert hc.AgentRuntime(tmp_path, config={"log": False, "close_timeout_s": 3}).config == config
    assert hc.AgentRuntime(tmp_path).config == hc.RuntimeConfig()
    with pytest.raises(hc.ConfigError, match="cancel_grace_s"):
        hc.RuntimeConfig(cancel_grace_s=0)
