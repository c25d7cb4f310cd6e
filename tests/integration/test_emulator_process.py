"""The emulator as a process of its own: its bill outlives it, so that it can be the oracle when others are killed."""

from __future__ import annotations

import signal
import subprocess
import sys
from collections.abc import Iterator
from contextlib import contextmanager
from pathlib import Path
from threading import Event, Thread

import openai
import pytest

from hivecost.testing import Behaviour, read_bill, sum_tokens


@contextmanager
def emulator(*arguments: str) -> Iterator[tuple[subprocess.Popen[str], str]]:
    command = [sys.executable, "-m", "hivecost.testing", *arguments]
    with subprocess.Popen(command, stdout=subprocess.PIPE, stderr=subprocess.PIPE, text=True) as process:
        try:
            assert process.stdout is not None
            yield process, process.stdout.readline().strip()
        finally:
            process.kill()


def say(url: str, text: str) -> int:
    with openai.OpenAI(base_url=f"{url}/v1", api_key="any", max_retries=0, timeout=10) as client:
        answer = client.chat.completions.create(model="gpt-4o", messages=[{"role": "user", "content": text}])
    assert answer.usage is not None
    return answer.usage.total_tokens


@pytest.mark.parametrize("more", [[], ["--fsync"]])
def test_every_answer_seen_is_on_the_bill_after_sigkill(tmp_path: Path, more: list[str]) -> None:
    """Killed while clients talk to it: each answer that any of them got is in the file, exactly once."""
    bill = tmp_path / "bill.jsonl"
    seen: list[int] = []
    enough = Event()
    with emulator("--bill", str(bill), *more) as (process, url):

        def talk() -> None:
            try:
                while True:
                    seen.append(say(url, "word"))
                    if len(seen) >= 20:
                        enough.set()
            except openai.APIConnectionError:
                return

        threads = [Thread(target=talk) for _ in range(4)]
        for thread in threads:
            thread.start()
        assert enough.wait(timeout=30)
        process.send_signal(signal.SIGKILL)
        for thread in threads:
            thread.join(timeout=30)
    entries = read_bill(bill)
    assert len(seen) >= 20
    # At most one request of each thread was billed and not answered.
    assert len(seen) <= len(entries) <= len(seen) + len(threads)
    assert sum_tokens(entries).total_tokens == seen[0] * len(entries)
    assert len({entry.request_id for entry in entries}) == len(entries)


def test_a_bill_goes_on_where_it_was(tmp_path: Path) -> None:
    """A second process with the same file appends; a line torn by a dying writer is not counted."""
    bill = tmp_path / "bill.jsonl"
    for _ in range(2):
        with emulator("--bill", str(bill)) as (_, url):
            say(url, "hello")
    whole = bill.read_bytes()
    assert len(read_bill(bill)) == 2
    bill.write_bytes(whole[:-10])
    assert len(read_bill(bill)) == 1


@pytest.mark.parametrize("number", [signal.SIGINT, signal.SIGTERM])
def test_a_signal_stops_it_cleanly(number: signal.Signals) -> None:
    """It ends with 0 and says nothing, also with a request that hangs."""
    stalled = Behaviour(stall_after_chunks=0).as_header()["x-hivecost-behaviour"]
    with emulator("--behaviour", stalled) as (process, url):
        with pytest.raises(openai.APITimeoutError), _impatient(url) as client:
            client.responses.create(model="gpt-5", input="hello")
        process.send_signal(number)
        assert process.communicate(timeout=20) == ("", "")
        assert process.returncode == 0


def test_nonsense_on_the_command_line_is_explained() -> None:
    """The message names the option and what is wrong with it."""
    command = [sys.executable, "-m", "hivecost.testing", "--behaviour", '{"latency": 1}']
    finished = subprocess.run(command, capture_output=True, text=True, timeout=30, check=False)
    assert finished.returncode == 2
    assert "--behaviour" in finished.stderr
    assert "latency" in finished.stderr


def _impatient(url: str) -> openai.OpenAI:
    return openai.OpenAI(base_url=f"{url}/v1", api_key="any", max_retries=0, timeout=0.3)


def test_dated_models_are_an_option(tmp_path: Path) -> None:
    """`--dated-models` answers and bills short names by those that providers put in their place."""
    bill = tmp_path / "bill.jsonl"
    with emulator("--bill", str(bill), "--dated-models") as (_, url):
        say(url, "hello")
    with emulator("--bill", str(bill)) as (_, url):
        say(url, "hello")
    assert [entry.model for entry in read_bill(bill)] == ["gpt-4o-2024-08-06", "gpt-4o"]
