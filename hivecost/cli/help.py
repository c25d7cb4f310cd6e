"""`hivecost --help`: the commands in one table, so that none is imported to be listed."""

from __future__ import annotations

from typing import Final

ABOUT: Final = "Cost control for agent runtimes: what was spent, by whom, and what stopped it."

#: Command → what it does; a test compares them with the commands themselves.
COMMANDS: Final = {
    "advise": "Show what caching saved, what compaction did, and what cheaper models or batching would save.",
    "ask": "Print the command that answers a question in words, and run it where it only shows something.",
    "budget": "How budgets stand, and changing hard ones while agents run.",
    "compact": "Make a conversation fit its context budget: calls keep their results, and the user's last words stay.",
    "completion": "Print a script that completes commands and options.",
    "daily": "Show what each day cost, against the day before.",
    "demo": "Run small agents against a provider emulator.",
    "doctor": "Show which clients of models are metered here and how strongly, and try it.",
    "executions": "Show what an execution costs: how many, mean, median and 95th percentile, by entry point.",
    "forecast": "Show what each budget is on course for at the end of its period.",
    "graph": "What the loops of a graph's nodes obey.",
    "monthly": "Show what each month cost, against the month before.",
    "price": "Price calls from stdin, one JSON object a line, to stdout: line N of the output is line N of the input.",
    "prices": "The rates in use: show, list, update, diff.",
    "prune": "Delete old turns and events; the sums of sessions, nodes and days stay exactly as they are.",
    "report": "Show what a session cost: per node, per model, in total, and what budgets did.",
    "reprice": "Price logged turns again and show old and new side by side; both are kept, and no turn is rewritten.",
    "run": "Run an agent that knows nothing of hivecost under budgets.",
    "sessions": "List sessions, the newest first, with what each of them cost.",
    "spend": "Show who spent what: per day and user unless --by says otherwise.",
    "statistics": "Print calls, tokens and cost in all, by agent and by model, of a session or of any time.",
    "statusline": "Print what today cost, in one line for a prompt.",
    "today": "Show what today cost so far, against yesterday by this time.",
    "tokens": "Show what input, caching, output, reasoning and fees cost.",
    "top": "Show who or what costs most: agents, models, users, tasks, tags, nodes, turns.",
    "weekly": "Show what each week cost, against the week before.",
}


def help_text() -> str:
    """Return what the command line can do."""
    width = max(map(len, COMMANDS))
    lines = (f"  {name.ljust(width)}  {summary}" for name, summary in COMMANDS.items())
    return "\n".join(
        (
            "Usage: hivecost [OPTIONS] COMMAND [ARGS]...",
            "",
            f"  {ABOUT}",
            "",
            "Options:",
            "  --version  Say which.",
            "  --help     Show this message; after a command, what that takes.",
            "",
            "Commands:",
            *lines,
        )
    )
