"""What was spent today: from the sessions, and by model from the time rollups."""

from datetime import datetime

import anyio

import hivecost as hc

runtime = hc.AgentRuntime("data", prices={"our-model": {"input": 1.00, "output": 4.00}})


@runtime.entry_point("worker")
async def worker(ctx, _):
    for model in ("gpt-4o", "our-model", "a-model-without-price"):
        async with ctx.turn(model) as turn:
            turn.settle(hc.Usage(10_000, 1_000))


async def main():
    async with runtime:
        await runtime.trigger_and_wait("worker", org_id="acme", user_id="ada")

    today = datetime.now().astimezone().date()
    sessions = await hc.SessionStore("data").list_sessions(since=today, limit=1_000)
    tokens = sum(session.metrics.total_tokens for session in sessions)
    cost = sum(session.metrics.total_cost_usd for session in sessions)
    unpriced = sum(session.metrics.unpriced_calls for session in sessions)
    print(f"{today}: {len(sessions)} sessions, {tokens:,} tokens, ${cost:.4f}, {unpriced} turns without a price")

    for row in await hc.SpendStore("data").totals(by=("model",), since=today):
        missing = row.unpriced_calls + row.invalid_calls
        shown = "unknown" if missing == row.llm_calls else f"${row.cost_usd:.4f}"
        print(f"  {row.group['model']:<24} {row.llm_calls:>3} calls  {shown}")


anyio.run(main)
