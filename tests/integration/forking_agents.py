"""A runtime whose agents fork: `python forking_agents.py BASE_PATH BACKEND WHERE WHAT…`, in a process of its own.

WHERE: `thread` (a sync agent), `loop` (an async agent) or `block` (the runtime's own block).
WHAT, each in a child of its own: `refused` (a child tries everything and prints what refused it), or how the child
ends: `process` (of multiprocessing), `_exit`, `exit` (sys.exit), `return`, `raise`, `text` (sys.exit with a text).
Prints lines of children, then `parent`, their exit codes, the execution's status and how many turns are logged.
"""

from __future__ import annotations

import multiprocessing
import os
import sys
import warnings
from collections.abc import Callable

import anyio

import hivecost as hc
from hivecost.events import CustomEvent

sys.modules["bpe_openai"] = None  # as without the extra `tokens`: importing it takes longer than all else here
warnings.simplefilter("ignore")  # Python's own about forking where threads run, which is what is tried here
BASE_PATH, BACKEND, WHERE, *WHATS = sys.argv[1:]

runtime = hc.AgentRuntime(BASE_PATH, budgets=[hc.Budget("b", limit="$1", window="day", mode="hard")])
store = hc.Store(BASE_PATH + "/store")
parents: list[str] = []


async def turn(ctx: hc.Execution) -> None:
    async with ctx.turn("gpt-4o", input_tokens=1, max_tokens=1) as one:
        one.settle(hc.Usage(1, 1))


def sync_turn(ctx: hc.Execution) -> None:
    with ctx.turn("gpt-4o", input_tokens=1, max_tokens=1) as one:
        one.settle(hc.Usage(1, 1))


def run(function: Callable[..., object], *args: object, **named: object) -> object:
    """In a loop of the child's own; on the parent's, which nobody turns here, it is to end before it waits."""
    if WHERE != "thread":
        function(*args, **named).send(None)
        return "waits"

    async def main() -> object:
        return await function(*args, **named)

    return anyio.run(main, backend=BACKEND)


def try_everything(ctx: hc.Execution) -> None:
    """Print what each attempt ended in."""
    event = CustomEvent(name="hello")
    attempts = {
        "sync turn": lambda: sync_turn(ctx),
        "async turn": lambda: run(turn, ctx),
        "publish": lambda: run(runtime.bus.publish, event),
        "publish_nowait": lambda: runtime.bus.publish_nowait(event),
        "subscribe": lambda: runtime.bus.subscribe(handler=print),
        "drain": lambda: run(runtime.bus.drain),
        "wait_for": lambda: run(runtime.bus.wait_for, "custom", timeout_s=9),
        "trigger": lambda: run(runtime.trigger, "thread"),
        "trigger_and_wait": lambda: run(runtime.trigger_and_wait, "thread"),
        "wait": lambda: run(runtime.wait, ctx.execution_id),
        "cancel": lambda: run(runtime.cancel_execution, ctx.execution_id, "no"),
        "cancel_nowait": lambda: runtime.cancel_execution_nowait(ctx.execution_id, "no"),
        "flush": lambda: run(runtime.flush),
        "status": lambda: run(runtime.budgets.status),
        "enter": lambda: run(runtime.__aenter__),
        "store.write": lambda: run(store.write, [event]),
        "store.record": lambda: run(store.record, event),
        "store.record_nowait": lambda: store.record_nowait(event),
        "store.flush": lambda: run(store.flush),
        "store.enter": lambda: run(store.__aenter__),
    }
    for name, attempt in attempts.items():
        try:
            attempt()
        except hc.HiveCostError as error:
            print(name, "refused" if "parent" in str(error) or "not open" in str(error) else repr(error), flush=True)
        except BaseException as error:
            print(name, repr(error), flush=True)
        else:
            print(name, "done", flush=True)


def end(ctx: hc.Execution, what: str) -> None:
    """In the child, as it is told."""
    if what == "refused":
        try_everything(ctx)
        os._exit(0)
    if what == "_exit":
        os._exit(3)
    if what == "exit":
        sys.exit(3)
    if what == "text":
        sys.exit("a reason")
    if what == "raise":
        raise ValueError("of the child")


def fork(ctx: hc.Execution) -> bool:
    """True in a child, when it is to go on."""
    for what in WHATS:
        if what == "process":
            child = multiprocessing.get_context("fork").Process(target=sys.exit, args=(3,))
            child.start()
            child.join()
            parents.append(str(child.exitcode))
            continue
        pid = os.fork()
        if pid == 0:
            end(ctx, what)
            return True
        parents.append(str(os.waitstatus_to_exitcode(os.waitpid(pid, 0)[1])))
    return False


@runtime.entry_point("thread")
def in_a_thread(ctx, _):
    sync_turn(ctx)
    if not fork(ctx):
        sync_turn(ctx)


@runtime.entry_point("loop")
async def on_the_loop(ctx, _):
    await turn(ctx)
    if not fork(ctx):
        await turn(ctx)


@runtime.entry_point("block")
async def beside(ctx, _):
    await turn(ctx)
    begun.append(ctx)
    await go_on.wait()
    await turn(ctx)


begun: list[hc.Execution] = []
go_on = anyio.Event()


async def main() -> None:
    async with store, runtime:
        if WHERE == "block":
            execution_id = await runtime.trigger("block", session_id="s")
            while not begun:
                await anyio.sleep(0.01)
            fork(begun[0])
            go_on.set()
            result = await runtime.wait(execution_id)
        else:
            result = await runtime.trigger_and_wait(WHERE, session_id="s")
        await store.write([CustomEvent(name="of the parent")])
        settled = sum(row.settled for row in await runtime.budgets.status() if row.unit == "usd")
    logged = (await hc.SessionStore(BASE_PATH).read_state("s")).metrics.llm_calls
    print("parent", *parents, result.status, logged, settled > 0)


anyio.run(main, backend=BACKEND)
