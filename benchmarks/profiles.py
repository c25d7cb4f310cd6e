"""Where the time goes: a sampling profile of saturated workloads, as shares of the time that threads were at work.

`make profile` prints tables as Markdown, which docs/performance.md sums up;
`python -m benchmarks.profiles published lease` runs only those named, and `--flame FILE` samples them once more and
draws an SVG flame graph of all of them.
On macOS py-spy needs root.
"""

from __future__ import annotations

import argparse
import subprocess
import sys
import sysconfig
import tempfile
from pathlib import Path

from benchmarks.profiled import DONE, WORKLOADS
from benchmarks.stacks import LOOP, WRITER, Sample, by_function, by_room, samples_of

#: Not a divisor of anything that the workloads do at intervals.
SAMPLES_PER_S = 499
TOP = 15
#: Rooms with less are left out.
SHARE_MIN = 0.001


def main() -> int:
    parser = argparse.ArgumentParser(prog="python -m benchmarks.profiles")
    parser.add_argument("names", nargs="*", metavar="NAME", help=f"of {', '.join(WORKLOADS)}; all without")
    parser.add_argument("--flame", type=Path, metavar="FILE", help="draw a flame graph too, as SVG")
    arguments = parser.parse_args()
    names = arguments.names or list(WORKLOADS)
    if unknown := set(names) - set(WORKLOADS):
        parser.error(f"no workload is called {', '.join(sorted(unknown))}")
    if not _py_spy().exists():
        print("py-spy takes the samples; `make profile` installs it", file=sys.stderr)
        return 1
    for name in names:
        print(f"### {name}: {WORKLOADS[name].__doc__}\n", *tables(samples_of(_folded(name))), sep="\n", flush=True)
    if arguments.flame is not None:
        _record("flamegraph", arguments.flame, names)
    return 0


def _folded(name: str) -> str:
    with tempfile.TemporaryDirectory() as folder:
        out = Path(folder, "stacks")
        _record("raw", out, [name])
        return out.read_text()


def _record(form: str, out: Path, names: list[str]) -> None:
    """In a process that py-spy starts: into that it may look without being root."""
    spy = [str(_py_spy()), "record", "--threads", "--rate", str(SAMPLES_PER_S), "--format", form, "--output", str(out)]
    command = [*spy, "--", sys.executable, "-m", "benchmarks.profiled", *names]
    ran = subprocess.run(command, check=False, capture_output=True, text=True)
    if DONE not in ran.stdout:  # py-spy itself is content when what it looks at fails
        sys.exit(f"{ran.stdout}{ran.stderr}")


def _py_spy() -> Path:
    return Path(sysconfig.get_path("scripts"), "py-spy" + (".exe" if sys.platform == "win32" else ""))


def tables(samples: list[Sample]) -> list[str]:
    """Markdown: shares by room, then each thread's functions."""
    threads = {thread: [sample for sample in samples if sample.thread == thread] for thread in (LOOP, WRITER)}
    parts = [_rooms(samples, threads)]
    return parts + [_functions(thread, some) for thread, some in threads.items() if some]


def _rooms(samples: list[Sample], threads: dict[str, list[Sample]]) -> str:
    """Of all samples, so that the columns add up to 100% together."""
    total = max(1, sum(sample.times for sample in samples))
    by_thread = {thread: by_room(some) for thread, some in threads.items()}
    lines = [f"| {total:,} samples | {' | '.join(threads)} |", "|---|" + "---:|" * len(threads)]
    for room, count in by_room(samples).most_common():
        if count / total < SHARE_MIN:
            break
        lines.append(f"| {room} | {' | '.join(f'{rooms[room] / total:.1%}' for rooms in by_thread.values())} |")
    lines.append(f"| **all** | {' | '.join(f'{rooms.total() / total:.1%}' for rooms in by_thread.values())} |")
    return "\n".join(lines) + "\n"


def _functions(thread: str, samples: list[Sample]) -> str:
    """Of the thread's samples."""
    functions = by_function(samples)
    lines = [f"| {thread}: function | of its time |", "|---|---:|"]
    lines += [f"| `{name}` | {count / functions.total():.1%} |" for name, count in functions.most_common(TOP)]
    return "\n".join(lines) + "\n"


if __name__ == "__main__":
    sys.exit(main())
