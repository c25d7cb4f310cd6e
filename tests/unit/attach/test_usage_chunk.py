"""Streams without the chunk that is there because usage was asked for."""

from __future__ import annotations

import json
from collections.abc import Callable

import pytest

pytestmark = pytest.mark.usefixtures("hook_path")

CHUNK = {"id": "1", "choices": [{"index": 0, "delta": {"content": 'say "usage": {'}}], "usage": None}
TEXT = b": ping\n\ndata: " + json.dumps(CHUNK).encode() + b"\n\n"
OURS = b'event: chunk\ndata: {"id": "1", "choices": [],\ndata: "usage": {"prompt_tokens": 1}}\n\n'
DONE = b"data: [DONE]"


@pytest.fixture
def filtered() -> Callable[[list[bytes]], bytes]:
    from hivecost_hook.usage_chunk import UsageChunkFilter

    def run(pieces: list[bytes]) -> bytes:
        chunks = UsageChunkFilter()
        return b"".join([*map(chunks.feed, pieces), chunks.close()])

    return run


@pytest.mark.parametrize("line_end", [b"\n", b"\r\n", b"\r"])
def test_it_is_taken_out_wherever_its_bytes_are_cut(filtered: Callable[[list[bytes]], bytes], line_end: bytes) -> None:
    """And all others pass as they came."""
    stream = (TEXT + OURS + TEXT + DONE).replace(b"\n", line_end)
    expected = (TEXT + TEXT + DONE).replace(b"\n", line_end)
    for cut in range(len(stream)):
        assert filtered([stream[:cut], stream[cut:]]) == expected
    assert filtered([bytes([byte]) for byte in stream]) == expected


@pytest.mark.parametrize(
    "data",
    [
        b"",
        b"no event",
        b'data: {"choices": [], "usage": {}}\n\n',
        b'data: {"choices": [], "usage": {"a": \n\n',
        b'data: [{"choices": [], "usage": {"a": 1}}]\n\n',
        b'data: {"usage": {"a": 1}}\n\n',
        b'data: {"choices": [1], "usage": {"a": 1}}\n\n',
        b'data: {"usage": {"a": ' + b"[" * 100_000 + b"\n\n",
    ],
)
def test_anything_else_passes(filtered: Callable[[list[bytes]], bytes], data: bytes) -> None:
    """What is no chunk, and what has choices or no usage."""
    assert filtered([data]) == data


def test_an_event_without_end_passes(filtered: Callable[[list[bytes]], bytes]) -> None:
    """It is not kept for ever."""
    from hivecost_hook.usage_chunk import UsageChunkFilter

    chunks = UsageChunkFilter()
    passed = sum(len(chunks.feed(b"x" * 2**20)) for _ in range(20))
    assert passed == 20 * 2**20
