"""A plain function as an agent: it runs in a thread, with the same gate and the same budget."""

import anyio

import hivecost as hc

runtime = hc.AgentRuntime("data", budgets=[hc.Budget("calls per run", limit="5 calls", window="execution")])


@runtime.entry_point("crawler")
def crawler(ctx, _):
    with ctx.node("crawl"):
        while True:
            with ctx.turn("claude-haiku-4-5") as turn:
                turn.settle({"usage": {"input_tokens": 1_000, "output_tokens": 200}, "model": "claude-haiku-4-5"})


async def main():
    async with runtime:
        result = await runtime.trigger_and_wait("crawler")
    print(result.status, result.metrics["llm_calls"], "calls:", result.error)


anyio.run(main)
