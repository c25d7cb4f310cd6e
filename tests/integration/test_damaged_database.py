"""S5: of a database that is damaged, everybody is told so, in an error of ours."""

from __future__ import annotations

import re
import tempfile
from pathlib import Path

import anyio
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

import hivecost as hc
from hivecost.backends import read_place
from hivecost.backends.sqlite import delete_session, prune, write_repricings
from hivecost.log.records import Repricing
from hivecost.log.spending import spending_since
from hivecost.reports import load_session_report

NOON_NS = 1_795_000_000_000_000_000
BUDGETS = [hc.Budget("day", "$5", window="day", per="user", mode="hard")]


async def make(base_path):
    """Something in every table that is read."""
    usage, book = hc.Usage(1_000, 100), hc.PriceBook({"m": {"input": 1, "output": 1}})
    who = {"session_id": "s", "execution_id": "e", "node_id": "n", "user_id": "ada"}
    events = [
        hc.LLMTurnComplete(**who, model="m", usage=usage, cost=book.price("m", usage), timestamp_ns=NOON_NS + number)
        for number in range(40)
    ]
    async with hc.Store(base_path) as store:
        await store.write([*events, hc.ExecutionStarted(**who), hc.ExecutionCompleted(**who)])
    later = {"old_nanousd": 1, "new_nanousd": 2, "cost_status": "priced", "rate": "", "snapshot": "", "repriced_ns": 1}
    await write_repricings(base_path, [Repricing(run_id="r", event_id=events[0].event_id, session_id="s", **later)])
    async with hc.Ledger.open(base_path, budgets=BUDGETS) as ledger:
        (await ledger.reserve({"user": "ada"}, usd="0.1")).doubt()


async def spend(base_path):
    async with hc.Ledger.open(base_path, budgets=BUDGETS) as ledger:
        (await ledger.reserve({"user": "ada"}, usd="0.1")).settle(usd="0.05")
        await ledger.status()


async def write(base_path):
    async with hc.Store(base_path) as store:
        await store.write([hc.LLMTurnComplete(session_id="s", model="m"), hc.ExecutionStarted(session_id="s")])


def asked(question):
    """What a reader of the log and one of the ledger answer."""
    return lambda path: read_place(path, question)


READS = (
    lambda path: hc.SessionStore(path).list_sessions(),
    lambda path: hc.RuntimeLogStore(path).load_details("s"),
    lambda path: hc.RuntimeLogStore(path).load_nodes("s"),
    lambda path: hc.RuntimeLogStore(path).load_models("s"),
    lambda path: hc.RuntimeLogStore(path).list_runs(),
    lambda path: hc.SpendStore(path).totals(by=("day", "model")),
    lambda path: load_session_report(path, "s"),
    asked(lambda log, _: log.events(types=list(hc.EventType))),
    asked(lambda log, _: log.turns()),
    asked(lambda log, _: list(spending_since(log, 0))),
    asked(lambda log, _: log.pruned_before()),
    asked(lambda log, _: log.repriced("s")),
    asked(lambda log, _: log.audit()),
    asked(lambda log, _: log.accounts(NOON_NS)),
    asked(lambda _, ledger: ledger.budgets()),
    asked(lambda _, ledger: ledger.status(NOON_NS)),
    lambda path: prune(path, NOON_NS, dry_run=True),
)
WRITES = (
    write,
    spend,
    lambda path: prune(path, 0),
    lambda path: delete_session(path, "s"),
)


@pytest.fixture(scope="module")
def sound():
    """The bytes of a good database."""
    with tempfile.TemporaryDirectory() as folder:
        anyio.run(make, Path(folder))
        return (Path(folder) / "hivecost.db").read_bytes()


def schema_texts(data):
    """Where the statements are that made the tables, with the names before them, but for the ends of comments."""
    runs = re.finditer(rb"[\n -~]{20,}", data)
    places = [place for run in runs if re.search(b"CREATE|TEXT|INTEGER", run[0]) for place in range(*run.span())]
    return [place for place in places if data[place] != ord("\n")]


@st.composite
def damages(draw):
    """Cuts the file short, garbles its schema, or inverts bytes all over it."""
    kind = draw(st.sampled_from(["cut", "garbled", "inverted"]))
    if kind == "cut":
        fraction = draw(st.floats(0.001, 0.999))
        return lambda data: data[: int(len(data) * fraction)]
    if kind == "inverted":
        places = slice(draw(st.integers(100, 8_000)), None, draw(st.integers(16, 1_000)))
        return lambda data: _changed(data, {place: data[place] ^ 0xFF for place in range(len(data))[places]})
    garbage = draw(st.lists(st.tuples(st.floats(0, 0.999), st.integers(128, 255)), min_size=1, max_size=30))

    def garbled(data):
        places = schema_texts(data)
        return _changed(data, {places[int(fraction * len(places))]: byte for fraction, byte in garbage})

    return garbled


def _changed(data, changes):
    changed = bytearray(data)
    for place, byte in changes.items():
        changed[place] = byte
    return bytes(changed)


async def outcome(work, data):
    """What comes out of a folder with such a database; None: an answer."""
    with tempfile.TemporaryDirectory() as folder:
        (Path(folder) / "hivecost.db").write_bytes(data)
        try:
            with anyio.fail_after(30):
                await work(Path(folder))
        except hc.HiveCostError as error:
            return error
    return None


@settings(max_examples=25, deadline=None)
@given(damage=damages())
def test_damage_is_named_by_whoever_meets_it(sound, damage):
    """By all who read and all who write; nobody waits, and none of Python's own errors comes out."""
    data = damage(sound)

    async def all_outcomes():
        return [await outcome(work, data) for work in (*READS, *WRITES)]

    errors = [error for error in anyio.run(all_outcomes) if error is not None]
    assert not [error for error in errors if isinstance(error, hc.ConfigError)]  # nobody asked anything wrongly


def test_a_sound_database_has_all_answers(sound):
    """What this file calls damaged is."""

    async def all_outcomes():
        return [await outcome(work, sound) for work in (*READS, *WRITES)]

    assert anyio.run(all_outcomes) == [None] * len((*READS, *WRITES))


@pytest.mark.parametrize("word", [b"CHECK (settled", b"CHECK (amount", b"CHECK (id = 1)"])
def test_damage_that_only_writers_look_at_is_named(sound, word):
    """In a check of a table, which a reader never needs."""
    place = sound.index(word) + len("CHECK (")
    error = anyio.run(outcome, write, _changed(sound, {place: 0x80}))
    assert isinstance(error, hc.StoreError)
