"""`hivecost ask "what's costing the most?"`: a question in words, as the command that answers it."""

from __future__ import annotations

import re
import shlex
from collections.abc import Sequence
from typing import Final, NamedTuple

from hivecost.cli.direct import DIRECT, run_directly
from hivecost.cli.help import COMMANDS
from hivecost.cli.quick import SHARED, Option, parsed, usage
from hivecost.errors import ConfigError
from hivecost.plain_text import printable


class Answer(NamedTuple):
    """What is asked, and the command for it."""

    #: As people say it.
    phrase: str
    #: Any of these sets of words, all of which must be there, means it; `|` is between words that mean the same.
    means: tuple[str, ...]
    command: tuple[str, ...]
    #: It has an effect, or needs a file: it is shown, and not run.
    is_shown: bool = False
    #: What is shown besides.
    more: tuple[str, ...] = ()
    #: It is of a time, which the question may name.
    has_time: bool = False


ANSWERS: Final = (
    Answer(
        "Show token usage",
        ("token|tokens usage", "tokens used", "track|tracking token|tokens", "consumption"),
        ("spend", "--by", "agent"),
        has_time=True,
    ),
    Answer(
        "What's costing the most?",
        ("costing|costs|cost|spends most", "top spender|spenders|agents", "most expensive", "who spends|spent"),
        ("top", "agents"),
        has_time=True,
    ),
    Answer(
        "What are our LLM costs?",
        (
            "llm|llms|model|models cost|costs|spending",
            "cost|costs tracking|breakdown",
            "spending llm|llms",
            "spend going",
        ),
        ("spend", "--by", "model"),
        has_time=True,
    ),
    Answer(
        "What's the budget status?",
        ("budget|budgets status|monitoring|left", "within budget|budgets"),
        ("budget", "status"),
    ),
    Answer("Will the budget hold?", ("budget|budgets hold|forecast|last", "forecast", "on course"), ("forecast",)),
    Answer(
        "Run budget report",
        ("budget|cost|daily|weekly|monthly report", "trending|trend|trends"),
        ("daily",),
        has_time=True,
    ),
    Answer(
        "Set budget for agent X",
        ("set|change|give budget|limit",),
        ("budget", "set", "NAME", "LIMIT", "--for", "agent=X"),
        is_shown=True,
        more=(
            "NAME is one of `hivecost budget status`, LIMIT such as '$5'.",
            "`hivecost budget suggest` works one out.",
        ),
    ),
    Answer(
        "Switch to cheaper model",
        ("cheaper|cheap model|models", "switch|downgrade model|models"),
        ("advise", "--since", "7d"),
        is_shown=True,
        more=(
            "It names what could move to another model.",
            "In hivecost.toml a budget then downgrades by itself:",
            "    on_short = 'downgrade:MODEL'",
        ),
    ),
    Answer(
        "Optimize this request",
        ("optimize|optimise|compress|shorten request|context|prompt",),
        ("compact", "REQUEST.json", "--max-tokens", "100000"),
        is_shown=True,
        more=("REQUEST.json holds the request, or its messages.",),
    ),
    Answer(
        "Alert on budget thresholds",
        ("alert|alerts|warn|warning|notify budget|budgets|threshold|thresholds",),
        ("budget", "status"),
        is_shown=True,
        more=(
            "A budget in hivecost.toml warns at fractions of its limit:",
            "    warn = [0.5, 0.8, 0.9]",
        ),
    ),
)
#: Times that a question may name, as the longest of them says it.
_TIMES: Final = re.compile(r"\b(today|yesterday|(?:this|last) (?:week|month|year))\b")
_AGENT: Final = re.compile(r"\bagent\s+([^\s?!.,]+)", re.IGNORECASE)
OPTIONS: Final = {"data": SHARED["data"], "help": Option("", "Show this message, with what can be asked.")}


def run(arguments: Sequence[str]) -> None:
    """Print the command for a question, and run it where it only shows something. Raise ConfigError for any other."""
    given = parsed("ask", arguments, OPTIONS, words=99)
    if "help" in given:
        print(usage("ask", COMMANDS["ask"], OPTIONS, words="QUESTION", more=(_phrases(ANSWERS),)))  # noqa: T201  # asked for
        return
    question = " ".join(given.words)
    answer = answer_to(question)
    command = [*command_for(answer, question), *_place(answer, given.get("data", ""))]
    print(f"→ hivecost {printable(shlex.join(command))}", flush=True)  # noqa: T201  # before what it prints
    for line in answer.more:
        print(line)  # noqa: T201  # the same
    if not answer.is_shown:
        _run(command)


def answer_to(question: str) -> Answer:
    """Return the one answer to a question. Raise ConfigError, with what can be asked, for none and for several."""
    words = {*re.findall(r"[\w']+", question.lower().replace("\u2019", "'"))}
    found = [answer for answer in ANSWERS if any(_has(words, meaning) for meaning in answer.means)]
    if len(found) != 1:
        raise ConfigError("ask", f"one of {_phrases(found or ANSWERS)}", got=question)
    return found[0]


def command_for(answer: Answer, question: str) -> list[str]:
    """Return the command, with the time and the agent that the question names."""
    command = list(answer.command)
    time = _TIMES.search(" ".join(question.lower().split()))
    if time and answer.has_time:
        command += ["--during", time[1]]
    agent = _AGENT.search(question)
    return [f"agent={agent[1]}" if word == "agent=X" and agent else word for word in command]


def _has(words: set[str], meaning: str) -> bool:
    return all(words & {*choice.split("|")} for choice in meaning.split())


def _phrases(answers: Sequence[Answer]) -> str:
    return ", ".join(f'"{answer.phrase}"' for answer in answers)


def _place(answer: Answer, data: str) -> list[str]:
    return ["--data", data] if data and not answer.is_shown else []


def _run(command: Sequence[str]) -> None:
    if command[0] in DIRECT:
        run_directly(command[0], command[1:])
        return
    from hivecost.cli.commands import app  # noqa: PLC0415  # typer takes its time

    app([*command])
