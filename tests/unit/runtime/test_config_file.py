"""hivecost.toml: what it says is what is in force, and what is wrong with it is named with file, line and key."""

from __future__ import annotations

import json
import re
from decimal import Decimal
from difflib import get_close_matches
from pathlib import Path

import pytest
from hypothesis import given
from hypothesis import strategies as st

import hivecost as hc
from hivecost.attribute_names import ATTRIBUTES
from hivecost.backends import open_backend, open_log
from hivecost.ledger import WINDOWS
from hivecost.runtime.config_file import read_config_file
from hivecost.toml_document import TomlDocument

ROOT = Path(__file__).parents[3]
EXAMPLE = ROOT / "examples" / "hivecost.toml"
PAGE = (ROOT / "docs" / "budgets.md").read_text(encoding="utf-8")

PRICES = "\n[prices.m]\ninput = 1\noutput = 2\n\n[runtime]\nlog = false\n"
ONE = '[[budget]]\nname = "b"\nlimit = "{limit}"\nwindow = "total"\nmode = "{mode}"\n' + PRICES


@pytest.fixture
def write(tmp_path):
    """Write the configuration file; gives its path."""
    path = tmp_path / "hivecost.toml"

    def write(text: str) -> Path:
        path.write_text(text, encoding="utf-8")
        return path

    return write


@pytest.fixture
def make(tmp_path, write):
    """A runtime that is configured by a file with one budget."""

    def make(limit="$0.01", mode="stop_after", **settings) -> hc.AgentRuntime:
        runtime = hc.AgentRuntime(tmp_path / "data", config=write(ONE.format(limit=limit, mode=mode)), **settings)

        @runtime.entry_point("spend")
        async def spend(ctx, tokens):
            async with ctx.turn("m", input_tokens=tokens, max_tokens=1) as turn:
                turn.settle(hc.Usage(tokens))

        return runtime

    return make


async def spend_all(runtime: hc.AgentRuntime) -> int:
    """How many executions of $0.009 complete before one is cancelled."""
    completed = 0
    while (await runtime.trigger_and_wait("spend", 9_000)).status == "completed":
        await runtime.bus.drain()
        completed += 1
    return completed


async def limit_in_force(tmp_path: Path) -> str:
    """In whole USD, for all processes."""
    (state,) = open_backend(tmp_path / "data").ledger_reader().budgets()
    return f"${state.limit / 10**9:g}"


# -- what it says ----------------------------------------------------------------------------------------------------


def test_one_file_holds_all(tmp_path):
    """Budgets, settings, thresholds and prices of the example are in force in a runtime that is made from it."""
    own = hc.Budget("mine", limit="$1", mode="stop_after")
    runtime = hc.AgentRuntime(tmp_path, config=EXAMPLE, budgets=[own])
    first, second, third = read_config_file(EXAMPLE).budgets
    assert first == hc.Budget("per run", "$0.05", window="execution", mode="hard", on_short="refuse")
    assert second == hc.Budget(
        "acme's day",
        limit="$50",
        window="day",
        timezone="Europe/Berlin",
        match={"org": "acme"},
        per="user",
        mode="stop_after",
        warn=(0.5, 0.9),
    )
    assert third == hc.Budget("calls", "100_000 calls", window="month", mode="observe")
    assert runtime.config == hc.RuntimeConfig(cancel_grace_s=10, runaway_rules=hc.RunawayRules(repeats=40))
    assert runtime.prices.calculate_cost("our-model", 1_000_000, 0) == 1
    assert runtime.prices.calculate_cost("our-deployment", 1_000_000, 0) == hc.calculate_cost("gpt-4o", 1_000_000, 0)
    assert list(runtime._parts.own.watcher.accounts.budgets.values()) == [second, third, own]


def test_soft_limits_are_read(tmp_path):
    """`soft_limit`, `on_soft`, `throttle_s` and `on_exceed` stand there as in Python; mistakes name their line."""
    path = tmp_path / "hivecost.toml"
    path.write_text(
        '[[budget]]\nname = "a"\nlimit = "$1"\nsoft_limit = "$0.80"\non_soft = "downgrade:m"\n'
        '[[budget]]\nname = "b"\nlimit = "9 calls"\nsoft_limit = 5\non_soft = "throttle"\nthrottle_s = 2.5\n'
        'on_exceed = "throttle"\nmode = "stop_after"\n'
    )
    assert read_config_file(path).budgets == (
        hc.Budget("a", "$1", soft_limit="$0.80", on_soft="downgrade:m"),
        hc.Budget(
            "b", "9 calls", soft_limit=5, on_soft="throttle", throttle_s=2.5, on_exceed="throttle", mode="stop_after"
        ),
    )
    path.write_text('[[budget]]\nname = "a"\nlimit = "$1"\nsoft_limit = "$2"\n')
    with pytest.raises(hc.ConfigError, match=r'hivecost\.toml:4: budget "a"\.soft_limit: expected less than the limit'):
        read_config_file(path)


def test_the_page_about_budgets_tells_every_key(write):
    """Its table has them all, with what holds unless they are given, and its example can be read."""
    table = PAGE.partition("| key |")[2].partition("\n\n")[0]
    described = dict(re.findall(r"^\| `(\w+)` \| .* \| ([^|]+) \|$", table, re.MULTILINE))
    assert list(described) == list(hc.Budget.__struct_fields__)
    plain = hc.Budget("b", limit=1)
    for name, unless in described.items():
        if unless.startswith("`"):
            shown = getattr(plain, name)
            assert unless.strip("`") in (str(shown), json.dumps(shown)), name
    (example,) = re.findall(r"```toml\n(.*?)```", PAGE, re.DOTALL)
    names = [budget.name for budget in read_config_file(write(example)).budgets]
    assert names == ["per run", "acme's day", "month"]


def is_a_name_of_its_own(name):
    """No slip of an attribute's name, which is an error."""
    return name in ATTRIBUTES or not get_close_matches(name.lower().removesuffix("_id"), ATTRIBUTES, cutoff=0.8)


texts = st.text(st.characters(min_codepoint=32, exclude_categories=["C", "Zl", "Zp"]), min_size=1).filter(str.strip)
names = texts.filter(is_a_name_of_its_own)
budgets = st.fixed_dictionaries(
    {"name": texts, "limit": st.integers(1, 10**6).map("{} calls".format)},
    optional={
        "window": st.sampled_from(WINDOWS),
        "timezone": st.sampled_from(["UTC", "Asia/Kathmandu"]),
        "mode": st.sampled_from(["observe", "stop_after", "hard"]),
        "warn": st.lists(st.floats(0.01, 0.99), max_size=3),
        "on_short": st.sampled_from(["wait", "downgrade:m"]),
        "cancel": st.sampled_from(["immediate", "after_turn"]),
        "shadow": st.booleans(),
        "unit": st.just("calls"),
        "per": names | st.lists(names, max_size=2),
        "match": st.dictionaries(names, texts | st.lists(texts, min_size=1, max_size=2), max_size=2),
    },
)


def as_toml(tables: list[dict], *, match_as_table: bool) -> tuple[str, dict[tuple[int, str], int]]:
    """The file, and the line of every (place, key)."""
    lines, where = ["# budgets"], {}
    for place, table in enumerate(tables):
        lines.append("[[budget]]")
        for key, value in table.items():
            if key != "match":
                lines.append(f"{key} = {json.dumps(value, ensure_ascii=False)}")
                where[place, key] = len(lines)
        if "match" in table:
            pairs = [
                f"{json.dumps(k, ensure_ascii=False)} = {json.dumps(v, ensure_ascii=False)}"
                for k, v in table["match"].items()
            ]
            lines += ["[budget.match]", *pairs] if match_as_table else [f"match = {{{', '.join(pairs)}}}"]
            where[place, "match"] = len(lines) - len(pairs) * match_as_table
    return "\n".join(lines) + "\n", where


@given(tables=st.lists(budgets, max_size=4, unique_by=lambda table: table["name"]), match_as_table=st.booleans())
def test_any_budget_can_be_written_there(tmp_path_factory, tables, match_as_table):
    """A file and the same fields in Python make equal budgets, and every key is found on its line."""
    path = tmp_path_factory.mktemp("any") / "c.toml"
    text, where = as_toml(tables, match_as_table=match_as_table)
    path.write_text(text, encoding="utf-8")
    assert read_config_file(path).budgets == tuple(hc.Budget(**table) for table in tables)
    document = TomlDocument(path)
    for (place, key), line in where.items():
        assert document.error(("budget", place, key), "").file == f"{path}:{line}"


def test_everything_may_stand_beside_prices(tmp_path, write):
    """Nothing else that the file has is taken for the price of a model."""
    path = write(
        "data = 'spent'\n[[budget]]\nname = 'b'\nlimit = '$1'\n[runtime]\nlog = false\n[graph.loop_config]\n"
        "max_history_tokens = 1000\n[runaway]\nrepeats = 9\n[reports]\ntags = ['feature']\n"
        "[prices.m]\ninput = 3\noutput = 3\n[aliases]\nn = 'm'\n"
    )
    runtime = hc.AgentRuntime(tmp_path / "data", config=str(path))
    assert runtime.prices.calculate_cost("n", 1_000_000, 0) == 3
    assert runtime.config.summed_tags == ("feature",)


@pytest.mark.anyio
async def test_the_log_keeps_sums_by_the_tags_of_the_file(tmp_path, write):
    """Beside those of the first that turns have."""
    path = write("[reports]\ntags = ['feature', 'team']\n")
    async with hc.AgentRuntime(tmp_path / "data", config=str(path)):
        pass
    assert open_backend(tmp_path / "data").reader().summed_tags() == ["feature", "team"]


# -- what is wrong with it -------------------------------------------------------------------------------------------

B = '[[budget]]\nname = "a"\nlimit = "$1"\n[[budget]]\n'


@pytest.mark.parametrize(
    ("text", "message"),
    [
        (B + 'name = "o d"\nlimit = "$1"\nwindow = "dya"', ":7: budget \"o d\".window: expected one of 'execution'"),
        (B + 'name = "b"\nlimit = "5 euros"', ':6: budget "b".limit: expected an amount above zero'),
        (B + 'name = "b"\nlimit = -5', ':6: budget "b".limit: expected an amount in USD'),
        (B + 'name = "b"\nlimit = 2026-01-01', ':6: budget "b".limit: expected an amount above zero'),
        (B + 'name = "b"', ':4: budget "b".limit: expected a value: every budget has one'),
        (B + "limit = 1", ":4: budget[1].name: expected a value: every budget has one"),
        (B + "limit = 1\nname = 5", ":6: budget[1].name: expected a text in quotes, got 5"),
        (B + 'limit = 1\nname = " "', ":6: budget[1].name: expected a name that is not empty"),
        (B + 'limit = 1\nname = "a"', ":6: budget[1].name: expected a name that no other budget has, got 'a'"),
        (B + 'name = "b"\nlimit = 1\nunit = 5', ':7: budget "b".unit: expected a text in quotes, got 5'),
        (B + 'name = "b"\nlimit = 1\ntimezone = "Mars"', ':7: budget "b".timezone: expected an IANA time zone'),
        (B + 'name = "b"\nlimit = 1\nshadow = 5', ':7: budget "b".shadow: expected one of False, True, got 5'),
        (B + 'name = "b"\nlimit = 1\nwarn = [2]', ':7: budget "b".warn: expected fractions between 0 and 1'),
        (B + 'name = "b"\nlimit = 1\nmatch = "acme"', ':7: budget "b".match: expected a table'),
        (B + 'name = "b"\nlimit = 1\n[budget.match]\norg = 1', ':8: budget "b".match.org: expected a text'),
        (B + 'name = "b"\nlimit = 1\nper = "agent"\nlimits = 5', ':8: budget "b".limits: expected a table such as'),
        (B + 'name = "b"\nlimit = 1\nlimits = { x = 5 }', ':7: budget "b".limits.x: expected a `per` beside it'),
        (
            B + 'name = "b"\nlimit = 1\nper = "model"\n[budget.limits]\n"gpt-4.1" = "5 calls"',
            ':9: budget "b".limits.gpt-4.1: expected an amount in usd',
        ),
        (
            B + 'name = "b"\nlimit = 1\nper = ["user", "model"]\nlimits = { ada = 5 }',
            ':8: budget "b".limits.ada: expected a key of the form user=…,model=…, once',
        ),
        (B + 'name = "b"\nlimit = 1\nwindwo = "day"', ':7: budget "b".windwo: expected no such key, but some of name'),
        ("[budget]\nname = 1", ":1: budget: expected a list of tables, each under [[budget]]"),
        ("[[budgets]]", ":1: budgets: expected no such key, but some of data, budget, runtime, graph, runaway, "),
        ("[runtime]\nlogg = true", ":2: runtime.logg: expected no such key, but some of log, runaway"),
        ("[runtime]\nrunaway_rules = {}", ":2: runtime.runaway_rules: expected no such key"),
        ('\n[runtime]\nlog = "yes"', ":3: runtime.log: expected `bool`, got `str`"),
        ('[runtime]\nrunaway = "stop"', ":2: runtime.runaway: expected one of warn, throttle, cancel, off"),
        ("[runtime]\nclose_timeout_s = -1", ":2: runtime.close_timeout_s: expected seconds above 0, got -1"),
        ("runtime = 5", ":1: runtime: expected a table [runtime], got 5"),
        ("[runaway]\nrepeats = 1", ":2: runaway.repeats: expected a whole number, 2 or more, got 1"),
        ("[runaway]\nrepeat = 1", ":2: runaway.repeat: expected no such key, but some of repeats"),
        ("reports = 5", ":1: reports: expected a table [reports], got 5"),
        ("[reports]\ntag = []", ":2: reports.tag: expected no such key, but some of tags"),
        ('[reports]\ntags = [""]', ":2: reports.tags: expected the names of eight tags at most, in a list"),
        ("[prices.m]\ninput = 1", ":1: prices.m.output: expected a price"),
        ("[aliases]\nm = 5", ":2: aliases.m: expected the name of a model, got 5"),
        ("a = 1\nb = ", ":2: config: expected valid TOML (Invalid value)"),
        ("a = 1\n\nb c\n", ":3: config: expected valid TOML (Expected '=' after a key"),
    ],
)  # fmt: skip
def test_a_fault_is_named_with_its_place(write, text, message):
    """File, line, key, what was expected there, and what was found."""
    path = write(text)
    with pytest.raises(hc.ConfigError) as raised:
        hc.AgentRuntime("data", config=str(path))
    assert str(raised.value).startswith(f"{path}{message}")
    assert str(raised.value).count("expected") == 1


def test_a_file_that_cannot_be_read_is_named(tmp_path):
    """One that is missing, a folder, and one that is no text."""
    for name, content, line in (("missing.toml", None, ""), ("", None, ""), ("binary.toml", b"a = 1\n\xff\x00", ":2")):
        path = tmp_path / name
        if content is not None:
            path.write_bytes(content)
        with pytest.raises(hc.ConfigError) as raised:
            hc.AgentRuntime("data", config=path)
        assert raised.value.file == f"{path}{line}"


def test_file_and_python_do_not_contradict_each_other(tmp_path, write):
    """One name for two budgets, of whatever mode, and prices in both places are errors."""
    config = write(ONE.format(limit="$1", mode="stop_after"))
    for mode in ("observe", "stop_after", "hard"):
        with pytest.raises(hc.ConfigError, match=r"budget 'b'\.name"):
            hc.AgentRuntime(tmp_path, config=config, budgets=[hc.Budget("b", limit="$2", mode=mode)])
    with pytest.raises(hc.ConfigError, match=r"hivecost\.toml: prices: expected .* not in both"):
        hc.AgentRuntime(tmp_path, config=config, prices={"m": {"input": 5, "output": 5}})


# -- reading it again ------------------------------------------------------------------------------------------------


@pytest.mark.anyio
@pytest.mark.parametrize(("mode", "before", "after"), [("stop_after", 3, 2), ("hard", 2, 2)])
async def test_a_changed_limit_is_in_force_and_what_was_spent_stays(make, write, mode, before, after):
    """Of $0.02, and of $0.04 later: two runs of $0.009 fit into the difference, one more where the last is not held."""
    runtime = make("$0.02", mode)
    async with runtime:
        assert await spend_all(runtime) == before
        write(ONE.format(limit="$0.04", mode=mode))
        reload = await runtime.reload_config()
        assert ([budget.name for budget in reload.limits], reload.needs_restart) == (["b"], ())
        assert await spend_all(runtime) == after
        assert await runtime.reload_config() == type(reload)()


@pytest.mark.anyio
@pytest.mark.parametrize("last", ["$1", "$2", "$3"])
async def test_a_restart_goes_by_the_file(make, tmp_path, last):
    """After a reload too: the ledger takes a limit that was reloaded for a configured one, not for an operator's."""
    async with make("$1", "hard") as runtime:
        make("$2", "hard")
        await runtime.reload_config()
        assert await limit_in_force(tmp_path) == "$2"
    async with make(last, "hard"):
        assert await limit_in_force(tmp_path) == last
    changes = open_log(tmp_path / "data").audit()
    assert ("hivecost.toml", "configure", "b", "$2.0000") in {(c.who, c.what, c.subject, c.detail) for c in changes}


@pytest.mark.anyio
async def test_a_runtime_that_is_used_again_keeps_what_it_reloaded(make, tmp_path):
    """Also what it reloaded while it was not running."""
    runtime = make("$1", "hard")
    for limit in ("$2", "$3"):
        make(limit, "hard")
        await runtime.reload_config()
        async with runtime:
            assert await limit_in_force(tmp_path) == limit


@pytest.mark.anyio
async def test_an_operators_limit_outlives_a_reload_that_does_not_touch_it(make, tmp_path):
    """Only a limit that was changed in the file overrules what was set by hand."""
    runtime = make("$1", "hard")
    async with runtime:
        await runtime._parts.gate.ledger.set_limit("b", "$3", by="ada")
        assert (await runtime.reload_config()).limits == ()
        assert await limit_in_force(tmp_path) == "$3"


@pytest.mark.anyio
async def test_what_waits_for_a_restart_is_said_until_then(make, write):
    """Budgets that changed in more than limits, settings, thresholds and prices; none of them is half in force."""
    runtime = make("$0.01")
    write(
        '[[budget]]\nname = "b"\nlimit = "$5"\nwindow = "day"\nmode = "stop_after"\n'
        "[runtime]\nlog = false\ncancel_grace_s = 3\n[runaway]\nrepeats = 9\n[reports]\ntags = ['feature']\n"
        "[prices.m]\ninput = 3\noutput = 3\n"
    )
    waiting = ('budget "b": limit, window', "[runaway]", "[runtime] cancel_grace_s", "[reports]", "[prices]")
    for _ in range(2):
        reload = await runtime.reload_config()
        assert reload == type(reload)(needs_restart=waiting)
    assert runtime._parts.own.watcher.accounts.budgets["b"] == hc.Budget("b", limit="$0.01", mode="stop_after")


@pytest.mark.anyio
@pytest.mark.parametrize(("mode", "before", "after"), [("stop_after", 3, 2), ("hard", 2, 2)])
async def test_a_limit_is_in_force_whatever_else_of_its_budget_changed(make, write, mode, before, after):
    """What else changed waits for a restart, and is said until then."""
    runtime = make("$0.02", mode)
    async with runtime:
        assert await spend_all(runtime) == before
        changed = ONE.format(limit="$0.04", mode=mode)
        write(changed.replace("[[budget]]\n", "[[budget]]\nwarn = [0.5]\nshadow = true\n"))
        reload = await runtime.reload_config()
        waiting = ('budget "b": warn, shadow',)
        assert ([budget.limit for budget in reload.limits], reload.needs_restart) == ([Decimal("0.04")], waiting)
        assert await spend_all(runtime) == after
        again = await runtime.reload_config()
        assert (again.limits, again.needs_restart) == ((), waiting)


@pytest.mark.anyio
async def test_what_a_restart_would_refuse_as_well_is_told_apart(make):
    """A hard budget that is to count otherwise needs a new name; a restart with the old one raises."""
    runtime = make("$1", "hard")
    async with runtime:
        make('$1"\ntimezone = "Europe/Berlin', "hard")
        reload = await runtime.reload_config()
        assert reload == type(reload)(needs_new_name=('budget "b": timezone',))
        make('$1"\nshadow = true\ntimezone = "UTC', "hard")
        reload = await runtime.reload_config()
        assert (reload.needs_restart, reload.needs_new_name) == (('budget "b": shadow',), ())
    again = make('$1"\ntimezone = "Europe/Berlin', "hard")
    with pytest.raises(hc.HiveCostError, match="new name"):
        async with again:
            raise AssertionError("it started")


TWO = """
[[budget]]
name = "agent day"
limit = "$0.01"
per = "agent"
limits = {{ spend = "{own}", "gpt-4.1" = 2 }}
mode = "{mode}"

[[budget]]
name = "calls"
limit = "2 calls"
mode = "{mode}"
on_exceed = "cancel"
"""


@pytest.mark.anyio
@pytest.mark.parametrize("mode", ["stop_after", "hard"])
async def test_budgets_come_and_go_with_the_file(make, write, mode):
    """Added they bind the next turn, retired they bind none; limits of values change as any other does."""
    async with make("$1", mode) as runtime:
        write(TWO.format(own="$0.02", mode=mode) + PRICES)
        reload = await runtime.reload_config()
        assert [budget.name for budget in reload.added] == ["agent day", "calls"]
        assert ([budget.name for budget in reload.retired], reload.limits, reload.needs_restart) == (["b"], (), ())
        assert await spend_all(runtime) == 2
        write(TWO.format(own="$0.50", mode=mode).replace("2 calls", "100 calls") + PRICES)
        assert [budget.name for budget in (await runtime.reload_config()).limits] == ["agent day", "calls"]
        assert (await runtime.trigger_and_wait("spend", 9_000)).status == "completed"
        await runtime.bus.drain()
        rows = {row.budget: (row.scope, row.limit, row.has_own_limit) for row in await runtime.budgets.status()}
        assert rows["agent day"] == ("agent=spend", 500_000_000, True)
        write(PRICES)
        assert [budget.name for budget in (await runtime.reload_config()).retired] == ["agent day", "calls"]
        assert await runtime.reload_config() == type(reload)()
        for _ in range(5):
            assert (await runtime.trigger_and_wait("spend", 900_000)).status == "completed"
            await runtime.bus.drain()


@pytest.mark.anyio
@pytest.mark.parametrize(("mode", "fit"), [("stop_after", 2), ("hard", 1)])
async def test_a_file_that_cannot_be_used_changes_nothing(make, write, tmp_path, mode, fit):
    """Not even the limits before its fault."""
    runtime = make("$0.01", mode, budgets=[hc.Budget("mine", limit="$1")])
    raised = ONE.format(limit="$9", mode=mode)
    async with runtime:
        for text in (raised + "[prices.n]\ninput = 1", raised + "?", raised + '[[budget]]\nname = "mine"\nlimit = 1'):
            write(text)
            with pytest.raises(hc.ConfigError):
                await runtime.reload_config()
        (tmp_path / "hivecost.toml").unlink()
        with pytest.raises(hc.ConfigError, match="No such file"):
            await runtime.reload_config()
        assert await spend_all(runtime) == fit


@pytest.mark.anyio
async def test_without_a_file_there_is_nothing_to_read_again(tmp_path):
    """The error says what was missing."""
    with pytest.raises(hc.ConfigError, match="path of a TOML file"):
        await hc.AgentRuntime(tmp_path, config={"log": False}).reload_config()
