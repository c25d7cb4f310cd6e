"""`hivecost spend`: every sum is added up again here, in integers, from the turns that were taken."""

from __future__ import annotations

import csv
import json
import unicodedata
from collections import Counter
from datetime import UTC, datetime
from decimal import Decimal
from zoneinfo import ZoneInfo

import anyio
import pytest
from typer.testing import CliRunner

import hivecost as hc
from hivecost.backends.sqlite import Store
from hivecost.cli import app
from hivecost.testing import FakeClock

#: nano-USD a token, in and out, as PRICES says it in USD per 1M.
RATES = {"big": (3_000, 15_000), "small": (125, 1_000)}
PRICES = {"big": {"input": 3, "output": 15}, "small": {"input": 0.125, "output": 1}}
MODELS = ("big", "small", "nobody-knows")
USERS = ("ada", "bob")


@pytest.fixture
def spend(base_path):
    """`hivecost spend …` on the data folder."""

    def run(*arguments: str) -> str:
        done = CliRunner().invoke(app, ["spend", "--data", str(base_path), *arguments])
        assert done.exit_code == 0, (done.output, done.exception)
        return done.stdout

    return run


async def take_turns(base_path, start: datetime, turns: int, every_s: float) -> list[tuple[datetime, str, str, int]]:
    """An agent whose turns are `every_s` apart: (moment, user, model, nano-USD; 0 for what has no price) of each."""
    clock = FakeClock(start)
    taken = []
    runtime = hc.AgentRuntime(base_path, prices=PRICES, clock=clock)

    @runtime.entry_point("agent")
    async def agent(ctx, number):
        model = MODELS[number % 3]
        tokens_in, tokens_out = 1_000 + 7 * number, 100 + 3 * number
        async with ctx.turn(model) as turn:
            turn.settle(hc.Usage(tokens_in, tokens_out))
        rate_in, rate_out = RATES.get(model, (0, 0))
        taken.append((clock.now_ns(), USERS[number % 2], model, tokens_in * rate_in + tokens_out * rate_out))

    async with runtime:
        for number in range(turns):
            await runtime.trigger_and_wait("agent", number, user_id=USERS[number % 2], org_id="acme")
            clock.advance(every_s)
    return [(datetime.fromtimestamp(ns / 1e9, UTC), *rest) for ns, *rest in taken]


@pytest.mark.parametrize(
    ("zone", "start"),
    [
        ("Europe/Berlin", datetime(2026, 3, 28, 20, 5, tzinfo=UTC)),  # a day of 23 hours
        ("Europe/Berlin", datetime(2026, 10, 24, 20, 5, tzinfo=UTC)),  # a day of 25 hours
        ("Asia/Kathmandu", datetime(2026, 11, 21, 9, 5, tzinfo=UTC)),  # UTC+5:45
        ("UTC", datetime(2026, 12, 31, 9, 5, tzinfo=UTC)),
    ],
)
def test_days_are_those_of_the_time_zone_to_the_nano_usd(base_path, spend, zone, start):
    """Whatever the clocks do there: each turn is in the day its own clock showed, and nothing is rounded or lost."""
    turns = anyio.run(take_turns, base_path, start, 80, 37 * 60)
    cost, calls, unpriced = Counter(), Counter(), Counter()
    for moment, user, model, nanousd in turns:
        key = (f"{moment.astimezone(ZoneInfo(zone)):%Y-%m-%d}", user)
        cost[key] += nanousd
        calls[key] += 1
        unpriced[key] += model not in RATES
    report = json.loads(spend("--timezone", zone, "--json"))
    found = {(row["group"]["day"], row["group"]["user"]): row for row in report["rows"]}
    assert {key: row["cost_nanousd"] for key, row in found.items()} == cost
    assert {key: row["llm_calls"] for key, row in found.items()} == calls
    assert {key: row["unpriced_calls"] for key, row in found.items()} == unpriced
    assert report["total"]["cost_nanousd"] == sum(cost.values())
    assert len({day for day, _ in found}) >= 3
    one_day = sorted({day for day, _ in found})[1]
    that_day = json.loads(spend("--timezone", zone, "--since", one_day, "--until", one_day, "--json"))
    assert that_day["total"]["cost_nanousd"] == sum(nanousd for (day, _), nanousd in cost.items() if day == one_day)
    lines = list(csv.DictReader(spend("--timezone", zone, "--csv").splitlines()))
    assert {(line["day"], line["user"]): int(Decimal(line["cost_usd"]) * 10**9) for line in lines} == cost


@pytest.fixture
def turns(base_path):
    return anyio.run(take_turns, base_path, datetime(2026, 11, 22, 8, 0, tzinfo=UTC), 6, 60)


def test_it_reads_well(turns, spend):
    """What cost most comes first, what has no price is no $0, and the total says how much is missing."""
    shown = [line.split() for line in spend("--by", "model").splitlines() if line.strip()]
    assert shown[0][:5] == ["Spend,", "the", "beginning", "to", "now"]
    assert shown[1] == ["Model", "Calls", "In", "Out", "Cached", "Cost", "Share", "Unpriced"]
    assert shown[3:7] == [
        ["big", "2", "2,021", "209", "0", "$0.009198", "95.1", "%", "0"],
        ["small", "2", "2,035", "215", "0", "$0.000469", "4.9", "%", "0"],
        ["nobody-knows", "2", "2,049", "221", "0", "unpriced", "0.0", "%", "2"],
        ["Total", "6", "6,105", "645", "0", "$0.009667", "100.0", "%", "2"],
    ]
    assert " ".join(shown[7]) == "2 of 6 calls without a known cost: missing from the sums: nobody-knows."


def test_a_spreadsheet_gets_exact_amounts_and_none_for_what_is_unknown(turns, spend):
    """An empty cell is not added as 0 by accident, and the calls it stands for are counted beside it."""
    lines = {line["model"]: line for line in csv.DictReader(spend("--by", "model", "--csv").splitlines())}
    assert lines["big"]["cost_usd"] == "0.009198000"
    assert lines["big"]["cost_nanousd"] == "9198000" == str(2_021 * 3_000 + 209 * 15_000)
    unknown = lines["nobody-knows"]
    assert (unknown["cost_usd"], unknown["cost_nanousd"], unknown["unpriced_calls"]) == ("", "", "2")


FORMULAS = [
    '=HYPERLINK("http://x","y")',
    "+1+1",
    "-2+3",
    "@SUM(A1)",
    "\t=1",
    "\r=1",
    "\n=1",
    " =1",
    "\xa0=1",
    "\u3000=1",
    "\u200b=1",
    "\ufeff=1",
    "\uff1d1",
    "\uff0b1",
    "\uff0d1",
    "\uff201",
    "\ufe631",
]
HARMLESS = ["ada", "a=b", "1-2", "'quoted'", '"x"', "ada, bob", "x;=1", "\N{SNOWMAN}", "2026-01-01", ""]
CONTROLS = ["\x1b[31mred", "a\nb", "a\r\nb", "a\0b", "a\x9bb", "a\u202eb", "a\u2028b", "\x07"]


def test_a_spreadsheet_is_told_no_formulas(base_path, spend):
    """Names come from customers: one that begins like a formula, also once it is trimmed, begins with an apostrophe.

    What would move a cursor or begin another line is replaced. Numbers stay numbers, and other names as they are.
    """
    users = [*FORMULAS, *HARMLESS, *CONTROLS]
    log = [hc.LLMTurnComplete(session_id="s", user_id=name, org_id=name, model=name) for name in users]
    anyio.run(Store(base_path).write, log)
    text = spend("--by", "user,org,model", "--csv")
    assert all(letter == "\n" or letter.isprintable() or letter in "\xa0\u3000\u200b\ufeff" for letter in text)
    lines = list(csv.DictReader(text.splitlines()))
    assert len(lines) == len(users)
    found = {line["user"] for line in lines}
    assert {line["org"] for line in lines} == {line["model"] for line in lines} == found
    assert set(HARMLESS) <= found
    assert {"'" + name for name in FORMULAS if name[0] not in "\t\r\n"} <= found
    assert {"'�=1", "�[31mred", "a�b", "a��b", "�"} <= found
    assert not any(unicodedata.normalize("NFKC", name).lstrip(" \u200b\ufeff")[:1] in {*"=+-@"} for name in found)
    assert {line["llm_calls"] for line in lines} >= {"1"}
    assert all(line["cost_usd"] == "" and line["input_tokens"] == "0" for line in lines)


def test_it_can_be_narrowed(turns, spend):
    """To a user, a model, an agent, an organisation, together."""
    report = json.loads(
        spend("--by", "org,agent", "--user", "ada", "--model", "big", "--org", "acme", "--agent", "agent", "--json")
    )
    (row,) = report["rows"]
    assert row["group"] == {"org": "acme", "agent": "agent"}
    assert row["cost_nanousd"] == sum(nanousd for _, user, model, nanousd in turns if (user, model) == ("ada", "big"))
    assert json.loads(spend("--user", "eve", "--json"))["rows"] == []


def test_nothing_is_said_to_be_nothing(turns, base_path, spend):
    """A time without turns is no fault, and a spreadsheet still gets its line of names."""
    later = ("--since", "2030-01-01")
    assert spend(*later, "--timezone", "UTC") == (
        f"Nothing was spent in {base_path} in that time: 2030-01-01 00:00 to now (UTC).\n"
    )
    assert spend("--csv", *later).startswith("day,user,cost_usd,llm_calls,")
    assert json.loads(spend("--json", *later))["total"]["llm_calls"] == 0


def test_groups_may_be_named_one_by_one(turns, spend):
    """`--by a --by b` is `--by a,b`, in this order."""
    assert spend("--by", "user", "--by", "model", "--json") == spend("--by", "user,model", "--json")
    assert json.loads(spend("--by", "user", "--by", "day,model", "--json"))["by"] == ["user", "day", "model"]
    assert json.loads(spend("--json"))["by"] == ["day", "user"]
