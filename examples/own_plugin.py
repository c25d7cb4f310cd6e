"""A plugin in ten lines, and a pacer beside it."""

from contextlib import asynccontextmanager

import anyio

import hivecost as hc


class SlowTurns:
    name = "slow-turns"

    @asynccontextmanager
    async def attached(self, host):
        subscription = host.bus.subscribe(event_types=[hc.EventType.RATE_LIMITED], handler=self.on_wait)
        yield
        await host.bus.drain(subscription)
        host.bus.unsubscribe(subscription)

    def on_wait(self, event):
        print(f"{event.agent_id} waited {event.data['waited_ms'] / 1000:.1f} s")


runtime = hc.AgentRuntime("data", plugins=[SlowTurns(), hc.TurnPacer(2, 0.5, per="model")])


@runtime.entry_point("eager")
async def eager(ctx, _):
    for _ in range(4):
        async with ctx.turn("gpt-4o-mini") as turn:
            turn.settle(hc.Usage(100, 10))


async def main():
    async with runtime:
        result = await runtime.trigger_and_wait("eager")
    print(result.status, result.metrics["llm_calls"], "calls")


anyio.run(main)
