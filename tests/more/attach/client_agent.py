"""An agent that knows nothing of hivecost: `client_agent.py CLIENT CALLS`. Prints how many answers it got."""

from __future__ import annotations

import asyncio
import json
import os
import sys
from concurrent.futures import ThreadPoolExecutor

PROVIDER = os.environ["PROVIDER"]
MESSAGES = [{"role": "user", "content": "word " * 20}]
CHAT = {"model": "gpt-4o", "max_tokens": 1995, "messages": MESSAGES}
CONVERSE = {
    "modelId": "claude-4-5-sonnet-20250514",
    "messages": [{"role": "user", "content": [{"text": "word " * 20}]}],
    "inferenceConfig": {"maxTokens": 1325},
}
GEMINI = {"model": "gemini-2.5-flash", "contents": "word " * 20, "config": {"max_output_tokens": 1995}}
CHAT_URL = f"{PROVIDER}/v1/chat/completions"


def converse():
    return bool(bedrock().converse(**CONVERSE)["output"]["message"]["content"])


def converse_stream():
    events = list(bedrock().converse_stream(**CONVERSE)["stream"])
    return "metadata" in events[-1]


def bedrock():
    import boto3
    from botocore.config import Config

    return boto3.Session("any", "any", region_name="us-east-1").client(
        "bedrock-runtime", endpoint_url=PROVIDER, config=Config(max_pool_connections=50)
    )


def genai():
    from google import genai

    return genai.Client(api_key="any", http_options={"base_url": PROVIDER})


def gemini():
    with genai() as client:
        return bool(client.models.generate_content(**GEMINI).text)


def gemini_stream():
    with genai() as client:
        return bool("".join(chunk.text or "" for chunk in client.models.generate_content_stream(**GEMINI)))


async def async_gemini(client):
    return bool((await client.aio.models.generate_content(**GEMINI)).text)


async def async_gemini_stream(client):
    return bool([chunk.text async for chunk in await client.aio.models.generate_content_stream(**GEMINI)])


def quiet_litellm():
    import litellm

    litellm.suppress_debug_info = True
    return litellm


def litellm():
    litellm = quiet_litellm()
    return bool(litellm.completion(**CHAT, api_base=f"{PROVIDER}/v1", api_key="any").choices)


def litellm_stream():
    litellm = quiet_litellm()
    return bool(list(litellm.completion(**CHAT, stream=True, api_base=f"{PROVIDER}/v1", api_key="any")))


async def async_litellm(_):
    litellm = quiet_litellm()
    return bool((await litellm.acompletion(**CHAT, api_base=f"{PROVIDER}/v1", api_key="any")).choices)


async def async_litellm_stream(_):
    litellm = quiet_litellm()
    stream = await litellm.acompletion(**CHAT, stream=True, api_base=f"{PROVIDER}/v1", api_key="any")
    return bool([chunk async for chunk in stream])


def require_ok(status):
    if status != 200:
        raise RuntimeError(status)


async def async_aiohttp(session):
    async with session.post(CHAT_URL, json=CHAT) as response:
        require_ok(response.status)
        return bool((await response.json())["choices"])


async def async_aiohttp_stream(session):
    async with session.post(CHAT_URL, data=json.dumps({**CHAT, "stream": True}), headers=JSON) as response:
        require_ok(response.status)
        return only_choices([line async for line in response.content])


JSON = {"content-type": "application/json"}


def only_choices(lines):
    """Whether no chunk is there that was not asked for."""
    data = [line.strip()[6:] for line in lines if line.strip().startswith(b"data: ")]
    return data[-1] == b"[DONE]" and all(json.loads(chunk)["choices"] for chunk in data[:-1])


def urllib3():
    import urllib3

    with urllib3.PoolManager() as pool:
        response = pool.request("POST", CHAT_URL, json=CHAT)
        require_ok(response.status)
        return bool(response.json()["choices"])


def urllib3_stream():
    import urllib3

    with urllib3.PoolManager() as pool:
        response = pool.request("POST", CHAT_URL, json={**CHAT, "stream": True}, preload_content=False)
        require_ok(response.status)
        return only_choices(b"".join(response.stream(100)).splitlines())


def urllib3_lines():
    import urllib3

    with urllib3.PoolManager() as pool:
        response = pool.request("POST", CHAT_URL, json={**CHAT, "stream": True}, preload_content=False)
        require_ok(response.status)
        return only_choices(list(response))


def requests():
    import requests

    with requests.Session() as session:
        response = session.post(CHAT_URL, json=CHAT)
        require_ok(response.status_code)
        return bool(response.json()["choices"])


def requests_stream():
    import requests

    with requests.Session() as session, session.post(CHAT_URL, json={**CHAT, "stream": True}, stream=True) as response:
        require_ok(response.status_code)
        return only_choices(list(response.iter_lines()))


def refused(error):
    """It names what is missing, in any client's words; those that know errors of their own raise ours as well."""
    if "402" not in str(error) and "is exhausted" not in str(error):
        raise error
    if NAME.startswith(("converse", "gemini", "async_gemini")) and not hasattr(error, "needed"):
        raise error
    return False


def in_threads(name, calls):
    def call(_):
        try:
            return globals()[name]()
        except Exception as error:
            return refused(error)

    first = call(0)  # its clients are imported by one thread
    with ThreadPoolExecutor(50) as pool:
        return first + sum(pool.map(call, range(1, calls)))


async def in_tasks(name, calls):
    if "aiohttp" in name:
        import aiohttp

        async with aiohttp.ClientSession() as session:
            return await gathered(name, calls, session)
    client = genai() if "gemini" in name else None
    return await gathered(name, calls, client)


async def gathered(name, calls, client):
    async def call():
        try:
            return await globals()[name](client)
        except Exception as error:
            return refused(error)

    first = [await call() for _ in range(5)]  # one after another, over one connection
    return sum(first) + sum(await asyncio.gather(*(call() for _ in range(calls - 5))))


if __name__ == "__main__":
    NAME, CALLS = sys.argv[1], int(sys.argv[2])
    print(asyncio.run(in_tasks(NAME, CALLS)) if NAME.startswith("async_") else in_threads(NAME, CALLS))
