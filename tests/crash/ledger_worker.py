"""Agents on a hard budget, until they are killed: reserve → call the provider emulator → settle.

`run(base_path, provider_url, mutant, seed)` never returns. A MUTANT is a way to be wrong that the checks must catch.
"""

from __future__ import annotations

import asyncio
import json
import random
import time
from urllib.parse import urlsplit

from hivecost.backends import Ledger
from hivecost.backends.sqlite.lease_bank import database, recovery
from hivecost.errors import BudgetExceededError, LedgerUnavailableError
from hivecost.leasing import ledger_sync
from hivecost.ledger import Budget, Hold, LedgerState
from hivecost.testing import TURN_HEADER

NANOUSD_PER_TOKEN = 1_000
PROMPT = "x" * 40
PROMPT_TOKENS_MAX = 32
TASKS = 6
BUDGETS = [
    Budget("all", "$0.002", mode="hard"),
    Budget("calls", "1_000_000 calls", per="agent", window="day", mode="hard"),
    Budget("run", "$0.001", window="execution", mode="hard"),
]


async def call(url, key, max_tokens):
    """What the provider charges, in tokens."""
    where = urlsplit(url)
    reader, writer = await asyncio.open_connection(where.hostname, where.port)
    body = json.dumps(
        {"model": "m", "max_tokens": max_tokens, "messages": [{"role": "user", "content": PROMPT}]}
    ).encode()
    head = f"POST /v1/chat/completions HTTP/1.1\r\nHost: {where.netloc}\r\n{TURN_HEADER}: {key}\r\n"
    head += f"Content-Type: application/json\r\nContent-Length: {len(body)}\r\nConnection: close\r\n\r\n"
    writer.write(head.encode() + body)
    answer = await reader.read()
    writer.close()
    return json.loads(answer.split(b"\r\n\r\n", 1)[1])["usage"]["total_tokens"]


async def one_attempt(ledger, url, chance, name):
    max_tokens = chance.randrange(1, 64)
    who = {"agent": f"a{chance.randrange(3)}", "execution": name}
    first = max_tokens // 2
    hold = await ledger.reserve(who, nanousd=(PROMPT_TOKENS_MAX + first) * NANOUSD_PER_TOKEN, key=name)
    async with hold:
        if chance.random() < 0.1:
            hold.release()
            return
        await hold.extend(nanousd=(max_tokens - first) * NANOUSD_PER_TOKEN)
        tokens = await call(url, name, max_tokens)
        if chance.random() < 0.9:  # else left in doubt
            hold.settle(nanousd=tokens * NANOUSD_PER_TOKEN)
    if hold.state == "in_doubt" and chance.random() < 0.5:
        await asyncio.sleep(chance.uniform(0, 0.1))
        hold.settle(nanousd=tokens * NANOUSD_PER_TOKEN)
    ledger.forget_execution(name)


async def agent(ledger, url, chance, number):
    for turn in range(10**9):
        try:
            await one_attempt(ledger, url, chance, f"{number}-{turn}")
        except BudgetExceededError:
            await asyncio.sleep(0.02)
        except (LedgerUnavailableError, OSError):
            await asyncio.sleep(0.02)


async def work(base_path, url, seed):
    chance = random.Random(seed)
    async with Ledger.open(base_path, budgets=BUDGETS, holds_max=64) as ledger, asyncio.TaskGroup() as tasks:
        for number in range(TASKS):
            tasks.create_task(agent(ledger, url, chance, f"{seed}-{number}"))


def refund_on_crash():
    """Holds that were open when their process died go back, as if nothing had been sent."""
    recovery.doubt = lambda *_, **__: False


def settle_twice():
    """What was settled is not marked as such in the transaction that settles it."""
    replay = recovery.Recovery._replay

    def forgetful(self, connection, process_id, journal):
        connection.execute("UPDATE ledger_processes SET settled_number = 0 WHERE id = ?", [process_id])
        return replay(self, connection, process_id, journal)

    recovery.Recovery._replay = forgetful


def lease_before_its_commit():
    """A lease counts as soon as it is asked for."""
    request, transact = ledger_sync.LedgerSync.request, database.LedgerDatabase._transact

    async def early(self, wish):
        if any(account.bank_id == 0 and account.budget.window != "execution" for account in wish.accounts):
            return await request(self, wish)
        for account in wish.accounts:
            if account.leased:
                account.cap += wish.amounts.get(account.unit, 0)
        self._waiting.append(ledger_sync._Waiting(wish, 0.5))
        self.wake()
        return None

    def slow(self, work):
        time.sleep(0.02)  # as if the disk were busy
        return transact(self, work)

    ledger_sync.LedgerSync.request, database.LedgerDatabase._transact = early, slow


def check_without_hold():
    """What is left is looked at, and not set aside."""
    reserve = LedgerState.reserve

    def checked(self, *arguments, **named):
        answer = reserve(self, *arguments, **named)
        if isinstance(answer, Hold):
            for account in answer.accounts:
                account.held -= answer.amounts[account.unit]
        return answer

    def holding_first(name):
        method = getattr(LedgerState, name)

        def late(self, hold, *arguments):
            if hold.state == "held":
                for account in hold.accounts:
                    account.held += hold.amounts[account.unit]
            return method(self, hold, *arguments)

        setattr(LedgerState, name, late)

    LedgerState.reserve = checked
    for name in ("settle", "release", "doubt"):
        holding_first(name)


MUTANTS = {
    "none": lambda: None,
    "refund_on_crash": refund_on_crash,
    "settle_twice": settle_twice,
    "lease_before_its_commit": lease_before_its_commit,
    "check_without_hold": check_without_hold,
}


def run(base_path, url, mutant, seed):
    MUTANTS[mutant]()
    asyncio.run(work(base_path, url, seed))
