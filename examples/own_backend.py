"""A backend of your own: its log is a line of JSON for each event, and a URL opens it where a folder would."""

import tempfile
from functools import cache
from pathlib import Path

import anyio

import hivecost as hc
from hivecost.backends import register_backend
from hivecost.backends.memory import MemoryBackend, MemoryWriter
from hivecost.events import decode_json, encode_json


class LinesWriter(MemoryWriter):
    async def write(self, events):
        with self.file.open("ab") as file:
            file.writelines(encode_json(event) + b"\n" for event in events)
        return await super().write(events)  # an event that the log has is known by its id, and counts once


@cache  # whoever opens the URL in this process shares one
class LinesBackend(MemoryBackend):
    def __init__(self, url):
        super().__init__(url)
        self.file = Path(url.removeprefix("lines://"))
        if self.file.exists():
            self.reader().write([decode_json(line) for line in self.file.read_bytes().splitlines()])

    def writer(self, **settings):
        writer = LinesWriter(self.reader(), **settings)
        writer.file = self.file
        return writer


register_backend("lines", LinesBackend)  # a package has the entry point `lines` in the group `hivecost.backends`


async def main():
    place = f"lines://{tempfile.mkdtemp()}/log.jsonl"
    budget = hc.Budget("per day", limit="3 calls", window="day", mode="stop_after")
    for start in ("first", "second"):
        async with (
            hc.AgentRuntime(place, budgets=[budget]) as runtime,
            runtime.execution(agent_id="planner") as ctx,
            ctx.turn("gpt-4o", input_tokens=400, max_tokens=100) as turn,
        ):
            turn.settle(hc.Usage(400, 100))
        (day,) = await hc.SpendStore(place).totals(by=("agent",))
        print(f"{start} start: {day.llm_calls} calls, {day.cost_usd:.3f} USD")
        LinesBackend.cache_clear()  # as if the process had ended: what is known next is in the file


anyio.run(main)
