"""`hivecost demo`: three agents, one of them out of control, and what hivecost does about it. Offline."""

from __future__ import annotations

import shlex
import sys
from collections.abc import AsyncIterator
from contextlib import asynccontextmanager
from pathlib import Path
from typing import TYPE_CHECKING, Annotated

import typer

from hivecost.money import format_usd

if TYPE_CHECKING:
    from hivecost.events import LLMTurnComplete
    from hivecost.plugin import PluginHost

DEMO_DATA = Path("hivecost-demo")


def demo(
    data: Annotated[Path, typer.Option("--data", "-d", help="Where the demo's runtime log goes.")] = DEMO_DATA,
) -> None:
    """Run three small agents against a provider emulator and watch a budget stop the one that loops."""
    import anyio  # noqa: PLC0415  # `hivecost --help` is quicker without

    from hivecost.reports import load_session_report, render_session  # noqa: PLC0415  # the same

    async def run() -> None:
        session_id = await _run_agents(data)
        render_session(await load_session_report(data, session_id))
        again = [_own_command(), "report", session_id, "--data", str(data)]
        typer.echo(f"\nSee it again:  {shlex.join(again)}")

    anyio.run(run)


async def _run_agents(data: Path) -> str:
    import hivecost as hc  # noqa: PLC0415  # as above
    from hivecost.cli.demo_agents import register_agents, serve_models  # noqa: PLC0415  # as above

    budget = hc.Budget("per run", limit="$0.05", window="execution", mode="stop_after")
    runtime = hc.AgentRuntime(data, budgets=[budget], plugins=[TurnTicker(), hc.CostReporter(typer.echo)])
    session_id = hc.new_session_id(runtime.clock.now_ns())
    typer.echo(f"Three agents, one budget: {format_usd(budget.limit_amount, decimals=2)} for each run.\n")
    with serve_models() as provider:
        register_agents(runtime, provider)
        async with runtime:
            for name in ("planner", "researcher", "runaway"):
                await runtime.trigger(name, session_id=session_id)
    return session_id


class TurnTicker:
    """A plugin in ten lines: prints each turn as it comes in."""

    name = "turn-ticker"

    @asynccontextmanager
    async def attached(self, host: PluginHost) -> AsyncIterator[None]:
        from hivecost.events import EventType  # noqa: PLC0415  # as above

        subscription = host.bus.subscribe(event_types=[EventType.LLM_TURN_COMPLETE], handler=self._print)
        yield
        host.bus.unsubscribe(subscription)

    def _print(self, turn: LLMTurnComplete) -> None:
        cost = "no price" if turn.cost is None or turn.cost.nanousd is None else format_usd(turn.cost.nanousd)
        usage = turn.usage
        typer.echo(
            f"  {turn.agent_id:<11} {turn.node_id:<10} {turn.model:<24} "
            f"{usage.input_tokens:>7,} in {usage.output_tokens:>6,} out  {cost:>9}"
        )


def _own_command() -> str:
    """How this command was called, so that the line that is shown can be pasted."""
    called = Path(sys.argv[0])
    if called.name == "__main__.py":
        return "python -m hivecost"
    here = Path.cwd()
    return str(called.relative_to(here)) if called.is_relative_to(here) else called.name
