"""Tags that do not fit are cut where one sees it, whatever event carries them."""

from __future__ import annotations

import msgspec
import pytest
from hypothesis import given
from hypothesis import strategies as st

from hivecost.backends.sqlite.log.runtime_log import RuntimeLog
from hivecost.backends.sqlite.log.tags import TAG_CHARS_MAX, TAGS_MAX, TRUNCATED, with_short_tags
from hivecost.events import CustomEvent, LLMTurnComplete, decode_json

texts = st.one_of(st.text(max_size=10), st.integers(1000, 1100).map("x".__mul__))


@given(st.dictionaries(texts, texts, max_size=100))
def test_tags_always_fit_afterwards(tags):
    """At most 64 of at most 1,024 characters, and an event whose tags fit is left as it is."""
    event = CustomEvent(tags=tags)
    short = with_short_tags(event)
    assert len(short.tags) <= TAGS_MAX
    assert all(len(text) <= TAG_CHARS_MAX for item in short.tags.items() for text in item)
    fits = len(tags) <= TAGS_MAX and all(len(text) <= TAG_CHARS_MAX for item in tags.items() for text in item)
    assert (short is event) == fits


def test_what_was_cut_shows():
    """A long tag ends in the mark, and a tag says how many are missing."""
    assert with_short_tags(CustomEvent(tags={"a": "x" * 10**6})).tags["a"].endswith("x" + TRUNCATED)
    assert with_short_tags(CustomEvent(tags={str(n): "" for n in range(70)})).tags[TRUNCATED] == "7 more tags"


@pytest.mark.parametrize("kind", ["turn", "event", "unknown"])
def test_a_long_tag_is_cut_in_the_log(tmp_path, oracle, kind):
    """Of a turn, of any other event, and of one from a newer version; each is counted."""
    newer = decode_json(msgspec.json.encode({"type": "from_tomorrow", "event_id": "e", "tags": {"a": "x" * 10**6}}))
    tags = {"a": "x" * 10**6}
    event = {"turn": LLMTurnComplete(tags=tags), "event": CustomEvent(tags=tags), "unknown": newer}[kind]
    log = RuntimeLog(tmp_path)
    assert log.append([event]).truncated == 1
    log.close()
    table = "turns" if kind == "turn" else "events"
    (row,) = oracle.rows(tmp_path / "hivecost.db", f"SELECT * FROM {table}")
    logged = row["tags"] if kind == "turn" else row["payload"]
    assert TRUNCATED in logged
    assert len(logged) < 2000
    assert kind != "unknown" or row["type"] == "from_tomorrow"
