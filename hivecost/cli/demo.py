"""`hivecost demo`: an unmodified agent, a runaway and a customer at its limit, and what hivecost does. Offline."""

from __future__ import annotations

import logging
import shlex
import sys
from collections.abc import AsyncIterator
from contextlib import asynccontextmanager
from functools import partial
from pathlib import Path
from typing import TYPE_CHECKING, Annotated

import typer

from hivecost.money import format_usd

if TYPE_CHECKING:
    from hivecost.events import LLMTurnComplete
    from hivecost.plugin import PluginHost

DEMO_DATA = "hivecost-demo"


def demo(
    data: Annotated[
        str, typer.Option("--data", "-d", metavar="PATH", help="Where the demo's runtime log goes.")
    ] = DEMO_DATA,
) -> None:
    """Run small agents against a provider emulator, one of them unmodified; budgets stop what would cost too much."""
    import anyio  # noqa: PLC0415  # `hivecost --help` is quicker without

    from hivecost.cli.demo_attached import run_unmodified  # noqa: PLC0415  # the same
    from hivecost.cli.render import render_session  # noqa: PLC0415  # the same
    from hivecost.errors import ConfigError  # noqa: PLC0415  # the same
    from hivecost.reports import load_session_report  # noqa: PLC0415  # the same
    from hivecost.runtime.disabled import VARIABLE, is_disabled  # noqa: PLC0415  # the same

    if is_disabled():
        raise ConfigError(VARIABLE, "to be unset for the demo, whose agents only budgets stop")

    run_unmodified(data)

    async def run() -> None:
        session_id = await _run_agents(data)
        render_session(await load_session_report(data, session_id))
        _show_commands(
            {
                "See it again": ["report", session_id],
                "Who spent it": ["spend", "--by", "user,agent"],
                "What is left": ["budget", "status"],
            },
            data,
        )

    anyio.run(run)


async def _run_agents(data: str) -> str:
    import anyio  # noqa: PLC0415  # as above

    import hivecost as hc  # noqa: PLC0415  # as above
    from hivecost.cli.demo_agents import register_agents, serve_models  # noqa: PLC0415  # as above

    logging.getLogger("hivecost").addHandler(logging.NullHandler())  # the reporter says what is logged
    per_run = hc.Budget("per run", limit="$0.05", window="execution", mode="stop_after")
    a_day = hc.Budget("customer day", limit="$0.03", window="day", per="org", match={"org": "acme"}, mode="hard")
    runtime = hc.AgentRuntime(
        data,
        budgets=[per_run, a_day],
        plugins=[TurnTicker(), hc.CostReporter(typer.echo)],
        config={"handle_signals": True, "switch_interval_s": 0.0005},  # the process is ours
    )
    session_id = hc.new_session_id(runtime.clock.now_ns())
    with serve_models() as provider:
        register_agents(runtime, provider)
        async with runtime:
            await runtime.flush()  # a folder that cannot be written is said now
            typer.echo("Three agents that know hivecost. A run that has spent $0.05 is stopped.\n")
            async with anyio.create_task_group() as tasks:
                for agent, user in (("planner", "ada"), ("researcher", "ada"), ("runaway", "bob")):
                    tasks.start_soon(partial(runtime.trigger_and_wait, agent, session_id=session_id, user_id=user))
            typer.echo(
                "\nThe customer acme has $0.03 a day, hard: a call that may not fit is never sent,\n"
                "also not after a restart.\n"
            )
            await runtime.trigger_and_wait("support", session_id=session_id, user_id="eve", org_id="acme")
            await runtime.bus.drain()  # what is told of it comes before what is next
            typer.echo("\nThe lead has $0.02 with all that it starts: its scout is stopped, the lead goes on.\n")
            await runtime.trigger_and_wait("lead", session_id=session_id, user_id="ada", limit="$0.02")
            await runtime.flush()
    return session_id


class TurnTicker:
    """A plugin in ten lines: prints each turn as it comes in."""

    name = "turn-ticker"

    @asynccontextmanager
    async def attached(self, host: PluginHost) -> AsyncIterator[None]:
        """Print each turn while the runtime runs."""
        from hivecost.events import EventType  # noqa: PLC0415  # as above

        subscription = host.bus.subscribe(event_types=[EventType.LLM_TURN_COMPLETE], handler=self._print)
        yield
        host.bus.unsubscribe(subscription)

    def _print(self, turn: LLMTurnComplete) -> None:
        cost = "no price" if turn.cost is None or turn.cost.nanousd is None else format_usd(turn.cost.nanousd)
        usage = turn.usage
        typer.echo(
            f"  {turn.agent_id:<10} {turn.node_id:<10} {turn.model:<20} "
            f"{usage.input_tokens:>7,} in {usage.output_tokens:>6,} out  {cost:>9}"
        )


def _show_commands(commands: dict[str, list[str]], data: str) -> None:
    typer.echo()
    for purpose, words in commands.items():
        typer.echo(f"{purpose}:  {shlex.join([_own_command(), *words, '--data', data])}")


def _own_command() -> str:
    """Return how this command was called, so that the line that is shown can be pasted."""
    called = Path(sys.argv[0])
    if called.name == "__main__.py":
        return "python -m hivecost"
    here = Path.cwd()
    return str(called.relative_to(here)) if called.is_relative_to(here) else called.name
