"""H5: a hold that nobody keeps any more is in doubt: whoever sends something keeps its hold until the bill is known."""

from __future__ import annotations

import asyncio
import gc
import os
import subprocess
import sys
import threading
from contextlib import suppress

import pytest

import hivecost as hc
from hivecost.backends import Ledger

pytestmark = pytest.mark.anyio

HELD = 10_000_000
#: Those that the ledger runs through.
FILES = (
    *(f"leasing/{name}.py" for name in ("atomic", "local_holds", "local_ledger", "journal", "leases")),
    *(f"ledger/{name}.py" for name in ("state", "book", "account")),
)


@pytest.mark.parametrize("how", ["by its count", "by the collector", "in another thread"])
async def test_it_is_in_doubt(base_path, budgets, sums, how):
    """On every account; it is listed, and someone may resolve it."""
    async with Ledger.open(base_path, budgets=budgets) as ledger:
        hold = await ledger.reserve({"user": "ada"}, nanousd=HELD, key="attempt-7")
        if how == "by the collector":
            cycle = [hold]
            cycle.append(cycle)
            del hold, cycle
            gc.collect()
        elif how == "in another thread":
            hands = [hold]
            del hold
            thread = threading.Thread(target=hands.clear)
            thread.start()
            thread.join()
        else:
            del hold
        assert (await sums(ledger), await sums(ledger, "run")) == ((0, 0, HELD), (0, 0, HELD))
        (doubt,) = await ledger.in_doubt()
        assert doubt.key == "attempt-7"
        await ledger.resolve(doubt.hold_id, usd=0, by="ada")
        assert await sums(ledger) == (0, 0, 0)


async def test_it_is_in_doubt_once_the_last_one_drops_it(base_path, budgets, sums):
    """A key gives the same hold to several."""
    async with Ledger.open(base_path, budgets=budgets) as ledger:
        first = await ledger.reserve({}, nanousd=HELD, key="k")
        again = await ledger.reserve({}, nanousd=HELD, key="k")
        del first
        assert await sums(ledger) == (0, HELD, 0)
        del again
        assert await sums(ledger) == (0, 0, HELD)


@pytest.mark.parametrize("end", ["settle", "release", "doubt"])
async def test_what_has_ended_may_be_dropped(base_path, budgets, sums, end):
    """Nothing changes any more."""
    async with Ledger.open(base_path, budgets=budgets) as ledger:
        hold = await ledger.reserve({}, nanousd=HELD)
        getattr(hold, end)()
        before = await sums(ledger)
        del hold
        gc.collect()
        assert await sums(ledger) == before


async def test_dropped_at_every_line(at_line, base_path, budgets, tables, sums):
    """In the middle of the ledger's own work it waits until that is done."""
    number, lines = 0, 0
    async with Ledger.open(base_path, budgets=budgets) as ledger:
        while lines >= number:
            number += 1
            _, _, before = await sums(ledger)
            mine = await ledger.reserve({}, nanousd=1_000, calls=0)
            hands = [await ledger.reserve({}, nanousd=1_000, calls=0)]
            with at_line(FILES, number, hands.clear) as collector:
                mine.settle(nanousd=500)
            lines = collector.lines
            hands.clear()
            _, held, in_doubt = await sums(ledger)
            assert (held, in_doubt - before) == (0, 1_000)
    assert number > 3
    assert tables() == []


async def test_after_its_ledger_was_closed_nothing_happens(base_path, budgets, sums):
    """It is in doubt since then."""
    async with Ledger.open(base_path, budgets=budgets) as ledger:
        hold = await ledger.reserve({}, nanousd=HELD)
    del hold
    async with Ledger.open(base_path, budgets=budgets) as ledger:
        assert await sums(ledger) == (0, 0, HELD)


@pytest.mark.parametrize("anyio_backend", ["asyncio"])
async def test_wherever_a_reservation_is_given_up_nothing_stays_held(base_path, budgets, sums):
    """Those who stop waiting for it at the very moment, and tasks that are cancelled."""
    async with Ledger.open(base_path, budgets=[hc.Budget("all", "100_000 calls", mode="hard")]) as ledger:
        for number in range(300):
            task = asyncio.ensure_future(ledger.reserve({}, calls=1 + number % 3 * 40))
            with suppress(TimeoutError):
                (await asyncio.wait_for(task, 10.0 ** -(number % 6))).release()
            task = asyncio.create_task(ledger.reserve({}, calls=1 + number % 2 * 40))
            for _ in range(number % 4):
                await asyncio.sleep(0)
            task.cancel()
            with suppress(asyncio.CancelledError):
                (await task).release()
        del task
        gc.collect()
        settled, held, _ = await sums(ledger)
        assert (settled, held) == (0, 0)


def run(program, base_path):
    """What it prints as errors; it must end well."""
    command = [sys.executable, "-c", program, str(base_path)]
    done = subprocess.run(command, capture_output=True, text=True, check=False)
    assert done.returncode == 0, done.stderr
    return done.stderr


#: A child drops what it has a picture of; its parent settles the hold.
FORKING = """
import asyncio, gc, os, sys
import hivecost as hc

async def main():
    async with hc.Ledger.open(sys.argv[1], budgets=[hc.Budget("all", "$1", mode="hard")]) as ledger:
        hold = await ledger.reserve({}, nanousd=1_000)
        child = os.fork()
        if child == 0:
            del hold
            gc.collect()
            os._exit(0)
        assert os.waitpid(child, 0)[1] == 0
        assert [row.held for row in await ledger.status()] == [1_000]
        hold.settle(nanousd=700)

asyncio.run(main())
"""


@pytest.mark.skipif(not hasattr(os, "fork"), reason="there are no forks")
async def test_a_forked_child_drops_only_its_picture_of_it(base_path, sums):
    """The hold is the parent's, who settles it."""
    assert run(FORKING, base_path) == ""
    async with Ledger.open(base_path) as ledger:
        assert await sums(ledger) == (700, 0, 0)


#: An interpreter that ends with an open ledger, and a hold in it.
UNCLOSED = """
import asyncio, sys
import hivecost as hc

async def main():
    global ledger, hold
    ledger = hc.Ledger.open(sys.argv[1], budgets=[hc.Budget("all", "$1", mode="hard")])
    await ledger.__aenter__()
    hold = await ledger.reserve({}, nanousd=1_000)

loop = asyncio.new_event_loop()
loop.run_until_complete(main())
"""


async def test_the_end_of_the_interpreter_says_nothing(base_path, sums):
    """Whoever opens the ledger next finds it in the journal."""
    assert "__del__" not in run(UNCLOSED, base_path)
    async with Ledger.open(base_path) as ledger:
        assert await sums(ledger) == (0, 0, 1_000)
