"""A plugin that looks at budgets: it tops a spent one up, twice at most, while the agent waits."""

import tempfile
from contextlib import asynccontextmanager

import anyio

import hivecost as hc


class TopUp:
    name = "top-up"

    @asynccontextmanager
    async def attached(self, host):
        async def top_up(exceeded):
            for account in await host.budgets.status():
                if account.budget == exceeded.budget and account.limit < 30_000_000:  # nano-USD
                    limit = await host.budgets.raise_limit(account.budget, "$0.01", by=self.name)
                    print(f"{account.budget}: ${account.settled / 1e9:.3f} are spent, ${limit / 1e9:.2f} are granted")

        async with host.bus.subscribe(event_types=[hc.EventType.BUDGET_EXCEEDED], handler=top_up):
            yield
        print(f"${host.usage.total.cost_nanousd / 1e9:.3f} in {host.statistics().started} runs")


budget = hc.Budget("per run", limit="$0.01", window="execution", on_short="refuse", on_exceed="pause")
runtime = hc.AgentRuntime(tempfile.mkdtemp(), budgets=[budget], plugins=[TopUp()])


@runtime.entry_point("eager")
async def eager(ctx, _):
    for _ in range(12):
        async with ctx.turn("gpt-4o", input_tokens=400, max_tokens=100) as turn:
            turn.settle(hc.Usage(400, 100))  # $0.002


async def main():
    async with runtime:
        result = await runtime.trigger_and_wait("eager")
    print(result.status, result.metrics["llm_calls"], "calls")


anyio.run(main)
