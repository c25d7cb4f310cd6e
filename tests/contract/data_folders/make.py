"""Make `VERSION.zip`: a data folder as this version of hivecost leaves it behind, and what this version reads from it.

`python tests/contract/data_folders/make.py` once for each release that changes what is on the disk. The folder has
turns of all kinds, sums, budgets that were changed and frozen, and two processes of the ledger: one that was closed,
one that was killed with holds of every state in its journal.
"""

from __future__ import annotations

import json
import os
import shutil
import signal
import subprocess
import sys
import tempfile
import zipfile
from pathlib import Path

import anyio

import hivecost as hc

sys.path.insert(0, str(Path(__file__).parent))
from reading import BUDGETS, NOW_NS, PRICES, StillClock, read_folder

HERE = Path(__file__).parent


async def log_turns(base_path: Path) -> None:
    """Three runs of two sessions: completed, failed, and one that an execution budget cancelled."""
    run = hc.Budget("run", limit="4 calls", window="execution", mode="stop_after")
    runtime = hc.AgentRuntime(base_path, prices=PRICES, budgets=[run], clock=StillClock(), config={"runaway": "off"})

    @runtime.entry_point("answer", agent_id="planner")
    async def answer(ctx: hc.Execution, turns: int) -> str:
        async with ctx.node("plan"):
            for number in range(turns):
                async with ctx.turn("small-model", input_tokens=100, max_tokens=50) as turn:
                    turn.settle(hc.Usage(input_tokens=100 + number, output_tokens=7, cache_read_tokens=40))
        async with ctx.turn("nobody-knows-it", input_tokens=10, max_tokens=10) as turn:
            turn.settle(hc.Usage(input_tokens=10, output_tokens=1))
        if turns == 2:
            raise ValueError("an agent's own fault")
        return "done"

    session_id = "session_20261128_120000_00000001"
    who = {"session_id": session_id, "user_id": "ada", "org_id": "acme", "tags": {"plan": "pro"}}
    async with runtime:
        await runtime.trigger_and_wait("answer", 3, **who)
        await runtime.trigger_and_wait("answer", 2, **who)
        await runtime.trigger_and_wait("answer", 30, session_id="session_20261128_120000_00000002", user_id="bob")
        await runtime.bus.publish(hc.CustomEvent(timestamp_ns=NOW_NS, name="note", session_id=session_id))
        await runtime.flush()


async def hold_money(base_path: Path) -> None:
    """Holds of every state, until the process kills itself; `closed` is what an earlier one left in order."""
    async with hc.Ledger.open(base_path, budgets=BUDGETS, clock=StillClock(), holds_max=32) as closed:
        (await closed.reserve({"org": "acme", "user": "ada"}, usd="0.10", tokens=100)).settle(usd="0.04", tokens=80)
        (await closed.reserve({"org": "acme", "user": "bob"}, usd="0.02", tokens=20)).doubt()
        await closed.raise_limit("all", "$1", by="an operator")
        await closed.freeze("frozen", "someone is to look", by="an operator")
        (await closed.reserve({"org": "acme", "user": "eve"}, usd="0.03", tokens=30, key="resolved")).doubt()
    ledger = hc.Ledger.open(base_path, budgets=BUDGETS, clock=StillClock(), holds_max=32)
    await ledger.__aenter__()
    resolved = next(doubt for doubt in await ledger.in_doubt() if doubt.key == "resolved")
    await ledger.resolve(resolved.hold_id, "0.01", tokens=10, by="an operator")
    who = {"org": "acme", "user": "ada", "execution": "exec-1"}
    (await ledger.reserve(who, usd="0.05", tokens=50, key="committed")).settle(usd="0.02", tokens=20)
    (await ledger.reserve(who, usd="0.06", tokens=60, key="doubted")).doubt()
    await ledger.status()  # commits
    held = await ledger.reserve(who, usd="0.07", tokens=70, key="held")
    extended = await ledger.reserve(who, usd="0.01", tokens=10, key="extended")
    await extended.extend(usd="0.02", tokens=20)
    (await ledger.reserve(who, usd="0.08", tokens=80, key="settled")).settle(usd="0.03", tokens=30)
    assert held.state == extended.state == "held"
    os.kill(os.getpid(), signal.SIGKILL)


def main() -> None:
    with tempfile.TemporaryDirectory() as folder:
        base_path = Path(folder) / "data"
        anyio.run(log_turns, base_path)
        killed = subprocess.run([sys.executable, __file__, "hold", str(base_path)], check=False)
        assert killed.returncode == -signal.SIGKILL, killed
        target = HERE / f"{_version()}.zip"
        with zipfile.ZipFile(target, "w", zipfile.ZIP_DEFLATED) as archive:
            for file in sorted(path for path in base_path.rglob("*") if path.is_file()):
                archive.write(file, f"data/{file.relative_to(base_path)}")
            copy = shutil.copytree(base_path, Path(folder) / "copy")
            archive.writestr("read.json", json.dumps(anyio.run(read_folder, copy), indent=1))
        print(target, target.stat().st_size, "bytes")


def _version() -> str:
    from importlib.metadata import version

    return version("hivecost")


if __name__ == "__main__":
    if sys.argv[1:2] == ["hold"]:
        anyio.run(hold_money, Path(sys.argv[2]))
    main()
