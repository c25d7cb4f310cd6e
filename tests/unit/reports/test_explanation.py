"""`explain_budget`: who holds what of a budget, why it is frozen, and what it refused."""

from __future__ import annotations

import json
import os
import sqlite3
import subprocess
import sys
from contextlib import closing

import pytest

import hivecost as hc
from hivecost.backends import Ledger
from hivecost.cli.render import render_explanation, to_json
from hivecost.errors import ConfigError, LedgerUnavailableError, StoreCorruptError
from hivecost.reports import explain_budget

pytestmark = pytest.mark.anyio

DAY = hc.Budget("day", "$1", window="day", per="user", match={"org": "acme"}, mode="hard", on_short="refuse")
ADA, BOB = ({"org": "acme", "user": user} for user in ("ada", "bob"))

#: Opens the ledger in its own process, holds $0.10 of Bob's twice, and waits.
HOLDER = """
import sys, anyio
from hivecost.ledger import Budget
from hivecost.backends import Ledger

async def main():
    budget = Budget("day", "$1", window="day", per="user", match={"org": "acme"}, mode="hard")
    async with Ledger.open(sys.argv[1], budgets=[budget]) as ledger:
        holds = [await ledger.reserve({"org": "acme", "user": "bob"}, usd="0.10") for _ in range(2)]
        print("held", flush=True)
        await anyio.to_thread.run_sync(sys.stdin.read)

anyio.run(main)
"""


@pytest.fixture
def anyio_backend():
    return "asyncio"


@pytest.fixture
def base_path(tmp_path):
    return tmp_path / "data"


async def explained(base_path, name="day"):
    return await explain_budget(base_path, name)


async def test_it_says_who_holds_what(base_path, capsys):
    """Account by account, and process by process with its pid; what is in doubt with the hold's id and the reason."""
    pipes = {"stdin": subprocess.PIPE, "stdout": subprocess.PIPE, "text": True}
    with subprocess.Popen([sys.executable, "-c", HOLDER, base_path], **pipes) as other:
        assert other.stdout.readline() == "held\n"
        async with Ledger.open(base_path, budgets=[DAY]) as ledger:
            (await ledger.reserve(ADA, usd="0.30")).settle(usd="0.25")
            doubted = await ledger.reserve(ADA, usd="0.07", key="attempt-2")
            doubted.doubt()
            held = await ledger.reserve(ADA, usd="0.05")
            await ledger.status()
            explanation = await explained(base_path)
            held.release()
        ada, bob = explanation.accounts
        render_explanation(explanation)
        other.stdin.close()
        other.wait(60)
    (mine,), (theirs,) = ada.holders, bob.holders
    assert (mine.process, theirs.process) == (f"process {os.getpid()}", f"process {other.pid}")
    assert (ada.account.settled, mine.held, mine.holds, theirs.held, theirs.holds) == (
        25 * 10**7,
        5 * 10**7,
        1,
        2 * 10**8,
        2,
    )
    assert mine.since <= mine.held_since
    (doubt,) = ada.in_doubt
    assert (doubt.hold_id, doubt.key, doubt.reason, doubt.amount) == (
        doubted.hold_id,
        "attempt-2",
        "left unsettled",
        7 * 10**7,
    )
    shown = capsys.readouterr().out
    assert f"Held      $0.0500 for 1 turn by process {os.getpid()} (since " in shown
    assert f"Held      $0.2000 for 2 turns by process {other.pid} (since " in shown
    assert f"In doubt  $0.0700: hold {doubted.hold_id}, left unsettled, key attempt-2, since " in shown
    assert "user=ada  " in shown
    assert "$0.2500 of $1.0000 settled, $0.6300 left, it resets at " in shown


async def test_holds_of_the_dead_are_in_doubt_and_held_by_nobody(base_path):
    """Also before anybody has recovered them."""
    pipes = {"stdin": subprocess.PIPE, "stdout": subprocess.PIPE, "text": True}
    with subprocess.Popen([sys.executable, "-c", HOLDER, base_path], **pipes) as other:
        assert other.stdout.readline() == "held\n"
        other.kill()
        other.wait(60)
    (bob,) = (await explained(base_path)).accounts
    assert bob.holders == []
    assert [(doubt.reason, doubt.amount) for doubt in bob.in_doubt] == [("its process died", 10**8)] * 2


async def test_a_frozen_budget_says_why(base_path, capsys):
    """And how it grants again."""
    async with Ledger.open(base_path, budgets=[DAY]) as ledger:
        (await ledger.reserve(ADA, usd="0.07")).settle(usd="0.08")
    render_explanation(await explained(base_path))
    assert "Frozen    a bill of $0.0800 was above its hold of $0.0700: nothing is granted" in capsys.readouterr().out


def runtime_of(base_path, *budgets):
    runtime = hc.AgentRuntime(base_path, budgets=budgets, prices={"m": {"input": 1, "output": 2}})

    @runtime.entry_point("agent")
    async def agent(ctx, turns):
        for tokens in turns:
            async with ctx.turn("m", input_tokens=tokens, max_tokens=1) as turn:
                turn.settle(hc.Usage(tokens, 0))

    return runtime


async def test_it_says_what_was_refused(base_path, capsys):
    """The newest first, with what was asked for and what was left; of other budgets nothing."""
    other = hc.Budget("other", "1 calls", match={"org": "umbrella"}, mode="stop_after")
    async with runtime_of(base_path, DAY, other) as runtime:
        for tokens in (300_000, 900_000):
            await runtime.trigger_and_wait("agent", [tokens], org_id="acme", user_id="ada")
        refused = await runtime.trigger_and_wait("agent", [800_000], org_id="acme", user_id="ada")
        await runtime.trigger_and_wait("agent", [1] * 3, org_id="umbrella")
    explanation = await explained(base_path)
    newest, first = explanation.refusals
    assert (newest.scope, newest.action, newest.agent_id) == ("user=ada", "refused", "agent")
    assert (newest.needed, newest.remaining, newest.limit) == (800_002_000, 700_000_000, 10**9)
    assert (first.needed, newest.execution_id) == (900_002_000, refused.execution_id)
    render_explanation(explanation)
    assert "refused  agent  $0.3000  $1.0000  $0.9000  $0.7000" in capsys.readouterr().out
    (one,) = (await explained(base_path, "other")).refusals
    assert (one.action, one.remaining) == ("refused", 0)


@pytest.mark.parametrize("mode", ["observe", "stop_after"])
async def test_other_modes_are_explained_by_the_log(base_path, capsys, mode):
    """What is settled; nobody holds anything."""
    async with runtime_of(base_path, hc.Budget("day", "9 calls", window="day", per="user", mode=mode)) as runtime:
        await runtime.trigger_and_wait("agent", [1] * 4, user_id="ada")
    (account,) = (await explained(base_path)).accounts
    assert (account.account.settled, account.holders, account.in_doubt) == (4, [], [])
    render_explanation(await explained(base_path))
    assert (
        f"day  {mode}\n9 calls per day (UTC), counts all turns, an account for each user\n" in capsys.readouterr().out
    )


@pytest.mark.parametrize("mode", ["stop_after", "hard"])
async def test_accounts_that_only_their_process_has_are_said_to_be_there(base_path, capsys, mode):
    """An execution's own."""
    async with runtime_of(base_path, hc.Budget("run", "9 calls", window="execution", mode=mode)):
        pass
    render_explanation(await explained(base_path, "run"))
    assert "Each execution has an account of its own: its runtime has them" in capsys.readouterr().out


async def test_a_budget_that_is_not_there_is_named(base_path):
    """With those that are; where there are none, as everywhere."""
    with pytest.raises(LedgerUnavailableError, match="there is no ledger yet"):
        await explained(base_path)
    async with runtime_of(base_path, DAY, hc.Budget("soft", "$1", mode="stop_after")):
        pass
    with pytest.raises(ConfigError, match=r"budget: expected one of 'day', 'soft' .*, got 'nobody'"):
        await explained(base_path, "nobody")


async def test_it_is_json(base_path):
    """All of it."""
    async with runtime_of(base_path, DAY) as runtime:
        await runtime.trigger_and_wait("agent", [1, 2_000_000], org_id="acme", user_id="ada")
    document = json.loads(to_json(await explained(base_path)))
    assert document["budget"]["match"] == {"org": ["acme"]}
    assert [refusal["action"] for refusal in document["refusals"]] == ["refused"]
    assert document["accounts"][0]["account"]["settled"] == 1_000


async def test_a_damaged_event_is_named(base_path):
    """A file may be a stranger's."""
    async with runtime_of(base_path, DAY) as runtime:
        await runtime.trigger_and_wait("agent", [2_000_000], org_id="acme", user_id="ada")
    with closing(sqlite3.connect(base_path / "hivecost.db")) as log, log:
        log.execute("UPDATE events SET payload = json_set(payload, '$.used', 'much') WHERE type = 'budget_exceeded'")
    with pytest.raises(StoreCorruptError, match="an event in the log is damaged"):
        await explained(base_path)
