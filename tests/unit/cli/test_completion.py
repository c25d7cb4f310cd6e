"""`hivecost completion`: a script that the shell itself reads, and that knows every command and option."""

from __future__ import annotations

import shutil
import subprocess

import pytest

from hivecost.cli.help import COMMANDS


def completed(script, words):
    """What bash offers behind these words."""
    line = " ".join(f"'{word}'" for word in words)
    ask = f'{script}\nCOMP_WORDS=({line}); COMP_CWORD={len(words) - 1}; _hivecost; printf "%s\\n" "${{COMPREPLY[@]}}"'
    return subprocess.run(["bash", "-c", ask], capture_output=True, text=True, check=True).stdout.split()


@pytest.mark.parametrize(
    ("words", "offered"),
    [
        (["hivecost", "da"], {"daily"}),
        (["hivecost", "spend", "--ti"], {"--timezone"}),
        (["hivecost", "daily", "--un"], {"--until"}),
        (["hivecost", "budget", "su"], {"suggest"}),
        (["hivecost", "budget", "set", "--f"], {"--for"}),
        (["hivecost", "report", "--js"], {"--json"}),
        (["hivecost", "nonsense", "--x"], set()),
    ],
)
def test_bash_offers_what_there_is(hivecost, words, offered):
    assert shutil.which("bash")
    assert {*completed(hivecost("completion", "bash")[1], words)} == offered


def test_bash_offers_every_command(hivecost):
    assert {*completed(hivecost("completion", "bash")[1], ["hivecost", ""])} == {*COMMANDS, "--help", "--version"}


def test_other_shells(hivecost):
    """zsh reads what bash does; fish has a line for each."""
    assert "bashcompinit" in hivecost("completion", "zsh")[1]
    fish = hivecost("completion", "fish")[1].splitlines()
    assert all(line.startswith("complete -c hivecost -n ") and line.count("'") % 2 == 0 for line in fish)
    assert {line.split()[7] for line in fish if "__fish_use_subcommand" in line} == {*COMMANDS}
    assert hivecost("completion", "tcsh")[0] == 2
