"""A platform with plans: each customer has a limit of its own, and one of them buys more while its agent waits."""

import tempfile

import anyio

import hivecost as hc

#: A day of the free plan; globex and initech pay for more.
budget = hc.Budget(
    "customer day",
    limit="$0.01",
    window="day",
    per="org",
    limits={"globex": "$0.05", "initech": "$0.02"},
    on_short="refuse",
    on_exceed="pause",  # until somebody raises the limit
)
runtime = hc.AgentRuntime(tempfile.mkdtemp(), budgets=[budget])  # each time the day is new
answers = dict.fromkeys(("acme", "globex", "initech"), 0)


@runtime.entry_point("assistant")
async def assistant(ctx, org):
    for _ in range(40):  # questions
        async with ctx.turn("gpt-4o", input_tokens=400, max_tokens=100) as turn:
            await anyio.sleep(0.001)  # the provider thinks
            turn.settle(hc.Usage(400, 100))  # $0.002
        answers[org] += 1


async def main():
    paused, all_paused = set(), anyio.Event()

    def on_exceeded(event):
        paused.add(event.org_id)
        if len(paused) == len(answers):
            all_paused.set()

    runtime.bus.subscribe(event_types=[hc.EventType.BUDGET_EXCEEDED], handler=on_exceeded)
    async with runtime:
        runs = {org: await runtime.trigger("assistant", org, org_id=org) for org in answers}
        await all_paused.wait()
        for account in await runtime.budgets.status():
            org = account.scope.removeprefix("org=")
            print(f"{org}: {answers[org]} answers, ${account.settled / 1e9:.2f} of ${account.limit / 1e9:.2f}, paused")

        limit = await runtime.budgets.raise_limit("customer day", "$0.06", scope={"org": "initech"}, by="billing")
        print(f"initech buys more: ${limit / 1e9:.2f} a day")
        result = await runtime.wait(runs["initech"])
        print(f"initech: {answers['initech']} answers, {result.status}; the others wait for their next day")
        for org in ("acme", "globex"):
            await runtime.cancel_execution(runs[org], "the example is over")


anyio.run(main)
