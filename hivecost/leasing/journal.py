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
from hivecost.private_files import open_private, read_bounded

#: usd, tokens, calls.
InOrder = tuple[int, int, int]
#: A hold's number, when it was made, its amounts, key and accounts.
Content = tuple[int, int, Mapping[Unit, int], bytes, bytes]

_MAGIC: Final = b"hivejrn"
_HEADER: Final = struct.Struct("<7sBII")  # magic, version, slots, accounts per slot
_HEADER_SIZE: Final = 64
_KEY_SIZE: Final = 64
#: A larger one is no journal: a million holds fit in.
_BYTES_MAX: Final = 2**30

# A state byte: free, held, or settled; and flags. An extended hold has its amounts in a second place, so that they too
# change with this one byte.
_FREE: Final = 8
_HELD: Final = 1
_SETTLED: Final = 2
_EXTENDED: Final = 4
#: Of a hold of which more may be billed than it set aside.
_PARTIAL: Final = 128
#: Of a hold in doubt: which units of its bill are settled, in the order of UNITS.
_PARTS: Final = dict(zip(UNITS, (16, 32, 64), strict=True))

#: The version that is written; the digit that it shows as is what stands in the header.
_VERSION: Final = ord("2")
#: Version → what a free slot's state byte is there: of 0.1.0 it is zero, as are pages that never reached the disk.
_FREE_OF: Final = {ord("1"): 0, _VERSION: _FREE}

_AMOUNTS: Final = struct.Struct("<3q")
_BILL: Final = struct.Struct("<4q")  # settlement number, amounts
_CONTENT_AT: Final = 8


def key_bytes(key: str | None) -> bytes:
    """Return a key as the journal keeps it: of a long one only the beginning."""
    return key.encode(errors="replace")[:_KEY_SIZE] if key else b""


def pack_accounts(bank_ids: Sequence[int]) -> bytes:
    """Return the accounts as `Journal` takes them."""
    return struct.pack(f"<{len(bank_ids)}q", *bank_ids)


class _Layout:
    """Where things stand in a slot of so many accounts."""

    def __init__(self, accounts_max: int) -> None:
        self.content = struct.Struct(f"<5q{_KEY_SIZE}s{8 * accounts_max}s")
        self.accounts = struct.Struct(f"<{accounts_max}q")
        self.bill_at = _CONTENT_AT + self.content.size
        self.extended_at = self.bill_at + _BILL.size
        self.size = self.extended_at + _AMOUNTS.size


class JournalEntry(msgspec.Struct, frozen=True, kw_only=True):
    """What a slot of the journal says of a hold."""

    hold_number: int
    at_ns: int
    held: InOrder
    key: str
    is_partial: bool
    #: Rows of the accounts that it counts on.
    accounts: tuple[int, ...]
    #: From 1 on; 0: not settled.
    settlement: int
    billed: InOrder
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
        header = _HEADER.pack(_MAGIC, _VERSION, holds_max, accounts_max)
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
        """Return how many slots are free."""
        return len(self._free)

    def has_room_for(self, accounts: bytes) -> bool:
        """Return whether one more hold can be written down, on so many accounts."""
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
        """Write a hold down, and return its slot. Raise IndexError when all are taken."""
        slot = self._free.pop()
        usd, tokens, calls = amounts.get("usd", 0), amounts.get("tokens", 0), amounts.get("calls", 0)
        self._content.pack_into(self._map, slot + _CONTENT_AT, number, at_ns, usd, tokens, calls, key, accounts)
        self._map[slot] = _HELD | _PARTIAL if is_partial else _HELD
        return slot

    def settled(
        self, content: Content, settlement: int, billed: Mapping[Unit, int], *, is_partial: bool = False
    ) -> int:
        """Write down a hold that is settled already, and return its slot. Raise IndexError when all are taken."""
        slot = self._free.pop()
        number, at_ns, amounts, key, accounts = content
        self._content.pack_into(self._map, slot + _CONTENT_AT, number, at_ns, *_in_order(amounts), key, accounts)
        _BILL.pack_into(self._map, slot + self._bill_at, settlement, *_in_order(billed))
        self._map[slot] = _SETTLED | _PARTIAL if is_partial else _SETTLED
        return slot

    def extend(self, slot: int, amounts: Mapping[Unit, int]) -> None:
        """Give the hold other amounts."""
        state = self._map[slot] ^ _EXTENDED
        where = self._layout.extended_at if state & _EXTENDED else _CONTENT_AT + 16
        _AMOUNTS.pack_into(self._map, slot + where, *_in_order(amounts))
        self._map[slot] = state

    def settle(self, slot: int, settlement: int, billed: Mapping[Unit, int]) -> None:
        """Settle the hold; nothing changes if it was."""
        state = self._map[slot]
        if state & _HELD:
            usd, tokens, calls = billed.get("usd", 0), billed.get("tokens", 0), billed.get("calls", 0)
            _BILL.pack_into(self._map, slot + self._bill_at, settlement, usd, tokens, calls)
            self._map[slot] = state & (_EXTENDED | _PARTIAL) | _SETTLED

    def settle_part(self, slot: int, settlement: int, known: Mapping[Unit, int]) -> None:
        """Settle the hold in these units, and leave it in doubt in the others."""
        _BILL.pack_into(self._map, slot + self._bill_at, settlement, *_in_order(known))
        self._map[slot] |= sum(_PARTS[unit] for unit in known)

    def release(self, slot: int) -> None:
        """Forget the hold, and free its slot."""
        self._map[slot] = _FREE
        self._free.append(slot)

    def close(self) -> None:
        """Unmap it; the file stays."""
        self._map.close()


def _in_order(amounts: Mapping[Unit, int]) -> Iterator[int]:
    return (amounts.get(unit, 0) for unit in UNITS)


def read_journal(path: Path) -> list[JournalEntry]:
    """Return what stands in a journal, also while its process writes: each hold is then seen as it was at some moment.

    Raise TornJournalError for a file that cannot be one, and OSError.
    """
    data = read_bounded(path, _BYTES_MAX)
    if len(data) < _HEADER_SIZE:
        raise TornJournalError(f"{path}: too short")
    magic, version, slots, accounts_max = _HEADER.unpack_from(data)
    if magic != _MAGIC or accounts_max >= 2**16:
        raise TornJournalError(f"{path}: not a journal")
    if version not in _FREE_OF:
        raise TornJournalError(f"{path}: a journal of version {chr(version)!r}, which this hivecost does not know")
    layout = _Layout(accounts_max)
    if len(data) != _HEADER_SIZE + slots * layout.size:
        raise TornJournalError(f"{path}: not a journal")
    return list(_entries(data, layout, path, free=_FREE_OF[version]))


def _entries(data: bytes, layout: _Layout, path: Path, *, free: int) -> Iterator[JournalEntry]:
    for slot in range(_HEADER_SIZE, len(data), layout.size):
        state = data[slot]
        if state == free:
            continue
        units = tuple(unit for unit, part in _PARTS.items() if state & part)
        kind = state & ~(_EXTENDED | _PARTIAL | sum(_PARTS[unit] for unit in units))
        if kind not in (_HELD, _SETTLED) or (units and kind == _SETTLED):
            raise TornJournalError(f"{path}: a slot has the state {state}")
        number, at_ns, usd, tokens, calls, key, accounts = layout.content.unpack_from(data, slot + _CONTENT_AT)
        held = (usd, tokens, calls)
        if state & _EXTENDED:
            held = _AMOUNTS.unpack_from(data, slot + layout.extended_at)
        settlement, *billed = _BILL.unpack_from(data, slot + layout.bill_at)
        settled = bool(kind == _SETTLED or units)
        if number <= 0 or min(*held, *(billed if settled else held)) < 0 or (settled and settlement <= 0):
            raise TornJournalError(f"{path}: a slot cannot be")
        yield JournalEntry(
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
