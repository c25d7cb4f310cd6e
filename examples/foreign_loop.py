"""An agent on an event loop that is not the runtime's, as a notebook, a web server or a framework has one."""

import asyncio

import hivecost as hc

# In a thread of its own; it is closed when the program ends.
runtime = hc.run_in_background("data", budgets=[hc.Budget("day", limit="$0.02", window="day", on_short="refuse")])


async def research(topic: str) -> str:
    async with runtime.execution(agent_id="researcher", task_id=topic) as ctx:
        print(f"{topic}: for {ctx.agent_id}")
        async with ctx.turn("gpt-4o", input_tokens=1_000, max_tokens=500) as turn:
            await asyncio.sleep(0.01)  # your client's call
            turn.settle({"model": "gpt-4o", "usage": {"prompt_tokens": 1_000, "completion_tokens": 500}})
    return f"{topic}: {ctx.result.status}, {ctx.result.metrics['cost_usd']} USD"


async def main() -> None:
    for topic in ("bees", "honey", "wax"):
        try:
            print(await research(topic))
        except hc.BudgetExceededError as error:
            print(f"{topic}: {error}")


asyncio.run(main())
