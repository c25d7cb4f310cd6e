"""An agent loop of one's own with OpenAI's and Anthropic's SDK, and a hard budget that no run can pass.

The emulator stands in for both providers. Without its two lines and the `base_url`s, this calls the real ones.
"""

import sys

import anyio

import hivecost as hc
from hivecost.testing import ProviderEmulator

try:
    import anthropic
    import openai
except ModuleNotFoundError as error:
    sys.exit(f"This example needs both SDKs ({error}): pip install anthropic openai")

provider = ProviderEmulator()
runtime = hc.AgentRuntime("data", budgets=[hc.Budget("per run", limit="$0.01", window="execution")])


@runtime.entry_point("debate")
async def debate(ctx, question):
    # Retries of an SDK are further calls: turn them off, or say ctx.turn(..., attempts=3).
    gpt = openai.AsyncOpenAI(base_url=provider.openai_base_url, api_key="none", max_retries=0)
    claude = anthropic.AsyncAnthropic(base_url=provider.anthropic_base_url, api_key="none", max_retries=0)
    messages = [{"role": "user", "content": question}]
    async with gpt, claude:
        while True:  # they never agree
            # The budget holds money for the prompt and the longest answer before anything is sent.
            async with ctx.node("claim"), ctx.turn("gpt-4o-mini", prompt=messages, max_tokens=200) as turn:
                claim = await gpt.chat.completions.create(
                    model=turn.model, messages=messages, max_tokens=turn.max_tokens
                )
                turn.settle(claim)
            messages.append({"role": "assistant", "content": claim.choices[0].message.content})
            async with ctx.node("reply"), ctx.turn("claude-haiku-4-5", prompt=messages, max_tokens=200) as turn:
                reply = await claude.messages.create(model=turn.model, messages=messages, max_tokens=turn.max_tokens)
                turn.settle(reply)
            messages.append({"role": "user", "content": reply.content[0].text})


async def main():
    async with runtime:
        result = await runtime.trigger_and_wait("debate", "Tabs or spaces?", user_id="ada")
    print(
        result.status, "after", result.metrics["llm_calls"], "calls,", result.metrics["cost_usd"], "USD:", result.error
    )
    print("the providers billed", len(provider.bill), "calls")


with provider:
    anyio.run(main)
