"""A platform: a customer may spend $0.50 a day, and two worker processes at once cannot make it $0.51."""

import subprocess
import sys

import anyio

import hivecost as hc

budget = hc.Budget("customer day", limit="$0.50", window="day", timezone="Europe/Berlin", per="org")


async def work(name):
    runtime = hc.AgentRuntime("data", budgets=[budget])

    @runtime.entry_point("assistant")
    async def assistant(ctx, _):
        while True:  # one question after the other
            async with ctx.turn("gpt-4o", input_tokens=1_000, max_tokens=500) as turn:
                await anyio.sleep(0.001)  # the provider thinks
                # The last answer may be a shorter one: send `turn.max_tokens`, it is what the budget still pays.
                turn.settle(hc.Usage(1_000, turn.max_tokens))

    async with runtime:
        result = await runtime.trigger_and_wait("assistant", user_id=name, org_id="acme")
    print(name, result.status, "after", result.metrics["llm_calls"], "calls:", result.error)


async def report():
    for row in await hc.SpendStore("data").totals(by=("org", "user")):
        print(row.group["org"], row.group["user"], row.llm_calls, "calls", row.cost_usd, "USD")
    for row in await hc.SpendStore("data").totals(by=("org",)):
        if row.group["org"] == "acme":  # other examples keep their log in this folder too
            print("together", row.cost_usd, "USD of 0.50")


if len(sys.argv) > 1:
    anyio.run(work, sys.argv[1])
else:
    command = [sys.executable, __file__]
    for worker in [subprocess.Popen([*command, name]) for name in ("worker-1", "worker-2")]:  # noqa: S603  # this file
        worker.wait()
    anyio.run(report)
