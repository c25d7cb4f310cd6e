"""Fetched rates on disk are whole at every instant, and used only when they can be read."""

from __future__ import annotations

import json
import logging
import os

import pytest

from hivecost.backends import open_price_book
from hivecost.backends.sqlite import current_rates_path, previous_rates_path, read_rates, save_rates
from hivecost.errors import StoreUnusablePathError
from hivecost.events import Usage

MODEL = {"id": "acme-1", "match": {"equals": "acme-1"}, "prices": {"input_mtok": 7, "output_mtok": 9}}
RATES = json.dumps([{"id": "acme", "name": "Acme", "api_pattern": "x", "models": [MODEL]}]).encode()


def price_of(book, model):
    return book.price(model, Usage(input_tokens=1), provider="acme").nanousd


def on_disk(base_path):
    return read_rates(current_rates_path(base_path)), read_rates(previous_rates_path(base_path))


def test_the_rates_before_are_kept(base_path):
    """One step back; the same rates again change nothing."""
    assert on_disk(base_path) == (None, None)
    assert save_rates(base_path, b"one")
    assert on_disk(base_path) == (b"one", None)
    assert save_rates(base_path, b"two")
    assert not save_rates(base_path, b"two")
    assert on_disk(base_path) == (b"two", b"one")


@pytest.mark.parametrize("step", ["fsync", "replace"])
@pytest.mark.parametrize("after", [0, 1, 2, 3])
def test_a_write_that_fails_leaves_whole_files(base_path, monkeypatch, step, after):
    """Wherever it breaks, the current rates are the old or the new ones, and no draft is left."""
    save_rates(base_path, b"one")
    calls = []
    owner = os if step == "fsync" else type(base_path)
    real = getattr(owner, step)

    def failing(*args):
        calls.append(args)
        if len(calls) > after:
            raise OSError(28, "No space left on device")
        return real(*args)

    monkeypatch.setattr(owner, step, failing)
    try:
        save_rates(base_path, b"two")
    except StoreUnusablePathError as error:
        assert "No space left" in str(error)  # noqa: PT017  # some of the cases succeed
    monkeypatch.undo()
    assert on_disk(base_path) in [(b"one", None), (b"one", b"one"), (b"two", b"one")]
    assert {file.name for file in current_rates_path(base_path).parent.iterdir()} <= {"current.json", "previous.json"}


def test_fetched_rates_win_over_shipped_ones_and_lose_to_the_users_own(base_path, clock):
    """And without any, the shipped ones are used."""
    assert price_of(open_price_book(base_path, clock=clock), "acme-1") is None
    save_rates(base_path, RATES)
    assert price_of(open_price_book(base_path, clock=clock), "acme-1") == 7000
    own = {"acme-1": {"input": 1, "output": 1}}
    assert price_of(open_price_book(base_path, own, clock=clock), "acme-1") == 1000


@pytest.mark.parametrize("content", [b"", RATES[:-20], b"[]", b'[{"id": 1}]'])
def test_damaged_rates_are_logged_and_not_used(base_path, clock, caplog, content):
    """The shipped rates take over, the file is named, and the way out."""
    save_rates(base_path, content)
    with caplog.at_level(logging.ERROR):
        book = open_price_book(base_path, clock=clock)
    assert book.price("gpt-4o", Usage(input_tokens=1)).nanousd == 2500
    (record,) = caplog.records
    assert "current.json" in record.getMessage()
    assert "hivecost prices update" in record.getMessage()
    assert "\n" not in record.getMessage()


def test_rates_that_cannot_be_read_are_logged_and_not_used(base_path, clock, caplog):
    """A folder in the file's place is no reason to stop an agent."""
    current_rates_path(base_path).mkdir(parents=True)
    assert open_price_book(base_path, clock=clock).price("gpt-4o", Usage(input_tokens=1)).nanousd == 2500
    assert "current.json" in caplog.text
