"""What the emulator charged for: the truth that every other count is held against."""

from __future__ import annotations

import os
import threading
from collections.abc import Iterable, Mapping, Sequence
from pathlib import Path
from typing import BinaryIO

import msgspec

from hivecost.errors import PriceUnknownError
from hivecost.events import Usage


class BillEntry(msgspec.Struct, frozen=True, kw_only=True, omit_defaults=True):
    """One request that reached a model's route."""

    request_id: str
    #: `openai.chat`, `openai.responses`, `openai.embeddings`, `anthropic.messages`, `google.gemini` or
    #: `bedrock.converse`.
    flavor: str
    #: The model that answered; "" when the request could not be read.
    model: str = ""
    #: The tokens charged for; all zero when not billed.
    usage: Usage = Usage()
    status: int = 200
    billed: bool = True
    stream: bool = False
    service_tier: str = ""
    #: The limit on output tokens that the request asked for.
    max_tokens: int | None = None
    #: The request's own `metadata`, and two of its headers.
    metadata: dict[str, str] = msgspec.field(default_factory=dict)
    turn: str = ""
    idempotency_key: str = ""


class BilledTokens(msgspec.Struct, frozen=True, kw_only=True):
    """Sums over billed entries. Input includes the cache, output includes reasoning."""

    calls: int = 0
    input_tokens: int = 0
    output_tokens: int = 0
    cache_read_tokens: int = 0
    cache_write_tokens: int = 0
    cache_write_1h_tokens: int = 0
    reasoning_tokens: int = 0

    @property
    def total_tokens(self) -> int:
        """Input and output tokens together."""
        return self.input_tokens + self.output_tokens


class TokenRates(msgspec.Struct, frozen=True):
    """Nano-USD per token, which is USD per 1M tokens times 1,000."""

    input: int
    output: int
    cache_read: int
    cache_write: int
    cache_write_1h: int

    @classmethod
    def flat(cls, input: int, output: int) -> TokenRates:
        """Return rates at which input costs the same, cached or not."""
        return cls(input, output, input, input, input)

    def cost_nanousd(self, usage: Usage) -> int:
        """Return the cost in nano-USD, each token at the rate of its kind; reasoning is output."""
        plain = usage.input_tokens - usage.cache_read_tokens - usage.cache_write_tokens
        return (
            plain * self.input
            + usage.output_tokens * self.output
            + usage.cache_read_tokens * self.cache_read
            + (usage.cache_write_tokens - usage.cache_write_1h_tokens) * self.cache_write
            + usage.cache_write_1h_tokens * self.cache_write_1h
        )


def sum_tokens(entries: Iterable[BillEntry], *, model: str | None = None) -> BilledTokens:
    """Return the tokens that were billed, for all models or for one."""
    usages = [entry.usage for entry in entries if entry.billed and model in (None, entry.model)]
    sums = {
        name: sum(getattr(usage, name) for usage in usages)
        for name in BilledTokens.__struct_fields__
        if name != "calls"
    }
    return BilledTokens(calls=len(usages), **sums)


def sum_nanousd(entries: Iterable[BillEntry], rates: Mapping[str, TokenRates]) -> int:
    """Return what the entries cost at these rates by model, in nano-USD.

    Raise PriceUnknownError for a billed model that has none.
    """
    total = 0
    for entry in entries:
        if entry.billed and entry.model not in rates:
            raise PriceUnknownError(entry.model, suggestions=tuple(rates))
        if entry.billed:
            total += rates[entry.model].cost_nanousd(entry.usage)
    return total


def read_bill(path: str | Path) -> list[BillEntry]:
    """Return the entries of a bill file, oldest first.

    A last line without its end is left out: its writer died writing, so it never answered.
    Raise msgspec.DecodeError when anything before it is no bill entry.
    """
    lines = Path(path).read_bytes().split(b"\n")[:-1]
    return [msgspec.json.decode(line, type=BillEntry) for line in lines]


class Bill:
    """Entries in memory and, with a path, in a file: one JSON object per line, written before the answer is sent.

    A written line survives the death of the process; with `fsync`, that of the machine. Safe over threads.
    """

    def __init__(self, path: str | Path | None = None, *, fsync: bool = False) -> None:
        self._changed = threading.Condition()
        self._entries: list[BillEntry] = []
        self._path = path
        self._fsync = fsync
        self._file: BinaryIO | None = None

    def open(self) -> None:
        """Make ready to write the file, if there is one; what stands in it stays."""
        if self._path is not None:
            self._file = Path(self._path).open("ab")  # noqa: SIM115  # it lives until close()

    def close(self) -> None:
        """Close the file; the entries stay readable."""
        with self._changed:
            if self._file is not None:
                self._file.close()
                self._file = None

    def add(self, entry: BillEntry) -> None:
        """Return when the entry is kept."""
        with self._changed:
            if self._file is not None:
                self._file.write(msgspec.json.encode(entry) + b"\n")
                self._file.flush()
                if self._fsync:
                    os.fsync(self._file.fileno())
            self._entries.append(entry)
            self._changed.notify_all()

    def wait_for(self, count: int, timeout_s: float) -> bool:
        """Return when there are so many entries; False when they did not come in time."""
        with self._changed:
            return self._changed.wait_for(lambda: len(self._entries) >= count, timeout_s)

    def entries(self) -> Sequence[BillEntry]:
        """Return a copy of what is billed so far, oldest first."""
        with self._changed:
            return list(self._entries)
