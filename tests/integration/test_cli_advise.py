"""`hivecost advise`: every saving is worked out again here from the turns, by hand."""

from __future__ import annotations

import json

import anyio
import pytest
from typer.testing import CliRunner

import hivecost as hc
from hivecost.cli import app
from hivecost.reports import DOWNGRADE_RULE

SESSION = "session_20261122_120000_00000000"
PRICES = {
    "big": {"input": 3, "output": 15, "cache_read": 0.3, "cache_write": 3.75, "cache_write_1h": 6},
    "small": {"input": 0.25, "output": 1},
    "middling": {"input": 2, "output": 10},
    "embedder": {"input": 0.02, "output": 0},
}
BOOK = hc.PriceBook(PRICES)


def turn(node: str, model: str, usage: hc.Usage, *, prompt: hc.SentPrompt | None = None, **cost) -> hc.LLMTurnComplete:
    return hc.LLMTurnComplete(
        session_id=SESSION,
        execution_id="e",
        node_id=node,
        model=model,
        usage=usage,
        cost=BOOK.price(model, usage, **cost),
        prompt=prompt,
    )


@pytest.fixture
def advise(base_path, tmp_path):
    """Logs the events and gives the advice about them."""
    table = tmp_path / "own.toml"
    rows = {
        name: "\n".join(f"{unit} = {usd}" for unit, usd in rates.items())
        for name, rates in {**PRICES, "tiny": {"input": 0.1, "output": 0.1}}.items()
    }
    table.write_text("\n".join(f"[prices.{name}]\n{rates}" for name, rates in rows.items()))

    def advise(*events, arguments=(), form="--json"):
        if events:
            anyio.run(hc.Store(base_path).write, events)
        command = ["advise", "--data", str(base_path), "--prices", str(table), *arguments]
        done = CliRunner().invoke(app, [*command, form] if form else command)
        assert done.exit_code == 0, (done.output, done.exception)
        return json.loads(done.stdout) if form else done.stdout

    return advise


def test_what_a_subscription_pays_for_saves_nothing(advise):
    """Its cache saved nobody any money; what its calls would have cost is said apart."""
    plan = hc.PriceBook({"big": {**PRICES["big"], "billing": "subscription"}})
    usage = hc.Usage(10_000, 500, cache_read_tokens=8_000)
    free = hc.LLMTurnComplete(session_id=SESSION, model="big", usage=usage, cost=plan.price("big", usage))
    found = advise(free, turn("a", "big", hc.Usage(10_000, 500)))
    assert (found["cache_saved_nanousd"], found["caching"]) == (0, [])
    assert found["notional_nanousd"] == 2_000 * 3_000 + 8_000 * 300 + 500 * 15_000
    assert found["cost_nanousd"] == 10_000 * 3_000 + 500 * 15_000
    assert "Notional    $0.0159 is what calls would have cost" in advise(form="")


def test_what_the_cache_saved_and_what_writing_it_cost(advise):
    """Against the uncached rate, by the rate each turn was priced with, whatever the table says now."""
    found = advise(
        turn("a", "big", hc.Usage(10_000, 500, cache_read_tokens=8_000)),
        turn("a", "big", hc.Usage(10_000, 500, cache_write_tokens=2_000, cache_write_1h_tokens=500)),
        turn("a", "house", hc.Usage(1_000, 500, cache_read_tokens=1_000)),
    )
    saved = 8_000 * (3000 - 300) - 1_500 * (3750 - 3000) - 500 * (6000 - 3000)
    assert found["cache_saved_nanousd"] == saved
    (line,) = found["caching"]
    assert line["arithmetic"] == (
        "(8,000 read x ($3 - $0.3) + 1,500 written x ($3 - $3.75) + 500 written for an hour x ($3 - $6)) / 1M"
        " = $0.018975"
    )
    assert found["cached_tokens"] == 9_000
    assert found["cache_hit_ratio"] == round(9 / 21, 4)
    assert found["left_out_calls"] == 1


def test_a_cache_that_did_not_pay_is_told_so(advise):
    """Writing without reading costs more than it saves."""
    written = turn("a", "big", hc.Usage(10_000, 500, cache_write_tokens=10_000))
    assert advise(written)["cache_saved_nanousd"] == -10_000 * 750
    assert "cost more than it saved: $0.0075" in advise(form="")


def test_what_compaction_did(advise):
    """Tokens after by tokens before, over all compactions."""
    events = [
        hc.ContextCompacted(session_id=SESSION, tokens_before=before, tokens_after=after)
        for before, after in [(8_000, 4_000), (2_000, 1_000)]
    ]
    skipped = hc.ContextCompacted(session_id=SESSION, tokens_before=500, tokens_after=500, status="skipped")
    compression = advise(*events, skipped)["compression"]
    assert compression == {
        "compactions": 2,
        "tokens_before": 10_000,
        "tokens_after": 5_000,
        "compression_ratio": 0.5,
    }


def test_what_pruning_old_results_would_have_saved(advise):
    """What a tool's results cost again, with the part of those that are not among the newest three."""
    read = hc.CarriedResults("read", 5, 12_000, 3_600_000, 1_200_000)
    new = hc.CarriedResults("search", 2, 900, 270_000, 0)
    sent = [
        turn("fix", "big", hc.Usage(20_000, 500), prompt=hc.SentPrompt(carried=carried))
        for carried in ((read,), (read, new))
    ]
    [pruning] = advise(*sent)["pruning"]
    assert (pruning["tool"], pruning["cost_nanousd"], pruning["saved_nanousd"]) == ("read", 7_200_000, 2_400_000)
    assert pruning["arithmetic"] == (
        "24,000 tokens of 10 results sent again: $0.0072 - $0.0048 of the newest 3 = $0.0024"
    )
    told = " ".join(advise(form="").split())
    assert "read in fix cost $0.0072 again in 2 turns: pruned after 3 it is up to $0.0024 less" in told


def test_small_answers_of_an_expensive_model_could_downgrade(advise):
    """At the cheaper model's rate on the same tokens; the rule is told, and so is the arithmetic."""
    found = advise(
        turn("classify", "big", hc.Usage(2_000, 10)),
        turn("classify", "big", hc.Usage(2_000, 30)),
        turn("write", "big", hc.Usage(2_000, 301)),
        turn("route", "middling", hc.Usage(1_000, 20)),
        turn("route", "small", hc.Usage(1_000, 20)),
        turn("index", "embedder", hc.Usage(5_000)),
    )
    assert [(one["node_id"], one["model"], one["to_model"]) for one in found["could_downgrade"]] == [
        ("classify", "big", "small"),
        ("route", "middling", "small"),
    ]
    first = found["could_downgrade"][0]
    now, then = 4_000 * 3000 + 40 * 15_000, 4_000 * 250 + 40 * 1000
    assert (first["cost_nanousd"], first["cheaper_nanousd"], first["saved_nanousd"]) == (now, then, now - then)
    assert (first["recommendation"], first["calls"], first["mean_output_tokens"]) == ("could_downgrade", 2, 20)
    assert first["arithmetic"] == "4,000 tokens in and 40 out: $0.0126 on big - $0.00104 on small = $0.01156"
    assert found["downgrade_rule"] == DOWNGRADE_RULE


def test_models_to_compare_with_are_named_or_those_of_the_session(advise):
    """With --to only those; a model that is not much cheaper is no suggestion; one without a price is an error."""
    alone = turn("classify", "big", hc.Usage(2_000, 10))
    assert advise(alone)["could_downgrade"] == []
    assert "--to MODEL" in advise(form="")
    assert advise(arguments=["--to", "middling"])["could_downgrade"] == []
    (named,) = advise(arguments=["--to", "middling", "--to", "small", "--to", "tiny"])["could_downgrade"]
    assert named["to_model"] == "tiny"
    assert "classify could use tiny" in advise(arguments=["--to", "tiny"], form="")
    done = CliRunner().invoke(app, ["advise", "--to", "gpt-4oo"])
    assert isinstance(done.exception, hc.PriceUnknownError)
    assert "did you mean 'gpt-4o'" in str(done.exception)


def test_what_batching_would_save(advise):
    """Where the table knows a batch rate; not for calls that were cheap already, and not for models without one."""
    usage = hc.Usage(10_000, 1_000)
    found = advise(
        turn("a", "gpt-5", usage),
        turn("a", "gpt-5", usage, reported_nanousd=1),
        turn("a", "gpt-5", usage, batch=True),
        turn("a", "big", usage),
    )
    (line,) = found["batching"]
    standard, batch = BOOK.price("gpt-5", usage).nanousd, BOOK.price("gpt-5", usage, batch=True).nanousd
    assert standard == 2 * batch
    assert (line["calls"], line["cost_nanousd"], line["batch_nanousd"]) == (1, standard, batch)
    assert line["saved_nanousd"] == standard - batch
    assert line["arithmetic"] == "1 call: $0.0225 - $0.01125 at the batch rate = $0.01125"


def test_a_session_that_is_not_there_is_named(base_path):
    """By its id; and the newest one when none was logged."""
    for session in ("session_nope", "latest"):
        done = CliRunner().invoke(app, ["advise", session, "--data", str(base_path)])
        assert isinstance(done.exception, hc.HiveCostError)
        assert str(base_path) in str(done.exception)


def test_a_session_without_any_price_is_not_said_to_be_free(advise):
    """Its cost is unknown, and so is what it could save."""
    shown = advise(turn("a", "house", hc.Usage(1_000, 10)), form="")
    assert f"{SESSION}, cost unknown" in shown
    assert "1 call without a known cost: left out." in shown
