"""Agents that know nothing of hivecost, each killed while it calls: `attached_kill_loop.py KILLS SEED`.

Its children call whole and streamed answers from five threads, until they are killed or refused.
"""

from __future__ import annotations

import os
import random
import subprocess
import sys
import threading
import time

import httpx2

CHAT = {"model": "gpt-4o", "max_tokens": 500, "messages": [{"role": "user", "content": "word " * 20}]}
#: A child that has begun to call is killed within so many seconds.
KILLED_WITHIN_S = 0.4


def call(client: httpx2.Client, number: int) -> None:
    url = os.environ["PROVIDER"] + "/v1/chat/completions"
    status = 200
    while status == 200:
        number += 1
        with client.stream("POST", url, json={**CHAT, "stream": number % 2 == 0}) as answer:
            answer.read()
            status = answer.status_code


def agent() -> None:
    with httpx2.Client(timeout=30) as client:
        threads = [threading.Thread(target=call, args=(client, number)) for number in range(5)]
        for thread in threads:
            thread.start()
        print("calling", flush=True)
        for thread in threads:
            thread.join()
    sys.stdin.read()


def kill(kills: int, seed: int) -> None:
    chance = random.Random(seed)
    for _ in range(kills):
        command = [sys.executable, __file__]
        with subprocess.Popen(command, stdin=subprocess.PIPE, stdout=subprocess.PIPE) as child:
            assert child.stdout is not None
            assert child.stdout.readline() == b"calling\n"
            time.sleep(chance.uniform(0, KILLED_WITHIN_S))
            child.kill()


if __name__ == "__main__":
    if len(sys.argv) > 1:
        kill(int(sys.argv[1]), int(sys.argv[2]))
    else:
        agent()
