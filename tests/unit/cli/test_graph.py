"""`hivecost graph show`: what is in force for each node, and who says so."""

from __future__ import annotations

import json

import pytest

FILE = """
[graph]
id = "research"

[graph.loop_config]
max_history_tokens = 128_000
max_iterations = 100

[[graph.nodes]]
id = "researcher"
model = "gpt-4o"
loop_config = { max_history_tokens = "unlimited", compact_to = 0.3 }

[[graph.nodes]]
id = "[red]writer"
"""


@pytest.fixture
def config_file(tmp_path):
    path = tmp_path / "hivecost.toml"
    path.write_text(FILE)
    return path


def test_a_line_for_each_value_that_somebody_says(hivecost, config_file):
    status, out, _ = hivecost("graph", "show", str(config_file))
    assert status == 0
    assert [line.split() for line in out.splitlines() if line.strip()][3:] == [
        ["researcher", "max_history_tokens", "unlimited", "node"],
        ["max_iterations", "100", "graph"],
        ["compact_to", "0.3", "node"],
        ["[red]writer", "max_history_tokens", "128,000", "graph"],
        ["max_iterations", "100", "graph"],
        ["(any", "other)", "max_history_tokens", "128,000", "graph"],
        ["max_iterations", "100", "graph"],
    ]


def test_all_of_it_has_the_defaults(hivecost, config_file):
    _, out, _ = hivecost("graph", "show", str(config_file), "--all")
    assert ["turns_ahead", "5", "default"] in [line.split() for line in out.splitlines()]


def test_other_programs_read_every_value_and_its_origin(hivecost, config_file):
    _, out, _ = hivecost("graph", "show", str(config_file), "--json")
    researcher, writer = json.loads(out)["nodes"]
    assert (researcher["id"], researcher["model"], writer["id"]) == ("researcher", "gpt-4o", "[red]writer")
    assert researcher["loop_config"]["max_history_tokens"] == {"value": None, "from": "node"}
    assert writer["loop_config"]["max_history_tokens"] == {"value": 128_000, "from": "graph"}
    assert writer["loop_config"]["on_limit"] == {"value": "stop", "from": "default"}


@pytest.mark.parametrize("text", [None, "", "[graph.loop_config]\nmax_iterations = 0"])
def test_a_file_without_a_graph_or_with_a_wrong_one_is_named(hivecost, tmp_path, text):
    path = tmp_path / "other.toml"
    if text is not None:
        path.write_text(text)
    status, out, error = hivecost("graph", "show", str(path))
    assert (status, out) == (2, "")
    assert str(path) in error
