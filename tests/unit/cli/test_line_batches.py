"""Lines come out of a stream whole, in order and bounded, however it is cut."""

from __future__ import annotations

import io

from hypothesis import given
from hypothesis import strategies as st

from hivecost.cli import price


class Trickle(io.RawIOBase):
    """Gives its content in pieces of the sizes it is told, as a pipe does."""

    def __init__(self, content: bytes, sizes: list[int]) -> None:
        self._rest, self._sizes = content, iter(sizes)

    def read(self, size=-1):
        size = min(size, next(self._sizes, size))
        piece, self._rest = self._rest[:size], self._rest[size:]
        return piece


@given(st.lists(st.binary(max_size=12).filter(lambda line: b"\n" not in line)), st.booleans(), st.data())
def test_lines_are_what_stands_between_newlines(lines, ended, data):
    """Every cut of the stream gives the same lines; the last one needs no newline."""
    content = b"\n".join(lines) + (b"\n" if ended and lines else b"")
    sizes = data.draw(st.lists(st.integers(1, 5)))
    expected = content.split(b"\n")[:-1] if content.endswith(b"\n") else content.split(b"\n")
    if not content:
        expected = []
    assert [line for batch in price.line_batches(Trickle(content, sizes)) for line in batch] == expected


def test_a_line_beyond_the_limit_is_not_kept(monkeypatch):
    """It is counted as one line, its neighbours stay whole, and no more than the limit is ever held."""
    monkeypatch.setattr(price, "LINE_BYTES_MAX", 4)
    content = b"ab\n" + b"x" * 1000 + b"\ncd\nefghi\nj"
    for sizes in ([], [1] * 2000, [3] * 2000):
        batches = price.line_batches(Trickle(content, sizes))
        assert [line for batch in batches for line in batch] == [b"ab", None, b"cd", None, b"j"]
    assert [line for batch in price.line_batches(Trickle(b"x" * 99, [])) for line in batch] == [None]


def test_what_is_there_is_answered_before_more_comes():
    """A caller who writes one line and waits has it before the stream ends."""
    batches = price.line_batches(Trickle(b"one\ntwo\n", [4, 4]))
    assert next(batches) == [b"one"]
