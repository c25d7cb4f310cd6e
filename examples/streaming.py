"""A streamed answer that stops before the money does, though nobody set aside what the longest answer would cost.

A real agent gives its provider's stream to `turn.stream(…)`, for example:

    response = await client.chat.completions.create(..., max_tokens=turn.max_tokens, stream=True,
                                                    stream_options={"include_usage": True})
    async for chunk in turn.stream(response): ...
    turn.settle()
"""

import anyio

import hivecost as hc

budget = hc.Budget("per run", limit="$0.02", window="execution")
runtime = hc.AgentRuntime("data", budgets=[budget], prices={"our-model": {"input": 2.50, "output": 10.00}})


async def generate(words):
    """A provider's stream: chunks of text, and at the end what is billed."""
    for _ in range(words):
        yield {"model": "our-model", "choices": [{"delta": {"content": "word "}}]}
    yield {"model": "our-model", "choices": [], "usage": {"prompt_tokens": 100, "completion_tokens": words}}


@runtime.entry_point("writer")
async def writer(ctx, words):
    answer = []
    # 8,000 tokens would cost up to $0.08: at first only 200 of them are held, and then ahead of what was read.
    async with ctx.turn("our-model", input_tokens=100, max_tokens=8_000, stream_tokens=200) as turn:
        try:
            async for chunk in turn.stream(generate(words)):
                answer += [choice["delta"]["content"] for choice in chunk["choices"]]
        except hc.BudgetExceededError:
            print("stopped", "early" if len(answer) < words else "late")
            raise
        turn.settle()
    return len(answer)


async def main():
    async with runtime:
        short = await runtime.trigger_and_wait("writer", 250)
        long = await runtime.trigger_and_wait("writer", 6_000)
    print(short.status, short.output, "words,", short.metrics["cost_usd"], "USD")
    print(long.status + ":", long.error)


anyio.run(main)
