"""Sampled stacks, as py-spy writes them: whose time it is, by room of hivecost and by function."""

from __future__ import annotations

import re
from collections import Counter
from typing import NamedTuple

LOOP, WRITER = "loop", "writer"
#: What a process does once: imports, and what `benchmarks.profiled` prepares.
_START = re.compile(r"<frozen importlib|^warm_up \(benchmarks/")
#: A thread that is about to sleep, or just woke up.
_WAITS = re.compile(r"\((selectors|threading|queue)\.py\)$|^_worker \(concurrent/futures/")
_ROOM = re.compile(r"\(hivecost/(\w+)")
#: Outside of any room: the frame that says whose work it is.
_OUTSIDE = {
    re.compile(r"\(benchmarks/"): "the benchmark itself, which makes the events",
    re.compile(r"_run_once \(asyncio/|WorkerThread\.run \(anyio/"): "event loop and worker threads",
}
_LINE = re.compile(r":\d+\)$")


class Sample(NamedTuple):
    """Equal stacks, counted."""

    #: LOOP for the main thread, WRITER for all others.
    thread: str
    #: "function (file)", outermost first.
    frames: list[str]
    times: int


def samples_of(folded: str) -> list[Sample]:
    """Those of work: starting up and waiting are left out.

    Each line of `folded` is "thread (id): name;function (file:line);… count".
    """
    samples = []
    for line in folded.splitlines():
        stack, _, count = line.rpartition(" ")
        thread, *places = stack.split(";")
        frames = [_LINE.sub(")", place) for place in places]
        if frames and not _WAITS.search(frames[-1]) and not any(_START.search(frame) for frame in frames):
            samples.append(Sample(LOOP if thread.endswith("MainThread") else WRITER, frames, int(count)))
    return samples


def by_room(samples: list[Sample]) -> Counter[str]:
    """Samples of each room: that of the innermost frame in hivecost, whatever it calls."""
    rooms: Counter[str] = Counter()
    for sample in samples:
        rooms[room_of(sample.frames)] += sample.times
    return rooms


def room_of(frames: list[str]) -> str:
    for frame in reversed(frames):
        if match := _ROOM.search(frame):
            return match[1]
        for outside, name in _OUTSIDE.items():
            if outside.search(frame):
                return name
    return "interpreter"


def by_function(samples: list[Sample]) -> Counter[str]:
    """Samples of each function itself; what C code takes is its caller's."""
    functions: Counter[str] = Counter()
    for sample in samples:
        functions[sample.frames[-1]] += sample.times
    return functions
