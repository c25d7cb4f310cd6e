"""`hivecost compact`: the request that goes out fits, and stderr says what was done."""

from __future__ import annotations

import io
import json
import sys

import pytest


def messages(results=12):
    found = [{"role": "user", "content": "Go on."}]
    for number in range(results):
        call = {"id": f"call_{number}", "type": "function", "function": {"name": "read", "arguments": "{}"}}
        found.append({"role": "assistant", "content": None, "tool_calls": [call]})
        found.append({"role": "tool", "tool_call_id": f"call_{number}", "content": "word " * 400})
    return found


@pytest.fixture
def request_file(tmp_path):
    path = tmp_path / "request.json"
    path.write_text(json.dumps({"model": "gpt-4o", "messages": messages(), "temperature": 0}))
    return path


def test_a_request_comes_out_with_messages_that_fit(hivecost, request_file):
    status, out, error = hivecost("compact", str(request_file), "--max-tokens", "4700")
    assert status == 0
    request = json.loads(out)
    assert {**request, "messages": None} == {"model": "gpt-4o", "messages": None, "temperature": 0}
    assert len(request["messages"]) == 25
    assert len(json.dumps(request)) < len(request_file.read_text()) / 2
    assert "tokens" in error
    assert error.rstrip().endswith("prune_old_tool_results")


def test_what_fits_comes_out_as_it_was(hivecost, request_file):
    status, out, error = hivecost("compact", str(request_file), "--max-tokens", "300000")
    assert (status, json.loads(out)) == (0, json.loads(request_file.read_text()))
    assert "nothing was changed" in error


def test_strategies_are_tried_in_the_order_they_are_named(hivecost, request_file):
    _, out, error = hivecost("compact", str(request_file), "--max-tokens", "3000", "--strategy", "keep_recent")
    assert len(json.loads(out)["messages"]) < 12
    assert error.rstrip().endswith("keep_recent")


def test_messages_alone_come_from_stdin(hivecost, monkeypatch):
    monkeypatch.setattr(sys, "stdin", io.TextIOWrapper(io.BytesIO(json.dumps(messages()).encode())))
    status, out, _ = hivecost("compact", "-", "--max-tokens", "4700")
    assert (status, len(json.loads(out))) == (0, 25)


@pytest.mark.parametrize(
    ("text", "options", "status", "said"),
    [
        ("no json", (), 2, "JSON"),
        ('"text"', (), 2, "a list of messages"),
        ("[" * 100_000, (), 2, "JSON"),
        (json.dumps(messages()), ("--compact-to", "0.9"), 2, "0.1 to 0.75"),
        (json.dumps(messages()), ("--strategy", "hope"), 2, "keep_recent"),
        (json.dumps([{"role": "user", "content": "word " * 20_000}]), (), 1, "3,000"),
    ],
)
def test_what_cannot_be_done_is_named(hivecost, tmp_path, text, options, status, said):
    path = tmp_path / "file.json"
    path.write_text(text)
    found, out, error = hivecost("compact", str(path), "--max-tokens", "3000", *options)
    assert (found, out) == (status, "")
    assert said in error


def test_a_file_that_is_not_there_is_named(hivecost, tmp_path):
    status, _, error = hivecost("compact", str(tmp_path / "none.json"), "--max-tokens", "4700")
    assert status == 1
    assert "none.json" in error
