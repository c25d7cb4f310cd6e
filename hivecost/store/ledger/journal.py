"""A process's open holds and fresh settlements in a memory-mapped file, which survives SIGKILL.

A slot per hold. Content is written first and its state byte last, so that a slot is there in full or not at all:
what a process has stored is in the page cache, in that order, whatever happens to the process.
After a power loss the file proves nothing. Pages that never reached the disk read as zeros, which no slot is.
"""

from __future__ import annotations

import mmap
import struct
from collections.abc import Iterator, Mapping, Sequence
from pathlib import Path
from typing import Final

import msgspec

from hivecost.ledger import UNITS, Unit
from hivecost.store.private_files import open_private, read_bounded

#: usd, tokens, calls.
Amounts = tuple[int, int, int]
#: A hold's number, when it was made, its amounts, key and accounts.
Content = tuple[int, int, Mapping[Unit, int], bytes, bytes]

_MAGIC: Final = b"hivejrn2"
#: Of 0.1.0, whose free slots are zeros.
_MAGIC_1: Final = b"hivejrn1"
_HEADER: Final = struct.Struct("<8sII")  # magic, slots, accounts per slot
_HEADER_SIZE: Final = 64
_KEY_SIZE: Final = 64
#: A larger one is no journal: a million holds fit in.
_BYTES_MAX: Final = 2**30

# A state byte: free, held, or settled; and flags. An extended hold has its amounts in a second place, so that they too
# change with this one byte.
_FREE: Final = 8
_FREE_1: Final = 0
_HELD: Final = 1
_SETTLED: Final = 2
_EXTENDED: Final = 4
#: Of a hold of which more may be billed than it set aside.
_PARTIAL: Final = 128
#: Of a hold in doubt: which units of its bill are settled, in the order of UNITS.
_PARTS: Final = dict(zip(UNITS, (16, 32, 64), strict=True))

_AMOUNTS: Final = struct.Struct("<3q")
_BILL: Final = struct.Struct("<4q")  # settlement number, amounts
_CONTENT_AT: Final = 8


def key_bytes(key: str | None) -> bytes:
    """A key as the journal keeps it: of a long one only the beginning."""
    return key.encode(errors="replace")[:_KEY_SIZE] if key else b""


def pack_accounts(row_ids: Sequence[int]) -> bytes:
    """The accounts as `Journal` takes them."""
    return struct.pack(f"<{len(row_ids)}q", *row_ids)


class _Layout:
    """Where things stand in a slot of so many accounts."""

    def __init__(self, accounts_max: int) -> None:
        self.content = struct.Struct(f"<5q{_KEY_SIZE}s{8 * accounts_max}s")
        self.accounts = struct.Struct(f"<{accounts_max}q")
        self.bill_at = _CONTENT_AT + self.content.size
        self.extended_at = self.bill_at + _BILL.size
        self.size = self.extended_at + _AMOUNTS.size


class Slot(msgspec.Struct, frozen=True, kw_only=True):
    """What a slot says of a hold."""

    hold_number: int
    at_ns: int
    held: Amounts
    key: str
    is_partial: bool
    #: Rows of the accounts that it counts on.
    accounts: tuple[int, ...]
    #: From 1 on; 0: not settled.
    settlement: int
    billed: Amounts
    #: In which units it is settled: all or none, or some, while its bill in the others is in doubt.
    settled_units: tuple[Unit, ...]


class TornJournalError(Exception):
    """The file is not a journal as one is left behind by a process that died."""


class Journal:
    """The writing end. Not for several threads at once. Raises OSError when there is no room for it."""

    def __init__(self, path: Path, *, holds_max: int, accounts_max: int) -> None:
        self._layout = _Layout(accounts_max)
        self._content = self._layout.content
        size = _HEADER_SIZE + holds_max * self._layout.size
        header = _HEADER.pack(_MAGIC, holds_max, accounts_max)
        with open(path, "x+b", opener=open_private) as file:  # Path.open takes no opener
            # Written in full, because a mapped page without room on the disk kills the process that touches it.
            file.write(header.ljust(_HEADER_SIZE, b"\0"))
            file.write(bytes([_FREE]).ljust(self._layout.size, b"\0") * holds_max)
            file.flush()
            self._map = mmap.mmap(file.fileno(), size)
        self._free = list(range(size - self._layout.size, _HEADER_SIZE - 1, -self._layout.size))
        self._bill_at = self._layout.bill_at
        self.holds_max = holds_max
        #: What `pack_accounts` may give for a hold at most.
        self.accounts_bytes = self._layout.accounts.size

    @property
    def free(self) -> int:
        """How many slots are free."""
        return len(self._free)

    def has_room_for(self, accounts: bytes) -> bool:
        """Whether one more hold can be written down, on so many accounts."""
        return bool(self._free) and len(accounts) <= self.accounts_bytes

    def hold(
        self,
        number: int,
        at_ns: int,
        amounts: Mapping[Unit, int],
        key: bytes,
        accounts: bytes,
        *,
        is_partial: bool = False,
    ) -> int:
        """The place of the hold that is now written down. Raises IndexError when all are taken."""
        place = self._free.pop()
        usd, tokens, calls = amounts.get("usd", 0), amounts.get("tokens", 0), amounts.get("calls", 0)
        self._content.pack_into(self._map, place + _CONTENT_AT, number, at_ns, usd, tokens, calls, key, accounts)
        self._map[place] = _HELD | _PARTIAL if is_partial else _HELD
        return place

    def settled(
        self, content: Content, settlement: int, billed: Mapping[Unit, int], *, is_partial: bool = False
    ) -> int:
        """The place of a hold that is written down as settled from the start. Raises IndexError when all are taken."""
        place = self._free.pop()
        number, at_ns, amounts, key, accounts = content
        self._content.pack_into(self._map, place + _CONTENT_AT, number, at_ns, *_in_order(amounts), key, accounts)
        _BILL.pack_into(self._map, place + self._bill_at, settlement, *_in_order(billed))
        self._map[place] = _SETTLED | _PARTIAL if is_partial else _SETTLED
        return place

    def extend(self, place: int, amounts: Mapping[Unit, int]) -> None:
        """From now on the hold has these amounts."""
        state = self._map[place] ^ _EXTENDED
        where = self._layout.extended_at if state & _EXTENDED else _CONTENT_AT + 16
        _AMOUNTS.pack_into(self._map, place + where, *_in_order(amounts))
        self._map[place] = state

    def settle(self, place: int, settlement: int, billed: Mapping[Unit, int]) -> None:
        """From now on the hold is settled; nothing changes if it was."""
        state = self._map[place]
        if state & _HELD:
            usd, tokens, calls = billed.get("usd", 0), billed.get("tokens", 0), billed.get("calls", 0)
            _BILL.pack_into(self._map, place + self._bill_at, settlement, usd, tokens, calls)
            self._map[place] = state & (_EXTENDED | _PARTIAL) | _SETTLED

    def settle_part(self, place: int, settlement: int, known: Mapping[Unit, int]) -> None:
        """From now on the hold is settled in these units, and in doubt in the others."""
        _BILL.pack_into(self._map, place + self._bill_at, settlement, *_in_order(known))
        self._map[place] |= sum(_PARTS[unit] for unit in known)

    def release(self, place: int) -> None:
        """From now on there is no such hold."""
        self._map[place] = _FREE
        self._free.append(place)

    def close(self) -> None:
        """Unmap it; the file stays."""
        self._map.close()


def _in_order(amounts: Mapping[Unit, int]) -> Iterator[int]:
    return (amounts.get(unit, 0) for unit in UNITS)


def read_journal(path: Path) -> list[Slot]:
    """What stands in a journal, also while its process writes: each hold is then seen as it was at some moment.

    Raises TornJournalError for a file that cannot be one, and OSError.
    """
    data = read_bounded(path, _BYTES_MAX)
    if len(data) < _HEADER_SIZE:
        raise TornJournalError(f"{path}: too short")
    magic, slots, accounts_max = _HEADER.unpack_from(data)
    layout = _Layout(accounts_max) if magic in (_MAGIC, _MAGIC_1) and accounts_max < 2**16 else None
    if layout is None or len(data) != _HEADER_SIZE + slots * layout.size:
        raise TornJournalError(f"{path}: not a journal")
    return list(_slots(data, layout, path, free=_FREE if magic == _MAGIC else _FREE_1))


def _slots(data: bytes, layout: _Layout, path: Path, *, free: int) -> Iterator[Slot]:
    for place in range(_HEADER_SIZE, len(data), layout.size):
        state = data[place]
        if state == free:
            continue
        units = tuple(unit for unit, part in _PARTS.items() if state & part)
        kind = state & ~(_EXTENDED | _PARTIAL | sum(_PARTS[unit] for unit in units))
        if kind not in (_HELD, _SETTLED) or (units and kind == _SETTLED):
            raise TornJournalError(f"{path}: a slot has the state {state}")
        number, at_ns, usd, tokens, calls, key, accounts = layout.content.unpack_from(data, place + _CONTENT_AT)
        held = (usd, tokens, calls)
        if state & _EXTENDED:
            held = _AMOUNTS.unpack_from(data, place + layout.extended_at)
        settlement, *billed = _BILL.unpack_from(data, place + layout.bill_at)
        settled = bool(kind == _SETTLED or units)
        if number <= 0 or min(*held, *(billed if settled else held)) < 0 or (settled and settlement <= 0):
            raise TornJournalError(f"{path}: a slot cannot be")
        yield Slot(
            hold_number=number,
            at_ns=at_ns,
            held=held,
            is_partial=bool(state & _PARTIAL),
            key=key.rstrip(b"\0").decode(errors="replace"),
            accounts=tuple(filter(None, layout.accounts.unpack(accounts))),
            settlement=settlement if settled else 0,
            billed=(billed[0], billed[1], billed[2]) if settled else (0, 0, 0),
            settled_units=UNITS if kind == _SETTLED else units,
        )
