"""`hivecost price --jsonl`: calls in, a JSON line each; what they cost out, a JSON line each."""

from __future__ import annotations

import os
import stat
import sys
from collections.abc import Callable, Iterator
from contextlib import contextmanager
from typing import TYPE_CHECKING, Annotated, Any, BinaryIO, Final

import typer

from hivecost.cli.options import DEFAULT_DATA, DataOption, PricesOption
from hivecost.cli.pipes import is_output_left

if TYPE_CHECKING:
    from hivecost.pricing import PriceBook

_CHUNK_BYTES: Final = 2**18
#: No call is longer; a file that is no JSON lines at all must not fill the memory.
LINE_BYTES_MAX: Final = 2**24

#: Told the bytes and the lines that were read.
_Advance = Callable[[int, int], None]


def price(
    *,
    jsonl: Annotated[bool, typer.Option("--jsonl", help="Calls come on stdin, one JSON object a line.")],
    prices: PricesOption = None,
    data: DataOption = DEFAULT_DATA,
) -> None:
    """Price calls from stdin, one JSON object a line, to stdout: line N of the output is line N of the input.

    A call looks like {"provider": "openai", "model": "gpt-4o", "usage": {"input_tokens": 1200, "output_tokens": 300}},
    with the provider's own payload as "raw_usage" instead of "usage" if you like; "timestamp", "service_tier",
    "batch", "reported_cost_usd" and "id" are optional. A line that is no call gives one whose status is `invalid`, and
    keys that are none of these are named in "ignored".
    """
    from hivecost.backends import open_price_book  # noqa: PLC0415  # `hivecost --help` is quicker without

    book = open_price_book(data, prices)
    if sys.stdin.isatty():
        typer.echo("Reading calls from the terminal, one JSON object a line; Ctrl-D ends.", err=True)
    with _progress() as advance:
        for batch in line_batches(sys.stdin.buffer):
            sys.stdout.buffer.write(b"".join(_priced(line, book) for line in batch))
            sys.stdout.buffer.flush()
            if is_output_left():
                return
            advance(sum(len(line) + 1 for line in batch if line is not None), len(batch))


def line_batches(stream: BinaryIO) -> Iterator[list[bytes | None]]:
    """Yield the lines that can be had without waiting, again and again; None stands for one above LINE_BYTES_MAX.

    Whoever writes one call and waits for its answer gets it; whoever pipes a file is served in blocks.
    """
    rest, too_long = b"", False
    read = getattr(stream, "read1", stream.read)
    while chunk := read(_CHUNK_BYTES):
        *whole, rest = (rest + chunk).split(b"\n")
        lines: list[bytes | None] = [line if len(line) <= LINE_BYTES_MAX else None for line in whole]
        if lines and too_long:
            lines[0], too_long = None, False
        if len(rest) > LINE_BYTES_MAX:
            rest, too_long = b"", True
        if lines:
            yield lines
    if rest or too_long:
        yield [None if too_long else rest]


def _priced(line: bytes | None, book: PriceBook) -> bytes:
    from hivecost.pricing import price_line  # noqa: PLC0415  # as above

    if line is None:
        priced = price_line(b"", book) | {"reason": f"longer than {LINE_BYTES_MAX:,} bytes"}
    else:
        priced = price_line(line, book)
    return _to_json(priced) + b"\n"


def _to_json(priced: dict[str, Any]) -> bytes:
    import json  # noqa: PLC0415  # as above

    try:
        return json.dumps(priced, allow_nan=False).encode()
    except (ValueError, RecursionError):  # an id such as NaN, which Python reads and JSON does not know
        return json.dumps(priced | {"id": None}, allow_nan=False).encode()


@contextmanager
def _progress() -> Iterator[_Advance]:
    """Show a bar on stderr while it is a terminal and the lines go elsewhere."""
    if not sys.stderr.isatty() or sys.stdout.isatty():
        yield lambda _bytes, _lines: None
        return
    from hivecost.cli.render import pricing_progress  # noqa: PLC0415  # as above

    with pricing_progress(_stdin_bytes()) as advance:
        yield advance


def _stdin_bytes() -> int | None:
    """Return how many bytes are coming, where that can be known."""
    status = os.fstat(sys.stdin.fileno())
    return status.st_size if stat.S_ISREG(status.st_mode) else None
