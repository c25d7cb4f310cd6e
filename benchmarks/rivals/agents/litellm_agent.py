"""The agent on litellm in place of openai's client, with litellm's own budget."""

import os

import agent
import litellm

litellm.max_budget = 0.50
litellm.suppress_debug_info = True
HOST = {"api_base": os.environ["PROVIDER"], "api_key": "any", "num_retries": 0}


def chat(client):
    return litellm.completion(**agent.CHAT, **HOST)


def unknown(client):
    return litellm.completion(**{**agent.CHAT, "model": "openai/frontier-1"}, **HOST)


def responses(client):
    return litellm.responses(model="openai/gpt-4o", max_output_tokens=1995, input=agent.MESSAGES, **HOST)


async def async_chat(client):
    return await litellm.acompletion(**agent.CHAT, **HOST)


async def async_stream(client):
    return [chunk async for chunk in await litellm.acompletion(**agent.CHAT, **HOST, stream=True)]


if __name__ == "__main__":
    agent.chat, agent.unknown, agent.responses = chat, unknown, responses
    agent.async_chat, agent.async_stream = async_chat, async_stream
    agent.main()
