"""The public face as a typed user writes it. Never run: `mypy --strict` reads it."""

from __future__ import annotations

import signal
from collections.abc import AsyncIterator, Mapping, Sequence
from contextlib import asynccontextmanager
from decimal import Decimal
from pathlib import Path

import hivecost as hc
from hivecost.ledger import LedgerStore, LedgerStoreHold, OpenLedger
from hivecost.testing import LedgerContract

runtime = hc.AgentRuntime(
    "data",
    budgets=[
        hc.Budget("per run", limit="$0.50", window="execution", mode="stop_after"),
        hc.Budget(
            "day",
            limit=5,
            window="day",
            timezone="Europe/Berlin",
            match={"org": "acme"},
            per=["user"],
            limits={"ada": "$9"},
        ),
    ],
    prices={"gpt-4o": {"input": 2.50, "output": 10.00}},
    plugins=[hc.TurnPacer(60, 60.0, per=["user", "model"]), hc.CostReporter(print)],
    config={"cancel_grace_s": 2.0},
)


@runtime.entry_point("api", agent_id="clerk")
async def answer(ctx: hc.Execution, request: dict[str, str]) -> dict[str, str]:
    async with ctx.node("plan"), ctx.turn(model="gpt-4o", input_tokens=1_200, max_tokens=800) as turn:
        limit: int | None = turn.max_tokens
        cost: hc.Cost = turn.settle({"usage": {}}, stop_reason="stop")
        amount: int | None = cost.nanousd
    return {"reply": request["query"] + str(limit) + str(amount)}


@runtime.entry_point("sync")
def answer_in_a_thread(ctx: hc.Execution, _: object) -> None:
    with ctx.node("plan"), ctx.turn("gpt-4o") as turn:
        turn.observe({"type": "message_start"})
        turn.settle()
    if ctx.is_cancelled:
        raise hc.ExecutionCancelledError
    execution: hc.Execution = hc.current_execution()
    print(execution.execution_id, execution.session_id, execution.agent_id)


def track(event: hc.Event) -> None:
    data = event.data
    print(data["model"], data.get("input_tokens", 0))
    match event:
        case hc.LLMTurnComplete(model=model, usage=usage):
            total: int = usage.total_tokens
            print(model, total)
        case hc.ExecutionCompleted(status=hc.ExecutionStatus.CANCELLED, error=error):
            text: str = error
            print(text)
        case _:
            pass


async def track_all(events: list[hc.LLMTurnComplete]) -> None:
    for event in events:
        await runtime.cancel_execution(event.execution_id, reason="enough")
        raise hc.BudgetExceededError("enough", execution_id=event.execution_id)


class Printer:
    """A plugin is what has a name and `attached`; nothing is to be inherited."""

    name = "printer"

    @asynccontextmanager
    async def attached(self, host: hc.PluginHost) -> AsyncIterator[None]:
        subscription: str = host.bus.subscribe(event_types=[hc.EventType.LLM_TURN_COMPLETE], handler=track)
        remove = host.add_gate_check(self.check)
        async with host.bus.subscribe(event_types=["custom:deploy"], handler=track) as deploys:
            yield
        handled: int = deploys.statistics().handled
        print(handled, deploys.unsubscribe(), host.bus.statistics().dropped)
        remove()
        host.bus.unsubscribe(subscription)

    async def check(self, request: hc.TurnRequest) -> None:
        if request.max_tokens > 100:
            raise hc.BudgetExhaustedError("too much", budget="mine")


plugin: hc.Plugin = Printer()
host: hc.PluginHost = runtime


async def look(host: hc.PluginHost) -> None:
    budgets: hc.BudgetsView = host.budgets
    account: hc.AccountView
    for account in await budgets.status():
        remaining: int = account.remaining
        print(account.budget, account.scope, account.unit, remaining, account.limit, account.reset_at)
    limit: int = await host.budgets.raise_limit("day", "$5", scope={"user": "ada"}, by="printer")
    limit = await host.budgets.set_limit("day", 5, by="printer")
    cost: int = host.usage.total.cost_nanousd + host.usage.by("model")["gpt-4o"].cost_nanousd
    await host.log.flush()
    for (model, day), totals in (await host.log.sums(by=["model", "day"], since="2026-11-01", timezone="UTC")).items():
        cost += totals.cost_nanousd
        print(model, day)
    sessions: list[str] = [session.session_id for session in await host.log.sessions(limit=3)]
    provider, name = host.prices.resolve("azure/gpt-4o")
    bound: int | None = host.prices.upper_bound_nanousd("gpt-4o", input_tokens=10, output_tokens=10)
    price: hc.Cost = host.prices.price("gpt-4o", hc.Usage(10, 5))
    running: int = host.statistics().running
    print(limit, cost, sessions, provider, name, bound, price, running)
    runtime.register_plugin(hc.plugins.Prometheus(port=8000))


async def main() -> None:
    subscription: str = runtime.bus.subscribe(
        event_types=[hc.EventType.LLM_TURN_COMPLETE],
        handler=track_all,
        batch=True,
        overflow=hc.Block(timeout_s=1.0),
        max_queue=100,
        agent_id="clerk",
    )
    await runtime.register_plugin(plugin).wait_ready()
    hc.execution_cancelled.connect(lambda sender, **facts: None)
    async with runtime:
        execution_id: str = await runtime.trigger("api", {"query": "help"}, user_id="ada", tags={"customer": "c7"})
        result: hc.ExecutionResult = await runtime.wait(execution_id)
        signal.signal(signal.SIGTERM, lambda *_: print(runtime.cancel_execution_nowait(execution_id)))
        again = await runtime.trigger_and_wait("api", {"query": "help"}, session_id=result.session_id)
        input_tokens: int = again.metrics.get("input_tokens", 0)
        print(input_tokens, again.status == "completed", again.output, again.error)
        event: hc.Event = await runtime.bus.wait_for(hc.EventType.EXECUTION_COMPLETED, timeout_s=1.0)
        await runtime.bus.publish(hc.CustomEvent(name="mine", payload={"seen": event.event_id}))
        await runtime.flush()
        unsubscribed: bool = runtime.bus.unsubscribe(subscription)
        print(unsubscribed, runtime.statistics().running, runtime.bus.statistics().dropped)


async def report(session_id: str) -> Decimal:
    state = await hc.SessionStore("data").read_state(session_id)
    metrics: hc.SessionMetrics = state.metrics
    started_at: str = state.timestamps.started_at
    print(metrics.total_tokens)
    details = await hc.RuntimeLogStore("data").load_details(session_id)
    total = Decimal(0)
    for node in details.nodes:
        calls: int = node.llm_call_count
        print(node.node_id, calls, node.total_tokens / max(calls, 1), started_at)
        for step in node.steps:
            if "model" in step:
                cost: Decimal = hc.calculate_cost(step.model, step.input_tokens, step.output_tokens, step.cached_tokens)
                total += cost
    top: list[tuple[str, hc.Totals]] = runtime.usage.top("agent", 3, key="total_tokens")
    by_model: Mapping[str, hc.Totals] = runtime.usage.by("model")
    print(top, by_model, state.metrics.total_tokens)
    return total


async def pace(limiter: hc.RateLimiter) -> float:
    async with limiter:
        return await limiter.acquire()


open_ledger: OpenLedger = hc.Ledger.open
elsewhere = hc.AgentRuntime("data", open_ledger=open_ledger)


class TestLedger(LedgerContract):
    """A backend is what has the methods; nothing is to be inherited."""

    def open(self, place: Path, budgets: Sequence[hc.Budget], clock: hc.Clock) -> LedgerStore:
        return hc.Ledger.open(place, budgets=budgets, clock=clock)


async def spend(ledger: LedgerStore) -> list[hc.DoubtfulHold]:
    hold: LedgerStoreHold = ledger.reserve_nowait({"org": "acme"}, usd="0.01") or await ledger.reserve({}, usd=0.01)
    async with hold:
        await hold.extend(tokens=10)
        settlement = hold.settle(usd="0.007")
        print(
            settlement and settlement.incidents, hold.amounts["usd"], hold.status()[0].settled, hold.budgets, hold.units
        )
        print(hold.settle("0.007"), hold.settle_known(tokens=5, calls=1), hold.settle_another(nanousd=5, calls=None))
    limit: int = await ledger.raise_limit("org day", "$5", by="ada")
    limit = await ledger.set_limit("org day", 5, scope={"org": "acme"}, by="ada")
    limit = await ledger.unset_limit("org day", scope={"org": "acme"}, by="ada")
    await ledger.configure([hc.Budget("more", limit="$1", mode="hard")], retire=["org day"], by="ada")
    print([(change.at, change.who) for change in await ledger.changes(limit=5)])
    print(limit, [row.remaining for row in await ledger.status()], await ledger.remaining({"org": "acme"}))
    return await ledger.in_doubt()


async def whose(ctx: hc.Execution, ledger: hc.Ledger, event: hc.LLMTurnComplete) -> str:
    attribution: hc.Attribution = ctx.attribution
    hold: hc.LedgerHold = await ledger.reserve(attribution, usd="0.01", ancestors=attribution.ancestors)
    plan: str = attribution["plan"] + attribution.tags["plan"] + dict(attribution)["plan"]
    return hold.hold_id + plan + hc.Attribution.of(event).org_id + hc.Attribution(org_id="acme").user_id


node = hc.NodeSpec(id="researcher", loop_config={"max_history_tokens": 100_000})
graph = hc.GraphSpec(id="graph", nodes=(node,), loop_config=hc.LoopConfig(max_iterations=50))


def script() -> None:
    """A program without an event loop."""
    with hc.run_in_background(
        "data", budgets=[hc.Budget("day", "$5", window="day")], config={"log": False}
    ) as background:
        with background.execution(agent_id="script", tags={"plan": "pro"}, limit="$1") as ctx:
            turn: hc.Turn = ctx.turn("gpt-4o")
            result: hc.ExecutionResult | None = ctx.result
        ended: hc.ExecutionResult = background.trigger_and_wait("api", {"query": "help"}, user_id="ada")
        limit: int = background.budgets.raise_limit("day", "$5", by="ada")
        remaining: list[int] = [account.remaining for account in background.budgets.status()]
        running: bool = background.cancel_execution(ended.execution_id, "enough")
        state = background.call(hc.SessionStore("data").read_state, ended.session_id)
        print(turn, result, limit, remaining, running, state.status)


async def block() -> None:
    async with runtime.execution(session_id="s") as ctx:
        name: str = ctx.agent_id
        print(name)
