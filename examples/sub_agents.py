"""A run binds what it starts: three researchers share their manager's budget, and one block has a cap of its own."""

from __future__ import annotations

import anyio

import hivecost as hc

runtime = hc.AgentRuntime(
    "data",
    budgets=[hc.Budget("per run", limit="$0.10", window="execution", on_short="refuse")],
    config={"log": False},
)


async def ask(ctx: hc.Execution) -> None:
    """One call of $0.0075; your client's answer stands for it."""
    async with ctx.turn("gpt-4o", input_tokens=1_000, max_tokens=500) as turn:
        turn.settle({"model": "gpt-4o-2024-08-06", "usage": {"prompt_tokens": 1_000, "completion_tokens": 500}})


@runtime.entry_point("researcher")
async def researcher(ctx: hc.Execution, questions: int) -> None:
    for _ in range(questions):
        await ask(ctx)


@runtime.entry_point("manager")
async def manager(ctx: hc.Execution, _: object) -> None:
    try:
        async with ctx.node("brainstorm", limit="$0.02"):  # this block, whatever is left besides
            while True:
                await ask(ctx)
    except hc.BudgetExhaustedError as error:
        print(error)
    for number, limit in enumerate((None, "$0.03", None), start=1):
        result = await runtime.trigger_and_wait("researcher", 6, limit=limit)
        calls = result.metrics["llm_calls"]
        print(f"researcher {number}: {result.status}, {calls} calls: {result.error or 'all done'}")


async def main() -> None:
    async with runtime:
        result = await runtime.trigger_and_wait("manager", user_id="ada")
    own, tree = result.metrics["cost_usd"], result.metrics["tree_cost_usd"]
    print(f"manager: {result.status}, {own} USD itself, {tree} USD with all that it started, of 0.10")


anyio.run(main)
