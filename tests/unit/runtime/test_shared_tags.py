"""Tags say whose money it is: neither handlers nor the agent nor a gate check can change them for others."""

from __future__ import annotations

import anyio
import pytest

import hivecost as hc

pytestmark = pytest.mark.anyio

TURN = hc.EventType.LLM_TURN_COMPLETE
USAGE = hc.Usage(input_tokens=1_000, output_tokens=100)


async def test_a_handler_cannot_move_spending_to_another_account(make_runtime):
    """One that renames a tag fails by itself; the budget stops the run all the same."""
    budget = hc.Budget("team", limit="$0.003", match={"team": "blue"}, mode="stop_after")
    runtime, turns = make_runtime(budgets=[budget]), []

    async def relabel(event):
        event.tags["team"] = "red"

    runtime.bus.subscribe(event_types=[TURN], handler=relabel)
    runtime.bus.subscribe(event_types=[TURN], handler=turns.append)

    @runtime.entry_point("api")
    async def api(ctx, _):
        for _ in range(10):
            async with ctx.turn("m") as turn:
                turn.settle(USAGE)
            await anyio.sleep(0.01)

    async with runtime:
        result = await runtime.trigger_and_wait("api", tags={"team": "blue"})
        failed = [each.failed for each in runtime.bus.statistics().subscriptions if "relabel" in each.name]
    assert result.status == "cancelled"
    assert 3 <= len(turns) < 10
    assert {turn.tags["team"] for turn in turns} == {"blue"}
    assert failed == [len(turns)]


async def test_an_agent_reads_its_tags_and_cannot_change_them(make_runtime, collect):
    """Neither in place nor by another dict, nor by the one it was triggered with."""
    runtime = make_runtime()
    seen, given = collect(runtime), {"customer": "acme"}

    @runtime.entry_point("api")
    async def api(ctx, _):
        with pytest.raises(TypeError):
            ctx.tags["customer"] = 7
        with pytest.raises(AttributeError):
            ctx.tags = {"customer": 7}
        with pytest.raises(AttributeError):
            ctx.attribution.user_id = "bob"
        given["customer"] = "other"
        async with ctx.turn("m") as turn:
            turn.settle(USAGE)
        return dict(ctx.tags)

    async with runtime:
        result = await runtime.trigger_and_wait("api", user_id="ada", tags=given)
    assert result.output == {"customer": "acme"}, result.error
    assert {(event.user_id, event.tags["customer"]) for event in seen} == {("ada", "acme")}


async def test_a_gate_check_cannot_change_the_tags_of_a_request(make_runtime):
    """It may give another request to be sent, and that is the only way."""
    runtime = make_runtime()

    async def check(request):
        request.tags["plan"] = "free"

    runtime.add_gate_check(check)

    @runtime.entry_point("api")
    async def api(ctx, _):
        async with ctx.turn("m"):
            pass

    async with runtime:
        result = await runtime.trigger_and_wait("api", tags={"plan": "pro"})
    assert isinstance(result.error, TypeError)


async def test_what_an_agent_published_stays_as_it_was(make_runtime, collect):
    """A payload that is built up further belongs to the agent alone."""
    runtime = make_runtime()
    seen = collect(runtime, hc.EventType.CUSTOM)

    @runtime.entry_point("api")
    async def api(ctx, _):
        steps = ["plan"]
        ctx.publish(hc.CustomEvent(name="progress", payload={"steps": steps}))
        steps.append("act")
        ctx.publish(hc.CustomEvent(name="progress", payload={"steps": steps}))

    async with runtime:
        await runtime.trigger_and_wait("api")
    assert [event.payload for event in seen] == [{"steps": ["plan"]}, {"steps": ["plan", "act"]}]
