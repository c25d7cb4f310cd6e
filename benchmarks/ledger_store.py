"""The durable ledger: reserve + settle in lease against the same sums on dicts, and four processes on one account."""

from __future__ import annotations

import asyncio
import multiprocessing
import tempfile
from collections.abc import Callable, Sequence
from multiprocessing.connection import Connection
from time import perf_counter

from benchmarks.figure import Figure, ratio_of
from benchmarks.ledger import WHO, seconds_in_dicts
from hivecost.backends import Ledger
from hivecost.ledger import Budget

ROUNDS, PAIRS = 20, 2_000
PROCESSES, SECONDS = 4, 2.0
BUDGETS = [
    Budget("run", "$1_000", window="execution", mode="hard"),
    Budget("user day", "$1_000", window="day", per="user", mode="hard"),
    Budget("org month", "$1_000", window="month", per="org", mode="hard"),
    Budget("agent", "1_000_000_000_000 tokens", per="agent", mode="hard"),
]


def results() -> list[tuple[str, float, float, bool]]:
    """(name, goal, figure, whether the goal is met)."""
    ratio = asyncio.run(_ratio_in_lease())
    share = _pairs_per_s(shared=True) / _pairs_per_s(shared=False)
    return [
        ("reserve + settle, 4 accounts, in lease with journal, over the same sums on dicts", 3.0, ratio, ratio <= 3.0),
        (f"{PROCESSES} processes on one account, over the same with an account each", 0.7, share, share >= 0.7),
    ]


async def _ratio_in_lease() -> Figure:
    ledger_s, dict_s = [], []
    with tempfile.TemporaryDirectory() as folder:
        async with Ledger.open(folder, budgets=BUDGETS) as ledger:
            for _ in range(ROUNDS):  # by turns, so that both see the same machine
                (await ledger.reserve(WHO, nanousd=10_000, tokens=1_000)).settle(nanousd=7_000, tokens=800)
                ledger_s.append(_seconds_in_lease(ledger))
                dict_s.append(seconds_in_dicts(PAIRS))
                await ledger.status()  # commits, so that the journal has room
    return ratio_of(ledger_s, dict_s)


def _seconds_in_lease(ledger: Ledger) -> float:
    started_s = perf_counter()
    for _ in range(PAIRS):
        hold = ledger.reserve_nowait(WHO, nanousd=10_000, tokens=1_000)
        assert hold is not None
        hold.settle(nanousd=7_000, tokens=800)
    return perf_counter() - started_s


def _pairs_per_s(*, shared: bool) -> float:
    """What the processes do together; with an account each it is what the machine's cores can give."""
    with tempfile.TemporaryDirectory() as folder:
        return sum(rates_in([folder if shared else f"{folder}/{number}" for number in range(PROCESSES)]))


def rates_in(folders: Sequence[str]) -> list[float]:
    """What a process in each folder does, all at once; raises EOFError when one of them dies."""
    context = multiprocessing.get_context("spawn")
    pipes: list[Connection] = []
    processes = []
    for folder in folders:
        ours, theirs = context.Pipe()
        processes.append(context.Process(target=_in_process, args=(folder, theirs), daemon=True))
        processes[-1].start()
        theirs.close()  # so that the pipe ends with the process
        pipes.append(ours)
    _each(pipes, lambda pipe: pipe.recv())  # all are open
    _each(pipes, lambda pipe: pipe.send("go"))
    rates = _each(pipes, lambda pipe: pipe.recv())
    for process in processes:
        process.join()
    return rates


def _each(pipes: list[Connection], work: Callable[[Connection], float | None]) -> list[float]:
    return [work(pipe) or 0.0 for pipe in pipes]


def _in_process(folder: str, pipe: Connection) -> None:
    asyncio.run(_spend(folder, pipe))


async def _spend(folder: str, pipe: Connection) -> None:
    """As fast as it goes, with turns of the event loop in between, because the beat needs them."""
    async with Ledger.open(folder, budgets=[Budget("all", "$1_000_000", mode="hard")]) as ledger:
        pipe.send(None)
        pipe.recv()
        pairs, started_s = 0, perf_counter()
        while perf_counter() < started_s + SECONDS:
            for _ in range(50):
                (await ledger.reserve({}, nanousd=10_000)).settle(nanousd=7_000)
            pairs += 50
            await asyncio.sleep(0)
        pipe.send(pairs / (perf_counter() - started_s))


if __name__ == "__main__":
    print(results())
