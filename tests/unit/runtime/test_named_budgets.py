"""Budgets bind what they name: a model and a provider by every name that they go by, and nothing in silence."""

from __future__ import annotations

import logging

import anyio
import pytest

import hivecost as hc

TURN = {"input_tokens": 5_000, "max_tokens": 500}
#: $0.0175 at gpt-4o's price.
USAGE = {"prompt_tokens": 5_000, "completion_tokens": 500}
CENT = 10**7


def spend(tmp_path, *budgets, asked="gpt-4o", answered="gpt-4o", usage=USAGE, turns=6, prices=None, **turn):
    """What an agent of so many turns came to under these budgets."""
    runtime = hc.AgentRuntime(tmp_path, budgets=budgets, prices=prices, config={"runaway": "off"})

    @runtime.entry_point("agent")
    async def agent(ctx, _):
        for _ in range(turns):
            async with ctx.turn(asked, **TURN, **turn) as one:
                one.settle({"object": "chat.completion", "model": answered, "usage": usage})
            await runtime.bus.drain()
            await anyio.sleep(0.02)

    async def run():
        async with runtime:
            result = await runtime.trigger_and_wait("agent")
            return result, await runtime.budgets.status()

    return anyio.run(run)


def cap(match, mode="hard", limit="$0.04", **fields):
    return hc.Budget("cap", limit, match=match, mode=mode, on_short="refuse", **fields)


@pytest.mark.parametrize("mode", ["hard", "stop_after"])
@pytest.mark.parametrize(
    ("match", "turn"),
    [
        ({"provider": "openai"}, {}),
        ({"provider": "openai"}, {"asked": "openai/gpt-4o-2024-08-06"}),
        ({"provider": "azure"}, {"asked": "azure/gpt-4o"}),
        ({"provider": "azure_openai"}, {"provider": "azure"}),
        ({"provider": "azure"}, {"provider": "azure_openai"}),
        ({"model": "gpt-4o"}, {"answered": "gpt-4o-2024-08-06"}),
        ({"model": "gpt-4o"}, {"asked": "gpt-4o-2024-11-20"}),
        ({"model": "gpt-4o"}, {"asked": "azure/gpt-4o"}),
        ({"model": "gpt-4*"}, {}),
        ({"model": "openai/gpt-4o"}, {}),
        ({"model": ["o3", "gpt-4o"]}, {"asked": "openrouter/openai/gpt-4o", "answered": "openai/gpt-4o"}),
    ],
)
def test_a_budget_binds_by_every_name(tmp_path, mode, match, turn):
    """Asked, resolved and answered names alike, in every mode: at most one turn too many, and with `hard` none."""
    result, (row,) = spend(tmp_path, cap(match, mode), **turn)
    assert result.status == "cancelled"
    assert result.error.budget == "cap"
    assert row.settled <= (4 * CENT if mode == "hard" else 6 * CENT)


def test_an_alias_counts_as_its_model(tmp_path):
    """A deployment's name of the user's own is bound by its model's budgets, and by those of its own name."""
    each = hc.Budget("each", "$9", per="model", mode="hard")
    budgets = [
        cap({"model": "gpt-4o"}, limit="$9"),
        hc.Budget("own", "$9", match={"model": "prod"}, mode="stop_after"),
        each,
    ]
    _, rows = spend(tmp_path, *budgets, asked="prod", prices={"aliases": {"prod": "gpt-4o"}}, turns=1)
    spent = {(row.budget, row.scope): row.settled for row in rows}
    assert spent == dict.fromkeys([("cap", ""), ("each", "model=gpt-4o"), ("own", "")], 17_500_000)


@pytest.mark.parametrize("mode", ["hard", "stop_after"])
def test_a_model_that_only_answers_is_bound_too(tmp_path, mode):
    """The first turn teaches what a name is answered by; it is charged afterwards, and the next one is held for."""
    result, (row,) = spend(tmp_path, cap({"model": "gpt-4o-2024-08-06"}, mode), answered="gpt-4o-2024-08-06")
    assert (result.status, result.metrics["llm_calls"]) == ("cancelled", 2 if mode == "hard" else 3)
    assert row.settled == result.metrics["cost_nanousd"]


def test_turns_that_were_sent_before_the_first_came_back_are_charged_as_well(tmp_path):
    """Nobody knew when they were asked for: all of their bills are on the budget, also once it is frozen by one."""
    runtime = hc.AgentRuntime(tmp_path, budgets=[cap({"model": "gpt-4o-2024-08-06"})], config={"runaway": "off"})
    alerts = []
    runtime.bus.subscribe(event_types=[hc.EventType.ALERT_RAISED], handler=alerts.append)

    @runtime.entry_point("agent")
    async def agent(ctx, _):
        sent, all_sent = [], anyio.Event()

        async def one():
            async with ctx.turn("gpt-4o", **TURN) as turn:
                sent.append(turn)
                if len(sent) == 4:
                    all_sent.set()
                await all_sent.wait()
                turn.settle({"object": "chat.completion", "model": "gpt-4o-2024-08-06", "usage": USAGE})

        async with anyio.create_task_group() as group:
            for _ in range(4):
                group.start_soon(one)

    async def run():
        async with runtime:
            await runtime.trigger_and_wait("agent")
            with anyio.fail_after(60):
                while True:
                    rows = await runtime.budgets.status()
                    if [row.settled for row in rows] == [70_000_000] and len(alerts) >= 2:
                        return rows
                    await anyio.sleep(0.01)

    (row,) = anyio.run(run)
    assert row.frozen
    assert [alert.rule for alert in alerts] == ["budget.overrun"] * 2


@pytest.mark.parametrize(("limit", "settled", "frozen"), [("9 calls", 1, False), ("$9", 0, True)])
def test_a_bill_that_nobody_knows_is_charged_where_it_is_known(tmp_path, limit, settled, frozen):
    """A budget in calls needs no price; one in dollars is frozen, and the turn stays in doubt there."""
    budget, wrong = cap({"model": "gpt-4o-2024-08-06"}, limit=limit), {"prompt_tokens": -1, "completion_tokens": 500}
    _, (row,) = spend(tmp_path, budget, answered="gpt-4o-2024-08-06", usage=wrong, turns=1)
    assert (row.settled, row.frozen) == (settled, frozen)


def test_a_router_binds_the_budgets_of_all_that_it_was_seen_to_route_to(tmp_path):
    """A bill that the budget has no room for freezes it, as one above its hold does."""
    prices = {"auto": {"input": 2.5, "output": 10}}
    result, (row,) = spend(tmp_path, cap({"model": "gpt-4o"}, limit="$0.01"), asked="auto", prices=prices)
    assert (result.status, result.metrics["llm_calls"]) == ("cancelled", 1)
    assert row.frozen


def test_other_models_and_providers_are_not_bound(tmp_path):
    budgets = [cap({"model": "gpt-4o-mini"}), hc.Budget("other", "$0.01", match={"provider": "anthropic"}, mode="hard")]
    result, rows = spend(tmp_path, *budgets)
    assert (result.status, rows) == ("completed", [])


def test_per_goes_by_the_resolved_model(tmp_path):
    """A snapshot and its family have one account, whichever of them was asked for."""
    runtime = hc.AgentRuntime(tmp_path, budgets=[hc.Budget("each", "$1", per=("provider", "model"), mode="hard")])

    @runtime.entry_point("agent")
    async def agent(ctx, _):
        for asked in ("gpt-4o", "gpt-4o-2024-08-06", "openai/gpt-4o", "azure/gpt-4o"):
            async with ctx.turn(asked, **TURN) as turn:
                turn.settle({"object": "chat.completion", "model": "gpt-4o-2024-08-06", "usage": USAGE})

    async def run():
        async with runtime:
            await runtime.trigger_and_wait("agent")
            return {row.scope: row.settled for row in await runtime.budgets.status()}

    assert anyio.run(run) == {"provider=openai,model=gpt-4o": 52_500_000, "provider=azure,model=gpt-4o": 17_500_000}


@pytest.mark.parametrize(
    ("match", "argument"),
    [({"provider": "openai"}, "ctx.turn(provider=…)"), ({"model": "gpt-4o"}, "prices")],
)
def test_a_turn_of_which_nobody_knows_whether_it_counts_is_refused(tmp_path, match, argument):
    """With the argument to give; a budget in tokens, which needs no price, refuses as well."""
    for place, limit in enumerate(("$1", "1_000_000 tokens")):
        result, _ = spend(tmp_path / str(place), cap(match, limit=limit), asked="nobody-knows")
        assert isinstance(result.error, hc.ConfigError)
        assert result.error.key == argument
        assert "'cap'" in str(result.error)


def test_it_passes_once_the_argument_is_given(tmp_path):
    result, _ = spend(tmp_path, cap({"provider": "openai"}, limit="9 calls"), asked="nobody-knows", provider="rack")
    assert result.status == "completed"


def test_a_model_that_is_matched_as_it_stands_is_known_enough(tmp_path):
    """A local model without a price can have a budget in tokens or calls."""
    result, (row,) = spend(tmp_path, cap({"model": "my-llama"}, limit="3 calls"), asked="my-llama")
    assert (result.status, row.settled + row.in_doubt) == ("cancelled", 3)


def test_what_a_shadow_budget_matches_on_need_not_be_known(tmp_path):
    result, _ = spend(tmp_path, cap({"provider": "openai"}, shadow=True), asked="nobody-knows")
    assert result.status == "completed"


@pytest.mark.parametrize("mode", ["hard", "stop_after", "observe"])
@pytest.mark.parametrize(
    ("match", "meant"),
    [
        ({"model": "gpt4o"}, "gpt-4o"),
        ({"model": "claude-sonet-4-5"}, "claude-sonnet-4-5"),
        ({"model": "sonnet-claude-4-5"}, "claude-sonnet-4-5"),
        ({"model": "claud-opus-*"}, r"'claude-opus-\*', or another"),
        ({"model": "gpt4o*"}, r"'gpt-4o\*', or another"),
        ({"provider": "opena1"}, "openai"),
        ({"provider": "nobody"}, "a provider that the price book knows"),
        ({"provider": "nobody*"}, "a provider that the price book knows"),
    ],
)
def test_a_value_that_can_match_nothing_is_an_error(tmp_path, mode, match, meant):
    """A slip of the keyboard would be a budget that binds nothing: it is refused with what was meant."""
    with pytest.raises(hc.ConfigError, match=meant):
        hc.AgentRuntime(tmp_path, budgets=[hc.Budget("cap", "$1", match=match, mode=mode)])


@pytest.mark.parametrize("model", ["gpt-9", "claude-opus-9", "my-own-thing", "gemini-7.5-*", "my-own-*", "search-api"])
def test_a_model_of_another_day_is_only_warned_of(tmp_path, caplog, model):
    """An older price book must not keep a runtime from starting."""
    with caplog.at_level(logging.WARNING):
        hc.AgentRuntime(tmp_path, budgets=[hc.Budget("cap", "$1", match={"model": model}, mode="hard")])
    assert f"{model!r}, which the price book does not know" in caplog.text
    assert "charges (`ctx.charge`)" in caplog.text


@pytest.mark.parametrize(
    "match",
    [
        {"model": ["gpt-4o-2026-01-01", "openai/gpt-4o", "claude-opus-*"]},
        {"model": "prod"},
        {"model": "rack/llama"},
        {"provider": ["openai", "azure_openai", "litellm", "rack", "an*"]},
    ],
)
def test_what_is_known_is_neither(tmp_path, caplog, match):
    """Snapshots to come, aliases, the user's own models and hosts, gateways and patterns."""
    price = {"input": 1, "output": 1}
    prices = {"prices": {"rack/llama": price}, "aliases": {"prod": "gpt-4o"}}
    hc.AgentRuntime(tmp_path, prices=prices, budgets=[hc.Budget("cap", "$1", match=match, mode="hard")])
    assert not caplog.records


@pytest.mark.parametrize(
    ("per", "key", "message"),
    [
        ("model", "claude-opus-*", "patterns are for `match`"),
        ("provider", "an*", "patterns are for `match`"),
        (("user", "model"), "user=ada,model=gpt-4?", "patterns are for `match`"),
        ("model", "gpt4o", "'gpt-4o'"),
        ("provider", "azur", "'azure'"),
        (("user", "provider"), "user=ada,provider=nobody", "a provider that the price book knows"),
    ],
)
def test_a_limit_of_its_own_that_no_account_can_have_is_an_error(tmp_path, per, key, message):
    """A pattern, a slip and an unknown provider in `limits` would never be applied."""
    budget = hc.Budget("each", "$1", per=per, limits={key: "$0.02"})
    with pytest.raises(hc.ConfigError, match=message) as refused:
        hc.AgentRuntime(tmp_path, budgets=[budget])
    assert refused.value.key == f"budget 'each'.limits.{key}"


def test_a_limit_of_a_model_of_another_day_is_only_warned_of(tmp_path, caplog):
    budget = hc.Budget("each", "$1", per="model", limits={"gpt-9": "$0.02", "gpt-4o": "$0.02", "": "$0.01"})
    hc.AgentRuntime(tmp_path, budgets=[budget])
    (record,) = caplog.records
    assert "'gpt-9', which the price book does not know" in record.getMessage()


@pytest.mark.parametrize("fields", [{"match": {"org": "ac*"}}, {"per": "org", "limits": {"ac*": "$2"}}])
def test_what_looks_like_a_pattern_and_is_none_is_warned_of(tmp_path, caplog, fields):
    """Only models and providers are matched by patterns; an organisation may be called `ac*`."""
    hc.AgentRuntime(tmp_path, budgets=[hc.Budget("b", "$1", **fields)])
    assert "org 'ac*', and counts that very value alone" in caplog.text


def test_turns_say_all_their_names(tmp_path):
    """Events and the log have the model as it was asked, understood and answered; sums go by the one understood."""

    async def read():
        (session,) = await hc.SessionStore(tmp_path).list_sessions()
        log = hc.RuntimeLogStore(tmp_path)
        (step,) = await log.load_steps(session.session_id)
        (models,) = await log.load_models(session.session_id)
        rows = await hc.SpendStore(tmp_path).totals(by=("provider", "model"), model="gpt-4o")
        return step, models, [row.group for row in rows]

    spend(tmp_path, asked="azure/gpt-4o", answered="gpt-4o-2024-08-06", turns=1)
    step, models, groups = anyio.run(read)
    assert (step.asked_model, step.model, step.provider) == ("azure/gpt-4o", "gpt-4o-2024-08-06", "")
    assert (step.resolved_model, step.resolved_provider) == ("gpt-4o", "azure")
    assert (models.model, models.provider) == ("gpt-4o", "azure")
    assert groups == [{"provider": "azure", "model": "gpt-4o"}]


def test_a_turn_from_elsewhere_is_named_when_it_comes_to_the_bus(tmp_path):
    """Whoever publishes turns of their own need not ask the price book first."""
    seen = []

    async def run():
        async with hc.AgentRuntime(tmp_path) as runtime:
            runtime.bus.subscribe(event_types=[hc.EventType.LLM_TURN_COMPLETE], handler=seen.append)
            await runtime.bus.publish(hc.LLMTurnComplete(model="gpt-4o-2024-08-06", usage=hc.Usage(1, 1)))
            await runtime.bus.drain()

    anyio.run(run)
    assert [(turn.resolved_provider, turn.resolved_model) for turn in seen] == [("openai", "gpt-4o")]


@pytest.mark.parametrize("field", ["on_short", "on_soft"])
def test_a_model_to_take_instead_has_a_price_where_one_is_needed(tmp_path, caplog, field):
    """A turn that is short of money would end for want of a price; a budget in calls needs none."""
    fields = {field: "downgrade:nope-model"}
    with pytest.raises(hc.ConfigError, match="a price for") as refused:
        hc.AgentRuntime(tmp_path, budgets=[hc.Budget("b", "$1", soft_limit="$0.50", **fields)])
    assert refused.value.key == f"budget 'b'.{field}"
    hc.AgentRuntime(tmp_path, budgets=[hc.Budget("b", "9 calls", soft_limit="5 calls", **fields)])
    assert f"{field} takes 'nope-model', which the price book does not know" in caplog.text


@pytest.mark.parametrize(("instead", "is_dearer"), [("gpt-4o", True), ("gpt-4.1-nano", False)])
def test_a_dearer_model_to_take_instead_is_warned_of(tmp_path, caplog, instead, is_dearer):
    budget = hc.Budget("b", "$1", match={"model": ["gpt-4o-mini", "gpt-4*"]}, on_short=f"downgrade:{instead}")
    hc.AgentRuntime(tmp_path, budgets=[budget])
    assert (f"takes '{instead}', which is dearer than 'gpt-4o-mini'" in caplog.text) == is_dearer


@pytest.mark.parametrize("field", ["on_short", "on_soft"])
def test_a_slip_in_the_model_to_take_instead_is_an_error_at_once(tmp_path, field):
    """Not when money is short, and the run needs it."""
    budget = hc.Budget("b", "$1", mode="hard", soft_limit="$0.50", **{field: "downgrade:gpt4o-mini"})
    with pytest.raises(hc.ConfigError, match="gpt-4o-mini"):
        hc.AgentRuntime(tmp_path, budgets=[budget])


@pytest.mark.parametrize("turn", [{"provider": "azure"}, {"asked": "azure/gpt-4o"}])
@pytest.mark.parametrize(
    "fields",
    [
        {"mode": "hard", "on_short": "downgrade:gpt-4o-mini"},
        {"mode": "stop_after", "soft_limit": "$0.02", "on_soft": "downgrade:gpt-4o-mini"},
    ],
)
def test_a_downgrade_stays_at_the_host_that_was_named(tmp_path, turn, fields):
    """Or a budget of that host would not bind the cheaper turns: they would be somebody else's."""
    budget = hc.Budget("cap", "$0.04", match={"provider": "azure"}, **fields)
    result, rows = spend(tmp_path, budget, answered="", turns=30, **turn)
    assert isinstance(result.error, hc.BudgetExceededError)
    assert 3.85 * CENT < rows[0].settled < 4.15 * CENT
    assert result.metrics["llm_calls"] > 5
