"""Kills a Ledger's process at named points of its life; run as `ledger_kill_points.py BASE_PATH MUTANT < CASES`.

CASES is a JSON list. `[step, where, when, call, counts]` is a point: in that step of `live`, before or after that call
of `where`; `counts` says whether the step that is cut short is done all the same. A name alone is a step that is
looked at line by line: what would a kill leave there? Prints a list of problems for each case.
"""

from __future__ import annotations

import asyncio
import functools
import importlib
import inspect
import json
import logging
import os
import shutil
import signal
import sys
import threading
from contextlib import AsyncExitStack, contextmanager
from operator import attrgetter
from pathlib import Path

import anyio._backends._asyncio  # noqa: F401  # so that not every fork has to import it
from ledger_kill_loop import fork, outcome_of, problems_in_tables
from ledger_worker import MUTANTS

from hivecost import leasing
from hivecost.backends import Ledger
from hivecost.backends.sqlite import lease_bank as bank_package
from hivecost.errors import HiveCostError
from hivecost.ledger import Budget

#: Where points are looked for, in this order.
PACKAGES = (leasing, bank_package)
FOLDERS = tuple(str(Path(package.__file__).parent) for package in PACKAGES)
#: Nothing in the background.
POLICY = leasing.LeasePolicy(tick_s=3600.0, idle_s=3600.0)
M = 1_000_000
LIMIT = 1_000 * M
CALLS_LIMIT = 1_000
BUDGETS = [Budget("all", "$1", mode="hard"), Budget("calls", f"{CALLS_LIMIT} calls", per="agent", mode="hard")]
WHO = {"agent": "a"}
LOOKS = 3
#: What the second answer of a hold goes by in the diary; it is no call of its own.
ANOTHER = "another"
#: Where the process dies whose recoverer dies too: after a commit that it does not know of.
BEFORE_RECOVERY = ["reserve big", "local_ledger.LocalLedger.apply", "before", 1, False]


class Diary:
    """What each step is to make of a hold, written down before and after it: the oracle."""

    def __init__(self, path):
        self.step = ""
        self._file = os.open(path, os.O_WRONLY | os.O_CREAT | os.O_APPEND)

    @contextmanager
    def step_of(self, step, key="", state="", amount=0):
        self.step = step
        self._write("begun", key, state, amount)
        yield
        self._write("done", key, state, amount)

    def _write(self, *entry):
        os.write(self._file, json.dumps(entry).encode() + b"\n")


def holds_of(path, *, counts):
    """Hold → (state, amount), as the diary has it; the step that was cut short is taken for done if it `counts`."""
    entries = [json.loads(line) for line in path.read_text().splitlines()]
    done = [entry for entry in entries if entry[0] == "done"]
    if counts:
        done.append(entries[-1])
    return {key: (state, amount) for _, key, state, amount in done if key}


async def live(base_path, diary):
    """All that can become of a hold."""
    holds = {}

    async def reserve(key, amount):
        with diary.step_of(f"reserve {key}", key, "open", amount):
            holds[key] = await ledger.reserve(WHO, nanousd=amount, key=key)

    def settle(key, amount):
        with diary.step_of(f"settle {key}", key, "settled", amount):
            holds[key].settle(nanousd=amount)

    async with AsyncExitStack() as stack:
        with diary.step_of("open"):
            ledger = await stack.enter_async_context(
                Ledger.open(base_path, budgets=BUDGETS, holds_max=64, policy=POLICY)
            )
        for key in ("paid", "lost", "late", "unsent", "grown", "open", "part", "half", "soon"):
            await reserve(key, 4 * M)
        settle("paid", 3 * M)
        with diary.step_of("settle another", ANOTHER, "settled", M):
            holds["paid"].settle_another(nanousd=M, calls=0)
        for key in ("lost", "late"):
            with diary.step_of(f"doubt {key}", key, "open", 4 * M):
                holds[key].doubt()
        for key in ("part", "half", "soon"):
            with diary.step_of(f"know {key}", key, "known", 4 * M):
                holds[key].settle_known(calls=1)
        settle("soon", 3 * M)
        with diary.step_of("release unsent", "unsent", "released"):
            holds["unsent"].release()
        with diary.step_of("extend grown", "grown", "open", 6 * M):
            await holds["grown"].extend(nanousd=2 * M)
        with diary.step_of("sync"):
            await ledger.status()
        settle("late", 2 * M)
        settle("half", 1 * M)
        settle("grown", 5 * M)
        await reserve("big", 300 * M)  # more than the lease
        settle("big", 250 * M)
        diary.step = "close"


async def recover(base_path, diary):
    diary.step = "recover"
    async with Ledger.open(base_path, policy=POLICY):
        pass


def die():
    os.kill(os.getpid(), signal.SIGKILL)


def module_of(package, name):
    """None where the package has none of this name."""
    is_there = (Path(package.__file__).parent / f"{name}.py").exists()
    return importlib.import_module(f"{package.__name__}.{name}") if is_there else None


def plant(point, diary):
    """Let this process die at the point."""
    step, where, when, call, _ = point
    module, *owners, name = where.split(".")
    module = next(found for package in PACKAGES if (found := module_of(package, module)))
    owner = attrgetter(".".join(owners))(module) if owners else module
    method = inspect.getattr_static(owner, name)
    calls = 0

    @functools.wraps(method)
    def deadly(*args, **kwargs):
        nonlocal calls
        calls += diary.step == step
        is_it = diary.step == step and calls == call
        if is_it and when == "before":
            die()
        result = method(*args, **kwargs)
        if is_it:
            die()
        return result

    setattr(owner, name, deadly)


def doomed(work, base_path, prepare):
    """`work`, once `prepare` has had its diary."""
    diary = Diary(base_path / "diary")
    prepare(diary)
    asyncio.run(work(base_path / "data", diary))


def dies(work, base_path, point):
    """Whether `work`, in a process of its own, comes to the point."""
    child, pipe = fork(lambda: doomed(work, base_path, lambda diary: plant(point, diary)))
    os.close(pipe)
    _, status = os.waitpid(child, 0)
    return os.WIFSIGNALED(status)


def sums_of(holds):
    """(settled, held, in doubt) in nano-USD and in calls, and the holds in doubt, once their process is recovered."""
    settled = [amount for state, amount in holds.values() if state == "settled"]
    calls = [key for key, (state, _) in holds.items() if state == "settled" and key != ANOTHER]
    known = {key: amount for key, (state, amount) in holds.items() if state == "known"}
    in_doubt = {key: amount for key, (state, amount) in holds.items() if state == "open"}
    return {
        "all": [sum(settled), 0, sum((in_doubt | known).values())],
        "calls": [len(calls) + len(known), 0, len(in_doubt)],
        "in doubt": in_doubt | known,
    }


async def look(base_path):
    """The same, as the ledger has it; opening it recovers the dead."""
    found = sums_of({})
    async with Ledger.open(base_path, budgets=BUDGETS, holds_max=64) as ledger:
        for row in await ledger.status():
            found[row.budget] = [row.settled, row.held, row.in_doubt]
        for hold in await ledger.in_doubt():
            found["in doubt"][hold.key] = sum(amount.amount for amount in hold.amounts if amount.budget == "all")
        left = {"usd": LIMIT - sum(found["all"]), "calls": CALLS_LIMIT - sum(found["calls"])}
        usable = await ledger.reserve(WHO, nanousd=left["usd"], calls=left["calls"])  # whatever was leased is back
        usable.release()
    return found


def looks(base_paths):
    """What `look` finds in each, one after the other; or what went wrong."""

    def looked(base_path):
        try:
            return asyncio.run(look(base_path / "data"))
        except HiveCostError as error:
            return repr(error)

    return outcome_of(lambda: list(map(looked, base_paths)))


def killed(base_path, point):
    """What is wrong once a process died at the point and was recovered."""
    if point[0] == "recover":
        reached = dies(live, base_path, BEFORE_RECOVERY) and dies(recover, base_path, point)
    else:
        reached = dies(live, base_path, point)
    if not reached:
        return ["it never came there"]
    expected = sums_of(holds_of(base_path / "diary", counts=point[-1]))
    found = looks([base_path] * LOOKS)
    problems = [f"look {n}: {sums}, expected {expected}" for n, sums in enumerate(found, 1) if sums != expected]
    problems += problems_in_tables(base_path / "data")
    problems += [f"left behind: {file.name}" for file in (base_path / "data" / "ledger").iterdir()]
    return problems


def files_in(folder):
    return {file: file.read_bytes() for file in folder.rglob("*") if file.is_file()}


def copies(base_path, step):
    """(line, a copy of the files as they were before it) wherever a line of the step changed them: what kills leave."""

    def tracing(diary):
        def trace(frame, event, _):
            nonlocal last
            if not frame.f_code.co_filename.startswith(FOLDERS):
                return None
            if event == "line" and diary.step == step and (files := files_in(base_path)) != last:
                last = files
                copy = base_path.with_name(f"{base_path.name}-{len(found)}")
                shutil.copytree(base_path, copy)
                found.append((f"{Path(frame.f_code.co_filename).name}:{frame.f_lineno}", str(copy)))
            return trace

        threading.settrace(trace)
        sys.settrace(trace)

    def traced():
        doomed(work, base_path, tracing)
        return found

    work = live if step != "recover" or not dies(live, base_path, BEFORE_RECOVERY) else recover
    last, found = None, []
    return [(line, Path(copy)) for line, copy in outcome_of(traced)]


def swept(base_path, step):
    """What is wrong with what kills would leave: a step counts from one line on, and not before."""
    lines = copies(base_path, step)
    if not lines:
        return ["it never came there"]
    counting, problems = [], []
    for (line, copy), found in zip(lines, looks([copy for _, copy in lines]), strict=True):
        before, after = (sums_of(holds_of(copy / "diary", counts=counts)) for counts in (False, True))
        if found not in (before, after):
            problems.append(f"{line}: {found}, expected {before} or {after}")
        counting.append(found == after)
    if counting != sorted(counting):
        problems.append(f"it does not count from one line on: {counting}")
    return problems


def main():
    base_path, mutant = sys.argv[1:]
    logging.getLogger("hivecost").setLevel(logging.CRITICAL)
    MUTANTS[mutant]()
    problems = []
    for number, case in enumerate(json.load(sys.stdin)):
        path = Path(base_path) / str(number)
        path.mkdir()
        problems.append(swept(path, case) if isinstance(case, str) else killed(path, case))
    print(json.dumps(problems))


if __name__ == "__main__":
    main()
