"""Names may be members of a StrEnum, or of any subclass of str: they are the plain text that they stand for."""

from __future__ import annotations

from enum import Enum, StrEnum

import pytest

import hivecost as hc
from hivecost.backends import open_log

pytestmark = pytest.mark.anyio

USAGE = hc.Usage(input_tokens=10, output_tokens=10)


class Names(StrEnum):
    """As many projects keep their models and agents."""

    MODEL = "gpt-4o-mini"
    AGENT = "planner"
    USER = "ada"
    ENTRY = "answer"
    PROVIDER = "openai"
    SESSION = "session_20261122_120000_aaaaaaaa"
    BUDGET = "per user"
    DAY = "day"
    HARD = "hard"
    REFUSE = "refuse"
    LIMIT = "$5"
    REASON = "enough"


class OldNames(str, Enum):  # noqa: UP042  # this is the kind that is meant
    """The same before Python 3.11: it prints as `OldNames.MODEL`."""

    MODEL = "gpt-4o-mini"
    AGENT = "planner"
    USER = "ada"
    ENTRY = "answer"
    PROVIDER = "openai"
    SESSION = "session_20261122_120000_aaaaaaaa"
    BUDGET = "per user"
    DAY = "day"
    HARD = "hard"
    REFUSE = "refuse"
    LIMIT = "$5"
    REASON = "enough"


class Named(str):
    """A class of the user's own."""

    __slots__ = ()

    def __str__(self):
        return "<a name>"

    __repr__ = __str__


class OwnNames:
    """The same as members of such a class."""


for member in Names:
    setattr(OwnNames, member.name, Named(member.value))


@pytest.fixture(params=[Names, OldNames, OwnNames])
def names(request):
    return request.param


async def test_a_run_whose_names_are_no_plain_texts(tmp_path, names):
    """It is counted, held, settled, logged and reported as one whose names are plain."""
    budget = hc.Budget(
        names.BUDGET,
        limit=names.LIMIT,
        window=names.DAY,
        per=Named("user"),
        match={"agent": [names.AGENT], "model": names.MODEL},
        mode=names.HARD,
        on_short=names.REFUSE,
    )
    runtime = hc.AgentRuntime(tmp_path, budgets=[budget], config={"runaway": "off"})

    @runtime.entry_point(names.ENTRY, agent_id=names.AGENT)
    async def answer(ctx, _):
        async with (
            ctx.node(names.AGENT, agent_id=names.AGENT),
            ctx.turn(names.MODEL, provider=names.PROVIDER, input_tokens=100, max_tokens=100) as turn,
        ):
            turn.settle(USAGE, stop_reason=names.REASON)
        ctx.publish(hc.CustomEvent(name=names.REASON, user_id=names.USER, payload={"why": names.REASON}))

    seen = []
    runtime.bus.subscribe(handler=seen.append, agent_id=names.AGENT)
    async with runtime:
        result = await runtime.trigger_and_wait(
            names.ENTRY, session_id=names.SESSION, user_id=names.USER, tags={names.USER: names.AGENT}
        )
        await runtime.flush()
        (account,) = await runtime.budgets.status()
        assert await runtime.budgets.set_limit(names.BUDGET, names.LIMIT, by=names.USER) == 5 * 10**9
    assert result.status == "completed", result.error
    assert type(result.session_id) is str
    assert (account.budget, account.scope, account.held, account.in_doubt) == ("per user", "user=ada", 0, 0)
    assert account.settled > 0
    assert runtime.log.statistics.lost == 0
    (step,) = await hc.RuntimeLogStore(tmp_path).load_steps(names.SESSION)
    assert (step.model, step.provider, step.agent_id, step.node_id) == ("gpt-4o-mini", "openai", "planner", "planner")
    assert (step.user_id, step.stop_reason, step.tags) == ("ada", "enough", {"ada": "planner"})
    assert step.cost_nanousd == account.settled
    assert {event.agent_id for event in seen} == {"planner"}
    assert len(seen) == 4


async def test_events_that_are_published_beside_the_runtime(tmp_path, names):
    """A turn and an event of the user's own are logged with plain names."""
    runtime = hc.AgentRuntime(tmp_path)
    turn = hc.LLMTurnComplete(
        session_id=names.SESSION, user_id=names.USER, model=names.MODEL, usage=USAGE, tags={"team": names.AGENT}
    )
    async with runtime:
        await runtime.bus.publish(turn)
        await runtime.bus.publish(hc.CustomEvent(session_id=names.SESSION, name=names.REASON, org_id=names.USER))
        await runtime.flush()
    assert runtime.log.statistics.lost == 0
    (step,) = await hc.RuntimeLogStore(tmp_path).load_steps(names.SESSION)
    assert (step.user_id, step.model, step.tags) == ("ada", "gpt-4o-mini", {"team": "planner"})
    (event,) = open_log(tmp_path).events(types=[hc.EventType.CUSTOM]).rows
    assert event.session_id == names.SESSION
    assert (event.name, event.org_id) == ("enough", "ada")


async def test_a_reason_to_cancel(make_runtime, names, forever):
    """It is told as what it says."""
    runtime = make_runtime()
    runtime.entry_point("api")(forever)
    async with runtime:
        execution_id = await runtime.trigger("api")
        await forever.started.wait()
        await runtime.cancel_execution(execution_id, names.REASON)
        result = await runtime.wait(execution_id)
    assert str(result.error) == "enough"


async def test_the_ledger_by_itself(tmp_path, names):
    """An account that a StrEnum opened is the one of its text."""
    budget = hc.Budget("org", limit="$1", per="org", mode="hard")
    async with hc.Ledger.open(tmp_path, budgets=[budget]) as ledger:
        (await ledger.reserve({"org": names.USER}, usd="0.1")).settle(usd="0.1")
        (await ledger.reserve({"org": "ada"}, usd="0.1")).settle(usd="0.1")
        (account,) = await ledger.status()
    assert (account.scope, account.settled) == ("org=ada", 2 * 10**8)


def test_prices_by_such_names(names):
    """A table of the user's own, and a question by such a name."""
    book = hc.PriceBook({names.MODEL: {"input": 1.00, "output": 2.00}})
    assert book.price("gpt-4o-mini", USAGE).nanousd == book.price(names.MODEL, USAGE).nanousd == 30_000
    assert hc.calculate_cost(names.MODEL, 10, 10) == hc.calculate_cost("gpt-4o-mini", 10, 10)
