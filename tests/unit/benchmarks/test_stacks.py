from __future__ import annotations

from benchmarks.profiles import tables
from benchmarks.stacks import LOOP, WRITER, by_function, by_room, samples_of

LOOP_FRAMES = "<module> (run.py:1);run (benchmarks/profiled.py:9);BaseEventLoop._run_once (asyncio/base_events.py:7)"
WORKER_FRAMES = "WorkerThread.run (anyio/_backends/_asyncio.py:8)"
FOLDED = f"""\
thread (7): MainThread;{LOOP_FRAMES};EventBus.publish (hivecost/bus/bus.py:3);price (hivecost/pricing/book.py:5) 30
thread (7): MainThread;{LOOP_FRAMES};EventBus.publish (hivecost/bus/bus.py:4);price (hivecost/pricing/book.py:6) 20
thread (7): MainThread;{LOOP_FRAMES};Subscriber._run (hivecost/bus/subscriber.py:1);set (asyncio/locks.py:2) 10
thread (7): MainThread;{LOOP_FRAMES};Handle._run (asyncio/events.py:80) 5
thread (7): MainThread;{LOOP_FRAMES};_published (benchmarks/end_to_end.py:9);_turn (benchmarks/end_to_end.py:8) 4
thread (7): MainThread;{LOOP_FRAMES};EpollSelector.select (selectors.py:468) 100
thread (7): MainThread;<module> (run.py:1);_find_and_load (<frozen importlib._bootstrap>:1176) 100
thread (7): MainThread;<module> (run.py:1);warm_up (benchmarks/profiled.py:7);price (hivecost/pricing/book.py:6) 100
thread (7): MainThread 100
thread (8): AnyIO worker thread;{WORKER_FRAMES};append (hivecost/backends/sqlite/log/append.py:57) 40
thread (9): AnyIO worker thread;{WORKER_FRAMES} 1
thread (9): AnyIO worker thread;{WORKER_FRAMES};Queue.get (queue.py:171);Condition.wait (threading.py:327) 100
thread (9): hivecost_0;Thread.run (threading.py:982);_worker (concurrent/futures/thread.py:81) 100
"""


def of(thread):
    return [sample for sample in samples_of(FOLDED) if sample.thread == thread]


def test_starting_and_waiting_are_no_work():
    """Imports, warming up, and threads that wait have no part in the shares."""
    assert sum(sample.times for sample in samples_of(FOLDED)) == 110


def test_a_sample_is_the_room_s_that_is_innermost():
    """Whatever a room calls outside of hivecost is its own time; no room is charged for the loop that runs it."""
    assert by_room(of(LOOP)) == {
        "pricing": 50,
        "bus": 10,
        "event loop and worker threads": 5,
        "the benchmark itself, which makes the events": 4,
    }
    assert by_room(of(WRITER)) == {"backends": 40, "event loop and worker threads": 1}


def test_a_function_s_lines_are_one_function():
    """Samples of different lines add up."""
    assert by_function(of(LOOP)).most_common(1) == [("price (hivecost/pricing/book.py)", 50)]


def test_shares_add_up_to_everything():
    """The threads' shares are of all samples, so that they can be compared."""
    rooms, *functions = tables(samples_of(FOLDED))
    assert "| pricing | 45.5% | 0.0% |" in rooms
    assert "| **all** | 62.7% | 37.3% |" in rooms
    assert len(functions) == 2
