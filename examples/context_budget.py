"""A loop of tools that reads twenty files, with a context budget: what each turn sends, and what it would have."""

from __future__ import annotations

import anyio

import hivecost as hc


async def main() -> None:
    messages = [{"role": "system", "content": "You fix builds."}, {"role": "user", "content": "Why does it fail?"}]
    runtime = hc.AgentRuntime("data", budgets=[hc.Budget("per run", limit="$1", window="execution")])

    def monitor(event: hc.ContextCompacted) -> None:
        turns = event.breaks_even_after_turns
        print(f"{event.node_id}: {event.tokens_before:,} → {event.tokens_after:,} tokens, pays after {turns:.1f} turns")

    runtime.bus.subscribe(event_types=[hc.EventType.CONTEXT_COMPACTED], handler=monitor)
    loop_config = {"max_history_tokens": 16_000, "max_iterations": 20}
    async with runtime, runtime.execution(agent_id="fixer") as ctx, ctx.node("search", loop_config=loop_config):
        for number in range(20):
            async with ctx.turn("gpt-4o", prompt=messages, max_tokens=500) as turn:
                turn.settle(hc.Usage(len(str(turn.messages)) // 4, 40))  # your client's response
            call = {"id": f"call_{number}", "type": "function", "function": {"name": "read", "arguments": "{}"}}
            messages.append({"role": "assistant", "content": None, "tool_calls": [call]})
            messages.append({"role": "tool", "tool_call_id": call["id"], "content": "a line of it\n" * 700})
    print(f"sent {ctx.totals.input_tokens:,} tokens for ${ctx.totals.cost_usd:.4f}")


anyio.run(main)
