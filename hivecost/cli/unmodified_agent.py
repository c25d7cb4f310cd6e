"""The demo's agent that knows nothing of hivecost: it asks a model fifty times at once."""

import os
from concurrent.futures import ThreadPoolExecutor

import httpx2

CALLS = 50
CHAT = {"model": "gpt-4o", "max_tokens": 1995, "messages": [{"role": "user", "content": "Think of something."}]}


def main() -> None:
    """Ask, and say how often there was an answer."""
    with httpx2.Client(timeout=60) as client, ThreadPoolExecutor(CALLS) as pool:

        def ask(_: int) -> bool:
            answer = client.post(f"{os.environ['OPENAI_BASE_URL']}/chat/completions", json=CHAT)
            return answer.status_code == httpx2.codes.OK

        print(f"{sum(pool.map(ask, range(CALLS)))} answers to {CALLS} questions")  # noqa: T201  # a program


if __name__ == "__main__":
    main()
