"""`hivecost budget`: how budgets stand and who changed them, also while another process spends them."""

from __future__ import annotations

import json
import re
import shlex
import subprocess
import sys
from datetime import UTC, datetime, timedelta
from pathlib import Path

import anyio
import pytest
from typer.testing import CliRunner

import hivecost as hc
from hivecost.backends import Ledger
from hivecost.backends.sqlite import Store, record_definitions
from hivecost.cli import app
from hivecost.cli.budget import budget as budget_app
from hivecost.cli.render import render_budgets, render_doubts
from hivecost.clock import SYSTEM_CLOCK
from hivecost.reports import load_budget_report
from hivecost.runtime.config_file import read_config_file
from hivecost.testing import FakeClock

ACME = {"org": "acme"}
BUDGETS = [
    hc.Budget("org day", limit="$2", window="day", timezone="Asia/Tokyo", match=ACME, per="user", mode="hard"),
    hc.Budget("tokens", limit="1_000 tokens", mode="hard"),
    hc.Budget("per run", limit="$1", window="execution", mode="hard"),
    hc.Budget("untouched", limit="20 calls", match={"org": "nobody"}, mode="hard", shadow=True),
]
ADA = {**ACME, "user": "ada", "execution": "e"}


async def seed(base_path, clock=None) -> None:
    """$0.50 and 100 tokens settled, $0.25 and 50 tokens in doubt."""
    async with Ledger.open(base_path, budgets=BUDGETS, **({"clock": clock} if clock else {})) as ledger:
        async with await ledger.reserve(ADA, usd="0.60", tokens=200) as hold:
            hold.settle(usd="0.50", tokens=100)
        async with await ledger.reserve(ADA, usd="0.25", tokens=50, key="attempt-2"):
            pass


@pytest.fixture
def ledger(base_path):
    anyio.run(seed, base_path)


@pytest.fixture
def budget(base_path):
    """Run `hivecost budget …`; its output."""

    def run(*arguments: str) -> str:
        done = CliRunner().invoke(app, ["budget", *arguments, "--data", str(base_path)], env={"COLUMNS": "200"})
        if done.exception is not None:
            raise done.exception
        return done.stdout

    return run


@pytest.fixture
def status(budget):
    """The lines of `status --json` by budget."""
    return lambda: {line["budget"]: line for line in json.loads(budget("status", "--json"))["budgets"]}


def test_status_shows_every_budget_and_account(ledger, status):
    """What is settled and in doubt, budgets that nobody asked yet, and those that live in one process only."""
    lines = status()
    assert list(lines) == ["org day", "per run", "tokens", "untouched"]
    (account,) = lines["org day"]["accounts"]
    amounts = {key: account[key] for key in ("limit", "settled", "held", "in_doubt", "remaining")}
    assert amounts == {
        "limit": 2 * 10**9,
        "settled": 5 * 10**8,
        "held": 0,
        "in_doubt": 25 * 10**7,
        "remaining": 125 * 10**7,
    }
    assert account["scope"] == "user=ada"
    assert datetime.fromisoformat(account["reset_at"]).astimezone(UTC).hour == 15  # midnight in Tokyo
    assert lines["tokens"]["accounts"][0]["remaining"] == 850
    assert (lines["untouched"]["accounts"], lines["untouched"]["shadow"]) == ([], True)
    assert lines["per run"]["accounts"] == []


@pytest.mark.parametrize(
    ("before", "words"),
    [
        (timedelta(hours=3), "(in 3 h)"),
        (timedelta(minutes=119), "(in 119 min)"),
        (timedelta(seconds=90), "(in 90 s)"),
        (timedelta(hours=23), "(in 23 h)"),
    ],
)
def test_it_says_when_a_budget_resets(base_path, capsys, before, words):
    """The local time, and how long that is from now."""
    midnight = datetime(2026, 11, 22, 15, tzinfo=UTC)
    clock = FakeClock(midnight - before)
    anyio.run(seed, base_path, clock)

    async def load():
        return await load_budget_report(base_path, clock=clock)

    render_budgets(anyio.run(load))
    assert f"{midnight.astimezone():%Y-%m-%d %H:%M} {words}" in capsys.readouterr().out


def test_it_reads_well(ledger, budget):
    """Amounts with their unit, a line for each account, and what to do next."""
    lines = {line.split("  ")[0].strip(): " ".join(line.split()) for line in budget("status").splitlines()}
    assert lines["org day"].startswith("org day user=ada ")
    assert "$2.0000 $0.5000 $0.0000 $0.2500 $1.2500" in lines["org day"]
    assert "1,000 tokens 100 tokens 0 tokens 50 tokens 850 tokens never open hard all turns" in lines["tokens"]
    assert lines["untouched"] == "untouched none yet total 20 calls open, shadow hard org=nobody"
    assert lines["per run"] == "per run each execution execution $1.0000 open hard all turns"
    assert "`hivecost budget doubts`" in lines["In doubt"]


def test_one_value_gets_a_limit_of_its_own(ledger, base_path, budget, status):
    """With --for: others keep the budget's; `status` shows it, and where it differs from what is configured."""
    ada, bob = ("org day", "--for", "user=ada"), ("org day", "--for", "user=bob")
    assert budget("set", *ada, "5usd", "--by", "eve") == "org day (user=ada): limit $2.0000 → $5.0000\n"
    assert budget("raise", *ada, "+1usd", "--by", "eve") == "org day (user=ada): limit $5.0000 → $6.0000\n"
    note = "Note: no turn of user=bob was logged yet; mind the spelling if it is not new.\n"
    assert budget("raise", *bob, "1usd", "--by", "eve") == f"org day (user=bob): limit $2.0000 → $3.0000\n{note}"
    anyio.run(Store(base_path).write, [hc.LLMTurnComplete(model="m", user_id="bob", usage=hc.Usage(1, 1))])
    assert note not in budget("set", *bob, "3usd", "--by", "eve")
    line = status()["org day"]
    assert (line["limit"], line["configured_limit"]) == (2 * 10**9, 2 * 10**9)
    assert [(one["limit"], one["remaining"], one["has_own_limit"]) for one in line["accounts"]] == [
        (6 * 10**9, 525 * 10**7, True)
    ]
    overruled = json.loads(budget("status", "--json"))["overruled"]
    assert [(one["scope"], one["limit"], one["configured_limit"]) for one in overruled] == [
        ("user=ada", 6 * 10**9, None),
        ("user=bob", 3 * 10**9, None),
    ]
    shown = " ".join(budget("status").split())
    assert "Changed org day (user=ada): $6.0000 in force, that of the budget configured" in shown
    low = budget("set", *ada, "0.10usd", "--by", "eve")
    assert low.startswith("org day (user=ada): limit $6.0000 → $0.1000\nNothing remains for user=ada before ")
    assert budget("unset", *ada, "--by", "eve") == "org day (user=ada): limit $0.1000 → $2.0000\n"
    assert budget("unset", "org day", "--by", "eve") == "org day: limit $2.0000 → $2.0000\n"
    assert [one["scope"] for one in json.loads(budget("status", "--json"))["overruled"]] == ["user=bob"]
    (change, *_) = json.loads(budget("audit", "--json"))
    assert (change["what"], change["who"]) == ("unset_limit", "eve")
    assert change["detail"] == "user=ada: $0.1000, now $2.0000"


@pytest.mark.parametrize(
    ("whose", "problem"),
    [
        (["user"], "--for: expected ATTRIBUTE=VALUE, such as agent=planner, each attribute once, got 'user'"),
        (["user=a", "user=b"], "--for: expected ATTRIBUTE=VALUE, such as agent=planner, each attribute once"),
        (["agent=planner"], "budget 'org day': scope: expected a value for 'user', and nothing else, got "),
        (["user=ada", "org=acme"], "budget 'org day': scope: expected a value for 'user', and nothing else, got "),
    ],
)
@pytest.mark.parametrize("command", [["set", "org day", "5usd"], ["raise", "org day", "5usd"], ["unset", "org day"]])
def test_a_value_that_cannot_be_named_is_an_error(ledger, budget, command, whose, problem):
    """It says what `--for` takes, and which attributes the budget's accounts have."""
    with pytest.raises(hc.ConfigError) as raised:
        budget(*command, *(f"--for={one}" for one in whose), "--by", "ada")
    assert str(raised.value).startswith(problem)


def test_of_many_values_with_limits_of_their_own_the_first_are_shown(ledger, budget, base_path):
    """Twenty of them, and how many more there are; a thousand in JSON."""

    async def set_many():
        async with Ledger.open(base_path) as opened:
            for number in range(23):
                await opened.set_limit("org day", "$9", scope={"user": f"u{number:02}"}, by="eve")

    anyio.run(set_many)
    shown = budget("status")
    assert "(user=u19)" in shown
    assert "(user=u20)" not in shown
    assert "and 3 more (`hivecost budget status --json`)" in shown
    assert len(json.loads(budget("status", "--json"))["overruled"]) == 23


@pytest.mark.parametrize(
    ("command", "limit", "said"),
    [
        (["set", "org day", "5usd"], 5 * 10**9, "$2.0000 → $5.0000"),
        (["set", "org day", "$0.10"], 10**8, "Nothing remains for user=ada before "),
        (["raise", "org day", "+$5"], 7 * 10**9, "$2.0000 → $7.0000"),
        (["raise", "org day", "0.5", "USD"], 25 * 10**8, "$2.0000 → $2.5000"),
        (["raise", "tokens", "+1000 tokens"], 2000, "1,000 tokens → 2,000 tokens"),
        (["raise", "tokens", "+1_000", "tokens"], 2000, "1,000 tokens → 2,000 tokens"),
        (["raise", "untouched", "+1 call"], 21, "20 calls → 21 calls"),
    ],
)
def test_a_limit_is_changed(ledger, budget, status, command, limit, said):
    """It is in force, what was spent stays, and the answer shows both limits."""
    before = status()[command[1]]["accounts"]
    assert said in budget(*command, "--by", "ada")
    line = status()[command[1]]
    assert line["limit"] == limit
    assert [a["settled"] for a in line["accounts"]] == [a["settled"] for a in before]
    (change, *_) = json.loads(budget("audit", "--json"))
    assert (change["who"], change["what"], change["subject"]) == ("ada", f"{command[0]}_limit", command[1])
    (note,) = [note for note in budget("status").splitlines() if note.startswith("Changed ")]
    assert note.startswith(f"Changed   {command[1]}: {change['detail'].rpartition('to ')[2]} in force, ")
    assert change["detail"].endswith(said.rpartition("→ ")[2] if "→" in said else "$0.1000")


@pytest.mark.parametrize(
    ("command", "problem"),
    [
        (["set", "day", "$5"], "expected one of 'org day', 'per run', 'tokens', 'untouched' .*, got 'day'"),
        (["freeze", "day"], "got 'day'"),
        (["set", "org day", "5"], "limit: expected an amount with its unit, .*, got '5'"),
        (["raise", "org day", "+"], "amount: expected an amount with its unit, .*, got '\\+'"),
        (["raise", "org day", "+-5usd"], "amount: expected an amount above zero"),
        (["raise", "org day", "0usd"], "amount: expected an amount above zero"),
        (["raise", "org day", "five usd"], "amount: expected an amount above zero"),
        (["raise", "org day", "1000 tokens"], "amount: expected an amount in usd, which budget 'org day' counts"),
        (["raise", "tokens", "1.5 tokens"], "amount: expected a whole number of tokens"),
        (["raise", "org day", "-5usd"], "amount: expected an amount above zero; .*set NAME LIMIT.*, got '-5usd'"),
        (["set", "org day", "-$5"], "amount: expected an amount above zero; .*, got '-\\$5'"),
        (["raise", "org day", "0,50usd"], "amount: expected a comma only .*: write 0.50, got '0,50'"),
        (["set", "org day", "bash.50"], "limit: expected an amount; .* single quotes"),
        (["set", "org day", "/day"], "limit: expected an amount; .* single quotes"),
        (["set", "org day", ""], "limit: expected an amount; .* single quotes"),
        (["raise", "org day", "-bash.50"], "amount: expected an amount; .* single quotes"),
        (["set", "org day", "0,50"], "limit: expected a comma only .*: write 0.50, got '0,50'"),
        (["raise", "org day", "+0,50"], "amount: expected a comma only .*: write 0.50, got '0,50'"),
        (["resolve", "1-2", "--usd", "0,50"], "--usd: expected a comma only .*: write 0.50"),
        (["resolve", "1-2", "--usd", "bash.50"], "--usd: expected an amount; .* single quotes"),
        (["resolve", "nothing", "--never-sent"], "id of a hold that is in doubt; .*, got 'nothing'"),
        (["resolve", "1-2"], "what it cost"),
        (["resolve", "1-2", "--usd", "1", "--never-sent"], "what it cost"),
        (["resolve", "1-2", "--usd", "-1"], "--usd: expected an amount in USD"),
    ],
)
def test_what_cannot_be_is_named_and_changes_nothing(ledger, budget, status, command, problem):
    """Unknown budgets and holds, amounts without a unit (a shell eats `$5`), and amounts that cannot be."""
    before = status(), budget("audit", "--json")
    with pytest.raises(hc.ConfigError, match=problem):
        budget(*command)
    assert (status(), budget("audit", "--json")) == before


@pytest.mark.parametrize(
    "command",
    [["status"], ["doubts"], ["audit"], ["set", "a", "$5"], ["raise", "a", "$5"], ["freeze", "a"], ["unfreeze", "a"],
     ["resolve", "1-1", "--never-sent"]],
)  # fmt: skip
def test_without_a_ledger_there_is_none_afterwards(budget, base_path, command):
    """The error names the folder, and nothing is made there."""
    with pytest.raises(hc.LedgerUnavailableError, match=f"{base_path}: there is no ledger yet"):
        budget(*command)
    assert not base_path.exists()


def test_a_budget_is_frozen_until_someone_has_looked(ledger, budget, status):
    """With the reason, as it was written, and who it was."""
    assert "nothing more is granted" in budget("freeze", "org day", "--reason", "5 usd [odd]", "--by", "eve")
    assert status()["org day"]["frozen"] == "5 usd [odd]"
    assert "org day: 5 usd [odd]\n          `hivecost budget unfreeze NAME` grants again" in budget("status")
    assert "granted again; it was frozen: 5 usd [odd]" in budget("unfreeze", "org day", "--by", "ada")
    assert "was not frozen" in budget("unfreeze", "org day")
    assert status()["org day"]["frozen"] == ""
    found = [(one["who"], one["what"], one["detail"]) for one in json.loads(budget("audit", "--json", "--limit", "2"))]
    assert found == [("ada", "unfreeze", ""), ("eve", "freeze", "5 usd [odd]")]


def test_a_reason_moves_no_cursor(ledger, budget):
    """It stands in the database, where others may have written it."""
    budget("freeze", "org day", "--reason", "\x1b[2Jspent", "--by", "eve")
    shown = budget("status") + budget("set", "org day", "$3") + budget("audit") + budget("unfreeze", "org day")
    assert shown.count("[2Jspent") == 4
    assert "\x1b" not in shown


def test_who_did_it_is_the_login_name_unless_said(ledger, budget, monkeypatch):
    """And where nobody is logged in, the way out is named."""
    monkeypatch.setattr("getpass.getuser", lambda: "grace")
    budget("freeze", "tokens")
    assert json.loads(budget("audit", "--json"))[0]["who"] == "grace"

    def nobody() -> str:
        raise OSError("no username set in the environment")

    monkeypatch.setattr("getpass.getuser", nobody)
    with pytest.raises(hc.ConfigError, match="--by"):
        budget("unfreeze", "tokens")


@pytest.mark.parametrize(
    ("bill", "usd", "tokens"),
    [
        (["--usd", "0.01"], 51 * 10**7, 150),
        (["--usd", "0.01", "--tokens", "7"], 51 * 10**7, 107),
        (["--tokens", "7"], 75 * 10**7, 107),
        (["--never-sent"], 50 * 10**7, 100),
    ],
)
def test_a_hold_in_doubt_is_settled_at_its_bill(ledger, budget, status, bill, usd, tokens):
    """A unit that is not named is charged as it was held; afterwards nothing is in doubt."""
    (hold,) = json.loads(budget("doubts", "--json"))
    assert (hold["key"], hold["reason"]) == ("attempt-2", "left unsettled")
    assert "attempt-2" in budget("doubts")
    budget("resolve", hold["hold_id"], *bill, "--by", "ada")
    lines = status()
    assert [lines[name]["accounts"][0]["settled"] for name in ("org day", "tokens")] == [usd, tokens]
    assert [lines[name]["accounts"][0]["in_doubt"] for name in ("org day", "tokens")] == [0, 0]
    assert "No hold is in doubt." in budget("doubts")
    with pytest.raises(hc.ConfigError, match="in doubt"):
        budget("resolve", hold["hold_id"], *bill)


def test_a_bill_above_its_hold_says_that_it_froze_the_budget(ledger, budget, status):
    """In dollars, as people read them, in the answer and in the audit trail."""
    (hold,) = json.loads(budget("doubts", "--json"))
    reason = "a bill of $0.3000 was above its hold of $0.2500"
    assert f"org day is frozen: {reason}" in budget("resolve", hold["hold_id"], "--usd", "0.30")
    assert status()["org day"]["frozen"] == reason
    assert {"freeze": reason, "resolve": "$0.3000"}.items() <= {
        one["what"]: one["detail"] for one in json.loads(budget("audit", "--json", "--limit", "2"))
    }.items()


def test_a_hold_of_tokens_is_not_settled_in_dollars(base_path, budget):
    """A bill in a unit that the hold does not count would settle nothing."""

    async def seed_tokens() -> None:
        async with Ledger.open(base_path, budgets=[BUDGETS[1]]) as ledger, await ledger.reserve({}, tokens=50):
            pass

    anyio.run(seed_tokens)
    (hold,) = json.loads(budget("doubts", "--json"))
    with pytest.raises(hc.ConfigError, match="--usd: expected an amount in tokens"):
        budget("resolve", hold["hold_id"], "--usd", "1")


def test_doubts_name_every_account_once(ledger, base_path, capsys):
    """The hold on its first line only; how long ago."""

    async def load():
        async with Ledger.open(base_path) as ledger:
            return await ledger.in_doubt()

    (hold,) = anyio.run(load)
    render_doubts([hold], datetime.fromtimestamp(hold.since_ns / 1e9 + 7200.5, UTC))
    out = capsys.readouterr().out
    assert sum(line.split()[:1] == [hold.hold_id] for line in out.splitlines()) == 1
    assert "(2 h ago)" in out
    assert "50 tokens" in out
    assert "$0.2500" in out


# -- docs/how-to/operate-budgets.md ----------------------------------------------------------------------------------

DOCS = Path(__file__).parents[2] / "docs"


def commands_of(page: str) -> dict[str, tuple[list[str], str]]:
    """The commands that a page shows, by name: their arguments, and the answer that stands below each."""
    shown: dict[str, tuple[list[str], str]] = {}
    name = ""
    for line in page.splitlines():
        if line.startswith(("    hivecost budget ", "        hivecost budget ")):
            arguments = shlex.split(line)[2:]
            name = f"{arguments[0]} for one" if "--for" in arguments else arguments[0]
            shown[name] = arguments, ""
        elif name and (not line or line.startswith("    ")):
            shown[name] = shown[name][0], f"{shown[name][1]}\n{line}"
        else:
            name = ""
    return shown


def plain(text: str) -> str:
    """Without times and the width of columns."""
    for pattern in (r"\d{4}-\d\d(-\d\d)?", r"\d\d:\d\d(:\d\d)?", r"\((in )?\d+ \w+( ago)?\)", r"─+"):
        text = re.sub(pattern, "", text)
    return " ".join(text.split())


async def seed_page(base_path, budgets) -> None:
    """Forty turns of Ada's that are settled, one that broke off, and one of Bob's; of some, the tokens are logged."""
    await record_definitions(base_path, budgets, SYSTEM_CLOCK.now_ns())
    refused = hc.BudgetExceeded(
        agent_id="writer", budget="acme's day", scope="user=ada", period="2026-11-22", action="refused",
        used=2_470_000_000, limit=50 * 10**9, needed=60 * 10**9, remaining=47_530_000_000,
    )  # fmt: skip
    turn = hc.LLMTurnComplete(model="m", usage=hc.Usage(3_100_000, 150_000))
    await Store(base_path).write([turn, refused])
    async with Ledger.open(base_path, budgets=[budget for budget in budgets if budget.mode == "hard"]) as ledger:
        for number, (user, usd) in enumerate([*[("ada", "0.06")] * 40, ("ada", ""), ("bob", "0.06")]):
            who = {"org": "acme", "user": user, "execution": f"e{number}"}
            async with await ledger.reserve(who, usd="0.07") as hold:
                if usd:
                    hold.settle(usd=usd)


def test_the_page_about_budgets_shows_what_these_commands_print(base_path, budget, tmp_path):
    """All of them, but for times; what is shown is what a reader gets who does the same in that order."""
    page = (DOCS / "how-to" / "operate-budgets.md").read_text(encoding="utf-8")
    budgets = (DOCS / "budgets.md").read_text(encoding="utf-8")
    (tmp_path / "hivecost.toml").write_text(re.search(r"```toml\n(.*?)```", budgets, re.DOTALL)[1], encoding="utf-8")
    anyio.run(seed_page, base_path, read_config_file(tmp_path / "hivecost.toml").budgets)
    shown = commands_of(page)
    names = {command.name or command.callback.__name__ for command in budget_app.registered_commands}
    assert {name.removesuffix(" for one") for name in shown} == names - {"suggest"}  # which is about costs
    shown["unfreeze it"] = (
        ["unfreeze", "per run", "--by", "ada"],
        "per run: granted again; it was frozen: the planner loops",
    )
    for name in (
        "status",
        "explain",
        "raise",
        "doubts",
        "resolve",
        "unfreeze",
        "freeze",
        "unfreeze it",
        "set",
        "audit",
        "set for one",
        "unset for one",
    ):
        arguments, answer = shown[name]
        assert plain(budget(*arguments)) == plain(answer), name


# -- while a runtime in another process runs ------------------------------------------------------------------------

AGENT = """
import sys, anyio
import hivecost as hc
sys.modules["bpe_openai"] = None  # as without the extra `tokens`: importing it takes longer than all else here

budget = hc.Budget("b", limit="$0.01", mode="hard", on_short="refuse", on_exceed="pause")
runtime = hc.AgentRuntime(sys.argv[1], budgets=[budget], prices={"m": {"input": 1, "output": 1}})

@runtime.entry_point("agent")
async def agent(ctx, _):
    for _ in range(2):
        async with ctx.turn("m", input_tokens=8_000, max_tokens=1) as turn:
            turn.settle(hc.Usage(8_000))
    async with ctx.turn("m", input_tokens=1_000, max_tokens=1) as turn:
        print("sent", flush=True)
        await anyio.to_thread.run_sync(sys.stdin.readline)
        turn.settle(hc.Usage(500))

async def main():
    runtime.bus.subscribe(
        event_types=[hc.EventType.BUDGET_EXCEEDED], handler=lambda event: print(event.action, flush=True)
    )
    async with runtime:
        result = await runtime.trigger_and_wait("agent")
        print(result.status, result.metrics["llm_calls"], flush=True)

anyio.run(main)
"""


def test_a_raised_limit_reaches_a_paused_execution_of_another_process(base_path, budget, status):
    """It waits for money, goes on when `raise` gives it some, and what it holds meanwhile is seen from outside."""
    command = [sys.executable, "-W", "error", "-c", AGENT, str(base_path)]
    with subprocess.Popen(command, stdin=subprocess.PIPE, stdout=subprocess.PIPE, text=True) as process:
        try:
            assert process.stdout.readline() == "paused\n"
            (account,) = status()["b"]["accounts"]
            assert (account["settled"], account["held"], account["remaining"]) == (8_000_000, 0, 2_000_000)
            assert "$0.0100 → $0.0300" in budget("raise", "b", "+$0.02", "--by", "ada")
            assert process.stdout.readline() == "sent\n"
            (account,) = status()["b"]["accounts"]
            assert (account["settled"], account["held"], account["remaining"]) == (16_000_000, 1_001_000, 12_999_000)
            process.stdin.write("\n")
            process.stdin.flush()
            assert process.stdout.readline() == "completed 3\n"
            assert process.wait(timeout=30) == 0
        finally:
            process.kill()
    (account,) = status()["b"]["accounts"]
    assert (account["settled"], account["held"], account["in_doubt"]) == (16_500_000, 0, 0)


def test_what_a_killed_process_held_is_in_doubt_and_can_be_resolved(base_path, budget, status):
    """`doubts` recovers the dead by itself; resolving gives the rest back."""
    command = [sys.executable, "-c", AGENT, str(base_path)]
    with subprocess.Popen(command, stdin=subprocess.PIPE, stdout=subprocess.PIPE, text=True) as process:
        try:
            assert process.stdout.readline() == "paused\n"
            budget("set", "b", "$1")
            assert process.stdout.readline() == "sent\n"
        finally:
            process.kill()
    (hold,) = json.loads(budget("doubts", "--json"))
    assert hold["amounts"][0]["amount"] == 1_001_000
    budget("resolve", hold["hold_id"], "--never-sent")
    (account,) = status()["b"]["accounts"]
    assert (account["settled"], account["held"], account["in_doubt"]) == (16_000_000, 0, 0)


def test_the_command_line_itself_says_it_in_one_line(base_path):
    """Exit status 1, one line on stderr, no traceback."""
    command = [sys.executable, "-m", "hivecost", "budget", "status", "--data", str(base_path)]
    done = subprocess.run(command, capture_output=True, text=True, check=False, timeout=60)
    assert (done.returncode, done.stdout, done.stderr.count("\n")) == (1, "", 1)
    assert done.stderr.startswith("hivecost: ")
