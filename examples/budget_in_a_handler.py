"""A limit of one's own, enforced by a handler: cancel the execution, or raise, or both."""

import anyio

import hivecost as hc

MAX_TOKENS = 10_000
total_tokens = 0

runtime = hc.AgentRuntime("data")


async def enforce_budget(event):
    global total_tokens
    total_tokens += event.data["total_tokens"]
    if total_tokens > MAX_TOKENS:
        await runtime.cancel_execution(event.execution_id)
        raise hc.BudgetExceededError(f"token budget exhausted: {total_tokens:,} tokens")


runtime.bus.subscribe(event_types=[hc.EventType.LLM_TURN_COMPLETE], handler=enforce_budget)


@runtime.entry_point("looper")
async def looper(ctx, _):
    while True:
        async with ctx.turn("gpt-4o-mini") as turn:
            await anyio.sleep(0.01)  # the provider thinks
            turn.settle(hc.Usage(input_tokens=900, output_tokens=100))


async def main():
    async with runtime:
        result = await runtime.trigger_and_wait("looper")
    print(result.status, result.metrics["total_tokens"], "tokens:", result.error)


anyio.run(main)
