"""`hivecost prices` and `hivecost price`, as a user runs them; rates come from a server on the loopback."""

from __future__ import annotations

import json
import os
import pty
import re
import subprocess
import sys
import threading
from http.server import BaseHTTPRequestHandler, ThreadingHTTPServer

import pytest
from typer.testing import CliRunner

import hivecost as hc
from hivecost.backends.sqlite import save_rates
from hivecost.cli import app

COMMAND = [sys.executable, "-m", "hivecost"]
CALL = {"provider": "openai", "model": "gpt-4o", "timestamp": "2026-01-01T00:00:00Z", "usage": {"input_tokens": 1000}}
PARTS = {"input_usd", "output_usd", "cached_usd", "written_usd", "reasoning_usd", "fee_usd"}
KEYS = {"status", "cost_usd", *PARTS, "model", "rate_source", "snapshot"}


def catalog(models: int = 100, usd: float = 1.0) -> bytes:
    """Models of a few providers, 50 each."""
    providers = []
    for first in range(0, models, 50):
        listed = [
            {
                "id": f"acme-{number}",
                "match": {"equals": f"acme-{number}"},
                "prices": {"input_mtok": {"base": usd, "tiers": [{"start": 1000, "price": 2 * usd}]}, "output_mtok": 3},
            }
            for number in range(first, min(first + 50, models))
        ]
        match = {"or": [{"equals": model["id"]} for model in listed]}
        name = f"acme{first}"
        providers.append({"id": name, "name": name, "api_pattern": "x", "model_match": match, "models": listed})
    return json.dumps(providers).encode()


class Published:
    """What the server answers with; `/moved` leads to it."""

    def __init__(self) -> None:
        self.content, self.status, self.announced = catalog(), 200, None
        self.requests = 0

    def handler(self) -> type[BaseHTTPRequestHandler]:
        published = self

        class Handler(BaseHTTPRequestHandler):
            def do_GET(self):
                published.requests += 1
                if self.path == "/moved":
                    self.send_response(302)
                    self.send_header("Location", "/data.json")
                    self.send_header("Content-Length", "0")
                    self.end_headers()
                    return
                self.send_response(published.status)
                self.send_header("Content-Length", str(published.announced or len(published.content)))
                self.end_headers()
                self.wfile.write(published.content)

            def log_message(self, *_):
                pass

        return Handler


@pytest.fixture
def published():
    published = Published()
    with ThreadingHTTPServer(("127.0.0.1", 0), published.handler()) as server:
        published.url = f"http://127.0.0.1:{server.server_port}"
        thread = threading.Thread(target=server.serve_forever)
        thread.start()
        yield published
        server.shutdown()
        thread.join()


@pytest.fixture
def updated(base_path):
    """The data folder after an update to a small catalog; gives the file."""
    save_rates(base_path, catalog())
    return base_path / "prices" / "current.json"


@pytest.fixture
def prices(base_path):
    """`hivecost prices …` on the data folder; gives (exit status, stdout, the error)."""

    def prices(*arguments, status=0):
        done = CliRunner().invoke(app, ["prices", *arguments, "--data", str(base_path)])
        problem = str(done.exception) if isinstance(done.exception, hc.HiveCostError) else ""
        assert done.exit_code == status, done.output + problem
        return done.stdout + problem

    return prices


def test_an_update_is_used_by_every_command_and_by_the_runtime(published, prices, base_path):
    """Fetched once, kept, and from then on the rates in use; only `update` asked the network."""
    published.content = catalog(1200)  # enough to stand against the shipped ones
    shown = prices("update", "--yes", "--from", f"{published.url}/moved")
    assert re.search(r"… and \d,\d{3} more", shown)  # it lacks the shipped models
    assert len(shown.splitlines()) < 30
    assert "1,200 models" in shown
    assert "acme-7" in prices("show", "acme-7")
    listed = json.loads(prices("list", "--json"))
    assert len({row["model"] for row in listed["rates"]}) == 1200
    assert listed["snapshot"] == hc.AgentRuntime(base_path).prices.snapshot
    assert hc.AgentRuntime(base_path).prices.price("acme-7", hc.Usage(input_tokens=1)).nanousd == 1000
    assert published.requests == 2  # the address that moved, and the one it moved to


def test_a_second_update_keeps_the_first_and_diff_compares_them(published, prices, updated):
    """What changed is shown rate by rate; the same again is nothing new."""
    assert "Nothing new" in prices("update", "--from", published.url)
    published.content = catalog(99, usd=1.5)
    assert "acme-99: input has no price any more" in prices("update", "--yes", "--from", published.url)
    changes = {
        (change["model"], change["above"], change["unit"]): (change["before"], change["after"])
        for change in json.loads(prices("diff", "--json"))
    }
    assert changes["acme-7", 0, "input"] == ("1", "1.5")
    assert changes["acme-7", 1000, "input"] == ("2", "3")
    assert changes["acme-99", 0, "output"] == ("3", "")
    assert ("acme-7", 0, "output") not in changes
    assert "acme-99" in prices("diff")
    updated.write_bytes(b"damaged")
    assert "hivecost prices update" in prices("diff", status=1)


def test_without_an_update_nothing_differs(prices):
    """The shipped rates are in use."""
    assert json.loads(prices("diff", "--json")) == []
    assert "nothing was updated" in prices("diff")


@pytest.mark.parametrize(
    ("fault", "reason"),
    [
        ({"status": 500}, "500"),
        ({"status": 404}, "404"),
        ({"announced": 10**6}, "without sending complete message"),
        ({"content": b"<html>not here</html>"}, "not genai-prices' data"),
        ({"content": catalog()[:-100]}, "not genai-prices' data"),
        ({"content": b""}, "not genai-prices' data"),
        ({"content": catalog(49)}, "fewer than half"),
        ({"content": catalog(100, usd=1000)}, "ten times more"),
    ],
)
def test_an_update_that_fails_changes_nothing_and_says_why(published, prices, updated, fault, reason):
    """The rates in use stay, byte by byte."""
    before = updated.read_bytes()
    for name, value in fault.items():
        setattr(published, name, value)
    shown = prices("update", "--from", published.url, status=1)
    assert reason in shown
    assert published.url in shown
    assert "Nothing was changed" in shown
    assert updated.read_bytes() == before
    assert [file.name for file in updated.parent.iterdir()] == ["current.json"]


def changed(**models):
    """The catalog with these prices of models of the first provider; None takes a model out."""
    providers = json.loads(catalog())
    listed = {model["id"]: model for model in providers[0]["models"]}
    for number, prices in models.items():
        name = f"acme-{number.removeprefix('m')}"
        if prices is None:
            del listed[name]
        else:
            listed[name]["prices"] = prices
    providers[0]["models"] = list(listed.values())
    return json.dumps(providers).encode()


@pytest.mark.parametrize(
    ("content", "said"),
    [
        (changed(m7={"input_mtok": 0, "output_mtok": 0}), "acme0 acme-7: input is free, it was $0.2000"),
        (changed(m7={"input_mtok": 1, "output_mtok": 0}), "acme0 acme-7: output is free"),
        (changed(m7={"input_mtok": 1}), "acme0 acme-7: output is free"),
        (changed(m7={"input_mtok": 1, "output_mtok": 9.1}), "acme0 acme-7: output is $0.9100, it was $0.3000"),
        (changed(m7={"input_mtok": 0.3, "output_mtok": 3}), "acme0 acme-7: input is $0.0300, it was $0.2000"),
        (changed(m7={"input_mtok": 1, "output_mtok": 3, "cache_read_mtok": 0}), "acme0 acme-7: cache_read is free"),
        (changed(m7=None), "acme0 acme-7: input has no price any more"),
    ],
)
def test_prices_that_change_more_than_is_usual_need_a_word(published, prices, updated, content, said):
    """One model is enough; without `--yes`, and nobody there to ask, nothing is changed and the status is 1."""
    published.content, before = content, updated.read_bytes()
    shown = prices("update", "--from", published.url, status=1)
    assert said in shown
    assert "--yes" in shown
    assert updated.read_bytes() == before
    assert said in prices("update", "--yes", "--from", published.url)
    assert updated.read_bytes() == content


@pytest.mark.parametrize(("answer", "taken"), [(b"y\n", True), (b"n\n", False), (b"\n", False), (b"\x04", False)])
def test_at_a_terminal_it_asks(updated, base_path, tmp_path, answer, taken):
    """Anything but yes is no."""
    table, before = tmp_path / "table.json", updated.read_bytes()
    table.write_bytes(changed(m7=None))
    keyboard, terminal = pty.openpty()
    os.write(keyboard, answer)
    done = subprocess.run(
        [*COMMAND, "prices", "update", "--from", str(table), "--data", str(base_path)],
        stdin=terminal,
        capture_output=True,
        text=True,
        check=False,
        timeout=60,
    )
    for end in (keyboard, terminal):
        os.close(end)
    assert "Use these rates?" in done.stdout
    assert (done.returncode, updated.read_bytes() != before) == (0 if taken else 1, taken)


def test_a_server_that_cannot_be_reached_is_named(prices, base_path):
    """And no folder is made for nothing."""
    assert "http://127.0.0.1:1/x: " in prices("update", "--from", "http://127.0.0.1:1/x", status=1)
    assert "nowhere.json: No such file" in prices("update", "--from", "nowhere.json", status=1)
    assert not base_path.exists()


def test_show_tells_tiers_steps_dates_and_the_users_own(prices, tmp_path):
    """What a model costs, at which moment, and from which table."""
    table = tmp_path / "own.toml"
    table.write_text('[prices."gpt-4o"]\ninput = 1.25\noutput = 2\n')
    march = prices("show", "claude-sonnet-4-6", "--at", "2026-03-12")
    assert "200,000" in march
    assert "until 2026-03-13" in march
    assert "200,000" not in prices("show", "claude-sonnet-4-6", "--at", "2026-03-13")
    (own,) = json.loads(prices("show", "gpt-4o", "--prices", str(table), "--json"))["rates"]
    assert (own["source"], own["rates"]) == ("user", {"input": "1.25", "output": "2"})
    assert "did you mean 'gpt-4o'" in prices("show", "gpt-4oo", status=1)
    assert "does not match" in CliRunner().invoke(app, ["prices", "show", "gpt-4o", "--at", "noon"]).output
    assert "is openai/gpt-4o" in prices("show", "openrouter/openai/gpt-4o-2024-08-06")
    assert "input" in prices("list", "--provider", "openai")
    assert "--provider: expected one of anthropic, " in prices("list", "--provider", "nobody", status=1)


def priced(stdin: bytes, *arguments: str) -> list[dict]:
    done = subprocess.run(
        [*COMMAND, "price", "--jsonl", *arguments], input=stdin, capture_output=True, check=True, timeout=60
    )
    assert done.stderr == b""  # no terminal, no progress
    return [json.loads(line) for line in done.stdout.splitlines()]


def test_line_n_out_is_line_n_in():
    """Bad lines, empty ones, CRLF, a byte order mark, broken UTF-8 and a missing last newline: the run goes on."""
    good = json.dumps(CALL).encode()
    lines = [b"\xef\xbb\xbf" + good, good + b"\r", b"", b"{", b"\xff\xfe", b'{"id": 7, "model": "nobody"}', b"[" * 9999]
    found = priced(b"\n".join([*lines, b'{"id": NaN}', good]))
    assert [line["status"] for line in found] == [
        *("priced", "priced", "invalid", "invalid", "invalid", "unpriced", "invalid"),
        *("unpriced", "priced"),
    ]
    assert set(found[0]) == KEYS
    assert set(found[3]) == KEYS | {"reason"}
    assert (found[5]["id"], found[7]["id"]) == (7, None)
    assert found[0]["cost_usd"] == "0.002500000"
    assert priced(b"") == []


def test_the_users_table_prices_the_lines(tmp_path):
    """`--prices` wins by exact name; a fault in it is named before anything is read."""
    table = tmp_path / "own.toml"
    table.write_text('[prices."gpt-4o"]\ninput = 1\noutput = 2\n')
    (line,) = priced(json.dumps(CALL).encode(), "--prices", str(table))
    assert (line["cost_usd"], line["rate_source"]) == ("0.001000000", "user")
    table.write_text('[prices."gpt-4o"]\ninput = 1\n')
    done = subprocess.run(
        [*COMMAND, "price", "--jsonl", "--prices", str(table)], capture_output=True, text=True, check=False
    )
    assert (done.returncode, done.stdout) == (2, "")
    assert "own.toml" in done.stderr
    assert "Traceback" not in done.stderr


def test_one_line_is_answered_before_the_next_is_written():
    """A program that asks and waits is not kept waiting for a full block."""
    buffered = {name: value for name, value in os.environ.items() if name != "PYTHONUNBUFFERED"}
    with subprocess.Popen(
        [*COMMAND, "price", "--jsonl"], stdin=subprocess.PIPE, stdout=subprocess.PIPE, env=buffered
    ) as door:
        for number in (1, 2):
            door.stdin.write(json.dumps({**CALL, "id": number}).encode() + b"\n")
            door.stdin.flush()
            assert json.loads(door.stdout.readline())["id"] == number
        door.stdin.close()
        assert door.wait(30) == 0


def test_a_reader_that_has_seen_enough_is_no_error(tmp_path):
    """`… | head -1` ends the run quietly, with status 0."""
    calls = tmp_path / "calls.jsonl"
    calls.write_bytes((json.dumps(CALL).encode() + b"\n") * 5000)
    with (
        calls.open("rb") as stdin,
        subprocess.Popen(
            [*COMMAND, "price", "--jsonl"], stdin=stdin, stdout=subprocess.PIPE, stderr=subprocess.PIPE
        ) as door,
    ):
        door.stdout.readline()
        door.stdout.close()
        assert door.wait(60) == 0
        assert door.stderr.read() == b""


def test_progress_is_shown_to_a_terminal_only(tmp_path):
    """On stderr, while the lines go to a file."""
    calls = tmp_path / "calls.jsonl"
    calls.write_bytes((json.dumps(CALL).encode() + b"\n") * 300)
    terminal, stderr = pty.openpty()
    with calls.open("rb") as stdin, (tmp_path / "priced.jsonl").open("wb") as stdout:
        subprocess.run([*COMMAND, "price", "--jsonl"], stdin=stdin, stdout=stdout, stderr=stderr, check=True)
    os.close(stderr)
    shown = b""
    try:
        while piece := os.read(terminal, 4096):
            shown += piece
    except OSError:  # how Linux says that the other end is closed
        pass
    os.close(terminal)
    assert b"300 lines" in shown
    assert len((tmp_path / "priced.jsonl").read_bytes().splitlines()) == 300
