"""As `kill_loop.py`, with a whole runtime in each process: bus, admission, log writer, store.

An event is published, and acknowledged when `flush` returns; all that is between the two dies with the process.
"""

from __future__ import annotations

import asyncio
import os

import kill_loop

from hivecost import AgentRuntime, calculate_cost


async def write(base_path, acknowledged, early, writer, first, ready):
    file = os.open(acknowledged, os.O_WRONLY | os.O_APPEND | os.O_CREAT)
    next_number = iter(range(first, first + 10**6)).__next__

    async def producer(runtime, size):
        while True:
            events = [kill_loop.event(writer, next_number()) for _ in range(size)]
            for event in events:
                await runtime.bus.publish(event)
            if not early:
                await runtime.flush()
            os.write(file, "".join(f"{event.event_id}\n" for event in events).encode())
            os.write(ready, b".")
            await asyncio.sleep(0)

    async with AgentRuntime(base_path) as runtime:
        await asyncio.gather(*(producer(runtime, size) for size in (1, 2, 7)))


if __name__ == "__main__":
    calculate_cost("gpt-4o", 1, 1)  # imports the rates here, once for all children
    kill_loop.write = write
    kill_loop.main()
