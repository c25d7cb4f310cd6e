"""The agent with each call through floe-guard, which has nothing for streams, responses and raw answers."""

import agent
from floe_guard import BudgetGuard
from floe_guard.integrations.openai import guarded_acompletion, guarded_completion

guard = BudgetGuard(limit_usd=0.50)


def chat(client):
    return guarded_completion(guard, client, **agent.CHAT)


def unknown(client):
    return guarded_completion(guard, client, **{**agent.CHAT, "model": "frontier-1"})


async def async_chat(client):
    return await guarded_acompletion(guard, client, **agent.CHAT)


if __name__ == "__main__":
    agent.chat, agent.unknown, agent.async_chat = chat, unknown, async_chat
    agent.main()
