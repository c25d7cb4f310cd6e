"""`hivecost completion SHELL`: a script that completes commands and options."""

from __future__ import annotations

from collections.abc import Iterator, Mapping, Sequence
from importlib import import_module
from typing import Annotated, Any, Literal

import typer

from hivecost.cli.direct import DIRECT, module_of
from hivecost.cli.help import COMMANDS

_BASH = """\
_hivecost() {{
    local words
    case "${{COMP_WORDS[1]}} ${{COMP_WORDS[2]}}" in
{cases}
    *) words="{commands}" ;;
    esac
    [ "$COMP_CWORD" -eq 1 ] && words="{commands} --help --version"
    COMPREPLY=($(compgen -W "$words" -- "${{COMP_WORDS[COMP_CWORD]}}"))
}}
complete -o default -F _hivecost hivecost"""


def completion(
    context: typer.Context,
    shell: Annotated[Literal["bash", "zsh", "fish"], typer.Argument(help="Which shell it is for.")],
) -> None:
    """Print a script that completes commands and options: `source <(hivecost completion bash)`."""
    words = completions(context.find_root().command)
    if shell == "fish":
        typer.echo("\n".join(_fish(words)))
    else:
        begin = "autoload -U +X bashcompinit && bashcompinit\n" if shell == "zsh" else ""
        typer.echo(begin + _bash(words))


def completions(root: Any) -> dict[tuple[str, ...], list[str]]:
    """Return what can follow a command of the root, or a command of a group: options, and the group's commands."""
    words: dict[tuple[str, ...], list[str]] = {}
    for name in COMMANDS:
        command = root.commands[name]
        if name in DIRECT:
            words[name,] = [f"--{option}" for option in getattr(import_module(module_of(name)), "OPTIONS", ())]
        elif hasattr(command, "commands"):
            words[name,] = [*command.commands, "--help"]
            words |= {(name, sub): _options(one) for sub, one in command.commands.items()}
        else:
            words[name,] = _options(command)
    return words


def _options(command: Any) -> list[str]:
    named = (option for parameter in command.params for option in parameter.opts)
    return [*(option for option in named if option.startswith("--")), "--help"]


def _bash(words: Mapping[tuple[str, ...], Sequence[str]]) -> str:
    # Groups' own commands come first: the first case that fits is taken.
    in_order = sorted(words, key=lambda names: -len(names))
    cases = (_case(names, words[names]) for names in in_order)
    return _BASH.format(cases="\n".join(cases), commands=" ".join(COMMANDS))


def _case(names: Sequence[str], words: Sequence[str]) -> str:
    pattern = f'"{" ".join(names)}"{"" if names[1:] else "*"}'
    return f'    {pattern}) words="{" ".join(words)}" ;;'


def _fish(words: Mapping[tuple[str, ...], Sequence[str]]) -> Iterator[str]:
    for name, about in COMMANDS.items():
        said = about.replace("\\", "").replace("'", "")
        yield f"complete -c hivecost -n __fish_use_subcommand -f -a {name} -d '{said}'"
    for names, after in words.items():
        condition = "; and ".join(f"__fish_seen_subcommand_from {name}" for name in names)
        for word in after:
            option = f"-l {word.removeprefix('--')}" if word.startswith("--") else f"-f -a {word}"
            yield f"complete -c hivecost -n '{condition}' {option}"
