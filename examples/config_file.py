"""Budgets, settings and prices from a file, and a limit that is raised in it while the runtime runs."""

import tempfile
from pathlib import Path

import anyio

import hivecost as hc

config = Path(tempfile.mkdtemp()) / "hivecost.toml"  # a copy, because it is changed below
config.write_text(Path(__file__).with_name("hivecost.toml").read_text())


def raise_the_limit():
    config.write_text(config.read_text().replace('"$0.05"', '"$0.50"'))


runtime = hc.AgentRuntime("data", config=config)


@runtime.entry_point("worker")
async def worker(ctx, steps):
    for _ in range(steps):
        async with ctx.turn("our-model", input_tokens=2_000, max_tokens=2_000) as turn:
            turn.settle(hc.Usage(2_000, 1_000))


async def main():
    async with runtime:
        stopped = await runtime.trigger_and_wait("worker", 20, org_id="acme", user_id="ada")
        print(stopped.status, stopped.metrics["llm_calls"], "calls:", stopped.error)

        raise_the_limit()
        reload = await runtime.reload_config()
        print("new limits:", [f"{budget.name} {budget.limit} {budget.unit}" for budget in reload.limits])

        done = await runtime.trigger_and_wait("worker", 20, org_id="acme", user_id="ada")
        print(done.status, done.metrics["llm_calls"], "calls", done.metrics["cost_usd"], "USD")


anyio.run(main)
