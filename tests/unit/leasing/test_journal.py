"""The journal is right at every moment, or known to be torn."""

from __future__ import annotations

import pytest
from hypothesis import given
from hypothesis import strategies as st

from hivecost.leasing.journal import Journal, TornJournalError, key_bytes, pack_accounts, read_journal
from hivecost.ledger import UNITS

AMOUNTS = st.fixed_dictionaries(dict.fromkeys(UNITS, st.integers(0, 10**18)))
ONES = dict.fromkeys(UNITS, 1)


def in_order(amounts):
    return tuple(amounts[unit] for unit in UNITS)


def made(path, *, holds_max=4, accounts_max=3):
    path.unlink(missing_ok=True)
    return Journal(path, holds_max=holds_max, accounts_max=accounts_max)


@given(held=AMOUNTS, extended=st.lists(AMOUNTS, max_size=3), billed=st.none() | AMOUNTS, key=st.none() | st.text())
def test_what_is_written_is_read(tmp_path_factory, held, extended, billed, key):
    """Amounts, extended or not, bills, accounts, and the beginning of the key."""
    path = tmp_path_factory.getbasetemp() / "one.journal"
    journal = made(path)
    slot = journal.hold(7, 11, held, key_bytes(key), pack_accounts([3, 5]))
    for amounts in extended:
        journal.extend(slot, amounts)
    if billed is not None:
        journal.settle(slot, 1, billed)
        journal.settle(slot, 2, {})  # changes nothing
    (entry,) = read_journal(path)
    journal.close()
    assert (entry.hold_number, entry.at_ns, entry.accounts) == (7, 11, (3, 5))
    assert entry.held == in_order(extended[-1] if extended else held)
    assert (entry.settlement, entry.billed) == ((0, (0, 0, 0)) if billed is None else (1, in_order(billed)))
    assert (key or "").encode(errors="replace")[:60].rstrip(b"\0") in entry.key.encode() or len(key) > 10


def test_a_slot_is_free_again_after_its_hold(tmp_path):
    """So that a bounded file is enough."""
    journal = made(tmp_path / "one.journal", holds_max=2)
    content = 1, 1, ONES, b"", pack_accounts([1])
    for _ in range(10):
        journal.release(journal.hold(*content))
    journal.hold(*content)
    journal.hold(*content)
    assert journal.free == 0
    with pytest.raises(IndexError):
        journal.hold(*content)
    journal.close()


def test_a_half_written_hold_is_no_hold(tmp_path):
    """The state byte comes last: without it, whatever else is written does not count."""
    path = tmp_path / "one.journal"
    journal = made(path)
    slot = journal.hold(1, 1, ONES, b"k", pack_accounts([1]))
    journal._map[slot] = 8
    assert read_journal(path) == []
    journal.close()


def test_a_journal_of_the_first_version_is_read(tmp_path):
    """0.1.0 wrote it: a free slot is zeros there."""
    path = tmp_path / "one.journal"
    journal = made(path, holds_max=2)
    journal.hold(7, 11, ONES, b"k", pack_accounts([3]))
    journal.close()
    data = path.read_bytes()
    size = (len(data) - 64) // 2
    path.write_bytes(data[:7] + b"1" + data[8 : 64 + size] + bytes(size))
    assert [entry.hold_number for entry in read_journal(path)] == [7]
    path.write_bytes(data[:7] + b"2" + data[8 : 64 + size] + bytes(size))
    with pytest.raises(TornJournalError, match="state 0"):
        read_journal(path)


def test_a_journal_of_a_later_version_is_not_read(tmp_path):
    """Nobody recovers from a guess: the error says which version it is."""
    path = tmp_path / "one.journal"
    made(path).close()
    data = path.read_bytes()
    path.write_bytes(data[:7] + b"3" + data[8:])
    with pytest.raises(TornJournalError, match="version '3'"):
        read_journal(path)


@pytest.mark.parametrize(
    "damage",
    [
        lambda data: b"",
        lambda data: data[:100],
        lambda data: data + b"more",
        lambda data: b"x" + data[1:],
        lambda data: data[:12] + b"\xff\xff\xff\xff" + data[16:],
        lambda data: data[:64] + b"\x77" + data[65:],
        lambda data: data[:72] + b"\xff" * 16 + data[88:],
    ],
)
def test_a_damaged_file_is_said_to_be(tmp_path, damage):
    """Nobody recovers from a guess."""
    path = tmp_path / "one.journal"
    journal = made(path)
    journal.hold(1, 1, ONES, b"k", pack_accounts([1]))
    journal.close()
    path.write_bytes(damage(path.read_bytes()))
    with pytest.raises(TornJournalError):
        read_journal(path)
