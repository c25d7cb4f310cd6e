"""The queue of batches: whatever comes, and whenever it is committed, each gets the answer to its own events."""

from __future__ import annotations

import pytest
from hypothesis import given
from hypothesis import strategies as st

from hivecost.backends.sqlite.log.batches import BATCH_EVENTS_MAX, Batches
from hivecost.errors import StoreError
from hivecost.events import CustomEvent

#: An event's fate: new, a duplicate, or at fault.
FATES = ("new", "known", "bad")


def events(fates):
    return [CustomEvent(name=fate) for fate in fates]


def finish(queue, batch):
    """As a commit ends that meets these fates."""
    fates = [event.name for event in batch.events]
    errors = {index: StoreError(str(index)) for index, fate in enumerate(fates) if fate == "bad"}
    queue.finish_oldest([fate == "new" for fate in fates], errors)


def check(batch, stop, fates):
    start = stop - len(fates)
    assert batch.is_finished
    if "bad" in fates:
        with pytest.raises(StoreError, match=f"^{start + fates.index('bad')}$"):
            batch.inserted(start, stop)
    else:
        assert batch.inserted(start, stop) == fates.count("new")


@given(
    st.lists(
        st.one_of(st.lists(st.sampled_from(FATES), max_size=5), st.sampled_from(["begin", "end", "give up"])),
        max_size=40,
    )
)
def test_everybody_gets_the_answer_to_their_own_events(steps):
    """However puts fall between the beginnings and ends of commits; the queue's count is that of the unfinished."""
    queue, put, under_way = Batches(), [], None
    for step in [*steps, *["begin", "end"] * 3]:
        if isinstance(step, list):
            batch = queue.put(events(step))
            assert batch is not under_way
            put.append((batch, len(batch.events), step))
        elif step == "begin" and queue:
            under_way = queue.close_oldest()
            assert under_way is queue.oldest
        elif step == "end" and under_way is not None:
            finish(queue, under_way)
            under_way = None
        elif step == "give up" and queue:  # whether or not it was begun
            finish(queue, queue.oldest)
            under_way = None
        assert queue.events_count == sum(len(fates) for batch, _, fates in put if not batch.is_finished)
    assert not queue
    for batch, stop, fates in put:
        check(batch, stop, fates)


def test_a_batch_closes_with_the_events_that_reach_its_limit():
    """Larger ones are not divided: whoever wrote them waits for one commit."""
    queue = Batches()
    first = queue.put(events(["new"] * (BATCH_EVENTS_MAX - 1)))
    assert queue.put(events(["new"] * BATCH_EVENTS_MAX)) is first
    assert queue.put(events(["new"])) is not first
    assert queue.events_count == 2 * BATCH_EVENTS_MAX
