"""An agent that is counted, priced and stopped: the twenty lines of the README, runnable offline.

A real agent hands its provider's response to `turn.settle(response)`; here usage is given by hand.
"""

import anyio

import hivecost as hc

runtime = hc.AgentRuntime("data", budgets=[hc.Budget("per run", limit="$0.05", window="execution")])


@runtime.entry_point("answer")
async def answer(ctx, request):
    async with ctx.node("plan"):
        for _ in range(request["steps"]):
            async with ctx.turn(model="gpt-4o", input_tokens=2_000, max_tokens=800) as turn:  # or: prompt=messages
                turn.settle(hc.Usage(input_tokens=2_000, output_tokens=500))  # or: turn.settle(response)
    return "done"


async def main():
    async with runtime:
        good = await runtime.trigger_and_wait("answer", {"steps": 3}, user_id="ada")
        loop = await runtime.trigger_and_wait("answer", {"steps": 1_000}, user_id="ada")
    print(good.status, good.metrics["llm_calls"], "calls", good.metrics["cost_usd"], "USD")
    print(loop.status, loop.metrics["llm_calls"], "calls:", loop.error)


anyio.run(main)
